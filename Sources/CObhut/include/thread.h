/* Threads: the thread-local word that says which worker this thread is, and
 * the start of a thread with the signal mask that the library promises. */
#ifndef OBH_THREAD_H
#define OBH_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The WorkerCore of this thread, NULL on a thread that is no worker.
 * initial-exec: the preemption signal's handler may read it. */
extern __thread void *obh_thread_worker __attribute__((tls_model("initial-exec")));

static inline void *obh_current_worker(void) { return obh_thread_worker; }
static inline void obh_set_current_worker(void *worker) { obh_thread_worker = worker; }

/* Starts a thread named `name` (at most 15 bytes) that blocks every
 * asynchronous signal but `preemption_signal` (0: that one too) and never the
 * synchronous faults, so that a host program's crash handler sees them.
 * Answers 0 or an errno. */
int obh_thread_start(pthread_t *thread, const char *name, int preemption_signal,
                     void *(*body)(void *), void *argument);

/* Memory of `size` bytes, a power of two, that begins at a multiple of it and is all zero; NULL when there is none.
 * `huge`: it will be used whole, and may be given as huge pages. munmap frees it. */
void *obh_map_aligned(size_t size, bool huge);

/* Begins to fetch the two cache lines of a block of 128 bytes, which will be read soon. Any address will do. */
static inline void obh_prefetch(const void *block) {
    __builtin_prefetch(block);
    __builtin_prefetch((const char *)block + 64);
}

/* Whether this was compiled for the address sanitizer. */
bool obh_has_address_sanitizer(void);

/* CPU time that `thread` has used, in nanoseconds; -1 when it cannot be told. */
int64_t obh_thread_cpu_time(pthread_t thread);

/* What the system calls this thread. */
int32_t obh_thread_id(void);

/* Whether the thread of that number waits in a system call (or for a page of memory), and not for a processor. False when
 * it cannot be told. */
bool obh_thread_is_blocked(int32_t thread);

/* Between two looks at a word that another thread will write. */
static inline void obh_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* A condition variable that measures on CLOCK_MONOTONIC. */
int obh_condition_init(pthread_cond_t *condition);

/* Waits until signalled or `deadline` (nanoseconds, CLOCK_MONOTONIC; negative:
 * for ever). Answers false when the deadline has passed. */
bool obh_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline);

/* An eventfd, non-blocking and close-on-exec; -1 with errno. */
int obh_eventfd(void);
/* Makes it readable, and unreadable again. The first is async-signal-safe. */
void obh_eventfd_ring(int descriptor);
void obh_eventfd_silence(int descriptor);

/* Waits until `descriptor` can be read, a signal handler has run or `timeout` (nanoseconds;
 * negative: for ever) is over. */
void obh_wait_readable(int descriptor, int64_t timeout);

#endif
