/* obhut-worker: the OS process in which one native function runs, alone (docs/plugins.md). Started by the runtime, by no one else.
 *
 * It waits for a START frame, applies the limits, opens the library, calls the function, sends an END frame, and is thrown
 * away. Whatever the function does to this process, the runtime reads its end from the kernel.
 *
 * The function shares the process with very little: descriptors 0 to 2, and a channel whose number is high, so that "closes
 * descriptor 3" touches nothing. A child that the function forks loses the channel, and can neither ask nor end anything. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "native_call.h"
#include "native_context.h"
#include "native_frames.h"
#include "native_init.h"
#include "native_library.h"

static int channel = -1;
static pid_t owner;
static obn_control *control;
static obn_frame_buffer frames;

/* ---------------------------------------------------------------- Refused allocations */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)
/* A memory limit shows as NULL from malloc, and what the function then does is its own affair: mostly it crashes. So the
 * refusal is noted, and the reason of the end can name the limit. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static void *noted(void *block, size_t size) {
    if (!block && size && control) __atomic_store_n(&control->refused, 1, __ATOMIC_RELAXED);
    return block;
}

void *malloc(size_t size) { return noted(__libc_malloc(size), size); }
void *calloc(size_t count, size_t size) { return noted(__libc_calloc(count, size), count && size); }
void *realloc(void *block, size_t size) { return noted(__libc_realloc(block, size), size); }
#endif

/* ------------------------------------------------------------------------ The channel */

static void lost(int fault) {
    /* -1 and broken pipes: the runtime is gone, and nobody waits for an answer. */
    _exit(fault == EBADF || fault == ENOTSOCK ? OBN_EXIT_CHANNEL : 0);
}

/* Nanoseconds. What does not wait for anybody is answered within some microseconds; but a runtime that sleeps has to be woken first, which
 * takes some more. */
enum { PATIENCE = 50000 };

/* Whether the answer comes when there is something, and not at once. */
static bool waits(const void *request, size_t length) {
    obhut_reader reader = obhut_reader_of(request, length);
    obhut_value value;
    int64_t operation = -1;
    obhut_read(&reader, &value);
    obhut_read_integer(&reader, &operation);
    return operation == OBN_RECEIVE || operation == OBN_REQUEST;
}

static obhut_status exchange(void *carrier, const void *request, size_t length, const void **answer, size_t *answer_length) {
    int fault;
    (void)carrier;
    if (getpid() != owner) return OBHUT_FORKED;
    fault = obn_frame_write(channel, request, length);
    if (fault == EMSGSIZE) return OBHUT_LIMIT;
    if (!fault) fault = obn_frame_read(channel, &frames, waits(request, length) ? 0 : PATIENCE, answer, answer_length);
    /* An answer that is left lying would be taken for that of the next request. */
    if (fault == ENOMEM) _exit(OBN_EXIT_MEMORY);
    if (fault) lost(fault);
    return OBHUT_OK;
}

/* In a child that the function has forked. */
static void forked(void) {
    close(channel);
    channel = -1;
}

static void *flush_all(void *unused) {
    (void)unused;
    fflush(stdout);
    fflush(stderr);
    fflush(NULL);
    return NULL;
}

extern char __libc_single_threaded __attribute__((weak));

/* What stdio holds back. fflush(NULL) waits for the lock of every stream, which a thread of the function may have while it reads: the
 * end of the function does not wait for that one for ever. */
static void flush(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    struct timespec until;
    pthread_attr_init(&attributes);
    /* Little: there may be a limit of memory. */
    pthread_attr_setstacksize(&attributes, 256 << 10);
    if (&__libc_single_threaded && __libc_single_threaded) {
        flush_all(NULL);
    } else if (pthread_create(&thread, &attributes, flush_all, NULL)) {
        fflush(stdout);
        fflush(stderr);
    } else {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_timedjoin_np(thread, NULL, &until);
    }
}

