/* obhut.h: supervised processes in any program.
 *
 * Obhut runs isolated processes that watch each other, fail alone or together as told,
 * are cancelled with a deadline, and are restarted. This header is the whole contract.
 *
 *     obhut_runtime *runtime;
 *     obhut_port *port;
 *     obhut_error *error = NULL;
 *     if (obhut_runtime_create(NULL, &runtime, &error) ||
 *         obhut_runtime_load_folder(runtime, "app", &error) ||
 *         obhut_runtime_start(runtime, OBHUT_START_ALL, &error) ||
 *         obhut_port_create(runtime, &port, &error)) {
 *         fprintf(stderr, "%s\n", obhut_error_text(error));
 *         ...
 *     }
 *
 * The words of the tag lines
 *
 *   [threads: any]     any thread may call it, several at once
 *   [threads: owner]   one thread at a time for the same handle; which one may change
 *   [blocks: no]       returns at once (it may take a lock that nobody holds for long)
 *   [blocks: up to timeout]  waits at most for the time it is given
 *   [blocks: to finish]      works on the calling thread until done: reads files, joins threads
 *   [signal-safe]      may be called in a signal handler
 *
 *   borrowed   the pointer is read during the call, or, as a result, stays the library's;
 *              how long it lives is said
 *   copied     the bytes are copied before the call returns
 *   taken      the callee frees it, also when it fails
 *   owned      a result that the caller frees with the function named
 *
 * Rules
 *
 *   - Every handle is survivable: NULL, freed, of another kind, of another copy of the
 *     library: OBHUT_INVALID_HANDLE and no crash. Handles are numbers in the shape of
 *     pointers; they are looked up and never read through.
 *   - Out-parameters are always written: with zero, NULL or false on failure. The last
 *     parameter, `obhut_error **`, may be NULL; on failure it gets an error that the
 *     caller frees, on success NULL. There is no "last error" of a thread.
 *   - Durations are nanoseconds. In a timeout a negative number is for ever and 0 is "try".
 *   - In the child of a fork every handle of the parent is answered by OBHUT_FORKED; to free it
 *     does nothing. The child may start anew. The tag lines do not repeat it.
 *   - A pid that has ended is a status, never a crash. Pids are never reused while the
 *     runtime lives.
 *   - Payloads are MessagePack, NUL bytes and all. Extension type 1 is a pid (8 bytes,
 *     big-endian), extension type 2 an error object ([kind, message, retryable, details, stack]).
 *   - The library writes to no descriptor, reads no environment and installs no exit
 *     handler. The one signal disposition it changes is that of the preemption signal,
 *     while a runtime runs (obhut_config_set_preemption_signal).
 */
#ifndef OBHUT_H
#define OBHUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- Version and ABI */

#define OBHUT_VERSION_MAJOR 0
#define OBHUT_VERSION_MINOR 1
#define OBHUT_VERSION_PATCH 0
#define OBHUT_VERSION_STRING "0.1.0"

/* Raised on any incompatible change; the number in the SONAME. */
#define OBHUT_ABI_VERSION 0

/* The version of the loaded library, "0.1.0". Static memory.
 * [threads: any] [blocks: no] [signal-safe] Since 0.1. */
const char *obhut_version(void);

/* OBHUT_ABI_VERSION of the loaded library; compare it with the header's.
 * [threads: any] [blocks: no] [signal-safe] Since 0.1. */
uint32_t obhut_abi_version(void);

/* What the library was built from and how, one line of text for a bug report. Static memory.
 * [threads: any] [blocks: no] [signal-safe] Since 0.1. */
const char *obhut_build_info(void);

/* Whether the loaded library can do something, for programs that also run with an older one:
 * "lua", "names" (obhut_name_register), "requests" (obhut_request), "external" (obhut_runtime_define),
 * "inspection" (obhut_runtime_info), "fork" (OBHUT_FORKED), "native" (obhut_plugin.h). False for NULL and what it does not know.
 * [threads: any] [blocks: no] Since 0.1. */
bool obhut_has_feature(const char *name);

/* -------------------------------------------------------------- Status and errors */

/* 0 is success, failures are negative. Later versions add codes: treat an unknown
 * negative one as a failure. */
typedef int32_t obhut_status;

#define OBHUT_OK 0
/* NULL, freed, of another kind, or of another copy of the library. */
#define OBHUT_INVALID_HANDLE (-1)
/* An argument is NULL, out of range or malformed; the error's text names it. */
#define OBHUT_INVALID_ARGUMENT (-2)
/* The call does not fit the state, such as loading after the start. */
#define OBHUT_WRONG_STATE (-3)
/* The process has ended or never was, or no entry, host or name is called that. */
#define OBHUT_NOT_FOUND (-4)
/* The time has passed, or with timeout 0: nothing is there. */
#define OBHUT_TIMEOUT (-5)
/* obhut_port_wake was called. */
#define OBHUT_INTERRUPTED (-6)
/* The port or runtime was stopped or freed meanwhile. */
#define OBHUT_CLOSED (-7)
/* A bound was reached: mailbox, payload size, processes of a host. */
#define OBHUT_LIMIT (-8)
/* The application has faults; the error's text lists them, a line each. */
#define OBHUT_INVALID_APPLICATION (-9)
/* A payload or text is malformed; obhut_error_offset says where. */
#define OBHUT_MALFORMED (-10)
/* The system refused something: memory, a thread, a descriptor, liblua. */
#define OBHUT_SYSTEM (-11)
/* What was asked for was tried, and failed: the error's text is that of the process. */
#define OBHUT_FAILED (-12)
/* The handle is of the process from which this one was forked. See docs/embedding.md. */
#define OBHUT_FORKED (-13)
/* The process of this context has been ended: its function has to return (obhut_plugin.h). */
#define OBHUT_TERMINATED (-14)

typedef struct obhut_error obhut_error;

/* The name of a status, "OBHUT_NOT_FOUND"; "unknown status" for others. Static memory.
 * [threads: any] [blocks: no] [signal-safe] Since 0.1. */
const char *obhut_status_name(obhut_status status);

/* What a status means, for people. Static memory.
 * [threads: any] [blocks: no] [signal-safe] Since 0.1. */
const char *obhut_status_text(obhut_status status);

/* The status that the call returned; OBHUT_INVALID_HANDLE for what is no error.
 * [threads: any] [blocks: no] Since 0.1. */
obhut_status obhut_error_status(const obhut_error *error);

/* What was wrong, where, and what would be right; "" for what is no error. Borrowed, until
 * the error is freed.
 * [threads: any] [blocks: no] Since 0.1. */
