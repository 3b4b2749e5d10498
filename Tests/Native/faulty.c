/* Functions for the tests of native processes: well-behaved ones, and one for each way of going wrong. */
#define _GNU_SOURCE
#include <obhut_plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------------- Well-behaved */

int64_t add(int64_t a, int64_t b) { return a + b; }

int64_t pid_of_os(void) { return getpid(); }

/* How many descriptors it has beside 0, 1 and 2. */
int64_t open_descriptors(void) {
    int64_t count = 0;
    int i;
    for (i = 3; i < 4096; i++)
        if (fcntl(i, F_GETFD) >= 0) count++;
    return count;
}

/* Sends back what it gets, to who sent it. */
obhut_status echo(obhut_context *context) {
    obhut_event event = OBHUT_EVENT_INIT;
    for (;;) {
        obhut_status status = obhut_context_receive(context, -1, &event);
        if (status != OBHUT_OK) return status;
        if (event.kind == OBHUT_MESSAGE_CANCEL) return OBHUT_OK;
        if (event.kind != OBHUT_MESSAGE_DATA) continue;
        if (event.request) obhut_context_reply(context, event.from, event.request, event.payload, event.length, false);
        else obhut_context_send(context, event.from, event.topic, event.payload, event.length);
    }
}

obhut_status fails(obhut_context *context, const char *text) {
    obhut_fail(context, text);
    return 7;
}

obhut_status answers_status(obhut_context *context) {
    (void)context;
    return 7;
}

obhut_status has_result(obhut_context *context) {
    obhut_writer writer = OBHUT_WRITER_INIT;
    obhut_write_array(&writer, 2);
    obhut_write_string(&writer, "a");
    obhut_write_integer(&writer, -5);
    obhut_context_set_result(context, writer.bytes, writer.length);
    obhut_writer_free(&writer);
    return OBHUT_OK;
}

/* Computes until it is told to stop. */
obhut_status until_stopped(obhut_context *context) {
    obhut_context_send(context, obhut_context_self(context), "begun", NULL, 0);
    while (!obhut_context_should_stop(context)) usleep(100);
    return OBHUT_OK;
}

/* Receives without end and takes no notice of CANCEL. */
obhut_status stubborn(obhut_context *context) {
    obhut_event event = OBHUT_EVENT_INIT;
    while (obhut_context_receive(context, -1, &event) == OBHUT_OK) {}
    return OBHUT_OK;
}

#define WANT(call, wanted)                                                                                       \
    do {                                                                                                         \
        obhut_status status_ = (call);                                                                           \
        if (status_ != (wanted)) {                                                                               \
            char text_[600];                                                                                     \
            snprintf(text_, sizeof text_, "line %d: %s is %d: %s", __LINE__, #call, (int)status_,                \
                     obhut_context_error(context));                                                              \
            obhut_fail(context, text_);                                                                          \
            return 1;                                                                                            \
        }                                                                                                        \
    } while (0)
#define TRUE(condition) WANT((condition) ? 0 : 1, 0)

