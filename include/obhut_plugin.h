/* obhut_plugin.h: C functions that run as supervised processes.
 *
 * A plugin is a shared library; the runtime finds a function in it by its entry's `symbol:` and calls it by its
 * `signature:`. A function whose first parameter is `context` can do what every process can: it receives, sends, links,
 * watches and is cancelled. A plugin links nothing: the context carries a table of functions.
 *
 *     #include <obhut_plugin.h>
 *
 *     obhut_status echo_main(obhut_context *context) {           // signature: status(context)
 *         obhut_event event = OBHUT_EVENT_INIT;
 *         while (obhut_context_receive(context, -1, &event) == OBHUT_OK) {
 *             if (event.kind == OBHUT_MESSAGE_CANCEL) break;
 *             if (event.kind == OBHUT_MESSAGE_DATA && event.from)
 *                 obhut_context_send(context, event.from, "echo", event.payload, event.length);
 *         }
 *         return OBHUT_OK;
 *     }
 *
 *     cc -shared -fPIC -I include echo.c -o libecho.so
 *
 * The words of the tag lines are those of obhut.h. Here
 *
 *   [threads: own]     the thread on which the function of the process was called, and no other
 *
 * Rules
 *
 *   - A process that has been ended (terminated, its deadline has passed, a linked process failed) is over for all others
 *     at once. In a child process its code is killed with it. On a thread it cannot be: each call answers
 *     OBHUT_TERMINATED from then on, and the function has to return; nobody looks at what it returns.
 *   - After a fork every call in the child is answered by OBHUT_FORKED.
 *   - Out-parameters are always written: with zero or NULL on failure.
 *   - Payloads are MessagePack; obhut_payload.h writes and reads it.
 *   - Calls are carried out in the order in which they are made.
 */
#ifndef OBHUT_PLUGIN_H
#define OBHUT_PLUGIN_H

#include "obhut.h"
#include "obhut_payload.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Raised on any incompatible change of this header. What is added at the end of a struct does not raise it:
 * `struct_size` tells which fields are there. */
#define OBHUT_PLUGIN_ABI 1

/* -------------------------------------------------------------------------- Events */

/* What a process receives. The pointers are borrowed until the next call with this context. */
typedef struct obhut_event {
    size_t struct_size;   /* in: sizeof(obhut_event) of the caller */
    int32_t kind;         /* OBHUT_MESSAGE_DATA, _EXIT, _LINK_DOWN or _CANCEL; later versions add kinds */
    bool is_error;        /* of an end: it was abnormal, and the payload is its error */
    obhut_pid from;       /* who sent it or has ended; 0: nobody */
    const char *topic;    /* of a message, ended by a NUL; else "" */
    size_t topic_length;
    const void *payload;  /* MessagePack: of a message, its payload; of an end, its value or error; else NULL */
    size_t length;
    uint64_t request;     /* of a message: not 0 if the sender waits for obhut_context_reply */
    int64_t deadline;     /* of a CANCEL: when it is ended by force, nanoseconds on CLOCK_MONOTONIC */
    obhut_pid origin;     /* of an end: where the failure began */
    uint32_t hops;        /* of an end: how many links it travelled to the one that ended */
} obhut_event;

#ifdef __cplusplus
#define OBHUT_EVENT_INIT {sizeof(obhut_event)}
#else
#define OBHUT_EVENT_INIT {sizeof(obhut_event), 0, false, 0, NULL, 0, NULL, 0, 0, 0, 0, 0}
#endif

/* ------------------------------------------------------------------------- Context */

/* What a process has of the runtime; it is valid until its function returns. */
typedef struct obhut_context obhut_context;