const char *obhut_error_text(const obhut_error *error);

/* The file in which the (first) fault is, relative to the application; NULL if none.
 * Borrowed, until the error is freed.
 * [threads: any] [blocks: no] Since 0.1. */
const char *obhut_error_file(const obhut_error *error);

/* Line and column of the (first) fault, from 1; 0 if not known.
 * [threads: any] [blocks: no] Since 0.1. */
uint32_t obhut_error_line(const obhut_error *error);
uint32_t obhut_error_column(const obhut_error *error);

/* The byte at which the value begins that makes a payload or text malformed; -1 if that is
 * not what was wrong.
 * [threads: any] [blocks: no] Since 0.1. */
int64_t obhut_error_offset(const obhut_error *error);

/* Frees an error (taken). NULL does nothing.
 * [threads: any] [blocks: no] Since 0.1. */
void obhut_error_free(obhut_error *error);

/* ------------------------------------------------------------------ Configuration */

typedef struct obhut_config obhut_config;

/* Called with whole pieces of text: what Lua prints, in whole lines with their line feed, and
 * what it writes with `io.write`, as it is.
 * Each runtime calls it on one thread of the library, which the log does not share. It may
 * block; the processes go on, and what then no longer fits into the bounded queue is
 * dropped and counted. It may call this library, but not stop its runtime. It is called
 * between start and stop only: the stop waits 2 seconds for it and then drops what is left. */
typedef void (*obhut_output_function)(void *user, const char *text, size_t length);

/* As above, for one record of the log: a line with its line feed. */
typedef void (*obhut_log_function)(void *user, int32_t level, const char *text, size_t length);

#define OBHUT_LOG_DEBUG 0
#define OBHUT_LOG_INFO 1
#define OBHUT_LOG_WARNING 2
#define OBHUT_LOG_ERROR 3

/* Called exactly once when the library needs `user` no more: on replacement, on a failed
 * registration, or when the last runtime or configuration with it is gone; a runtime that has left
 * something behind when it stopped (obhut_runtime_stop) is gone in this sense. It runs in the
 * call that lets go of it, or, where a runtime was freed before it had stopped, on a thread
 * of the library. It may call this library. */
typedef void (*obhut_finalizer)(void *user);

/* A configuration with defaults, owned: obhut_config_free. NULL when no memory is left.
 * [threads: any] [blocks: no] Since 0.1. */
obhut_config *obhut_config_new(void);

/* Where `print` goes. `function` NULL: the last lines are kept for obhut_runtime_read_output.
 * `user` is passed on; `finalizer` may be NULL.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_config_set_output_sink(obhut_config *config, obhut_output_function function,
                                          void *user, obhut_finalizer finalizer);

/* Where the log goes; as above, with obhut_runtime_read_log.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_config_set_log_sink(obhut_config *config, obhut_log_function function,
                                       void *user, obhut_finalizer finalizer);

/* One record, one line: for people, "2026-11-22T17:38:21.09Z info: app:shop
 * {app:processes|0x00001} opened door=front"; behind an abnormal end its traceback follows
 * on lines of its own. */
#define OBHUT_LOG_FORMAT_TEXT 0
/* As text, with the colours of a terminal (SGR). */
#define OBHUT_LOG_FORMAT_COLORED 1
/* One JSON object a line, with "time" (RFC 3339), "level", "message", and where they are known
 * "entry", "pid", "logger", "fields" (an object) and "traceback". */
#define OBHUT_LOG_FORMAT_JSON 2

/* How records of the log are written, to the sink and for obhut_runtime_read_log; default:
 * OBHUT_LOG_FORMAT_TEXT.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_config_set_log_format(obhut_config *config, int32_t format);

/* Reads input into `buffer` of `size` bytes: answers how many, at least 1; 0 at the end of
 * the input; a negative errno when it cannot be read. Called on one thread of the library,
 * only while a process waits for input. It may block; a stop does not wait for it, and the
 * finalizer then runs when it returns. */
typedef int64_t (*obhut_input_function)(void *user, char *buffer, size_t size);

/* Where Lua's `io.read` and `io.readline` come from; `function` NULL (the default): there is
 * no input. `user` is passed on; `finalizer` may be NULL.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_config_set_input_source(obhut_config *config, obhut_input_function function,
                                           void *user, obhut_finalizer finalizer);

/* What Lua's `io.args()` answers: `count` texts in UTF-8 (copied). Default: none.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_config_set_arguments(obhut_config *config, const char *const *arguments,
                                        size_t count);

/* The environment variables that Lua's `env` shows to the entries that allow them: texts of
 * the form NAME=value, ended by NULL, as in `environ` (copied). NULL, the default: none. Of
 * a name that stands there twice the first counts.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_config_set_environment(obhut_config *config, const char *const *variables);

/* The signal with which workers that compute are interrupted, SIGURG by default. Its
 * handler is chained to the one before and restored when the last runtime stops, unless a stop
 * has left a thread behind. 0: no signal; Lua then counts its instructions and is about half as
 * fast, and a process inside a C function of Lua can be ended only when that returns.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_config_set_preemption_signal(obhut_config *config, int32_t signal_number);

/* Seeds what is random (`math.random`, the choice of `select`); default: from the system.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_config_set_seed(obhut_config *config, uint64_t seed);

/* Whether a process begins as a copy of a VM that was prepared for its entry, which is about ten times as
 * fast as making one (the default, 1; the first process of an entry is made from nothing all the same), or each is made
 * from nothing (0): to compare, or to rule the copying out when something is wrong. No program can tell.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_config_set_cloning(obhut_config *config, int32_t enabled);

/* Where the program obhut-worker lies (copied), in which native functions run that have an OS process of their own;
 * NULL, the default: libexec/obhut/obhut-worker in a folder above the library, or obhut-worker beside it. It has to be of the same
 * build as the library.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_config_set_worker(obhut_config *config, const char *path);

/* Lets applications use the shared libraries that `pattern` (copied) names, beside those that they allow
 * themselves (`native: { allow: [...] }`); without either they use none. A soname, "libz.so.1", or an absolute
 * path, each with the wildcards of a shell; one that ends in "/" is all that lies below it. Each call adds one.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_config_allow_native(obhut_config *config, const char *pattern, obhut_error **error);

/* How many crash reports a runtime keeps for obhut_runtime_next_crash: the last `count` (at most
 * 1,048,576), and of these so many as together take about `bytes` bytes. Default: 256 and
 * 4 MiB. 0 of either: none.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_config_set_crash_reports(obhut_config *config, uint32_t count, size_t bytes);

/* What a crash report says of messages: the headers (topic, sender, size) of the last `received`
 * that the process took and of the oldest `waiting` in its mailbox, at most 16 of each, and
 * the contents of payloads of at most `contents` bytes (at most 4,096; 16 KiB in one report).
 * Default: 0, 8 and 0. With more than 0 received their age is known, too; each message then costs
 * a look at the clock and a copy of its header.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_config_set_crash_messages(obhut_config *config, uint32_t received, uint32_t waiting,
                                             size_t contents);

/* Says what a crash report may show of the contents of a message: writes UTF-8 text into `text`, which
 * has room for `size` bytes, and answers how many it wrote; less than 0: nothing is shown.
 * `entry` is the process's; `topic` (not ended by a NUL) and `payload` (MessagePack) are borrowed for the call. It
 * is called on the thread of the process that has failed, several at once: it must be quick, and
 * must not call this library. */
