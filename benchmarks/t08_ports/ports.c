/* A round trip C -> Lua -> C through a port, and the same between two threads that block in a futex.
 *
 *   ports futex TRIPS            two threads of this program, nothing else
 *   ports waited FOLDER TRIPS    obhut_port_receive waits for each answer
 *   ports polled FOLDER TRIPS    obhut_port_receive looks until the answer is there: nobody is woken
 *
 * Prints {"each": nanoseconds of a round trip, the median}. */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include <obhut.h>

#include "driver.h"

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void report(int64_t *samples, long count)
{
    qsort(samples, (size_t)count, sizeof *samples, compare);
    printf("{\"each\": %" PRId64 "}\n", samples[count / 2]);
}

static _Atomic int there, back;

static void await(_Atomic int *word, int value)
{
    int now;
    while ((now = atomic_load(word)) != value) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void tell(_Atomic int *word, int value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *answer(void *trips)
{
    for (int i = 1; i <= *(long *)trips; i++) {
        await(&there, i);
        tell(&back, i);
    }
    return NULL;
}

static void futex(int64_t *samples, long trips)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer, &trips)) fail("no thread");
    for (int i = 1; i <= trips; i++) {
        int64_t start = now();
        tell(&there, i);
        await(&back, i);
        samples[i - 1] = now() - start;
    }
    pthread_join(thread, NULL);
}

static void ports(const char *folder, int64_t timeout, int64_t *samples, long trips)
{
    static const unsigned char seven = 7;
    obhut_runtime *runtime;
    obhut_port *port;
    obhut_error *error;
    obhut_pid echo;
    must(obhut_runtime_create(NULL, &runtime, &error), error);
    must(obhut_runtime_load_folder(runtime, folder, &error), error);
    must(obhut_runtime_start(runtime, OBHUT_START_HOSTS, &error), error);
    must(obhut_port_create(runtime, &port, &error), error);
    must(obhut_port_spawn(port, "ports:echo", NULL, NULL, 0, 0, &echo, &error), error);
    for (long i = -trips / 10; i < trips; i++) { /* the first tenth warms up */
        obhut_message *message = NULL;
        obhut_status status;
        int64_t start = now();
        must(obhut_port_send(port, echo, "ping", &seven, 1, &error), error);
        do {
            status = obhut_port_receive(port, timeout, &message, NULL);
        } while (status == OBHUT_TIMEOUT);
        must(status, NULL);
        obhut_message_free(message);
        if (i >= 0) samples[i] = now() - start;
    }
    obhut_port_free(port);
    obhut_runtime_stop(runtime, 0, NULL);
    obhut_runtime_free(runtime);
}

int main(int count, char **arguments)
{
    int is_futex = count == 3 && !strcmp(arguments[1], "futex");
    if (!is_futex && count != 4) fail("usage: ports futex TRIPS | ports waited|polled FOLDER TRIPS");
    long trips = atol(arguments[count - 1]);
    if (trips < 1) fail("how many round trips?");
    int64_t *samples = calloc((size_t)trips, sizeof *samples);
    if (!samples) fail("no memory");
    if (is_futex) futex(samples, trips);
    else ports(arguments[2], strcmp(arguments[1], "polled") ? -1 : 0, samples, trips);
    report(samples, trips);
    free(samples);
    return 0;
}