/* The end, by what is in `writer`. What is still in stdio's buffers comes before it. */
static void finish(obhut_writer *writer) {
    int fault;
    if (getpid() != owner) _exit(0);
    flush();
    fault = writer->failed ? 0 : obn_frame_write(channel, writer->bytes, writer->length);
    if (fault) lost(fault);
    _exit(0);
}

static void finish_with_text(int64_t status, const char *text) {
    obhut_writer writer = OBHUT_WRITER_INIT;
    obhut_write_array(&writer, 3);
    obhut_write_unsigned(&writer, OBN_END);
    obhut_write_integer(&writer, status);
    obhut_write_string(&writer, text);
    finish(&writer);
}

static void finish_with_result(const void *payload, size_t length) {
    obhut_writer writer = OBHUT_WRITER_INIT;
    obhut_write_array(&writer, 3);
    obhut_write_unsigned(&writer, OBN_END);
    obhut_write_unsigned(&writer, OBHUT_OK);
    if (length) obhut_write_bytes(&writer, payload, length);
    else obhut_write_bytes(&writer, "\xc0", 1);
    finish(&writer);
}

/* ----------------------------------------------------------------------------- Limits */

/* Address space that is in use now, in bytes. */
static uint64_t used_space(void) {
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%llu", &pages) != 1) pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limit_memory(uint64_t bytes) {
    struct rlimit limit;
    limit.rlim_cur = limit.rlim_max = used_space() + bytes;
    setrlimit(RLIMIT_AS, &limit);
}

/* A timer for the exact moment, with a signal that has a name; and the kernel's limit, in whole seconds, behind it, for a function that
 * handles that signal or takes away the timer. */
static void limit_cpu(int64_t nanoseconds) {
    struct rlimit limit;
    struct sigevent event;
    struct itimerspec when;
    timer_t timer;
    rlim_t seconds = (rlim_t)(nanoseconds / 1000000000) + 2;
    memset(&event, 0, sizeof event);
    memset(&when, 0, sizeof when);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGXCPU;
    when.it_value.tv_sec = nanoseconds / 1000000000;
    when.it_value.tv_nsec = nanoseconds % 1000000000;
    if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0) timer_settime(timer, 0, &when, NULL);
    limit.rlim_cur = seconds;
    limit.rlim_max = seconds + 1;
    setrlimit(RLIMIT_CPU, &limit);
}

/* ------------------------------------------------------------------------- The start */

static void close_others(int kept) {
    /* From 3 on, but for the channel. Before Linux 5.9 one by one. */
    int i;
    if (syscall(SYS_close_range, 3, kept - 1, 0) == 0 && syscall(SYS_close_range, kept + 1, ~0U, 0) == 0) return;
    for (i = 3; i < sysconf(_SC_OPEN_MAX); i++)
        if (i != kept) close(i);
}

/* Takes what the runtime has put at descriptors 3 and 4. */
static int take_descriptors(void) {
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0);
    if (control == MAP_FAILED) return -1;
    channel = fcntl(3, F_DUPFD_CLOEXEC, 200);
    if (channel < 0) channel = fcntl(3, F_DUPFD_CLOEXEC, 5);
    if (channel < 0) return -1;
    close_others(channel);
    return 0;
}

typedef struct start {
    char *library, *symbol, *entry;
    obn_signature signature;
    const void *arguments; /* in the frame, which the next one overwrites: copied */
    size_t length;
    obhut_pid pid;
    uint64_t memory_limit;
    int64_t cpu_limit;
    uint64_t most_bytes;
} start;

static char *copy(const obhut_value *value) {
    char *text = malloc(value->length + 1);
    if (!text) finish_with_text(OBHUT_SYSTEM, "no memory is left");
    if (value->length) memcpy(text, value->bytes, value->length);
    text[value->length] = 0;
    return text;
}