/* Every function of the context; `peer` is the text of a pid that echoes, `entry` what can be spawned and ends at once. */
obhut_status everything(obhut_context *context, const char *peer, const char *entry) {
    obhut_event event = OBHUT_EVENT_INIT;
    obhut_pid pid, child, found, self = obhut_context_self(context);
    WANT(obhut_context_lookup(context, peer, &pid), OBHUT_OK);
    TRUE(pid != 0 && self != 0 && pid != self);
    TRUE(strchr(obhut_context_entry(context), ':') != NULL);
    WANT(obhut_context_lookup(context, "nobody", &found), OBHUT_NOT_FOUND);
    TRUE(found == 0 && strstr(obhut_context_error(context), "nobody"));
    WANT(obhut_context_receive(context, 0, &event), OBHUT_TIMEOUT);
    WANT(obhut_context_receive(context, 1000000, &event), OBHUT_TIMEOUT);
    WANT(obhut_context_receive(context, 0, NULL), OBHUT_INVALID_ARGUMENT);

    WANT(obhut_context_send(context, pid, "ping", "\x05", 1), OBHUT_OK);
    WANT(obhut_context_receive(context, -1, &event), OBHUT_OK);
    TRUE(event.kind == OBHUT_MESSAGE_DATA && event.from == pid && event.length == 1 && *(const char *)event.payload == 5);
    TRUE(!strcmp(event.topic, "ping") && event.topic_length == 4 && event.request == 0);
    WANT(obhut_context_send(context, pid, "@own", NULL, 0), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_send(context, pid, "", NULL, 0), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_send(context, pid, NULL, NULL, 0), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_send(context, pid, "x", "\xc1", 1), OBHUT_MALFORMED);
    WANT(obhut_context_send(context, pid, "x", NULL, 3), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_send(context, 12345678, "x", NULL, 0), OBHUT_NOT_FOUND);

    WANT(obhut_context_request(context, pid, "ask", "\xa2hi", 3, 10000000000, &event), OBHUT_OK);
    TRUE(event.kind == OBHUT_MESSAGE_REPLY && event.from == pid && event.length == 3 && !event.is_error);
    WANT(obhut_context_request(context, pid, "ask", "\xa2hi", 3, 0, &event), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_request(context, self, "ask", NULL, 0, 1000000, &event), OBHUT_TIMEOUT);
    WANT(obhut_context_receive(context, -1, &event), OBHUT_OK); /* one's own */
    TRUE(event.from == self && event.request != 0);
    WANT(obhut_context_reply(context, self, event.request, NULL, 0, false), OBHUT_OK); /* late: it vanishes */

    WANT(obhut_context_spawn(context, entry, NULL, NULL, 0, OBHUT_SPAWN_MONITORED, &child), OBHUT_OK);
    WANT(obhut_context_receive(context, -1, &event), OBHUT_OK);
    TRUE(event.kind == OBHUT_MESSAGE_EXIT && event.from == child);
    WANT(obhut_context_spawn(context, "no:such", NULL, NULL, 0, 0, &child), OBHUT_NOT_FOUND);
    TRUE(child == 0);
    WANT(obhut_context_spawn(context, entry, "no:host", NULL, 0, 0, &child), OBHUT_NOT_FOUND);
    WANT(obhut_context_spawn(context, entry, NULL, "\x05", 1, 0, &child), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_spawn(context, entry, NULL, NULL, 0, 99, &child), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_monitor(context, event.from), OBHUT_NOT_FOUND);

    WANT(obhut_context_monitor(context, pid), OBHUT_OK);
    WANT(obhut_context_monitor(context, pid), OBHUT_WRONG_STATE);
    WANT(obhut_context_unmonitor(context, pid), OBHUT_OK);
    WANT(obhut_context_unmonitor(context, pid), OBHUT_NOT_FOUND);
    WANT(obhut_context_set_trap_links(context, 9), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_set_trap_links(context, OBHUT_TRAP_LINKS_FAILURES), OBHUT_OK);
    WANT(obhut_context_link(context, self), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_link(context, pid), OBHUT_OK);
    WANT(obhut_context_unlink(context, pid), OBHUT_OK);

    WANT(obhut_context_register(context, "@x"), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_register(context, "everything"), OBHUT_OK);
    WANT(obhut_context_lookup(context, "everything", &found), OBHUT_OK);
    TRUE(found == self);
    WANT(obhut_context_unregister(context, "everything"), OBHUT_OK);
    WANT(obhut_context_unregister(context, "everything"), OBHUT_NOT_FOUND);
    WANT(obhut_context_log(context, OBHUT_LOG_INFO, "all is well"), OBHUT_OK);
    WANT(obhut_context_log(context, 17, "x"), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_ready(context), OBHUT_OK);
    WANT(obhut_context_set_result(context, "\xc1", 1), OBHUT_MALFORMED);
    TRUE(!obhut_context_should_stop(context));

    WANT(obhut_context_cancel(context, self, 0), OBHUT_INVALID_ARGUMENT);
    WANT(obhut_context_cancel(context, self, 60000000000), OBHUT_OK);
    WANT(obhut_context_receive(context, -1, &event), OBHUT_OK);
    TRUE(event.kind == OBHUT_MESSAGE_CANCEL && event.deadline > 0 && obhut_context_should_stop(context));
    WANT(obhut_context_terminate(context, 12345678), OBHUT_NOT_FOUND);
    return OBHUT_OK;
}