typedef int64_t (*obhut_crash_redaction_function)(void *user, const char *entry, const char *topic,
                                                  size_t topic_length, const void *payload, size_t length,
                                                  char *text, size_t size);

/* What may be shown of contents, where obhut_config_set_crash_messages asks for them; `function`
 * NULL (the default): the payload as JSON. `user` is passed on; `finalizer` may be NULL.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_config_set_crash_redaction(obhut_config *config, obhut_crash_redaction_function function,
                                              void *user, obhut_finalizer finalizer);

/* Takes each crash report as one line of JSON with its line feed (docs/crash-reports.md), as soon as
 * it is complete; called as an obhut_output_function is, on a thread of its own. Instead of
 * reports that it did not take in time it gets a line {"missing":count}. `function` NULL (the
 * default): none. `user` is passed on; `finalizer` may be NULL.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_config_set_crash_sink(obhut_config *config, obhut_output_function function, void *user,
                                         obhut_finalizer finalizer);

/* Frees a configuration (taken). Runtimes made with it keep what they need. NULL does nothing.
 * [threads: owner] [blocks: no] Since 0.1. */
void obhut_config_free(obhut_config *config);

/* ------------------------------------------------------------- Life of a runtime */

typedef struct obhut_runtime obhut_runtime;

/* Makes a runtime, owned: obhut_runtime_free. Several may live side by side. It has no
 * threads yet. `config` may be NULL (borrowed). The first call opens liblua.
 * [threads: any] [blocks: to finish] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_runtime_create(const obhut_config *config, obhut_runtime **runtime,
                                  obhut_error **error);

/* Loads the application in folder `path` (copied): every YAML file below it, checked as a
 * whole, Lua syntax included. All faults are reported together. Nothing is loaded if there
 * is one. Once for each runtime, before the start.
 * [threads: any] [blocks: to finish] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT,
 * OBHUT_WRONG_STATE, OBHUT_INVALID_APPLICATION, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_runtime_load_folder(obhut_runtime *runtime, const char *path, obhut_error **error);

/* The same from one YAML text in memory (copied); `file://` sources are refused.
 * [threads: any] [blocks: to finish] as obhut_runtime_load_folder. Since 0.1. */
obhut_status obhut_runtime_load_text(obhut_runtime *runtime, const char *yaml, size_t length,
                                     obhut_error **error);

/* Everything that says `auto_start: true`, in order of dependence. */
#define OBHUT_START_ALL 0u
/* All process hosts and nothing else. */
#define OBHUT_START_HOSTS 1u

/* Starts the runtime's threads, then what `flags` say. Once for each runtime. Services are
 * started by a process that supervises them: the call does not wait until they are ready.
 * OBHUT_SYSTEM: the system gives no more threads; what was started is stopped again, for good.
 * [threads: any] [blocks: to finish] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT,
 * OBHUT_WRONG_STATE, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_runtime_start(obhut_runtime *runtime, uint32_t flags, obhut_error **error);

/* Stops in order: services in reverse order of their dependence, each with its stop_timeout;
 * then the remaining processes; then hosts and threads. Ports get OBHUT_CLOSED. Always
 * ends: what does not end by itself is ended by force. `timeout` bounds the whole polite
 * part, and is split among what stops one after the other: negative, what the application says; 0, by force at once. A second call returns
 * when the first is done, and brings its end forward if its own timeout is nearer.
 * Native code on a worker (a handler, a C function that Lua has called in its place) that has not
 * returned 5 to 7 seconds after everything else has ended is left behind with its thread, which the log
 * says as an error. When it returns, its process ends and its calls answer OBHUT_TERMINATED; what it
 * may touch of the runtime is kept for ever.
 * [threads: any, but not one of the library's] [blocks: up to timeout, and to finish]
 * OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_runtime_stop(obhut_runtime *runtime, int64_t timeout, obhut_error **error);

/* Frees a runtime (taken). One that runs is stopped by force on a thread of its own; the
 * call does not wait for that, unless the system gives no thread for it. Ports and messages are freed on their own, before or after.
 * NULL does nothing.
 * [threads: any] [blocks: no] Since 0.1. */
void obhut_runtime_free(obhut_runtime *runtime);

/* Takes what was printed, or logged, and not read yet, when no sink is set: the last
 * 1,024 lines. `*text` is owned: obhut_bytes_free; NULL and 0 when there is nothing.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_runtime_read_output(obhut_runtime *runtime, char **text, size_t *length,
                                       obhut_error **error);
obhut_status obhut_runtime_read_log(obhut_runtime *runtime, char **text, size_t *length,
                                    obhut_error **error);

/* Forms of obhut_runtime_explain. Text for people, */
#define OBHUT_EXPLAIN_TEXT 0
/* with the colours of a terminal; */
#define OBHUT_EXPLAIN_COLORED 1
/* one JSON object. */
#define OBHUT_EXPLAIN_JSON 2

/* What the application that is loaded means, from its configuration alone and whether it
 * runs or not: order and time of the start, how long each service and child is tried and
 * what becomes of a failure that does not go away, time of the stop, warnings. `*text` is
 * owned: obhut_bytes_free; it ends with a newline, and a NUL that `*length` does not count.
 * `*warnings`, if not NULL, gets their number. The text is for reading and may change; the
 * fields of the object are in docs/cli.md.
 * OBHUT_WRONG_STATE: nothing is loaded.
 * [threads: any] [blocks: to finish] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT,
 * OBHUT_WRONG_STATE, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_runtime_explain(obhut_runtime *runtime, int32_t format, char **text, size_t *length,
                                   size_t *warnings, obhut_error **error);

/* Forms of obhut_plugin_inspect. Text for people, */
#define OBHUT_INSPECT_TEXT 0
/* one JSON object. */
#define OBHUT_INSPECT_JSON 1