/* The functions behind the obhut_context_… calls below, which a plugin uses instead of them. */
typedef struct obhut_context_functions {
    size_t struct_size;
    obhut_pid (*self)(obhut_context *);
    const char *(*entry)(obhut_context *);
    const char *(*error)(obhut_context *);
    bool (*should_stop)(obhut_context *);
    obhut_status (*receive)(obhut_context *, int64_t timeout, obhut_event *);
    obhut_status (*send)(obhut_context *, obhut_pid, const char *topic, const void *payload, size_t length);
    obhut_status (*request)(obhut_context *, obhut_pid, const char *topic, const void *payload, size_t length,
                            int64_t timeout, obhut_event *);
    obhut_status (*reply)(obhut_context *, obhut_pid, uint64_t request, const void *payload, size_t length,
                          bool is_error);
    obhut_status (*spawn)(obhut_context *, const char *entry, const char *host, const void *arguments, size_t length,
                          uint32_t flags, obhut_pid *);
    obhut_status (*link)(obhut_context *, obhut_pid);
    obhut_status (*unlink)(obhut_context *, obhut_pid);
    obhut_status (*monitor)(obhut_context *, obhut_pid);
    obhut_status (*unmonitor)(obhut_context *, obhut_pid);
    obhut_status (*cancel)(obhut_context *, obhut_pid, int64_t timeout);
    obhut_status (*terminate)(obhut_context *, obhut_pid);
    obhut_status (*register_name)(obhut_context *, const char *name);
    obhut_status (*unregister_name)(obhut_context *, const char *name);
    obhut_status (*lookup)(obhut_context *, const char *text, obhut_pid *);
    obhut_status (*set_trap_links)(obhut_context *, int32_t choice);
    obhut_status (*ready)(obhut_context *);
    obhut_status (*log)(obhut_context *, int32_t level, const char *text);
    obhut_status (*set_result)(obhut_context *, const void *payload, size_t length);
    void (*fail)(obhut_context *, const char *text);
} obhut_context_functions;

struct obhut_context {
    const obhut_context_functions *functions;
    /* More follows, which is the runtime's own. */
};

/* Its own pid.
 * [threads: own] [blocks: no] Since 0.1. */
static inline obhut_pid obhut_context_self(obhut_context *context) { return context->functions->self(context); }

/* The entry that it runs, "namespace:name". Borrowed, as long as the context.
 * [threads: own] [blocks: no] Since 0.1. */
static inline const char *obhut_context_entry(obhut_context *context) { return context->functions->entry(context); }

/* What was wrong with the last call that failed, for people; "" if none has. Borrowed, until the next call.
 * [threads: own] [blocks: no] Since 0.1. */
static inline const char *obhut_context_error(obhut_context *context) { return context->functions->error(context); }

/* Whether it was asked to end (an OBHUT_MESSAGE_CANCEL has come, read or not) or has been ended: for code
 * that computes and does not receive. Costs a look at a word or two.
 * [threads: any] [blocks: no] Since 0.1. */
static inline bool obhut_context_should_stop(obhut_context *context) { return context->functions->should_stop(context); }

/* The next message or event, in order of arrival. Waits for `timeout` nanoseconds: negative, for ever; 0,
 * not at all. `event` has its struct_size (OBHUT_EVENT_INIT). In mode handler events come to `handle` instead.
 * [threads: own] [blocks: up to timeout] OBHUT_TIMEOUT, OBHUT_TERMINATED, OBHUT_FORKED, OBHUT_INVALID_ARGUMENT,
 * OBHUT_WRONG_STATE (mode handler). Since 0.1. */
static inline obhut_status obhut_context_receive(obhut_context *context, int64_t timeout, obhut_event *event) {
    return context->functions->receive(context, timeout, event);
}

/* Sends one MessagePack value (copied; NULL with length 0: nil) under `topic` (copied; 1 to 255 bytes, not beginning
 * with '@').
 * [threads: own] [blocks: no] OBHUT_NOT_FOUND, OBHUT_LIMIT (mailbox, or size of a message), OBHUT_MALFORMED,
 * OBHUT_INVALID_ARGUMENT, OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_send(obhut_context *context, obhut_pid pid, const char *topic,
                                              const void *payload, size_t length) {
    return context->functions->send(context, pid, topic, payload, length);
}

/* Sends a request and waits for the reply to it, at most `timeout` nanoseconds (more than 0; negative: for ever);
 * messages that come meanwhile wait. `event` gets kind OBHUT_MESSAGE_REPLY, with the payload; is_error: the reply is an
 * error.
 * [threads: own] [blocks: up to timeout] as obhut_context_send; OBHUT_NOT_FOUND also if `pid` ends without a reply;
 * OBHUT_TIMEOUT, OBHUT_WRONG_STATE (mode handler). Since 0.1. */
static inline obhut_status obhut_context_request(obhut_context *context, obhut_pid pid, const char *topic,
                                                 const void *payload, size_t length, int64_t timeout,
                                                 obhut_event *event) {
    return context->functions->request(context, pid, topic, payload, length, timeout, event);
}

/* Replies to a request: `pid` and `request` are an event's `from` and `request`. With `is_error` the payload is an
 * error: a str, or an error object.
 * [threads: own] [blocks: no] as obhut_context_send. Since 0.1. */
static inline obhut_status obhut_context_reply(obhut_context *context, obhut_pid pid, uint64_t request,
                                               const void *payload, size_t length, bool is_error) {
    return context->functions->reply(context, pid, request, payload, length, is_error);
}

