/* A program that is badly behaved: it ends with processes that run, a port that waits and nothing freed or
 * stopped. With an argument it does not even call the library. Both leave with status 0. */
#include <obhut.h>

#include <stdio.h>

int main(int count, char **arguments)
{
    obhut_runtime *runtime;
    obhut_port *port;
    (void)arguments;
    if (count == 2) return 0;
    static const char yaml[] =
        "version: '1.0'\nnamespace: app\nentries:\n"
        "  - { name: host, kind: process.host, host: { workers: 2 }, lifecycle: { auto_start: true } }\n"
        "  - { name: spins, kind: process.lua, method: main,\n"
        "      source: 'return { main = function() print(1) while true do end end }' }\n";
    if (obhut_runtime_create(NULL, &runtime, NULL) ||
        obhut_runtime_load_text(runtime, yaml, sizeof yaml - 1, NULL) ||
        obhut_runtime_start(runtime, OBHUT_START_ALL, NULL) || obhut_port_create(runtime, &port, NULL))
        return 1;
    for (int i = 0; i < 4; i++) {
        obhut_pid pid;
        if (obhut_port_spawn(port, "app:spins", NULL, NULL, 0, OBHUT_SPAWN_LINKED, &pid, NULL)) return 1;
    }
    /* So that they run, and are not only about to. */
    char *text = NULL;
    size_t length;
    while (text == NULL)
        if (obhut_runtime_read_output(runtime, &text, &length, NULL)) return 1;
    obhut_bytes_free(text);
    return 0;
}