/* What a shared library offers for entries of kind process.native: of a plugin (obhut_plugin.h) its name, version, ABI
 * and entries with their signatures, of another its functions. It is read, not loaded: nothing of it runs. `path`: a
 * file, or a soname without "/". `*text` is owned: obhut_bytes_free; it ends with a newline, and a NUL that `*length`
 * does not count. The fields of the object are in docs/cli.md.
 * OBHUT_NOT_FOUND: there is no such file. OBHUT_INVALID_ARGUMENT: it is no shared library that could be used here, or a
 * plugin of another ABI; the error tells why, and which side to upgrade.
 * [threads: any] [blocks: to finish] OBHUT_NOT_FOUND, OBHUT_INVALID_ARGUMENT, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_plugin_inspect(const char *path, int32_t format, char **text, size_t *length, obhut_error **error);

/* Figures of a runtime; see obhut_runtime_counters. */
typedef struct obhut_counters {
    size_t struct_size;    /* in: sizeof(obhut_counters) of the caller */
    uint64_t processes;    /* alive now; after the stop: what it has left behind */
    uint64_t spawned;      /* since the start */
    uint64_t ended;        /* since the start */
    uint64_t dead_letters; /* messages accepted for a process that ended before reading them */
    uint64_t timers;       /* armed now */
    uint64_t dropped_lines; /* output and log lines that were neither taken by a sink nor kept */
    uint64_t zombies; /* now: threads of native processes that are over, whose code has neither returned nor asked anything since, and
                       * threads that the stop has left behind */
} obhut_counters;

#define OBHUT_COUNTERS_INIT {sizeof(obhut_counters), 0, 0, 0, 0, 0, 0, 0}

/* Fills in the fields that the caller's `struct_size` has room for.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_runtime_counters(obhut_runtime *runtime, obhut_counters *counters,
                                    obhut_error **error);

/* --------------------------------------------------------------- Pids and control */

/* A process; 0 is none. */
typedef uint64_t obhut_pid;

/* The process that supervises what started by itself. It ends with an error when the
 * application has failed: a service cannot be kept running as its entry says, and all
 * others were stopped. Its error is the chain of causes; monitor it to be told.
 * OBHUT_NOT_FOUND: the runtime is not started, or nothing started by itself. The pid is
 * answered also when the process has ended.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT,
 * OBHUT_NOT_FOUND. Since 0.1. */
obhut_status obhut_runtime_supervisor(obhut_runtime *runtime, obhut_pid *pid, obhut_error **error);

/* How the application has failed, as above: the chain of causes (UTF-8, with a NUL that `*length`
 * does not count). `*text` is owned: obhut_bytes_free; `length` may be NULL. It is known as soon as the
 * process of obhut_runtime_supervisor is not found any more. OBHUT_NOT_FOUND: it has not failed.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND,
 * OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_runtime_failure(obhut_runtime *runtime, char **text, size_t *length,
                                   obhut_error **error);

/* Room for the text of any pid, with its closing NUL. */
#define OBHUT_PID_TEXT_SIZE 320

/* Writes the text of `pid`, "{app:processes|0x00004}", and a NUL, into `text` of `size`
 * bytes; OBHUT_PID_TEXT_SIZE are always enough. `*length`, if not NULL, gets its length.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_LIMIT
 * (the text is cut). Since 0.1. */
obhut_status obhut_pid_text(obhut_runtime *runtime, obhut_pid pid, char *text, size_t size,
                            size_t *length);

/* The process that a pid's text or a registered name (copied) stands for.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND. Since 0.1. */
obhut_status obhut_pid_resolve(obhut_runtime *runtime, const char *text, obhut_pid *pid,
                               obhut_error **error);

/* Gives the process or port `pid` a name (copied): UTF-8, 1 to 255 bytes, not beginning with '{'
 * or '@'. It may have several; all are free before its end can be seen. To the same process
 * once more is success. OBHUT_WRONG_STATE: another process has it.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND,
 * OBHUT_WRONG_STATE. Since 0.1. */
obhut_status obhut_name_register(obhut_runtime *runtime, const char *name, obhut_pid pid,
                                 obhut_error **error);

/* Takes a name (borrowed) from whoever has it.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND. Since 0.1. */
obhut_status obhut_name_unregister(obhut_runtime *runtime, const char *name, obhut_error **error);

/* Starts a process of entry `entry` ("namespace:name") on `host` (NULL: the only process
 * host there is; of an entry that the host program runs, also none). `arguments` (copied) is a MessagePack array; NULL with length 0: none.
 * `pid` may be NULL.
 * Nobody watches it: for that, use obhut_port_spawn.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_WRONG_STATE,
 * OBHUT_NOT_FOUND, OBHUT_LIMIT, OBHUT_MALFORMED, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_spawn(obhut_runtime *runtime, const char *entry, const char *host,
                         const void *arguments, size_t length, obhut_pid *pid, obhut_error **error);

/* Sends one MessagePack value (copied) under `topic` (copied; 1 to 255 bytes, not beginning
 * with '@'), from nobody: for an answer, use obhut_port_send.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND,
 * OBHUT_LIMIT, OBHUT_MALFORMED. Since 0.1. */
obhut_status obhut_send(obhut_runtime *runtime, obhut_pid pid, const char *topic,
                        const void *payload, size_t length, obhut_error **error);

typedef struct obhut_message obhut_message;

/* Sends a request and waits for the reply to it, as Lua's `process.request`: `*reply` is an
 * OBHUT_MESSAGE_REPLY, owned: obhut_message_free; obhut_message_result says whether it is a
 * value or an error. `timeout` in nanoseconds, negative for ever; 0 is refused.
 * OBHUT_NOT_FOUND: `pid` has ended, before or without replying. OBHUT_CLOSED: the runtime
 * stopped. The one asked sees a port that lives as long as this call. To wait for more than
 * one thing, or to be woken, use obhut_port_request.
 * [threads: any] [blocks: up to timeout] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND,
 * OBHUT_LIMIT, OBHUT_MALFORMED, OBHUT_TIMEOUT, OBHUT_CLOSED, OBHUT_WRONG_STATE, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_request(obhut_runtime *runtime, obhut_pid pid, const char *topic,
                           const void *payload, size_t length, int64_t timeout,
                           obhut_message **reply, obhut_error **error);

/* Asks `pid` to end within `timeout` nanoseconds (more than 0): it gets a CANCEL event and
 * may clean up; if it has not ended by then, it is ended by force. A port gets an
 * OBHUT_MESSAGE_CANCEL, and nothing forces it, unless it is a process of an entry.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND. Since 0.1. */
