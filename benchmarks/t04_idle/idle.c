/* The memory of idle workers. Arguments: application, how many, messages to each, the most bytes to use:
 * beyond that no more are made. Prints bytes of RSS for each worker, idle and after the messages, and nanoseconds for
 * each spawn. */
#include <obhut.h>

#include "driver.h"

#include <stdatomic.h>

/* Workers say "Task worker 7 started"; "idle" and "processing" follow later. */
static atomic_long started;

static void count_started(void *user, const char *text, size_t length)
{
    static const char word[] = "started\n";
    const char *end = text + length;
    (void)user;
    while ((text = memmem(text, (size_t)(end - text), word, sizeof word - 1))) {
        atomic_fetch_add(&started, 1);
        text += sizeof word - 1;
    }
}

static void send_work(obhut_port *port, obhut_pid worker)
{
    static const char payload[] = "\xa4item"; /* "item" in MessagePack */
    obhut_error *error = NULL;
    must(obhut_port_send(port, worker, "work", payload, sizeof payload - 1, &error), error);
}

static void receive_results(obhut_port *port, long count)
{
    for (long i = 0; i < count; i++) {
        obhut_message *message;
        obhut_error *error = NULL;
        must(obhut_port_receive(port, 60 * (int64_t)1000000000, &message, &error), error);
        if (strcmp(obhut_message_topic(message, NULL), "result")) fail("a worker answered something else");
        obhut_message_free(message);
    }
}

/* A line for each 100,000 more, so that who waits for a million sees that it goes on. */
static void progress(const char *what, long count, long more)
{
    enum { every = 100000 };
    if (count / every != (count - more) / every)
        fprintf(stderr, "%ld %s, %.2f GB\n", count, what, (double)resident() / 1e9);
}

/* Until so many have begun. */
static void wait_for(obhut_runtime *runtime, long workers)
{
    obhut_error *error = NULL;
    for (;;) {
        obhut_counters counters = OBHUT_COUNTERS_INIT;
        must(obhut_runtime_counters(runtime, &counters, &error), error);
        if (counters.dropped_lines) fail("lines were dropped: who has begun cannot be counted");
        if (atomic_load(&started) >= workers) return;
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
}

int main(int count, char **arguments)
{
    enum { step = 10000 };
    if (count != 5) fail("usage: idle APPLICATION WORKERS MESSAGES BYTES");
    long workers = atol(arguments[2]), messages = atol(arguments[3]);
    int64_t most = atoll(arguments[4]);
    obhut_config *config = obhut_config_new();
    obhut_runtime *runtime = NULL;
    obhut_port *port = NULL;
    obhut_error *error = NULL;
    obhut_pid *pids = calloc((size_t)workers, sizeof *pids);

    must(obhut_config_set_output_sink(config, count_started, NULL, NULL), NULL);
    must(obhut_runtime_create(config, &runtime, &error), error);
    must(obhut_runtime_load_folder(runtime, arguments[1], &error), error);
    must(obhut_runtime_start(runtime, OBHUT_START_ALL, &error), error);
    must(obhut_port_create(runtime, &port, &error), error);
    memset(pids, 1, (size_t)workers * sizeof *pids); /* in memory before the first look */
    sleep_milliseconds(50);

    int64_t empty = resident(), start = now();
    for (long i = 0; i < workers; i++) {
        unsigned char id[] = {0x91, 0xce, (unsigned char)(i >> 24), (unsigned char)(i >> 16), (unsigned char)(i >> 8),
                              (unsigned char)i}; /* [i] */
        must(obhut_port_spawn(port, "app:task_worker", NULL, id, sizeof id, 0, &pids[i], &error), error);
        if ((i + 1) % step) continue;
        /* A process takes its memory when it begins. So the memory is looked at when all have. */
        wait_for(runtime, i + 1);
        progress("workers", i + 1, step);
        if (resident() > most && i + 1 < workers) workers = i + 1;
    }
    wait_for(runtime, workers);
    int64_t spawned = now();
    sleep_milliseconds(200);
    int64_t idle = resident();

    /* One message to each, and its answer, before the next: nothing piles up. In portions, because all of a million
     * would answer at once. */
    enum { portion = 20000 };
    long answered = 0;
    for (long round = 0; round < messages; round++)
        for (long first = 0; first < workers; first += portion) {
            long last = first + portion < workers ? first + portion : workers;
            for (long i = first; i < last; i++) send_work(port, pids[i]);
            receive_results(port, last - first);
            answered += last - first;
            progress("answers", answered, last - first);
        }
    int64_t used = resident();

    obhut_counters counters = OBHUT_COUNTERS_INIT;
    must(obhut_runtime_counters(runtime, &counters, &error), error);
    if ((long)counters.processes < workers) fail("not all workers are alive");
    printf("{\"idle\": %.1f, \"used\": %.1f, \"spawn\": %.1f, \"alive\": %ld, \"answered\": %ld}\n", (double)(idle - empty) / (double)workers,
           (double)(used - empty) / (double)workers, (double)(spawned - start) / (double)workers,
           (long)counters.processes, answered);
    fflush(stdout);
    /* The end of a million is not what is measured. */
    _exit(0);
}
