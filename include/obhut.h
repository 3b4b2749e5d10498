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
 * registration, or when the last runtime or configuration with it is gone. It runs in the
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
 * handler is chained to the one before and restored when the last runtime stops. 0: no
 * signal; Lua then counts its instructions and is about half as fast, and a process inside
 * a C function of Lua can be ended, and the runtime stopped, only when that returns.
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
 * [threads: any] [blocks: to finish] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT,
 * OBHUT_WRONG_STATE, OBHUT_SYSTEM. Since 0.1. */
obhut_status obhut_runtime_start(obhut_runtime *runtime, uint32_t flags, obhut_error **error);

/* Stops in order: services in reverse order of their dependence, each with its stop_timeout;
 * then the remaining processes; then hosts and threads. Ports get OBHUT_CLOSED. Always
 * ends: what does not end by itself is ended by force. `timeout` bounds the whole polite
 * part, and is split among what stops one after the other: negative, what the application says; 0, by force at once. A second call returns
 * when the first is done, and brings its end forward if its own timeout is nearer.
 * [threads: any, but not one of the library's] [blocks: up to timeout, and to finish]
 * OBHUT_INVALID_HANDLE. Since 0.1. */
obhut_status obhut_runtime_stop(obhut_runtime *runtime, int64_t timeout, obhut_error **error);

/* Frees a runtime (taken). One that runs is stopped by force on a thread of its own; the
 * call does not wait for that. Ports and messages are freed on their own, before or after.
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

/* Figures of a runtime; see obhut_runtime_counters. */
typedef struct obhut_counters {
    size_t struct_size;    /* in: sizeof(obhut_counters) of the caller */
    uint64_t processes;    /* alive now */
    uint64_t spawned;      /* since the start */
    uint64_t ended;        /* since the start */
    uint64_t dead_letters; /* messages accepted for a process that ended before reading them */
    uint64_t timers;       /* armed now */
    uint64_t dropped_lines; /* output and log lines that were neither taken by a sink nor kept */
} obhut_counters;

#define OBHUT_COUNTERS_INIT {sizeof(obhut_counters), 0, 0, 0, 0, 0, 0}

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

/* Starts a process of entry `entry` ("namespace:name") on `host` (NULL: the only process
 * host there is). `arguments` (copied) is a MessagePack array; NULL with length 0: none.
 * `pid` may be NULL.
 * Nobody watches it: for that, use obhut_port_spawn.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_WRONG_STATE,
 * OBHUT_NOT_FOUND, OBHUT_LIMIT, OBHUT_MALFORMED. Since 0.1. */
obhut_status obhut_spawn(obhut_runtime *runtime, const char *entry, const char *host,
                         const void *arguments, size_t length, obhut_pid *pid, obhut_error **error);

/* Sends one MessagePack value (copied) under `topic` (copied; 1 to 255 bytes, not beginning
 * with '@'), from nobody: for an answer, use obhut_port_send.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND,
 * OBHUT_LIMIT, OBHUT_MALFORMED. Since 0.1. */
obhut_status obhut_send(obhut_runtime *runtime, obhut_pid pid, const char *topic,
                        const void *payload, size_t length, obhut_error **error);

/* Asks `pid` to end within `timeout` nanoseconds (more than 0): it gets a CANCEL event and
 * may clean up; if it has not ended by then, it is ended by force. A port gets an
 * OBHUT_MESSAGE_CANCEL, and nothing forces it.
 * [threads: any] [blocks: no] OBHUT_INVALID_HANDLE, OBHUT_INVALID_ARGUMENT, OBHUT_NOT_FOUND. Since 0.1. */
obhut_status obhut_cancel(obhut_runtime *runtime, obhut_pid pid, int64_t timeout, obhut_error **error);

/* Ends `pid` now; it cannot be caught. OBHUT_INVALID_ARGUMENT: it is a port.
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

/* Makes a port, owned: obhut_port_free. Between start and stop of the runtime.
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

typedef struct obhut_message obhut_message;

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

/* Ends a port (taken), as a process ends normally; a wait for it gets OBHUT_CLOSED. NULL
 * does nothing.
 * [threads: any] [blocks: no] Since 0.1. */
void obhut_port_free(obhut_port *port);

/* ----------------------------------------------------------------------- Messages */

/* Sent by a process or by C. */
#define OBHUT_MESSAGE_DATA 0
/* A monitored process has ended. */
#define OBHUT_MESSAGE_EXIT 1
/* A linked process has failed. */
#define OBHUT_MESSAGE_LINK_DOWN 2
/* The port was asked to end; nothing forces it to. */
#define OBHUT_MESSAGE_CANCEL 3

/* What it is: OBHUT_MESSAGE_…; -1 if it is no message. Later versions add kinds.
 * [threads: owner] [blocks: no] Since 0.1. */
int32_t obhut_message_kind(const obhut_message *message);

/* Who sent it, or ended; 0: nobody.
 * [threads: owner] [blocks: no] Since 0.1. */
obhut_pid obhut_message_from(const obhut_message *message);

/* Its topic; "" for an event. `*length`, if not NULL, gets the length. Borrowed, until the
 * message is freed.
 * [threads: owner] [blocks: no] Since 0.1. */
const char *obhut_message_topic(const obhut_message *message, size_t *length);

/* Its payload, one MessagePack value (several sent from Lua: an array); NULL and 0 for an
 * event. Borrowed, until the message is freed.
 * [threads: owner] [blocks: no] Since 0.1. */
const void *obhut_message_payload(const obhut_message *message, size_t *length);

/* How the process of an EXIT or LINK_DOWN ended. True: normally; `*value` and `*length` are
 * the value, MessagePack. False: abnormally (or this is no end); they are the error, a str
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

/* Frees a message (taken). NULL does nothing.
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