/* Starts a process of `entry` on `host` (NULL: its own) with `arguments`, a MessagePack array (copied; NULL with
 * length 0: none). `flags`: OBHUT_SPAWN_LINKED, OBHUT_SPAWN_MONITORED. `pid` may be NULL.
 * [threads: own] [blocks: no] OBHUT_NOT_FOUND, OBHUT_WRONG_STATE, OBHUT_LIMIT, OBHUT_MALFORMED, OBHUT_INVALID_ARGUMENT,
 * OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_spawn(obhut_context *context, const char *entry, const char *host,
                                               const void *arguments, size_t length, uint32_t flags, obhut_pid *pid) {
    return context->functions->spawn(context, entry, host, arguments, length, flags, pid);
}

/* Links the process and `pid`: the failure of one ends the other, or is an event to it (obhut_context_set_trap_links).
 * [threads: own] [blocks: no] OBHUT_NOT_FOUND, OBHUT_INVALID_ARGUMENT (itself), OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_link(obhut_context *context, obhut_pid pid) {
    return context->functions->link(context, pid);
}

/* After this the end of `pid` has no effect on the process.
 * [threads: own] [blocks: no] OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_unlink(obhut_context *context, obhut_pid pid) {
    return context->functions->unlink(context, pid);
}

/* The end of `pid`, whatever the cause, will be one OBHUT_MESSAGE_EXIT. OBHUT_WRONG_STATE: it is monitored already.
 * [threads: own] [blocks: no] OBHUT_NOT_FOUND, OBHUT_WRONG_STATE, OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_monitor(obhut_context *context, obhut_pid pid) {
    return context->functions->monitor(context, pid);
}

/* After this no EXIT of `pid` is received. OBHUT_NOT_FOUND: it was not monitored.
 * [threads: own] [blocks: no] OBHUT_NOT_FOUND, OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_unmonitor(obhut_context *context, obhut_pid pid) {
    return context->functions->unmonitor(context, pid);
}

/* As obhut_cancel: `timeout` in nanoseconds, more than 0.
 * [threads: own] [blocks: no] OBHUT_NOT_FOUND, OBHUT_INVALID_ARGUMENT, OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_cancel(obhut_context *context, obhut_pid pid, int64_t timeout) {
    return context->functions->cancel(context, pid, timeout);
}

/* As obhut_terminate. Of itself: the answer is OBHUT_TERMINATED, if it comes at all.
 * [threads: own] [blocks: no] OBHUT_NOT_FOUND, OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_terminate(obhut_context *context, obhut_pid pid) {
    return context->functions->terminate(context, pid);
}

/* Gives the process a name (copied). OBHUT_WRONG_STATE: another has it.
 * [threads: own] [blocks: no] OBHUT_WRONG_STATE, OBHUT_INVALID_ARGUMENT, OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_register(obhut_context *context, const char *name) {
    return context->functions->register_name(context, name);
}

/* Takes a name from whoever has it.
 * [threads: own] [blocks: no] OBHUT_NOT_FOUND, OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_unregister(obhut_context *context, const char *name) {
    return context->functions->unregister_name(context, name);
}

/* The process that a registered name or the text of a pid stands for.
 * [threads: own] [blocks: no] OBHUT_NOT_FOUND, OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_lookup(obhut_context *context, const char *text, obhut_pid *pid) {
    return context->functions->lookup(context, text, pid);
}

/* What the end of a linked process does: OBHUT_TRAP_LINKS_…; at first _NO.
 * [threads: own] [blocks: no] OBHUT_INVALID_ARGUMENT, OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_set_trap_links(obhut_context *context, int32_t choice) {
    return context->functions->set_trap_links(context, choice);
}

/* Tells the supervisor that the process is ready, as Lua's `process.ready()`.
 * [threads: own] [blocks: no] OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_ready(obhut_context *context) { return context->functions->ready(context); }

/* Writes `text` (UTF-8, copied) to the log: `level` is OBHUT_LOG_….
 * [threads: own] [blocks: no] OBHUT_INVALID_ARGUMENT, OBHUT_LIMIT (size of a message), OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_log(obhut_context *context, int32_t level, const char *text) {
    return context->functions->log(context, level, text);
}

/* The value (MessagePack, copied) of a normal end by OBHUT_OK or, in mode handler, OBHUT_HANDLER_END; nil if it is not
 * called. For results of other types the value is the result itself. A value of more than `max_message` bytes is an abnormal end.
 * [threads: own] [blocks: no] OBHUT_MALFORMED, OBHUT_SYSTEM. Since 0.1. */