obhut_status obhut_cancel(obhut_runtime *runtime, obhut_pid pid, int64_t timeout, obhut_error **error);

/* Ends `pid` now; it cannot be caught. OBHUT_INVALID_ARGUMENT: it is a port of no entry.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND. Since 0.1. */
obhut_status obhut_terminate(obhut_runtime *runtime, obhut_pid pid, obhut_error **error);

/* -------------------------------------------------------------------- Supervisors */

/* Children that are added to a supervisor while it runs, and what it has. `supervisor` is the
 * pid of a process that runs a `supervisor` entry (obhut_runtime_supervisor may be listed and
 * counted, and its services stopped and started, but takes no children). Each call waits for
 * the supervisor's answer, at most `timeout` nanoseconds: negative, as long as it takes (a child
 * is ready within its start_timeout or has failed, and has ended within its shutdown); 0, it is
 * asked and not waited for. After OBHUT_TIMEOUT what was asked for goes on. Between start and
 * stop of the runtime; a stop ends the wait with OBHUT_CLOSED. */

/* Adds and starts a child. `specification` (copied) is a MessagePack map with the fields of a
 * child in YAML but `count`: process, name, host, input, restart, …; bare names are of the
 * supervisor's namespace. Answers when the child is ready; `pid` may be NULL. A child that ends
 * before that is dropped: OBHUT_FAILED, its error is the text. OBHUT_INVALID_ARGUMENT: it is
 * no supervisor, or what is wrong with the specification. OBHUT_NOT_FOUND: the supervisor, or an
 * entry that the specification names. OBHUT_WRONG_STATE: there is a child of this name already.
 * [threads: any, but not one of the library's] [blocks: up to timeout] OBHUT_INVALID_HANDLE,
 * OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND, OBHUT_WRONG_STATE, OBHUT_MALFORMED, OBHUT_FAILED,
 * OBHUT_TIMEOUT, OBHUT_CLOSED, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_supervisor_start_child(obhut_runtime *runtime, obhut_pid supervisor,
                                          const void *specification, size_t length,
                                          int64_t timeout, obhut_pid *pid, obhut_error **error);

/* Ends a child: it is cancelled, and ended by force after its `shutdown`. Answers when it has
 * ended. One that was added is then no child any more; one that was declared stays, stopped,
 * until obhut_supervisor_restart_child. `name` (copied) of one of `count` is "worker#2".
 * [threads: any, but not one of the library's] [blocks: up to timeout] OBHUT_INVALID_HANDLE,
 * OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND, OBHUT_WRONG_STATE, OBHUT_TIMEOUT, OBHUT_CLOSED,
 * OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_supervisor_stop_child(obhut_runtime *runtime, obhut_pid supervisor,
                                         const char *name, int64_t timeout, obhut_error **error);

/* Starts a child that has no process: it was stopped, has ended for good, or waits for its next
 * restart. Answers when it is ready; `pid` may be NULL. OBHUT_WRONG_STATE: it runs.
 * OBHUT_FAILED: it ended before it was ready.
 * [threads: any, but not one of the library's] [blocks: up to timeout] OBHUT_INVALID_HANDLE,
 * OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND, OBHUT_WRONG_STATE, OBHUT_FAILED, OBHUT_TIMEOUT,
 * OBHUT_CLOSED, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_supervisor_restart_child(obhut_runtime *runtime, obhut_pid supervisor,
                                            const char *name, int64_t timeout, obhut_pid *pid,
                                            obhut_error **error);

/* All children in the order of their start, a MessagePack array of maps: name; pid (extension type 1; missing
 * without a process); state ("waiting", "starting", "running", "stopping", "backing off",
 * "ended", "stopped"); process (the id of its entry); restart ("permanent", …); restarts
 * (how often it was started again after an end of its own); type ("worker", "supervisor", "host"); added (bool).
 * `*payload` is owned: obhut_bytes_free.
 * [threads: any, but not one of the library's] [blocks: up to timeout] OBHUT_INVALID_HANDLE,
 * OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND, OBHUT_TIMEOUT, OBHUT_CLOSED, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_supervisor_children(obhut_runtime *runtime, obhut_pid supervisor,
                                       int64_t timeout, void **payload, size_t *length,
                                       obhut_error **error);

/* How many there are, a MessagePack map: specs (all), active (with a process), supervisors, workers.
 * `*payload` is owned: obhut_bytes_free.
 * [threads: any, but not one of the library's] [blocks: up to timeout] as obhut_supervisor_children. Since 0.1. */
obhut_status obhut_supervisor_count(obhut_runtime *runtime, obhut_pid supervisor, int64_t timeout,
                                    void **payload, size_t *length, obhut_error **error);

/* -------------------------------------------------------------------------- Ports */

/* A mailbox of the host program, with a pid: to everybody else it is a process. It always
 * traps links (the failure of a linked process is a message), and ends only by
 * obhut_port_free or when the runtime stops. It holds at most 1,000,000 unread messages
 * and 256 MiB of them; to send more is OBHUT_LIMIT. */
typedef struct obhut_port obhut_port;

/* Makes a port, owned: obhut_port_free. Before the stop of the runtime; before its start no
 * timeout of a request or cancel passes.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_WRONG_STATE,
 * OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_port_create(obhut_runtime *runtime, obhut_port **port, obhut_error **error);

/* The pid of a port; 0 if it is no port.
 * [threads: any] [blocks: no] Since 0.1. */
obhut_pid obhut_port_pid(obhut_port *port);

#define OBHUT_SPAWN_LINKED 1u
#define OBHUT_SPAWN_MONITORED 2u

