#define _GNU_SOURCE
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__thread void *obh_thread_worker __attribute__((tls_model("initial-exec")));

/* Bytes; of address space, not of memory. */
enum { STACK_SIZE = 8 << 20 };

struct start {
    void *(*body)(void *);
    void *argument;
    char name[16];
};

static void *entry(void *raw) {
    struct start start = *(struct start *)raw;
    free(raw);
    pthread_setname_np(pthread_self(), start.name);
    return start.body(start.argument);
}

int obh_thread_start(pthread_t *thread, const char *name, int preemption_signal,
                     void *(*body)(void *), void *argument) {
    struct start *start = malloc(sizeof *start);
    if (!start) return ENOMEM;
    start->body = body;
    start->argument = argument;
    strncpy(start->name, name, sizeof start->name - 1);
    start->name[sizeof start->name - 1] = 0;

    /* A blocked fault kills the program past its own crash handler, so the
     * synchronous ones stay open; SIGPROF belongs to profilers. */
    sigset_t blocked, before;
    sigfillset(&blocked);
    const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) sigdelset(&blocked, open[i]);
    if (preemption_signal) sigdelset(&blocked, preemption_signal);

    /* Not the limit that the host program happens to run under: Lua may nest 200 C calls,
     * and coroutine.close counts on OBH_CLOSING_STACK (internal.h) besides. */
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int result = pthread_create(thread, &attributes, entry, start);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result) free(start);
    return result;
}

void *obh_map_aligned(size_t size, bool huge) {
    /* Twice as much holds an aligned piece for certain; what stands around it goes back. */
    char *raw = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) return NULL;
    char *start = (char *)(((uintptr_t)raw + size - 1) & ~(uintptr_t)(size - 1));
    if (start > raw) munmap(raw, (size_t)(start - raw));
    size_t behind = (size_t)(raw + 2 * size - (start + size));
    if (behind > 0) munmap(start + size, behind);
    if (huge) madvise(start, size, MADV_HUGEPAGE);
    return start;
}

bool obh_has_address_sanitizer(void) {
#if defined(__SANITIZE_ADDRESS__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return true;
#endif
#endif
    return false;
}

int64_t obh_thread_cpu_time(pthread_t thread) {
    clockid_t clock;
    struct timespec now;
    if (pthread_getcpuclockid(thread, &clock) || clock_gettime(clock, &now)) return -1;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int32_t obh_thread_id(void) { return (int32_t)syscall(SYS_gettid); }

bool obh_thread_is_blocked(int32_t thread) {
    char path[48], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return false;
    ssize_t length = read(descriptor, line, sizeof line - 1);
    close(descriptor);
    if (length <= 0) return false;
    line[length] = 0;
    /* The name, in parentheses, may itself hold any of them. */
    const char *end = strrchr(line, ')');
    return end && end[1] == ' ' && (end[2] == 'S' || end[2] == 'D');
}

int obh_condition_init(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    int result = pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return result;
}

bool obh_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline) {
    if (deadline < 0) {
        pthread_cond_wait(condition, mutex);
        return true;
    }
    struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    return pthread_cond_timedwait(condition, mutex, &until) != ETIMEDOUT;
}

int obh_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void obh_eventfd_ring(int descriptor) {
    uint64_t one = 1;
    (void)!write(descriptor, &one, sizeof one);
}

void obh_eventfd_silence(int descriptor) {
    uint64_t count;
    (void)!read(descriptor, &count, sizeof count);
}

void obh_wait_readable(int descriptor, int64_t timeout) {
    struct pollfd request = {.fd = descriptor, .events = POLLIN};
    struct timespec time = {.tv_sec = timeout / 1000000000, .tv_nsec = timeout % 1000000000};
    ppoll(&request, 1, timeout < 0 ? NULL : &time, NULL);
}
