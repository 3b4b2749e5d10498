/* What runs inside a process: a table of functions (ARCHITECTURE D11).
 *
 * The core calls them on the worker that owns the process at that moment, one at a
 * time, with the process (a ProcessPointer of the Swift side). A third kind of body is
 * a third table; nothing in the scheduler knows which kinds there are. */
#ifndef OBH_BODY_H
#define OBH_BODY_H

#include <stddef.h>
#include <stdint.h>

/* What a step came to. */
enum {
    OBH_STEP_WAITING = 0,     /* nothing to do until a signal or a timer comes */
    OBH_STEP_INTERRUPTED = 1, /* more to do; others have their turn first */
    OBH_STEP_ENDED = 2,       /* over: the body has left the reason with the process */
    OBH_STEP_UNFINISHED = 3   /* more to do; others have their turn if they wait for one, and signals are looked at */
};

typedef struct obh_body {
    /* Before the first step. 0, or not 0: the body has left the reason with the
     * process, which ends; `stop` is called all the same. */
    int32_t (*start)(void *process);
    /* Runs until it waits, is interrupted or ends: OBH_STEP_*. */
    int32_t (*step)(void *process);
    /* Gives back everything; runs no code of the process any more (P7). Called once
     * if `start` was called, after the last step. */
    void (*stop)(void *process);
    /* Names what runs at this moment, for people ("find", "app.lua:3"), in `text` of
     * `size` bytes with a NUL; answers the length, 0 if it cannot be told. Called inside
     * a step, perhaps from the preemption signal's handler: allocates nothing. */
    size_t (*where)(void *process, char *text, size_t size);
    /* What memory it has, in bytes, for people: what it holds, the most that it held, and its limit, 0 for none.
     * Called by its owner between `start` and `stop`; all are 0 before. NULL: it has none of its own. */
    void (*memory)(void *process, size_t *used, size_t *peak, size_t *limit);
} obh_body;

#endif