/* As obhut_spawn, with the port as parent: `flags` link or monitor the new process before
 * it runs, so that its end is not missed.
 * [threads: any] [blocks: no] as obhut_spawn, and OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_spawn(obhut_port *port, const char *entry, const char *host,
                              const void *arguments, size_t length, uint32_t flags,
                              obhut_pid *pid, obhut_error **error);

/* As obhut_send, from the port: the receiver can answer.
 * [threads: any] [blocks: no] as obhut_send, and OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_send(obhut_port *port, obhut_pid pid, const char *topic,
                             const void *payload, size_t length, obhut_error **error);

/* As obhut_port_send, a request: exactly one OBHUT_MESSAGE_REPLY will be received for it, with
 * `*request` as its number (obhut_message_request; `request` may be NULL): the reply, or an error
 * when `pid` ends without one or `timeout` nanoseconds have passed (negative: for ever; 0 is
 * refused). It comes in the order of arrival, so an event loop can wait for many at once.
 * [threads: any] [blocks: no] as obhut_send, and OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_request(obhut_port *port, obhut_pid pid, const char *topic,
                                const void *payload, size_t length, int64_t timeout,
                                uint64_t *request, obhut_error **error);

/* Monitors `pid`: its end, whatever the cause, will be one OBHUT_MESSAGE_EXIT.
 * OBHUT_WRONG_STATE: it is monitored already.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_NOT_FOUND, OBHUT_WRONG_STATE,
 * OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_monitor(obhut_port *port, obhut_pid pid, obhut_error **error);

/* After this no EXIT of `pid` is received, not even one that has come already.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_NOT_FOUND (it was not monitored),
 * OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_unmonitor(obhut_port *port, obhut_pid pid, obhut_error **error);

/* Links the port and `pid`: the failure of `pid` will be one OBHUT_MESSAGE_LINK_DOWN. A
 * port that is freed ends normally, so `pid` does not fail by that.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND,
 * OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_link(obhut_port *port, obhut_pid pid, obhut_error **error);

/* After this the end of `pid` has no effect on the port.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_unlink(obhut_port *port, obhut_pid pid, obhut_error **error);

/* The next message or event, in order of arrival, owned: obhut_message_free. Waits for
 * `timeout` nanoseconds: negative for ever, 0 not at all. A signal does not end the wait,
 * but its handler may call obhut_port_wake.
 * [threads: any, each message goes to one] [blocks: up to timeout] OBHUT_INVALID_HANDLE,
 * OBHUT_INVALID_ARGUMENT, OBHUT_TIMEOUT, OBHUT_INTERRUPTED (obhut_port_wake), OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_receive(obhut_port *port, int64_t timeout, obhut_message **message,
                                obhut_error **error);

/* An eventfd that is readable exactly while something can be received, for an event loop;
 * do not read it: obhut_port_receive(port, 0, …) until OBHUT_TIMEOUT is what empties it.
 * Borrowed, until the port is freed; take it out of the event loop before that, because it
 * is not closed but given to another port. -1 if it is no port.
 * [threads: any] [blocks: no] Since 0.1. */
int obhut_port_fd(obhut_port *port);

/* Ends one wait of obhut_port_receive, the present or else the next, with
 * OBHUT_INTERRUPTED; the descriptor is readable until then.
 * [threads: any] [blocks: no] [signal-safe] OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_port_wake(obhut_port *port);

/* Ends a port normally with one MessagePack value (copied; NULL with length 0: nil), which those
 * who watch it get. The handle stays: it is answered by OBHUT_CLOSED until it is freed.
 * OBHUT_CLOSED: it had ended already, or has to end by force.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_MALFORMED,
 * OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_end(obhut_port *port, const void *value, size_t length, obhut_error **error);

/* Ends a port abnormally, with `text` (copied) as its error: linked processes fall, a supervisor
 * restarts it. `traceback` (copied, or NULL) goes to the log.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_fail(obhut_port *port, const char *text, const char *traceback,
                             obhut_error **error);

/* The same with an error that is MessagePack (copied): a str, or an error object.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_MALFORMED,
 * OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_fail_object(obhut_port *port, const void *payload, size_t length,
                                    const char *traceback, obhut_error **error);

/* Frees a port (taken), and ends it, as a process ends normally, if it has not ended; a wait for
 * it gets OBHUT_CLOSED. NULL does nothing.
 * [threads: any] [blocks: no] Since 0.1. */
void obhut_port_free(obhut_port *port);

/* -------------------------------------------- Processes that the host program runs */

/* Makes the host program run the processes of `entry` (copied; "namespace:name"): an entry of
 * kind `process.external` of the application, or, declared nowhere, one of this program's own,
 * which can be spawned and not be named in YAML. Before or after load and start; what starts
 * with the runtime needs it before the start. A later call names another acceptor.
 *
 * When anybody (Lua, C, a supervisor) spawns it, a process is made whose mailbox is a port, and
 * port `acceptor` (borrowed; of this runtime) receives an OBHUT_MESSAGE_START. Take the new port out of
 * it (obhut_message_take_port) and run it wherever you like: receive and send as it, and end it
 * by obhut_port_end, _fail or _free. No function of yours is called by a thread of the library.
 *
 * To all others it is a process: they watch it, link to it, cancel and terminate it. It differs
 * from other ports in this: it does not trap links unless it says so; it gets an
 * OBHUT_MESSAGE_CANCEL with a deadline, at which, as when it is terminated or a linked process
 * fails, the runtime ends it: those who watch are told at once, and its port answers OBHUT_CLOSED
 * from then on. Whoever runs it must see that and stop.
 *
 * A START that is freed without taking the port, or not read before the acceptor ends, ends the
 * process with an error. Without a living acceptor a spawn fails.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_CLOSED (the
 * acceptor). Since 0.1. */
obhut_status obhut_runtime_define(obhut_runtime *runtime, const char *entry, obhut_port *acceptor,
                                  obhut_error **error);

/* What runs one process: `self` is its port, borrowed until the function returns; `arguments` (borrowed,
 * as long) is a MessagePack array. It receives and sends as `self`, and returns when it is told to
 * (OBHUT_MESSAGE_CANCEL) and when `self` answers OBHUT_CLOSED. */
typedef void (*obhut_process_function)(void *user, obhut_port *self, const void *arguments, size_t length);

/* As obhut_runtime_define, with an acceptor of its own: each process of `entry` runs `function` on a
 * thread of its own, which the library makes for it. When it returns the process has ended:
 * normally, if it did not call obhut_port_end or _fail. `user` is passed on to all of them, at the
 * same time; `finalizer` (or NULL) runs once, when the runtime has stopped, or another
 * definition has taken the place of this one, and the last function has returned, on the thread
 * of that one or of the call; on a failure in this call. A stop does not wait for functions whose process it ends by force.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_WRONG_STATE, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_runtime_define_function(obhut_runtime *runtime, const char *entry,
                                           obhut_process_function function, void *user,
                                           obhut_finalizer finalizer, obhut_error **error);

/* Takes the port of the new process out of an OBHUT_MESSAGE_START: owned, obhut_port_free. Once.
 * Its supervisor is told that it runs. OBHUT_CLOSED: it has ended meanwhile (cancelled,
 * terminated). OBHUT_WRONG_STATE: it was taken, or this is no START.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_WRONG_STATE,
 * OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_message_take_port(obhut_message *message, obhut_port **port, obhut_error **error);

/* Tells the supervisor that the process is ready, as Lua's `process.ready()` (`ready: call`);
 * nothing happens if nobody supervises it.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_ready(obhut_port *port, obhut_error **error);

/* The failure of a linked process ends this one. */
#define OBHUT_TRAP_LINKS_NO 0
/* It is an OBHUT_MESSAGE_LINK_DOWN. */
#define OBHUT_TRAP_LINKS_FAILURES 1
/* Its normal end is one too. */
#define OBHUT_TRAP_LINKS_ALL 2

