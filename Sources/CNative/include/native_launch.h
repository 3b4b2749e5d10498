/* The start and the end of a worker, seen from the runtime. */
#ifndef OBN_LAUNCH_H
#define OBN_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include "native_context.h"

/* A child OS process. All descriptors are close-on-exec; `channel`, `output` and `errors` do not block. */
typedef struct obn_worker {
    int32_t pid;
    int descriptor; /* pidfd */
    int channel;    /* our end of the socket pair */
    int output;     /* what it writes to stdout */
    int errors;     /* and to stderr */
    obn_control *control;
} obn_worker;

/* Starts the program at `path` as a worker. It dies with the thread that calls this. 0 or an errno; then `step` names what failed. */
int obn_worker_start(const char *path, obn_worker *worker, const char **step);

/* Kills it, and what it has forked, if it was not reaped yet; any thread. */
void obn_worker_kill(const obn_worker *worker);

/* How a worker ended. */
typedef struct obn_worker_end {
    int code;   /* exit code, or -1 */
    int signal; /* or 0 */
    int core;   /* dumped */
    int64_t cpu; /* nanoseconds that it has computed */
} obn_worker_end;

/* Takes the end of one whose pidfd is readable, and kills what it has left behind. 0; EAGAIN: it has not ended; ECHILD: it has, and how is
 * not known: this program ignores SIGCHLD, or has waited for it itself. */
int obn_worker_reap(const obn_worker *worker, obn_worker_end *end);

/* Closes its descriptors. */
void obn_worker_close(obn_worker *worker);

/* "SIGSEGV"; "signal 35" for one without a name. Static memory or `text`. */
const char *obn_signal_name(int number, char *text, size_t size);

/* Where the worker program lies beside the library that this code is in, "" if nowhere: LIB/../libexec/obhut/obhut-worker (LIB or what is
 * above it), LIB/obhut/obhut-worker, or obhut-worker in the folder of the program itself, or above. */
void obn_worker_find(char *path, size_t size);

#endif