/* A struct that ends before `payload`, as of a header older than this one. */
obhut_status old_event(obhut_context *context) {
    struct { obhut_event event; } room;
    memset(&room, 0x55, sizeof room);
    room.event.struct_size = offsetof(obhut_event, payload);
    WANT(obhut_context_send(context, obhut_context_self(context), "x", "\x01", 1), OBHUT_OK);
    WANT(obhut_context_receive(context, -1, &room.event), OBHUT_OK);
    TRUE(room.event.struct_size == offsetof(obhut_event, payload) && room.event.length == 0x5555555555555555u);
    return OBHUT_OK;
}

/* Says 1 to `answer`, waits on its thread for a byte from `descriptor`, and asks once afterwards: what it was answered goes to `answer`. */
obhut_status blocks(obhut_context *context, int32_t descriptor, int32_t answer) {
    char byte;
    int32_t status = 1;
    if (write(answer, &status, sizeof status) < 0) return 1;
    while (read(descriptor, &byte, 1) < 0 && errno == EINTR) {}
    status = obhut_context_ready(context);
    return write(answer, &status, sizeof status) < 0;
}

/* -------------------------------------------------------------------- Going wrong */

void crash_segv(void) { *(volatile int *)8 = 1; }
void crash_abort(void) { abort(); }
void crash_exit(int32_t status) { exit(status); }
void crash_at_once(int32_t status) { _exit(status); }
void crash_illegal(void) { __builtin_trap(); }

/* A worker of a pool that never gets to its work. */
void crash_worker(int64_t worker_id) {
    (void)worker_id;
    crash_segv();
}

/* Dies as `how` says, after it was told its arguments. */
void crash(int32_t how) {
    switch (how) {
        case 0: crash_segv(); break;
        case 1: crash_abort(); break;
        case 2: crash_exit(3); break;
        case 3: crash_at_once(4); break;
        case 4: {
            for (;;) {
                char *block = malloc(1 << 20);
                memset(block, 1, 1 << 20); /* where malloc has none, it writes to NULL */
            }
        }
        default: for (;;) __asm__ volatile("");
    }
}

void spins(void) { for (;;) __asm__ volatile(""); }
void never_returns(void) { for (;;) pause(); }

void overruns_stack(int64_t depth) {
    volatile char room[4096];
    room[0] = (char)depth;
    overruns_stack(depth + room[0] + 1);
    room[1] = room[0];
}

void mapped_too_much(void) {
    volatile char *block = malloc((size_t)1 << 33);
    block[0] = 1;
}

/* Forks; the child tries to speak for its parent. */
obhut_status forks(obhut_context *context) {
    pid_t child = fork();
    if (child == 0) {
        if (obhut_context_send(context, obhut_context_self(context), "from the child", NULL, 0) == OBHUT_FORKED) {
            printf("the child was refused\n");
            fflush(stdout);
        }
        return OBHUT_OK; /* and to return for it */
    }
    {
        obhut_event event = OBHUT_EVENT_INIT;
        int status;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        if (obhut_context_receive(context, 0, &event) != OBHUT_TIMEOUT) return 2;
    }
    return OBHUT_OK;
}

/* Leaves a process behind that would outlive it; the text of its OS pid is printed. */
obhut_status leaves_child(obhut_context *context) {
    pid_t child = fork();
    (void)context;
    if (child == 0) for (;;) pause();
    printf("%d\n", (int)child);
    return OBHUT_OK;
}

obhut_status closes_3(obhut_context *context) {
    close(3);
    return obhut_context_ready(context);
}

void closes_all(void) {
    int i;
    for (i = 3; i < 4096; i++) close(i);
    for (;;) pause();
}

obhut_status closes_all_and_asks(obhut_context *context) {
    int i;
    for (i = 3; i < 4096; i++) close(i);
    return obhut_context_ready(context);
}

/* Writes where frames go. */
void writes_everywhere(void) {
    int i;
    for (i = 3; i < 4096; i++)
        if (write(i, "this is no frame, and it is long enough to be taken for the length of one", 72) < 0) {}
    for (;;) pause();
}