static inline obhut_status obhut_context_set_result(obhut_context *context, const void *payload, size_t length) {
    return context->functions->set_result(context, payload, length);
}

/* What is wrong, for an abnormal end: `text` (UTF-8, copied) is the error of the process if its function then returns a
 * status that is not OBHUT_OK. Without it the error names the status.
 * [threads: own] [blocks: no] Since 0.1. */
static inline void obhut_fail(obhut_context *context, const char *text) { context->functions->fail(context, text); }

/* ------------------------------------------------------------------- Mode handler */

/* What `handle` answers: wait for the next event, */
#define OBHUT_HANDLER_CONTINUE 0
/* or end normally. A negative status ends the process abnormally, with the text of obhut_fail. */
#define OBHUT_HANDLER_END 1

/* What the `symbol:` of an entry with `mode: handler` is: a const struct, not a function. Its functions run on the
 * runtime's own workers, for one process one at a time, perhaps on another thread each time, and must not block:
 * one that holds a worker longer than `step_limit` has its process ended when it returns, and one that has not returned
 * when everything else has ended may return after the stop of the runtime. */
typedef struct obhut_handler {
    size_t struct_size;
    /* Before the first event. `arguments` is a MessagePack array, borrowed. `*state` is passed to the others. A status that
     * is not OBHUT_OK ends the process; `stop` is not called then. */
    obhut_status (*init)(obhut_context *context, const void *arguments, size_t length, void **state);
    /* One event, borrowed: OBHUT_HANDLER_…. */
    int32_t (*handle)(obhut_context *context, void *state, const obhut_event *event);
    /* Frees `state`, whatever has ended the process; NULL: nothing is to be freed. It has no context any more. */
    void (*stop)(void *state);
} obhut_handler;

/* --------------------------------------------------------------------- Descriptor */

#define OBHUT_MODE_FUNCTION 0
#define OBHUT_MODE_HANDLER 1

/* What a library offers. */
typedef struct obhut_plugin_entry {
    const char *name;      /* what YAML's `entry:` says */
    const char *symbol;    /* the function, or with OBHUT_MODE_HANDLER the struct */
    const char *signature; /* "status(context, string)"; NULL with OBHUT_MODE_HANDLER */
    int32_t mode;          /* OBHUT_MODE_… */
} obhut_plugin_entry;

/* What a library may export under the symbol `obhut_plugin`, a const struct: then YAML needs `library:` and `entry:` alone.
 * It is read and compared before any function of the library is called. */
typedef struct obhut_plugin_descriptor {
    uint32_t abi;               /* OBHUT_PLUGIN_ABI */
    uint32_t pointer_size;      /* sizeof(void *) */
    size_t struct_size;         /* sizeof(obhut_plugin_descriptor) */
    size_t event_size;          /* sizeof(obhut_event) */
    size_t functions_size;      /* sizeof(obhut_context_functions) */
    size_t entry_size;          /* sizeof(obhut_plugin_entry) */
    const char *name;
    const char *version;
    const obhut_plugin_entry *entries;
    size_t entry_count;
    /* Called once, before the first function of the library is called, in each OS process that runs one; NULL: none.
     * A status that is not OBHUT_OK fails what was to be run, with `text` (of `size` bytes, ended by a NUL). */
    obhut_status (*init)(char *text, size_t size);
} obhut_plugin_descriptor;

#if defined(__cplusplus)
#define OBHUT_PLUGIN_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define OBHUT_PLUGIN_EXPORT extern __attribute__((visibility("default")))
#endif

/* Exports the descriptor of a library; `list` is an array of obhut_plugin_entry:
 *
 *     static const obhut_plugin_entry entries[] = {{"resizer", "resizer_main", "status(context, string)", 0}};
 *     OBHUT_PLUGIN("images", "1.2.0", entries, NULL)
 */
#define OBHUT_PLUGIN(plugin_name, plugin_version, list, initialize)                                                    \
    OBHUT_PLUGIN_EXPORT const obhut_plugin_descriptor obhut_plugin;                                                    \
    const obhut_plugin_descriptor obhut_plugin = {                                                                     \
        OBHUT_PLUGIN_ABI, (uint32_t)sizeof(void *), sizeof(obhut_plugin_descriptor), sizeof(obhut_event),              \
        sizeof(obhut_context_functions), sizeof(obhut_plugin_entry), plugin_name, plugin_version, list,                \
        sizeof(list) / sizeof((list)[0]), initialize};

#ifdef __cplusplus
}
#endif

#endif