/* What the end of a linked process does: OBHUT_TRAP_LINKS_…; the default is _NO for a process of an
 * entry and _FAILURES for any other port, which may not have _NO.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_CLOSED. Since 0.1. */
obhut_status obhut_port_trap_links(obhut_port *port, int32_t choice, obhut_error **error);

/* ----------------------------------------------------------------------- Messages */

/* Sent by a process or by C. */
#define OBHUT_MESSAGE_DATA 0
/* A monitored process has ended. */
#define OBHUT_MESSAGE_EXIT 1
/* A linked process has failed. */
#define OBHUT_MESSAGE_LINK_DOWN 2
/* The port was asked to end; what runs as the process of an entry is ended by force at its
 * deadline, nothing forces another port. */
#define OBHUT_MESSAGE_CANCEL 3
/* The one answer to a request of obhut_port_request. */
#define OBHUT_MESSAGE_REPLY 4
/* A process of an entry that the host program runs was spawned: obhut_message_take_port. */
#define OBHUT_MESSAGE_START 5

/* What it is: OBHUT_MESSAGE_…; -1 if it is no message. Later versions add kinds.
 * [threads: owner] [blocks: no] Since 0.1. */
int32_t obhut_message_kind(const obhut_message *message);

/* Who sent it, replied or ended, or was spawned (START); 0: nobody, or the time of a request.
 * [threads: owner] [blocks: no] Since 0.1. */
obhut_pid obhut_message_from(const obhut_message *message);

/* Its topic, of a START the entry's id; "" for an event. `*length`, if not NULL, gets the length. Borrowed, until the
 * message is freed.
 * [threads: owner] [blocks: no] Since 0.1. */
const char *obhut_message_topic(const obhut_message *message, size_t *length);

/* Its payload, one MessagePack value (several sent from Lua: an array), of a START its arguments,
 * an array; NULL and 0 for an event. Borrowed, until the message is freed.
 * [threads: owner] [blocks: no] Since 0.1. */
const void *obhut_message_payload(const obhut_message *message, size_t *length);

/* How the process of an EXIT or LINK_DOWN ended, or what a REPLY says. True: normally; `*value` and
 * `*length` are the value, MessagePack. False: abnormally (or this is none of them); they are the error, a str
 * or an error object, and `*text` says it for people. Any out-parameter may be NULL.
 * Borrowed, until the message is freed.
 * [threads: owner] [blocks: no] Since 0.1. */
bool obhut_message_result(const obhut_message *message, const void **value, size_t *length,
                          const char **text);

/* Of a LINK_DOWN or EXIT: the process where the failure began, and how many links it
 * travelled to the one that ended.
 * [threads: owner] [blocks: no] Since 0.1. */
obhut_pid obhut_message_origin(const obhut_message *message);
uint32_t obhut_message_hops(const obhut_message *message);

/* Of an OBHUT_MESSAGE_DATA: not 0 if the sender waits for a reply (obhut_message_reply). Of an
 * OBHUT_MESSAGE_REPLY: the number of the request that it answers.
 * [threads: owner] [blocks: no] Since 0.1. */
uint64_t obhut_message_request(const obhut_message *message);

/* Of an OBHUT_MESSAGE_REPLY: OBHUT_OK, it was answered, by a value or an error; OBHUT_NOT_FOUND, the
 * one asked ended without a reply; OBHUT_TIMEOUT. OBHUT_OK for other messages.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_message_status(const obhut_message *message);

/* Of an OBHUT_MESSAGE_CANCEL: when the process is ended by force, in nanoseconds on
 * CLOCK_MONOTONIC; 0 for other messages.
 * [threads: owner] [blocks: no] Since 0.1. */
int64_t obhut_message_deadline(const obhut_message *message);

/* Replies to a request, once, with one MessagePack value (copied). OBHUT_WRONG_STATE: the message
 * is no request, or was answered. OBHUT_NOT_FOUND: who asked has ended. One that does not wait
 * any more takes no notice.
 * [threads: owner] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_WRONG_STATE,
 * OBHUT_NOT_FOUND, OBHUT_LIMIT, OBHUT_MALFORMED. Since 0.1. */
obhut_status obhut_message_reply(obhut_message *message, const void *payload, size_t length,
                                 obhut_error **error);

/* Replies with an error: a text (copied), in Lua `nil, text`.
 * [threads: owner] [blocks: no] as obhut_message_reply. Since 0.1. */
obhut_status obhut_message_reply_error(obhut_message *message, const char *text, obhut_error **error);

/* Replies with an error that is MessagePack (copied): a str, or an error object.
 * [threads: owner] [blocks: no] as obhut_message_reply. Since 0.1. */
obhut_status obhut_message_reply_error_object(obhut_message *message, const void *payload,
                                              size_t length, obhut_error **error);

/* Frees a message (taken). NULL does nothing. A request that was not answered is not: who asked
 * waits until its time is over. A START whose port was not taken ends the process with an error.
 * [threads: owner] [blocks: no] Since 0.1. */
void obhut_message_free(obhut_message *message);

/* ------------------------------------------------------------------ Crash reports */

/* What was known of a process at its abnormal end. There is one for each: an error, the failure of a
 * linked process, a terminate, a deadline, a limit. docs/crash-reports.md lists what is in it. */
typedef struct obhut_crash obhut_crash;

/* The oldest report that is kept and has a sequence number above `after`, owned:
 * obhut_crash_free. OBHUT_NOT_FOUND: there is none. Begin with 0 and go on with the number of the
 * last one; a gap says that others are kept no more.
 * The report of a process is there before its end is told to anybody; that of a supervised one
 * when its supervisor has decided what follows.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND. Since 0.1. */
obhut_status obhut_runtime_next_crash(obhut_runtime *runtime, uint64_t after, obhut_crash **crash,
                                      obhut_error **error);

/* A report from the JSON that obhut_crash_json gave (borrowed), of whatever version, owned:
 * obhut_crash_free. OBHUT_MALFORMED: it is no JSON, or no crash report.
 * [threads: any] [blocks: no] OBHUT_INVALID_ARGUMENT, OBHUT_MALFORMED. Since 0.1. */
