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
 *   - Payloads are MessagePack; obhut_writer and obhut_reader below are enough for most.
 *   - Calls are carried out in the order in which they are made.
 */
#ifndef OBHUT_PLUGIN_H
#define OBHUT_PLUGIN_H

#include "obhut.h"

#include <stdlib.h>
#include <string.h>

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
 * that computes and does not receive. Costs a look at one word.
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
 * [threads: own] [blocks: no] OBHUT_INVALID_ARGUMENT, OBHUT_TERMINATED, OBHUT_FORKED. Since 0.1. */
static inline obhut_status obhut_context_log(obhut_context *context, int32_t level, const char *text) {
    return context->functions->log(context, level, text);
}

/* The value (MessagePack, copied) of a normal end by OBHUT_OK or, in mode handler, OBHUT_HANDLER_END; nil if it is not
 * called. For results of other types the value is the result itself.
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
 * one that holds a worker longer than `step_limit` has its process ended when it returns. */
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

/* ------------------------------------------------------------- MessagePack, written */

/* Bytes that are being written: begin with OBHUT_WRITER_INIT, end with obhut_writer_free. Without memory it sets
 * `failed`, and writes nothing more. */
typedef struct obhut_writer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
    bool failed;
} obhut_writer;

#define OBHUT_WRITER_INIT {NULL, 0, 0, false}

static inline void obhut_writer_free(obhut_writer *writer) {
    free(writer->bytes);
    memset(writer, 0, sizeof *writer);
}

/* Empties it and keeps its memory. */
static inline void obhut_writer_clear(obhut_writer *writer) {
    writer->length = 0;
    writer->failed = false;
}

