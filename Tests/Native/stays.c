/* Functions of a handler, and one for Lua, that stay where they are until they are let go. Then they call what there is to call. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "obhut_plugin.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int32_t inside, passes, stopped, told, heard;

static void stay(void) {
    pthread_mutex_lock(&lock);
    inside++;
    while (passes == 0) {
#ifdef SPINS
        pthread_mutex_unlock(&lock);
        pthread_mutex_lock(&lock);
#else
        pthread_cond_wait(&changed, &lock);
#endif
    }
    passes--;
    inside--;
    pthread_mutex_unlock(&lock);
}

void stays_release(int32_t count) {
    pthread_mutex_lock(&lock);
    passes += count;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int32_t read_locked(const int32_t *count) {
    int32_t found;
    pthread_mutex_lock(&lock);
    found = *count;
    pthread_mutex_unlock(&lock);
    return found;
}

/* How many stay; how many handlers were stopped; how many calls were made after a stay, and how many of them were
 * answered OBHUT_TERMINATED. */
int32_t stays_inside(void) { return read_locked(&inside); }
int32_t stays_stopped(void) { return read_locked(&stopped); }
int32_t stays_told(void) { return read_locked(&told); }
int32_t stays_heard(void) { return read_locked(&heard); }

static void count(int32_t *which) {
    pthread_mutex_lock(&lock);
    ++*which;
    pthread_mutex_unlock(&lock);
}

static void note(obhut_status status) {
    count(&told);
    if (status == OBHUT_TERMINATED) count(&heard);
}

static void call_everything(obhut_context *context, obhut_pid peer) {
    obhut_pid self = obhut_context_self(context), found;
    note(obhut_context_send(context, peer, "late", NULL, 0));
    note(obhut_context_send(context, self, "late", NULL, 0));
    note(obhut_context_reply(context, peer, 1, NULL, 0, false));
    note(obhut_context_spawn(context, "test:waits", NULL, NULL, 0, OBHUT_SPAWN_LINKED | OBHUT_SPAWN_MONITORED, &found));
    note(obhut_context_spawn(context, "test:stays", "test:host", NULL, 0, 0, NULL));
    note(obhut_context_link(context, peer));
    note(obhut_context_unlink(context, peer));
    note(obhut_context_monitor(context, peer));
    note(obhut_context_unmonitor(context, peer));
    note(obhut_context_cancel(context, self, 1000000));
    note(obhut_context_cancel(context, peer, 1000000));
    note(obhut_context_terminate(context, peer));
    note(obhut_context_terminate(context, self));
    note(obhut_context_register(context, "late"));
    note(obhut_context_lookup(context, "late", &found));
    note(obhut_context_unregister(context, "late"));
    note(obhut_context_set_trap_links(context, OBHUT_TRAP_LINKS_ALL));
    note(obhut_context_ready(context));
    note(obhut_context_log(context, 3, "late"));
    obhut_context_should_stop(context);
    obhut_context_set_result(context, "\xc0", 1);
    obhut_fail(context, "too late");
}

/* Its own pid is what it knows of others before somebody has written to it. */
static obhut_status begin(obhut_context *context, const void *arguments, size_t length, void **state) {
    (void)context, (void)arguments, (void)length;
    *state = malloc(1);
    return *state ? OBHUT_OK : OBHUT_SYSTEM;
}

static obhut_status begin_and_stay(obhut_context *context, const void *arguments, size_t length, void **state) {
    obhut_status status = begin(context, arguments, length, state);
    /* In its mailbox before it is ended: it must not be handled afterwards. */
    obhut_context_send(context, obhut_context_self(context), "stay", NULL, 0);
    obhut_context_should_stop(context);
    stay();
    call_everything(context, obhut_context_self(context));
    return status;
}

/* "begin", which it answers; "stay"; "end", or to be cancelled, which ends it. */
static int32_t handle(obhut_context *context, void *state, const obhut_event *event) {
    (void)state;
    if (event->kind != OBHUT_MESSAGE_DATA || !strcmp(event->topic, "end")) return OBHUT_HANDLER_END;
    if (!strcmp(event->topic, "begin")) obhut_context_send(context, event->from, "begun", NULL, 0);
    if (!strcmp(event->topic, "stay")) {
        stay();
        call_everything(context, event->from);
    }
    return OBHUT_HANDLER_CONTINUE;
}

static void stop(void *state) {
    count(&stopped);
    free(state);
}

static void stay_and_stop(void *state) {
    stay();
    stop(state);
}

const obhut_handler stays_in_handle = {sizeof(obhut_handler), begin, handle, stop};
const obhut_handler stays_in_init = {sizeof(obhut_handler), begin_and_stay, handle, stop};
const obhut_handler stays_in_stop = {sizeof(obhut_handler), begin, handle, stay_and_stop};

/* For Lua. */
int32_t stays_here(int32_t number) {
    stay();
    return number;
}
