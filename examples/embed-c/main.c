/* A pool of failing workers inside a C program that has an event loop of its own.
 *
 *     embed-c ../worker-pool [SECONDS]
 *
 * One epoll loop waits for messages (the port's descriptor), Ctrl-C (a signalfd) and a tick (a timerfd) at once: the
 * program needs one thread, the runtime has its own. It spawns the pool, monitors it and each worker, prints every
 * EXIT, gives the workers jobs, and stops in order on Ctrl-C or after SECONDS of work. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <obhut.h>

#define SECOND INT64_C(1000000000)
#define WORKERS 4
#define TICK_MILLISECONDS 250

typedef struct pool_program {
    obhut_runtime *runtime;
    obhut_port *port;
    obhut_pid pool;
    obhut_pid workers[WORKERS]; /* by number, from 0; 0: dead, or not there yet */
    int ticks_left;             /* after the first job, until it stops by itself; negative: never */
    unsigned jobs, done, exits;
    bool ending;
    struct timespec started;
} pool_program;

/* Tells what failed, frees the error; answers whether it failed. */
static bool failed(const char *what, obhut_status status, obhut_error *error)
{
    if (status == OBHUT_OK) return false;
    fprintf(stderr, "embed-c: %s: %s\n", what, error ? obhut_error_text(error) : obhut_status_text(status));
    obhut_error_free(error);
    return true;
}

static double seconds_since(struct timespec start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
}

/* The library's threads print through the program: it alone decides what goes where. Called on a thread of the
 * library, never two at once. */
static void print_output(void *user, const char *text, size_t length)
{
    (void)user;
    printf("            %.*s", (int)length, text);
    fflush(stdout);
}

static void print_log(void *user, int32_t level, const char *text, size_t length)
{
    (void)user;
    if (level >= OBHUT_LOG_ERROR) fprintf(stderr, "%.*s", (int)length, text);
}

/* ------------------------------------------------------------------------------------------------- Messages */

/* A worker has come to life and says its number. */
static void on_birth(pool_program *program, const obhut_message *message)
{
    size_t length;
    const unsigned char *payload = obhut_message_payload(message, &length);
    char *number;
    if (obhut_payload_to_json(payload, length, &number, NULL, NULL)) return;
    long id = strtol(number, NULL, 10);
    obhut_bytes_free(number);
    if (id < 1 || id > WORKERS) return;
    program->workers[id - 1] = obhut_message_from(message);
    /* OBHUT_NOT_FOUND: it has died since. Its next one will say so too. */
    obhut_error *error = NULL;
    obhut_status status = obhut_port_monitor(program->port, obhut_message_from(message), &error);
    if (status == OBHUT_NOT_FOUND) obhut_error_free(error);
    else failed("monitor", status, error);
}

static void on_exit_of(pool_program *program, const obhut_message *message)
{
    const char *text;
    const void *value;
    size_t length;
    char name[OBHUT_PID_TEXT_SIZE];
    obhut_pid from = obhut_message_from(message);

    obhut_pid_text(program->runtime, from, name, sizeof name, NULL);
    program->exits++;
    if (obhut_message_result(message, &value, &length, &text)) text = "ended normally";
    if (from == program->pool) {
        program->pool = 0;
        printf("%6.1f s  EXIT pool %s: %s\n", seconds_since(program->started), name, text);
        return;
    }
    for (int i = 0; i < WORKERS; i++) {
        if (program->workers[i] != from) continue;
        program->workers[i] = 0;
        printf("%6.1f s  EXIT worker %d %s: %s\n", seconds_since(program->started), i + 1, name, text);
    }
}

/* Takes what has arrived; the descriptor is readable as long as there is more. False: the port is closed. */
static bool on_port(pool_program *program)
{
    obhut_message *message;
    obhut_status status;
    while ((status = obhut_port_receive(program->port, 0, &message, NULL)) == OBHUT_OK) {
        if (obhut_message_kind(message) == OBHUT_MESSAGE_EXIT) on_exit_of(program, message);
        else if (strcmp(obhut_message_topic(message, NULL), "born") == 0) on_birth(program, message);
        else if (strcmp(obhut_message_topic(message, NULL), "result") == 0) program->done++;
        obhut_message_free(message);
    }
    return status == OBHUT_TIMEOUT;
}

/* --------------------------------------------------------------------------------------------------- Jobs */

/* Gives each living worker a job. */
static void on_tick(pool_program *program)
{
    for (int i = 0; i < WORKERS; i++) {
        char json[32];
        void *job;
        size_t size;
        if (program->workers[i] == 0) continue;
        int length = snprintf(json, sizeof json, "\"job %u\"", program->jobs + 1);
        if (obhut_payload_from_json(json, (size_t)length, &job, &size, NULL)) continue;
        if (obhut_port_send(program->port, program->workers[i], "work", job, size, NULL) == OBHUT_OK) program->jobs++;
        obhut_bytes_free(job);
    }
}

/* -------------------------------------------------------------------------------------------------- Program */

