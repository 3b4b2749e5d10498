/* The context of a native process: the table of include/obhut_plugin.h, implemented once for all that carry it.
 *
 * A call of a plugin becomes a *request*, a MessagePack array [operation, ...]; the runtime answers [status, ...], with a text
 * in the second place if the status is not OBHUT_OK. How the two travel is the carrier's: over a socket pair from a child process,
 * through a lock from a thread of this program, or not at all in mode handler.
 *
 * A context belongs to the thread that runs the function; only `control` is shared. */
#ifndef OBN_CONTEXT_H
#define OBN_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../include/obhut_plugin.h"

/* What is asked. The numbers are those on the wire; a worker and a library of different versions tell by OBN_PROTOCOL. */
enum {
    OBN_END = 0,    /* of a child process: [0, status, result or text]; the function has returned */
    OBN_RECEIVE,    /* [timeout]: [0, kind, from, topic, payload, is error, request, deadline, origin, hops] */
    OBN_SEND,       /* [pid, topic, payload] */
    OBN_REQUEST,    /* [pid, topic, payload, timeout]: as OBN_RECEIVE */
    OBN_REPLY,      /* [pid, request, payload, is error] */
    OBN_SPAWN,      /* [entry, host or nil, arguments, flags]: [0, pid] */
    OBN_LINK,       /* [pid] */
    OBN_UNLINK,     /* [pid] */
    OBN_MONITOR,    /* [pid] */
    OBN_UNMONITOR,  /* [pid] */
    OBN_CANCEL,     /* [pid, timeout] */
    OBN_TERMINATE,  /* [pid] */
    OBN_REGISTER,   /* [name] */
    OBN_UNREGISTER, /* [name] */
    OBN_LOOKUP,     /* [text]: [0, pid] */
    OBN_TRAP_LINKS, /* [choice] */
    OBN_READY,      /* [] */
    OBN_LOG,        /* [level, text] */
    OBN_OPERATIONS
};

/* Bytes of a payload are a bin, pids and numbers integers, texts str. */

/* Sends a request and waits for its answer, which stays the carrier's until the next call. Answers OBHUT_OK, or a status that
 * stands for the whole call: OBHUT_TERMINATED, OBHUT_FORKED, OBHUT_SYSTEM. */
typedef obhut_status (*obn_exchange)(void *carrier, const void *request, size_t length, const void **answer,
                                     size_t *answer_length);

/* What is shared with the runtime; in a page of its own where the function runs in a child process. */
typedef struct obn_control {
    uint32_t should_stop; /* atomic: a CANCEL has come, or it is over */
    uint32_t refused;     /* atomic: an allocation was refused, in a process with a memory limit */
} obn_control;

typedef struct obn_context {
    obhut_context plugin; /* first: what the function sees */
    obn_exchange exchange;
    void *carrier;
    obn_control *control;
    obhut_pid pid;
    const char *entry;
    size_t most_bytes;     /* of a request, where the carrier takes no longer ones; 0: it takes any */
    bool is_handler;       /* receive and request are refused */
    obhut_writer request;  /* what is being asked; reused */
    obhut_writer topic;    /* of the last event, with a NUL */
    obhut_writer result;   /* of obhut_context_set_result; empty: none */
    bool has_failed;
    char failure[1024];    /* of obhut_fail */
    char error[512];       /* of obhut_context_error */
} obn_context;

/* `control` and `entry` outlive the context. */
void obn_context_init(obn_context *context, obn_exchange exchange, void *carrier, obn_control *control, obhut_pid pid,
                      const char *entry);
void obn_context_free(obn_context *context);

/* Leaves `text` for obhut_context_error; answers `status`. */
obhut_status obn_context_fault(obn_context *context, obhut_status status, const char *text);

/* Reads an answer of OBN_RECEIVE into `event`, which has its struct_size; pointers go into `answer`. */
obhut_status obn_context_read_event(obn_context *context, const void *answer, size_t length, obhut_event *event);

/* Sets and reads the words of `control`; any thread. relaxed: nothing else is read on their word. */
static inline void obn_control_stop(obn_control *control) {
    __atomic_store_n(&control->should_stop, 1, __ATOMIC_RELAXED);
}
static inline bool obn_control_is_stopped(const obn_control *control) {
    return __atomic_load_n(&control->should_stop, __ATOMIC_RELAXED) != 0;
}
static inline bool obn_control_refused(const obn_control *control) {
    return __atomic_load_n(&control->refused, __ATOMIC_RELAXED) != 0;
}

/* The functions behind a context that is not handled in place. */
extern const obhut_context_functions obn_context_functions;

#endif
