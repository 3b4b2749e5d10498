/* Functions that want more than there is, and such as leave something behind. */
#define _GNU_SOURCE
#include <obhut_plugin.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* `size` bytes as one value; freed by the end of the process. */
static obhut_writer zeros(int64_t size) {
    obhut_writer writer = OBHUT_WRITER_INIT;
    void *bytes = calloc(1, (size_t)size);
    if (bytes) obhut_write_bytes(&writer, bytes, (size_t)size);
    free(bytes);
    return writer;
}

static obhut_status tell(obhut_context *context, const char *text) {
    obhut_writer writer = OBHUT_WRITER_INIT;
    obhut_status status;
    obhut_write_string(&writer, text);
    status = obhut_context_set_result(context, writer.bytes, writer.length);
    obhut_writer_free(&writer);
    return status;
}

/* What a message of that size to itself is answered, and that the next one goes. */
obhut_status sends_much(obhut_context *context, int64_t size) {
    obhut_writer writer = zeros(size);
    char text[700];
    obhut_status status = obhut_context_send(context, obhut_context_self(context), "much", writer.bytes, writer.length);
    snprintf(text, sizeof text, "%d %.100s|%d", status, status ? obhut_context_error(context) : "",
             obhut_context_send(context, obhut_context_self(context), "little", NULL, 0));
    obhut_writer_free(&writer);
    return tell(context, text);
}

obhut_status returns_much(obhut_context *context, int64_t size) {
    obhut_writer writer = zeros(size);
    obhut_status status = obhut_context_set_result(context, writer.bytes, writer.length);
    obhut_writer_free(&writer);
    return status;
}

/* All memory is taken, then it receives; given some back, it receives again. */
obhut_status receives_without_memory(obhut_context *context) {
    static void *blocks[4096];
    int count = 0;
    obhut_event event = OBHUT_EVENT_INIT;
    if (obhut_context_receive(context, -1, &event) != OBHUT_OK) return OBHUT_FAILED;
    while (count < 4096 && (blocks[count] = malloc(1 << 20))) count++;
    if (obhut_context_receive(context, -1, &event) == OBHUT_OK) return tell(context, "there was room");
    while (count > 0) free(blocks[--count]);
    if (obhut_context_receive(context, -1, &event) != OBHUT_OK) return OBHUT_FAILED;
    return tell(context, "it went on");
}

/* One that it forks writes to stdout for as long as somebody reads. */
obhut_status leaves_a_writer(obhut_context *context) {
    static char lines[4096];
    (void)context;
    memset(lines, '\n', sizeof lines);
    if (fork() == 0) {
        setsid();
        alarm(60);
        while (write(1, lines, sizeof lines) > 0) {}
        _exit(0);
    }
    /* That one writes before this one ends. */
    usleep(100000);
    return OBHUT_OK;
}

static void *read_for_ever(void *file) {
    char line[8];
    return fgets(line, sizeof line, file);
}

/* A thread of it waits in stdio, with the lock of a stream. */
obhut_status returns_while_a_thread_reads(obhut_context *context) {
    pthread_t thread;
    int pipes[2];
    if (pipe(pipes) || pthread_create(&thread, NULL, read_for_ever, fdopen(pipes[0], "r"))) return OBHUT_SYSTEM;
    /* It cannot be seen that it reads: the lock is taken within these. */
    usleep(100000);
    printf("printed before the end");
    return tell(context, "returned");
}

obhut_status ends_its_thread(obhut_context *context) {
    (void)context;
    pthread_exit(NULL);
}

void ends_a_thread(void) { pthread_exit(NULL); }

/* What calls in a child that it forks are answered; with `returns` the child returns too. */
obhut_status forks(obhut_context *context, int32_t returns) {
    int32_t answers[4] = {0, 0, 0, 0};
    int pipes[2];
    char text[64];
    pid_t child;
    obhut_event event = OBHUT_EVENT_INIT;
    if (pipe(pipes)) return OBHUT_SYSTEM;
    if ((child = fork()) == 0) {
        answers[0] = obhut_context_receive(context, -1, &event);
        answers[1] = obhut_context_ready(context);
        answers[2] = obhut_context_send(context, obhut_context_self(context), "x", NULL, 0);
        answers[3] = obhut_context_log(context, OBHUT_LOG_INFO, "from the child");
        if (write(pipes[1], answers, sizeof answers) < 0) _exit(1);
        if (returns) return OBHUT_OK;
        _exit(0);
    }
    close(pipes[1]);
    if (read(pipes[0], answers, sizeof answers) < 0) return OBHUT_SYSTEM;
    close(pipes[0]);
    snprintf(text, sizeof text, "%d %d %d %d", (int)answers[0], (int)answers[1], (int)answers[2], (int)answers[3]);
    waitpid(child, NULL, 0);
    return tell(context, text);
}

void kills_itself(void) { kill(getpid(), SIGKILL); }

/* MARK: A handler */

static int last;

/* What the last `send` of a handler was answered. */
int32_t last_status(void) { return last; }

static obhut_status begin(obhut_context *context, const void *arguments, size_t length, void **state) {
    (void)arguments;
    (void)length;
    *state = context;
    return OBHUT_OK;
}

static int32_t handle(obhut_context *context, void *state, const obhut_event *event) {
    (void)state;
    if (event->kind != OBHUT_MESSAGE_DATA) return OBHUT_HANDLER_END;
    if (!strcmp(event->topic, "much")) {
        returns_much(context, 2 << 20);
        return OBHUT_HANDLER_END;
    }
    obhut_context_terminate(context, obhut_context_self(context));
    last = obhut_context_send(context, event->from, "from the dead", NULL, 0);
    return OBHUT_HANDLER_END;
}

const obhut_handler greedy_handler = {sizeof(obhut_handler), begin, handle, NULL};