static void read_start(start *what) {
    const void *bytes;
    size_t length;
    obhut_reader reader;
    obhut_value value;
    int field;
    uint32_t i;
    int fault = obn_frame_read(channel, &frames, 0, &bytes, &length);
    if (fault) _exit(0);
    reader = obhut_reader_of(bytes, length);
    memset(what, 0, sizeof *what);
    obhut_read(&reader, &value);
    for (field = OBN_START_LIBRARY; field < OBN_START_FIELDS; field++) {
        if (!obhut_read(&reader, &value)) _exit(OBN_EXIT_PROTOCOL);
        switch (field) {
            case OBN_START_LIBRARY: what->library = copy(&value); break;
            case OBN_START_SYMBOL: what->symbol = copy(&value); break;
            case OBN_START_RESULT: what->signature.result = (uint8_t)value.number; break;
            case OBN_START_PARAMETERS:
                what->signature.count = (uint8_t)value.length;
                if (value.length > OBN_MAX_PARAMETERS) _exit(OBN_EXIT_PROTOCOL);
                for (i = 0; i < what->signature.count; i++) {
                    obhut_value type;
                    if (!obhut_read(&reader, &type)) _exit(OBN_EXIT_PROTOCOL);
                    what->signature.parameters[i] = (uint8_t)type.number;
                }
                break;
            case OBN_START_ARGUMENTS: what->arguments = copy(&value); what->length = value.length; break;
            case OBN_START_PID: what->pid = value.number; break;
            case OBN_START_ENTRY: what->entry = copy(&value); break;
            case OBN_START_MEMORY_LIMIT: what->memory_limit = value.number; break;
            case OBN_START_CPU_LIMIT: what->cpu_limit = value.integer; break;
            case OBN_START_MOST_BYTES: what->most_bytes = value.number; break;
        }
    }
}

static void run(start *what) {
    static char text[2048];
    obn_context context;
    void *library, *function, *result = NULL;
    size_t length = 0;
    int32_t outcome;
    if (what->memory_limit) limit_memory(what->memory_limit);
    if (what->cpu_limit) limit_cpu(what->cpu_limit);
    library = obn_library_open(what->library, text, sizeof text);
    if (!library) finish_with_text(OBHUT_NOT_FOUND, text);
    if (obn_library_init(library, text, sizeof text)) finish_with_text(OBHUT_FAILED, text);
    function = obn_library_symbol(library, what->symbol, text, sizeof text);
    if (!function) finish_with_text(OBHUT_NOT_FOUND, text);
    obn_context_init(&context, exchange, NULL, control, what->pid, what->entry);
    context.most_bytes = what->most_bytes + OBN_FRAME_ROOM;
    outcome = obn_call(function, &what->signature, &context.plugin, what->arguments, what->length, &result, &length, text,
                       sizeof text);
    if (outcome == OBN_FAILED) finish_with_text(OBHUT_FAILED, context.has_failed ? context.failure : text);
    if (outcome) finish_with_text(OBHUT_INVALID_ARGUMENT, text);
    if (what->signature.result == OBN_STATUS && context.result.length) {
        result = context.result.bytes;
        length = context.result.length;
    }
    if (length > what->most_bytes) {
        snprintf(text, sizeof text, "the result of %s has %zu bytes; max_message is %llu", what->symbol, length,
                 (unsigned long long)what->most_bytes);
        finish_with_text(OBHUT_LIMIT, text);
    }
    finish_with_result(result, length);
}

int main(int count, char **arguments) {
    start what;
    if (count != 3) {
        fprintf(stderr, "obhut-worker is started by the runtime of libobhut; there is nothing to call it for\n");
        return 2;
    }
    if (atoi(arguments[1]) != OBN_PROTOCOL) return OBN_EXIT_PROTOCOL;
    /* The parent may have gone before this took effect. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != atoi(arguments[2])) return 0;
    owner = getpid();
    if (take_descriptors()) return OBN_EXIT_CHANNEL;
    pthread_atfork(NULL, NULL, forked);
    /* Lines, so that a crash takes at most half of one along. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    read_start(&what);
    run(&what);
    return 0;
}