/* Bytes as they are: MessagePack that is there already. */
static inline void obhut_write_raw(obhut_writer *writer, const void *bytes, size_t length) {
    if (writer->failed) return;
    if (length > writer->capacity - writer->length) {
        size_t capacity = writer->capacity ? writer->capacity : 64;
        uint8_t *larger;
        while (capacity - writer->length < length && capacity <= SIZE_MAX / 2) capacity *= 2;
        larger = capacity - writer->length < length ? NULL : (uint8_t *)realloc(writer->bytes, capacity);
        if (!larger) {
            writer->failed = true;
            return;
        }
        writer->bytes = larger;
        writer->capacity = capacity;
    }
    if (length) memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

/* A first byte and `size` bytes of a big-endian number. */
static inline void obhut_write_number(obhut_writer *writer, uint8_t tag, uint64_t number, int size) {
    uint8_t bytes[9];
    int i;
    bytes[0] = tag;
    for (i = 0; i < size; i++) bytes[1 + i] = (uint8_t)(number >> (8 * (size - 1 - i)));
    obhut_write_raw(writer, bytes, (size_t)size + 1);
}

static inline void obhut_write_nil(obhut_writer *writer) { obhut_write_number(writer, 0xc0, 0, 0); }

static inline void obhut_write_bool(obhut_writer *writer, bool value) {
    obhut_write_number(writer, value ? 0xc3 : 0xc2, 0, 0);
}

static inline void obhut_write_unsigned(obhut_writer *writer, uint64_t value) {
    if (value <= 0x7f) obhut_write_number(writer, (uint8_t)value, 0, 0);
    else if (value <= 0xff) obhut_write_number(writer, 0xcc, value, 1);
    else if (value <= 0xffff) obhut_write_number(writer, 0xcd, value, 2);
    else if (value <= 0xffffffff) obhut_write_number(writer, 0xce, value, 4);
    else obhut_write_number(writer, 0xcf, value, 8);
}

static inline void obhut_write_integer(obhut_writer *writer, int64_t value) {
    if (value >= 0) obhut_write_unsigned(writer, (uint64_t)value);
    else if (value >= -32) obhut_write_number(writer, (uint8_t)value, 0, 0);
    else if (value >= INT8_MIN) obhut_write_number(writer, 0xd0, (uint64_t)value, 1);
    else if (value >= INT16_MIN) obhut_write_number(writer, 0xd1, (uint64_t)value, 2);
    else if (value >= INT32_MIN) obhut_write_number(writer, 0xd2, (uint64_t)value, 4);
    else obhut_write_number(writer, 0xd3, (uint64_t)value, 8);
}

static inline void obhut_write_double(obhut_writer *writer, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    obhut_write_number(writer, 0xcb, bits, 8);
}

/* A str: UTF-8, which is not looked at. */
static inline void obhut_write_text(obhut_writer *writer, const char *text, size_t length) {
    if (length <= 31) obhut_write_number(writer, (uint8_t)(0xa0 | length), 0, 0);
    else if (length <= 0xff) obhut_write_number(writer, 0xd9, length, 1);
    else if (length <= 0xffff) obhut_write_number(writer, 0xda, length, 2);
    else if (length <= 0xffffffff) obhut_write_number(writer, 0xdb, length, 4);
    else writer->failed = true;
    obhut_write_raw(writer, text, length);
}

static inline void obhut_write_string(obhut_writer *writer, const char *text) {
    obhut_write_text(writer, text, strlen(text));
}

static inline void obhut_write_bytes(obhut_writer *writer, const void *bytes, size_t length) {
    if (length <= 0xff) obhut_write_number(writer, 0xc4, length, 1);
    else if (length <= 0xffff) obhut_write_number(writer, 0xc5, length, 2);
    else if (length <= 0xffffffff) obhut_write_number(writer, 0xc6, length, 4);
    else writer->failed = true;
    obhut_write_raw(writer, bytes, length);
}

/* `count` values follow. */
static inline void obhut_write_array(obhut_writer *writer, uint32_t count) {
    if (count <= 15) obhut_write_number(writer, (uint8_t)(0x90 | count), 0, 0);
    else if (count <= 0xffff) obhut_write_number(writer, 0xdc, count, 2);
    else obhut_write_number(writer, 0xdd, count, 4);
}

/* `count` pairs follow, each a key and a value. */
static inline void obhut_write_map(obhut_writer *writer, uint32_t count) {
    if (count <= 15) obhut_write_number(writer, (uint8_t)(0x80 | count), 0, 0);
    else if (count <= 0xffff) obhut_write_number(writer, 0xde, count, 2);
    else obhut_write_number(writer, 0xdf, count, 4);
}

/* A pid, which arrives in Lua as its text. */
static inline void obhut_write_pid(obhut_writer *writer, obhut_pid pid) {
    obhut_write_number(writer, 0xd7, 1, 1);
    {
        uint8_t bytes[8];
        int i;
        for (i = 0; i < 8; i++) bytes[i] = (uint8_t)(pid >> (8 * (7 - i)));
        obhut_write_raw(writer, bytes, 8);
    }
}

/* ---------------------------------------------------------------- MessagePack, read */

/* A place in bytes that are read; they are borrowed. */
typedef struct obhut_reader {
    const uint8_t *at;
    const uint8_t *end;
} obhut_reader;

typedef enum obhut_value_kind {
    OBHUT_VALUE_MALFORMED = 0, /* also: nothing is left */
    OBHUT_VALUE_NIL,
    OBHUT_VALUE_BOOL,     /* number: 0 or 1 */
    OBHUT_VALUE_INTEGER,  /* integer */
    OBHUT_VALUE_UNSIGNED, /* number: more than INT64_MAX */
    OBHUT_VALUE_DOUBLE,   /* real */
    OBHUT_VALUE_STRING,   /* bytes, length: UTF-8 without a NUL at its end */
    OBHUT_VALUE_BYTES,    /* bytes, length */
    OBHUT_VALUE_ARRAY,    /* length: so many values follow */
    OBHUT_VALUE_MAP,      /* length: so many pairs follow, key then value */
    OBHUT_VALUE_EXTENSION, /* type, bytes, length */
    OBHUT_VALUE_PID       /* number: extension type 1 */
} obhut_value_kind;

typedef struct obhut_value {
    obhut_value_kind kind;
    int8_t type;
    int64_t integer;
    uint64_t number;
    double real;
    const uint8_t *bytes; /* borrowed, as what is read */
    size_t length;
} obhut_value;

static inline obhut_reader obhut_reader_of(const void *payload, size_t length) {
    obhut_reader reader;
    reader.at = (const uint8_t *)payload;
    reader.end = payload ? reader.at + length : reader.at;
    return reader;
}

/* The big-endian number of `size` bytes at the reader's place; false if they are not there. */
static inline bool obhut_read_number(obhut_reader *reader, int size, uint64_t *number) {
    int i;
    *number = 0;
    if (reader->end - reader->at < size) return false;
    for (i = 0; i < size; i++) *number = *number << 8 | reader->at[i];
    reader->at += size;
    return true;
}

/* `length` bytes at the reader's place; false if they are not there. */
static inline bool obhut_read_raw(obhut_reader *reader, uint64_t length, obhut_value *value) {
    if ((uint64_t)(reader->end - reader->at) < length) return false;
    value->bytes = reader->at;
    value->length = (size_t)length;
    reader->at += length;
    return true;
}

/* The next value, or the head of a container whose values the following calls give. False: there is none, or it is
 * malformed; then every further call answers so too. It never reads beyond the end. */
static inline bool obhut_read(obhut_reader *reader, obhut_value *value) {
    uint64_t number = 0;
    uint8_t tag;
    int size;
    bool ok = true;
    memset(value, 0, sizeof *value);
    if (reader->at >= reader->end) return false;
    tag = *reader->at++;
    if (tag <= 0x7f || tag >= 0xe0) {
        value->kind = OBHUT_VALUE_INTEGER;
        value->integer = (int8_t)tag;
        value->number = (uint64_t)value->integer;
        return true;
    }
    if (tag <= 0x8f) { value->kind = OBHUT_VALUE_MAP; number = tag & 0x0f; }
    else if (tag <= 0x9f) { value->kind = OBHUT_VALUE_ARRAY; number = tag & 0x0f; }
    else if (tag <= 0xbf) { value->kind = OBHUT_VALUE_STRING; number = tag & 0x1f; }
    else switch (tag) {
        case 0xc0: value->kind = OBHUT_VALUE_NIL; return true;
        case 0xc2: case 0xc3: value->kind = OBHUT_VALUE_BOOL; value->number = tag & 1; return true;
        case 0xc4: case 0xc5: case 0xc6:
            value->kind = OBHUT_VALUE_BYTES;
            ok = obhut_read_number(reader, 1 << (tag - 0xc4), &number);
            break;
        case 0xc7: case 0xc8: case 0xc9:
            value->kind = OBHUT_VALUE_EXTENSION;
            ok = obhut_read_number(reader, 1 << (tag - 0xc7), &number);
            break;
        case 0xca:
            ok = obhut_read_number(reader, 4, &number);
            if (ok) {
                uint32_t bits = (uint32_t)number;
                float real;
                memcpy(&real, &bits, sizeof real);
                value->real = real;
                value->kind = OBHUT_VALUE_DOUBLE;
                return true;
            }
            break;
        case 0xcb:
            ok = obhut_read_number(reader, 8, &number);
            if (ok) {
                memcpy(&value->real, &number, sizeof number);
                value->kind = OBHUT_VALUE_DOUBLE;
                return true;
            }
            break;
        case 0xcc: case 0xcd: case 0xce: case 0xcf:
            ok = obhut_read_number(reader, 1 << (tag - 0xcc), &number);
            if (ok) {
                value->kind = number > (uint64_t)INT64_MAX ? OBHUT_VALUE_UNSIGNED : OBHUT_VALUE_INTEGER;
                value->integer = (int64_t)number;
                value->number = number;
                return true;
            }
            break;
        case 0xd0: case 0xd1: case 0xd2: case 0xd3:
            size = 1 << (tag - 0xd0);
            ok = obhut_read_number(reader, size, &number);
            if (ok) {
                value->kind = OBHUT_VALUE_INTEGER;
                value->integer = size == 1 ? (int8_t)number : size == 2 ? (int16_t)number
                    : size == 4 ? (int32_t)number : (int64_t)number;
                value->number = (uint64_t)value->integer;
                return true;
            }
            break;
        case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8:
            value->kind = OBHUT_VALUE_EXTENSION;
            number = (uint64_t)1 << (tag - 0xd4);
            break;
        case 0xd9: case 0xda: case 0xdb:
            value->kind = OBHUT_VALUE_STRING;
            ok = obhut_read_number(reader, 1 << (tag - 0xd9), &number);
            break;
        case 0xdc: case 0xdd:
            value->kind = OBHUT_VALUE_ARRAY;
            ok = obhut_read_number(reader, tag == 0xdc ? 2 : 4, &number);
            break;
        case 0xde: case 0xdf:
            value->kind = OBHUT_VALUE_MAP;
            ok = obhut_read_number(reader, tag == 0xde ? 2 : 4, &number);
            break;
        default: ok = false;
    }
    if (ok && (value->kind == OBHUT_VALUE_ARRAY || value->kind == OBHUT_VALUE_MAP)) {
        /* Each value takes a byte at least. */
        ok = number * (value->kind == OBHUT_VALUE_MAP ? 2 : 1) <= (uint64_t)(reader->end - reader->at);
        value->length = (size_t)number;
    } else if (ok && value->kind == OBHUT_VALUE_EXTENSION) {
        uint64_t type;
        ok = obhut_read_number(reader, 1, &type) && obhut_read_raw(reader, number, value);
        value->type = (int8_t)type;
        if (ok && value->type == 1 && value->length == 8) {
            int i;
            value->kind = OBHUT_VALUE_PID;
            for (i = 0; i < 8; i++) value->number = value->number << 8 | value->bytes[i];
        }
    } else if (ok) {
        ok = obhut_read_raw(reader, number, value);
    }
    if (!ok) {
        value->kind = OBHUT_VALUE_MALFORMED;
        reader->at = reader->end;
    }
    return ok;
}

/* Passes over one value, however deep. */
static inline bool obhut_read_skip(obhut_reader *reader) {
    uint64_t pending = 1;
    obhut_value value;
    while (pending > 0) {
        if (!obhut_read(reader, &value)) return false;
        pending -= 1;
        if (value.kind == OBHUT_VALUE_ARRAY) pending += value.length;
        if (value.kind == OBHUT_VALUE_MAP) pending += 2 * (uint64_t)value.length;
    }
    return true;
}

/* An integer that a double has exactly counts as one too: Lua and JSON may send 3.0. */
static inline bool obhut_read_integer(obhut_reader *reader, int64_t *integer) {
    obhut_value value;
    *integer = 0;
    if (!obhut_read(reader, &value)) return false;
    if (value.kind == OBHUT_VALUE_DOUBLE && value.real >= -9007199254740992.0 && value.real <= 9007199254740992.0
        && value.real == (double)(int64_t)value.real) {
        *integer = (int64_t)value.real;
        return true;
    }
    *integer = value.integer;
    return value.kind == OBHUT_VALUE_INTEGER;
}

#ifdef __cplusplus
}
#endif

#endif
