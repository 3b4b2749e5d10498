/* See fork.h. */
#define _GNU_SOURCE
#include "fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic(unsigned char *) page;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void wipe(void) {
    unsigned char *mark = atomic_load_explicit(&page, memory_order_relaxed);
    if (mark) *mark = 0;
}

static void make(void) {
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        memory = calloc(1, 1);
        if (!memory) abort();
        pthread_atfork(NULL, NULL, wipe);
    } else if (madvise(memory, size, MADV_WIPEONFORK)) {
        /* A kernel before 4.14, or one that only looks like Linux. */
        pthread_atfork(NULL, NULL, wipe);
    }
    atomic_store_explicit(&page, memory, memory_order_release);
}

int obh_fork_is_marked(void) {
    unsigned char *mark = atomic_load_explicit(&page, memory_order_acquire);
    return mark && __atomic_load_n(mark, __ATOMIC_ACQUIRE);
}

void obh_fork_mark(void) {
    pthread_once(&once, make);
    __atomic_store_n(atomic_load_explicit(&page, memory_order_acquire), 1, __ATOMIC_RELEASE);
}