static bool start(pool_program *program, const char *folder)
{
    obhut_error *error = NULL;
    obhut_config *config = obhut_config_new();
    obhut_config_set_output_sink(config, print_output, NULL, NULL);
    obhut_config_set_log_sink(config, print_log, NULL, NULL);
    obhut_status status = obhut_runtime_create(config, &program->runtime, &error);
    obhut_config_free(config);
    if (failed("create", status, error)) return false;
    if (failed("load", obhut_runtime_load_folder(program->runtime, folder, &error), error)) return false;
    /* The hosts only: what starts by itself is left out, since this program spawns the pool. */
    if (failed("start", obhut_runtime_start(program->runtime, OBHUT_START_HOSTS, &error), error)) return false;
    if (failed("port", obhut_port_create(program->runtime, &program->port, &error), error)) return false;

    /* New workers announce themselves to the name "demo": a process of the application gives it to this port. A pid is
     * MessagePack's extension type 1, 8 bytes, big-endian. */
    unsigned char introduction[11] = {0x91, 0xd7, 1};
    for (int i = 0; i < 8; i++) introduction[3 + i] = (unsigned char)(obhut_port_pid(program->port) >> (56 - 8 * i));
    obhut_pid introducer;
    if (failed("spawn", obhut_port_spawn(program->port, "demo:introduce", NULL, introduction, sizeof introduction,
                                         OBHUT_SPAWN_MONITORED, &introducer, &error), error)) return false;
    obhut_message *message;
    if (failed("introduce", obhut_port_receive(program->port, 10 * SECOND, &message, &error), error)) return false;
    const char *text;
    bool introduced = obhut_message_result(message, NULL, NULL, &text);
    if (!introduced) fprintf(stderr, "embed-c: introduce: %s\n", text);
    obhut_message_free(message);
    if (!introduced) return false;

    static const unsigned char arguments[] = {0x91, WORKERS}; /* [4] */
    return !failed("spawn", obhut_port_spawn(program->port, "app.supervisor:pool", NULL, arguments, sizeof arguments,
                                             OBHUT_SPAWN_MONITORED, &program->pool, &error), error);
}

/* Asks the pool to end: it does not listen, so it is ended after a second, and its workers fall with it. */
static void end(pool_program *program, const char *why)
{
    if (program->ending) return;
    program->ending = true;
    printf("%6.1f s  %s: the pool has one second to end\n", seconds_since(program->started), why);
    obhut_cancel(program->runtime, program->pool, SECOND, NULL);
}

static bool anybody_lives(const pool_program *program)
{
    bool lives = program->pool != 0;
    for (int i = 0; i < WORKERS; i++) lives = lives || program->workers[i] != 0;
    return lives;
}

/* The event loop: until the pool and its workers have ended. */
static bool serve(pool_program *program, int signals, int ticks)
{
    const int descriptors[] = {obhut_port_fd(program->port), signals, ticks};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptors[i]};
        if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, descriptors[i], &event)) {
            perror("embed-c: epoll");
            return false;
        }
    }
    bool open = true;
    while (open && anybody_lives(program)) {
        struct epoll_event events[3];
        int count = epoll_wait(epoll, events, 3, -1);
        if (count < 0 && errno != EINTR) {
            perror("embed-c: epoll_wait");
            open = false;
        }
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == ticks) {
                uint64_t expirations;
                if (read(ticks, &expirations, sizeof expirations) != sizeof expirations) continue;
                if (!program->ending) on_tick(program);
                if (program->jobs > 0 && program->ticks_left > 0 && --program->ticks_left == 0) end(program, "time is up");
            } else if (events[i].data.fd == signals) {
                struct signalfd_siginfo signal;
                if (read(signals, &signal, sizeof signal) == sizeof signal) end(program, "interrupted");
            } else {
                open = on_port(program);
            }
        }
        fflush(stdout);
    }
    close(epoll);
    return open;
}

int main(int count, char **arguments)
{
    pool_program program = {.ticks_left = -1};
    double seconds = count == 3 ? atof(arguments[2]) : 0;
    if (count < 2 || count > 3 || (count == 3 && seconds <= 0)) {
        fprintf(stderr, "usage: %s FOLDER [SECONDS]\n", arguments[0]);
        return 2;
    }
    if (count == 3) program.ticks_left = 1 + (int)(seconds * 1000 / TICK_MILLISECONDS);
    clock_gettime(CLOCK_MONOTONIC, &program.started);

    /* Before the first thread is made, so that all inherit it: the signals come through the descriptor alone. */
    sigset_t interruptions;
    sigemptyset(&interruptions);
    sigaddset(&interruptions, SIGINT);
    sigaddset(&interruptions, SIGTERM);
    sigprocmask(SIG_BLOCK, &interruptions, NULL);
    int signals = signalfd(-1, &interruptions, SFD_CLOEXEC | SFD_NONBLOCK);
    int ticks = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    const struct timespec tick = {0, TICK_MILLISECONDS * 1000000L};
    const struct itimerspec every = {tick, tick};
    if (signals < 0 || ticks < 0 || timerfd_settime(ticks, 0, &every, NULL)) {
        perror("embed-c");
        return 1;
    }

    obhut_error *error = NULL;
    bool done = start(&program, arguments[1]) && serve(&program, signals, ticks);
    if (program.runtime) done = !failed("stop", obhut_runtime_stop(program.runtime, -1, &error), error) && done;
    if (done) printf("%u ends, %u jobs, %u of them done\n", program.exits, program.jobs, program.done);
    obhut_port_free(program.port);
    obhut_runtime_free(program.runtime);
    close(signals);
    close(ticks);
    return done ? 0 : 1;
}