/* Speaks the runtime's own language where frames go: requests of `operation`, [operation], and no ear for the answers. `at_once`: many
 * with one call of the system; else one by one, for ever. */
void floods(int32_t operation, int32_t at_once) {
    static const struct { uint32_t size; uint8_t request[2]; } __attribute__((packed)) none = {2, {0x91, 0}};
    char frames[6 * 1000];
    int i, kind, channel = -1;
    socklen_t size = sizeof kind;
    for (i = 3; i < 4096 && channel < 0; i++)
        if (getsockopt(i, SOL_SOCKET, SO_TYPE, &kind, &size) == 0) channel = i;
    for (i = 0; i < 1000; i++) {
        memcpy(frames + 6 * i, &none, 6);
        frames[6 * i + 5] = (char)operation;
    }
    for (;;) {
        if (write(channel, frames, at_once ? sizeof frames : 6) < 0) pause();
        if (at_once) pause();
    }
}

/* Says more than anybody can read: empty lines, which are written faster than they are told apart. */
void floods_stdout(void) {
    static char lines[1 << 16];
    fcntl(1, F_SETPIPE_SZ, 1 << 20);
    memset(lines, '\n', sizeof lines);
    for (;;)
        if (write(1, lines, sizeof lines) < 0) pause();
}

obhut_status writes_stdout(obhut_context *context) {
    printf("a line\nand half of one");
    fprintf(stderr, "an error line\n");
    if (write(1, "raw\n", 4) < 0) return 1;
    return obhut_context_ready(context);
}

/* Says a lot, and answers a lot at once after it. */
obhut_status prints_and_returns(obhut_context *context) {
    obhut_writer writer = OBHUT_WRITER_INIT;
    int i;
    obhut_write_array(&writer, 1000);
    for (i = 0; i < 1000; i++) {
        obhut_write_integer(&writer, i);
        printf("line %d\n", i);
    }
    fflush(stdout);
    obhut_context_set_result(context, writer.bytes, writer.length);
    obhut_writer_free(&writer);
    return OBHUT_OK;
}

void complains_and_crashes(void) {
    fprintf(stderr, "first\nsecond\n");
    abort();
}

int64_t reads_stdin(void) {
    char byte;
    return read(0, &byte, 1);
}

/* --------------------------------------------------------------------- A handler */

typedef struct counter {
    int64_t count;
    obhut_pid peer;
} counter;

/* How many spin, and whether they may return. */
int32_t counters_spinning, counters_may_return;

static obhut_status counter_init(obhut_context *context, const void *arguments, size_t length, void **state) {
    obhut_reader reader = obhut_reader_of(arguments, length);
    obhut_value value;
    counter *made;
    obhut_read(&reader, &value);
    if (value.length == 1) {
        obhut_fail(context, "it takes no arguments");
        return 1;
    }
    made = calloc(1, sizeof *made);
    *state = made;
    return made ? OBHUT_OK : OBHUT_SYSTEM;
}

