/* What a program keeps for itself: to open the library changes no signal's disposition, no mask, no alternate stack,
 * no thread and no descriptor, and when the last runtime was stopped all is as before; a hundred times over.
 *
 *     cc surroundings.c -ldl -o surroundings && ./surroundings libobhut.so app */
#define _GNU_SOURCE
#include <obhut.h>

#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGNALS 65
#define ROUNDS 100

typedef struct surroundings {
    struct sigaction actions[SIGNALS];
    sigset_t mask;
    stack_t stack;
    int threads, descriptors;
} surroundings;

static int entries(const char *folder)
{
    int count = 0;
    DIR *directory = opendir(folder);
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

static void look(surroundings *at)
{
    memset(at, 0, sizeof *at);
    /* Not 32 and 33, which sigaction does not show: the C library keeps them for itself. */
    for (int number = 1; number < SIGNALS; number++) sigaction(number, NULL, &at->actions[number]);
    pthread_sigmask(SIG_BLOCK, NULL, &at->mask);
    sigaltstack(NULL, &at->stack);
    at->threads = entries("/proc/self/task");
    at->descriptors = entries("/proc/self/fd");
}

static bool same(const struct sigaction *one, const struct sigaction *other)
{
    for (int number = 1; number < SIGNALS; number++)
        if (sigismember(&one->sa_mask, number) != sigismember(&other->sa_mask, number)) return false;
    return one->sa_flags == other->sa_flags && one->sa_handler == other->sa_handler;
}

/* Answers how many things differ, and names them. */
static int compare(const char *when, const surroundings *before, const surroundings *now)
{
    int differences = 0;
    for (int number = 1; number < SIGNALS; number++)
        if (!same(&before->actions[number], &now->actions[number]))
            printf("%s: the disposition of signal %d has changed\n", when, number), differences++;
    for (int number = 1; number < SIGNALS; number++)
        if (sigismember(&before->mask, number) != sigismember(&now->mask, number))
            printf("%s: signal %d is masked otherwise\n", when, number), differences++;
    if (before->stack.ss_sp != now->stack.ss_sp || before->stack.ss_flags != now->stack.ss_flags)
        printf("%s: the alternate stack has changed\n", when), differences++;
    if (before->threads != now->threads)
        printf("%s: %d threads, not %d\n", when, now->threads, before->threads), differences++;
    if (before->descriptors != now->descriptors)
        printf("%s: %d descriptors, not %d\n", when, now->descriptors, before->descriptors), differences++;
    return differences;
}

static void *library;

/* A function of the library, found by its name: C has no cast from an object's pointer to a function's. */
static void find(const char *name, void *function)
{
    void *address = dlsym(library, name);
    if (!address) printf("no %s\n", name), exit(1);
    memcpy(function, &address, sizeof address);
}

/* A whole life of a runtime, with a process in it. */
static int live(const char *folder)
{
    obhut_status (*create)(const obhut_config *, obhut_runtime **, obhut_error **);
    obhut_status (*load)(obhut_runtime *, const char *, obhut_error **);
    obhut_status (*start)(obhut_runtime *, uint32_t, obhut_error **);
    obhut_status (*spawn)(obhut_runtime *, const char *, const char *, const void *, size_t, obhut_pid *, obhut_error **);
    obhut_status (*stop)(obhut_runtime *, int64_t, obhut_error **);
    void (*release)(obhut_runtime *);
    find("obhut_runtime_create", &create);
    find("obhut_runtime_load_folder", &load);
    find("obhut_runtime_start", &start);
    find("obhut_spawn", &spawn);
    find("obhut_runtime_stop", &stop);
    find("obhut_runtime_free", &release);
    obhut_runtime *runtime;
    const unsigned char arguments[] = {0x91, 0}; /* [0]: greets nobody, so it ends by itself */
    if (create(NULL, &runtime, NULL) || load(runtime, folder, NULL) || start(runtime, OBHUT_START_ALL, NULL) ||
        spawn(runtime, "app:greeter", NULL, arguments, sizeof arguments, NULL, NULL) || stop(runtime, -1, NULL))
        return 1;
    release(runtime);
    return 0;
}

int main(int count, char **arguments)
{
    surroundings before, now;
    if (count != 3) return 2;

    /* Things of its own, which have to be there afterwards. */
    static char stack_memory[1 << 16];
    const stack_t stack = {.ss_sp = stack_memory, .ss_size = sizeof stack_memory};
    sigaltstack(&stack, NULL);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    signal(SIGURG, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);

    look(&before);
    if (!(library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL))) return printf("%s\n", dlerror()), 1;
    look(&now);
    int differences = compare("opened", &before, &now);
    if (live(arguments[2])) return printf("the runtime did not run\n"), 1;
    look(&now);
    differences += compare("stopped", &before, &now);
    dlclose(library);

    for (int round = 0; round < ROUNDS; round++) {
        if (!(library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL))) return printf("round %d: %s\n", round, dlerror()), 1;
        const char *(*version)(void);
        find("obhut_version", &version);
        if (strcmp(version(), OBHUT_VERSION_STRING) != 0) return printf("round %d: another version\n", round), 1;
        if (round % 10 == 0 && live(arguments[2])) return printf("round %d: the runtime did not run\n", round), 1;
        dlclose(library);
    }
    look(&now);
    differences += compare("opened and closed a hundred times", &before, &now);
    return differences == 0 ? 0 : 1;
}
