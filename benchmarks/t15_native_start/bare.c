/* What the system alone takes: a child OS process that opens a library, calls a function of it and writes the result to a
 * socket pair, without anything that supervises it.
 *
 *   bare LIBRARY SYMBOL STARTS   so many that are started for it, and so many that have been waiting
 *
 * Prints {"cold": nanoseconds of each start, "warm": likewise}. */
#include <dlfcn.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "driver.h"

extern char **environ;

static void child(const char *path, const char *symbol)
{
    int64_t number;
    if (read(3, &number, sizeof number) != sizeof number) exit(1);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int64_t (*function)(int64_t) = library ? (int64_t (*)(int64_t))dlsym(library, symbol) : NULL;
    if (!function) fail(dlerror());
    number = function(number);
    if (write(3, &number, sizeof number) != sizeof number) exit(1);
    exit(0);
}

/* Nanoseconds from before the child is started, or if it waits from before it is asked, until it has answered. */
static int64_t start(char *program, char *library, char *symbol, int waits)
{
    char *arguments[] = {program, library, symbol, NULL};
    posix_spawn_file_actions_t actions;
    int pair[2], status;
    int64_t number = 41;
    pid_t pid;
    int64_t from = now();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) fail("no socket pair");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[1], 3);
    if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environ)) fail("no child");
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    if (waits) {
        sleep_milliseconds(20);
        from = now();
    }
    if (write(pair[0], &number, sizeof number) != sizeof number) fail("the child is gone");
    if (read(pair[0], &number, sizeof number) != sizeof number || number != 42) fail("the child has not answered");
    int64_t elapsed = now() - from;
    close(pair[0]);
    if (waitpid(pid, &status, 0) != pid || status) fail("the child has failed");
    return elapsed;
}

static void report(char *name, char **arguments, int waits, const char *after)
{
    int starts = atoi(arguments[3]);
    printf("\"%s\": [", name);
    for (int i = 0; i < starts; i++)
        printf("%s%" PRId64, i ? ", " : "", start(arguments[0], arguments[1], arguments[2], waits));
    printf("]%s", after);
}

int main(int count, char **arguments)
{
    if (count == 3) child(arguments[1], arguments[2]);
    if (count != 4) fail("usage: bare LIBRARY SYMBOL STARTS");
    printf("{");
    report("cold", arguments, 0, ", ");
    report("warm", arguments, 1, "}\n");
    return 0;
}
