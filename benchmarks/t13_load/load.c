/* How long it takes to load an application. Arguments: folder, how many entries it has.
 * That all are loaded is seen by spawning the last one. */
#include <obhut.h>

#include "driver.h"

int main(int count, char **arguments)
{
    if (count != 3) fail("usage: load APPLICATION ENTRIES");
    obhut_runtime *runtime = NULL;
    obhut_error *error = NULL;
    obhut_pid pid;
    char last[100];
    long number = atol(arguments[2]) - 1;

    must(obhut_runtime_create(NULL, &runtime, &error), error);
    int64_t start = now();
    must(obhut_runtime_load_folder(runtime, arguments[1], &error), error);
    int64_t elapsed = now() - start;

    must(obhut_runtime_start(runtime, OBHUT_START_HOSTS, &error), error);
    snprintf(last, sizeof last, "app.group%ld:process%ld", number / 100, number);
    must(obhut_spawn(runtime, last, NULL, NULL, 0, &pid, &error), error);
    must(obhut_runtime_stop(runtime, 0, &error), error);
    obhut_runtime_free(runtime);
    printf("{\"time\": %.3f}\n", (double)elapsed / 1e6);
    return 0;
}