static int32_t counter_handle(obhut_context *context, void *state, const obhut_event *event) {
    counter *self = state;
    if (event->kind == OBHUT_MESSAGE_CANCEL) return OBHUT_HANDLER_END;
    if (event->kind != OBHUT_MESSAGE_DATA) {
        obhut_context_send(context, self->peer, event->is_error ? "failed" : "ended", event->payload, event->length);
        return OBHUT_HANDLER_CONTINUE;
    }
    if (event->from && event->from != obhut_context_self(context)) self->peer = event->from;
    if (!strcmp(event->topic, "add")) {
        self->count++;
    } else if (!strcmp(event->topic, "get")) {
        obhut_writer writer = OBHUT_WRITER_INIT;
        obhut_write_integer(&writer, self->count);
        obhut_context_send(context, event->from, "count", writer.bytes, writer.length);
        obhut_writer_free(&writer);
    } else if (!strcmp(event->topic, "end")) {
        obhut_context_set_result(context, event->payload, event->length);
        return OBHUT_HANDLER_END;
    } else if (!strcmp(event->topic, "fail")) {
        obhut_fail(context, "it was told to fail");
        return -1;
    } else if (!strcmp(event->topic, "wait")) {
        obhut_event other = OBHUT_EVENT_INIT;
        if (obhut_context_receive(context, 0, &other) != OBHUT_WRONG_STATE) return -2;
        if (obhut_context_request(context, event->from, "x", NULL, 0, 1, &other) != OBHUT_WRONG_STATE) return -3;
    } else if (!strcmp(event->topic, "calls")) {
        obhut_pid found;
        if (obhut_context_register(context, "counter")) return -4;
        if (obhut_context_lookup(context, "counter", &found) || found != obhut_context_self(context)) return -5;
        if (obhut_context_send(context, 12345678, "x", NULL, 0) != OBHUT_NOT_FOUND) return -6;
        if (obhut_context_send(context, found, "@x", NULL, 0) != OBHUT_INVALID_ARGUMENT) return -7;
        if (obhut_context_send(context, found, "x", "\xc1", 1) != OBHUT_MALFORMED) return -8;
        if (obhut_context_monitor(context, event->from)) return -9;
    } else if (!strcmp(event->topic, "terminate")) {
        if (obhut_context_terminate(context, obhut_context_self(context)) != OBHUT_TERMINATED) return -10;
    } else if (!strcmp(event->topic, "spin")) {
        __atomic_add_fetch(&counters_spinning, 1, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&counters_may_return, __ATOMIC_ACQUIRE)) __asm__ volatile("");
    } else if (!strcmp(event->topic, "until stopped")) {
        while (!obhut_context_should_stop(context)) __asm__ volatile("");
    } else if (!strcmp(event->topic, "to itself")) {
        /* The second call lets in what the first has sent. */
        if (obhut_context_send(context, obhut_context_self(context), "tell", NULL, 0)) return -11;
        if (obhut_context_set_trap_links(context, OBHUT_TRAP_LINKS_NO)) return -12;
    } else if (!strcmp(event->topic, "tell")) {
        obhut_context_send(context, self->peer, "told", NULL, 0);
    } else if (!strcmp(event->topic, "until told")) {
        /* Holds its worker, and learns what became of it from what it asks. */
        obhut_pid found;
        while (obhut_context_lookup(context, "nobody", &found) != OBHUT_TERMINATED) {}
        obhut_context_send(context, event->from, "too late", NULL, 0);
    }
    return OBHUT_HANDLER_CONTINUE;
}

int counters_stopped;

static void counter_stop(void *state) {
    __atomic_add_fetch(&counters_stopped, 1, __ATOMIC_RELAXED);
    free(state);
}

const obhut_handler counter_handler = {sizeof(obhut_handler), counter_init, counter_handle, counter_stop};
const obhut_handler handler_of_another_size = {4, counter_init, counter_handle, counter_stop};

/* ------------------------------------------------------------------- Ping and pong */

/* Two of them send a message to and fro: `first` names the other, `go` how often. */
typedef struct ping {
    obhut_pid other, asked;
    int64_t left;
} ping;

static obhut_status ping_init(obhut_context *context, const void *arguments, size_t length, void **state) {
    (void)context, (void)arguments, (void)length;
    *state = calloc(1, sizeof(ping));
    return *state ? OBHUT_OK : OBHUT_SYSTEM;
}

static int32_t ping_handle(obhut_context *context, void *state, const obhut_event *event) {
    ping *self = state;
    obhut_reader reader = obhut_reader_of(event->payload, event->length);
    obhut_value value;
    if (event->kind != OBHUT_MESSAGE_DATA) return OBHUT_HANDLER_CONTINUE;
    if (event->topic[0] == 'p') {
        if (!self->asked) {
            obhut_context_send(context, event->from, "p", "\xc0", 1);
        } else if (--self->left > 0) {
            obhut_context_send(context, self->other, "p", "\xc0", 1);
        } else {
            obhut_context_send(context, self->asked, "done", "\xc0", 1);
        }
        return OBHUT_HANDLER_CONTINUE;
    }
    obhut_read(&reader, &value);
    if (event->topic[0] == 'f') {
        self->other = value.number;
    } else {
        self->left = value.integer / 2;
        self->asked = event->from;
        obhut_context_send(context, self->other, "p", "\xc0", 1);
    }
    return OBHUT_HANDLER_CONTINUE;
}

const obhut_handler ping_handler = {sizeof(obhut_handler), ping_init, ping_handle, free};