obhut_status obhut_crash_from_json(const char *json, size_t length, obhut_crash **crash,
                                   obhut_error **error);

/* Its number in its runtime, from 1; 0 if it is no report.
 * [threads: any] [blocks: no] Since 0.1. */
uint64_t obhut_crash_sequence(const obhut_crash *crash);

/* The process that has ended; 0 if it is no report.
 * [threads: any] [blocks: no] Since 0.1. */
obhut_pid obhut_crash_pid(const obhut_crash *crash);

/* The entry that it ran, "namespace:name", and the text of its error; "" if it is not known.
 * Borrowed, until the report is freed.
 * [threads: any] [blocks: no] Since 0.1. */
const char *obhut_crash_entry(const obhut_crash *crash);
const char *obhut_crash_error(const obhut_crash *crash);

/* The whole report: as lines of text for people, and as one line of JSON, both with a line feed at the
 * end; "" for what is no report. `*length`, if not NULL, gets the length. Borrowed, until the report is freed.
 * [threads: any] [blocks: no] Since 0.1. */
const char *obhut_crash_text(const obhut_crash *crash, size_t *length);
const char *obhut_crash_json(const obhut_crash *crash, size_t *length);

/* Frees a report (taken). NULL does nothing.
 * [threads: any] [blocks: no] Since 0.1. */
void obhut_crash_free(obhut_crash *crash);

/* --------------------------------------------------------------------- Inspection */

/* Writes the pids of all that live, processes and ports, into `pids`, which has room for
 * `capacity` of them (NULL with 0); `*count` gets how many there are, perhaps more.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_runtime_pids(obhut_runtime *runtime, obhut_pid *pids, size_t capacity,
                                size_t *count, obhut_error **error);

/* A copy of what was found: records, each with texts and numbers by field. */
typedef struct obhut_info obhut_info;

#define OBHUT_INFO_OF_PROCESSES 0
#define OBHUT_INFO_OF_HOSTS 1
#define OBHUT_INFO_OF_ENTRIES 2

/* Texts. Of a process, its entry (none for a port); of a host or entry, its id. */
#define OBHUT_INFO_ENTRY 1
/* Of a process: the host it runs on, "obhut:port" for a port. */
#define OBHUT_INFO_HOST 2
/* Of a process: "running", "queued" or "waiting"; of a host: "created", "started", …. */
#define OBHUT_INFO_STATE 3
/* Of a process: its names, a JSON array. */
#define OBHUT_INFO_NAMES 4
/* Of an entry: "process.lua" and so on. */
#define OBHUT_INFO_KIND 5
/* Of an entry: what it says under `meta`, as JSON; "null" if nothing. */
#define OBHUT_INFO_META 6
/* Of an entry: the YAML file that declares it. */
#define OBHUT_INFO_FILE 7

/* Numbers. Of a process: its pid. */
#define OBHUT_INFO_PID 101
/* Of a process: messages in its mailbox, and bytes of them. */
#define OBHUT_INFO_MAILBOX 102
#define OBHUT_INFO_MAILBOX_BYTES 103
/* Of a process: bytes of its Lua memory when it last waited. */
#define OBHUT_INFO_MEMORY 104
/* Of a process: how many are linked to it, and how many watch it. */
#define OBHUT_INFO_LINKS 105
#define OBHUT_INFO_MONITORS 106
/* Of a process: nanoseconds since it was spawned. */
#define OBHUT_INFO_UPTIME 107
/* Of a host: its threads, its processes alive, and how many of these wait for a thread. */
#define OBHUT_INFO_WORKERS 108
#define OBHUT_INFO_PROCESSES 109
#define OBHUT_INFO_RUN_QUEUE 110
/* Of an entry: the line of OBHUT_INFO_FILE in which it begins. */
#define OBHUT_INFO_LINE 111

/* A record for each process that lives, each host or each entry: `what` is OBHUT_INFO_OF_….
 * `*info` is owned: obhut_info_free. Each figure is right by itself at some moment meanwhile.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT. Since 0.1. */
obhut_status obhut_runtime_info(obhut_runtime *runtime, int32_t what, obhut_info **info,
                                obhut_error **error);

/* The one record of a process or port.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND. Since 0.1. */
obhut_status obhut_process_info(obhut_runtime *runtime, obhut_pid pid, obhut_info **info,
                                obhut_error **error);

/* How many records there are; 0 if it is no info.
 * [threads: any] [blocks: no] Since 0.1. */
size_t obhut_info_count(const obhut_info *info);

/* A text of record `index`, from 0; "" for a field that it has not. Borrowed, until the info is
 * freed.
 * [threads: any] [blocks: no] Since 0.1. */
const char *obhut_info_text(const obhut_info *info, size_t index, int32_t field);

/* A number of record `index`; -1 for a field that it has not.
 * [threads: any] [blocks: no] Since 0.1. */
int64_t obhut_info_number(const obhut_info *info, size_t index, int32_t field);

/* Frees an info (taken). NULL does nothing.
 * [threads: any] [blocks: no] Since 0.1. */
void obhut_info_free(obhut_info *info);

/* ----------------------------------------------------------------------- Payloads */

/* MessagePack from a JSON text (borrowed). `*payload` is owned: obhut_bytes_free.
 * [threads: any] [blocks: no] OBHUT_INVALID_ARGUMENT, OBHUT_MALFORMED. Since 0.1. */
obhut_status obhut_payload_from_json(const char *json, size_t length, void **payload,
                                     size_t *payload_length, obhut_error **error);

/* JSON from one MessagePack value (borrowed). `*json` ends with a NUL that `*json_length`
 * does not count, and is owned: obhut_bytes_free. `json_length` may be NULL.
 * `bin` becomes base64, an error object an object, NaN and infinities null.
 * [threads: any] [blocks: no] OBHUT_INVALID_ARGUMENT, OBHUT_MALFORMED. Since 0.1. */
obhut_status obhut_payload_to_json(const void *payload, size_t length, char **json,
                                   size_t *json_length, obhut_error **error);

/* Whether these bytes are exactly one well-formed MessagePack value, at most 128 deep.
 * [threads: any] [blocks: no] OBHUT_INVALID_ARGUMENT, OBHUT_MALFORMED. Since 0.1. */
obhut_status obhut_payload_check(const void *payload, size_t length, obhut_error **error);

/* Frees bytes that this header calls owned (taken). NULL does nothing.
 * [threads: any] [blocks: no] Since 0.1. */
void obhut_bytes_free(void *bytes);

#ifdef __cplusplus
}
#endif

#endif
