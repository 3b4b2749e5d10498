/* What the system alone takes: a child OS process that opens a library, calls a function of it, which says when it began to
 * run, and writes that to a socket pair; without anything that supervises it.
 *
 *   bare LIBRARY SYMBOL STARTS   so many that are started for it, and so many that have been waiting
 *
 * Prints {"cold": nanoseconds of each start, "warm": likewise, "ended": until the answer of each that had been waiting}. */
#include <dlfcn.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "driver.h"

extern char **environ;

static void child(const char *path, const char *symbol)
{
    char order;
    if (read(3, &order, 1) != 1) exit(1);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int64_t (*function)(void) = library ? (int64_t (*)(void))dlsym(library, symbol) : NULL;
    if (!function) fail(dlerror());
    int64_t moment = function();
    if (write(3, &moment, sizeof moment) != sizeof moment) exit(1);
    exit(0);
}

typedef struct times {
    int64_t begun, ended;
} times;

/* Nanoseconds from before the child is started, or if it waits from before it is asked, until it runs and until it has answered. */
static times start(char *program, char *library, char *symbol, int waits)
{
    char *arguments[] = {program, library, symbol, NULL};
    posix_spawn_file_actions_t actions;
    int pair[2], status;
    int64_t moment;
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
    if (write(pair[0], "", 1) != 1) fail("the child is gone");
    if (read(pair[0], &moment, sizeof moment) != sizeof moment) fail("the child has not answered");
    times times = {moment - from, now() - from};
    close(pair[0]);
    if (waitpid(pid, &status, 0) != pid || status) fail("the child has failed");
    return times;
}

static void print(const char *name, const int64_t *samples, int count, const char *after)
{
    printf("\"%s\": [", name);
    for (int i = 0; i < count; i++) printf("%s%" PRId64, i ? ", " : "", samples[i]);
    printf("]%s", after);
}

int main(int count, char **arguments)
{
    if (count == 3) child(arguments[1], arguments[2]);
    int starts = count == 4 ? atoi(arguments[3]) : 0;
    if (starts < 1) fail("usage: bare LIBRARY SYMBOL STARTS");
    int64_t *samples = calloc((size_t)starts, 3 * sizeof *samples), *warm = samples + starts, *ended = warm + starts;
    if (!samples) fail("no memory");
    for (int i = 0; i < starts; i++) samples[i] = start(arguments[0], arguments[1], arguments[2], 0).begun;
    for (int i = 0; i < starts; i++) {
        times times = start(arguments[0], arguments[1], arguments[2], 1);
        warm[i] = times.begun;
        ended[i] = times.ended;
    }
    printf("{");
    print("cold", samples, starts, ", ");
    print("warm", warm, starts, ", ");
    print("ended", ended, starts, "}\n");
    free(samples);
    return 0;
}
