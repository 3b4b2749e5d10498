/* See preempt.h. */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE /* its longjmp check does not like jumps out of signal handlers */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "internal.h"
#include "preempt.h"

#if defined(__SANITIZE_THREAD__)
#define OBH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OBH_TSAN 1
#endif
#endif

/* Nanoseconds that a hook has to run, before the handler thinks of jumping out of liblua. */
enum { JUMP_AFTER = 10000000 };
/* Bytes that a leaf of libc may have; beyond its end are other functions on strings. */
enum { LEAF_SIZE = 2048 };

/* initial-exec: a handler must not be the first to touch a thread's lazily allocated block. */
__thread obh_vm *volatile obh_running_vm __attribute__((tls_model("initial-exec")));

static atomic_ulong ticks;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int count;                 /* guarded by lock */
    struct sigaction previous; /* written before the handler is installed, then read only */
} installed[65];

/* ---- The handler -------------------------------------------------------------------------- */

/* It may interrupt anything, the sanitizer's own code with a lock held among it: so nothing of it is instrumented, and it
 * calls no function that a sanitizer intercepts, unless what it interrupted is liblua's code. */
OBH_JUMPED_OVER_BEGIN

static int64_t monotonic_now(void) {
    struct timespec now;
#if defined(OBH_TSAN)
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uintptr_t interrupted_at(void *context) {
    const ucontext_t *machine = context;
#if defined(__x86_64__)
    return (uintptr_t)machine->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)machine->uc_mcontext.pc;
#else
    (void)machine;
    return 0; /* the third rung is not available */
#endif
}

static int is_liblua(uintptr_t place) { return place >= obh_lua_text_begin && place < obh_lua_text_end; }

/* Where a function goes back to that has neither called another nor kept anything on the stack. */
static uintptr_t leaf_returns_to(void *context) {
    const ucontext_t *machine = context;
#if defined(__x86_64__)
    return *(const uintptr_t *)machine->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)machine->uc_mcontext.regs[30];
#else
    (void)machine;
    return 0;
#endif
}

/* Whether liblua runs, or waits for a comparison: one of two long strings takes milliseconds, and a plain find or a sort makes one
 * after the other, with next to nothing in between. It holds nothing, so it is left as liblua's own code is. One that others have
 * called, or that is no comparison and has called others, has its way back elsewhere. */
static int is_in_liblua(void *context) {
    uintptr_t place = interrupted_at(context);
    for (int i = 0; i < OBH_LUA_LEAVES; i++) {
        if (obh_lua_leaves[i] && place - obh_lua_leaves[i] < LEAF_SIZE) return is_liblua(leaf_returns_to(context));
    }
    return is_liblua(place);
}

/* Notes a tick. Answers whether hooks that were armed long ago have not run: what runs is no Lua code. */
static int is_stuck(obh_vm *vm) {
    int64_t now = monotonic_now();
    if (!vm->stuck_since || vm->stuck_hooks != vm->hooks) {
        vm->stuck_since = now;
        vm->stuck_hooks = vm->hooks;
        vm->stuck_ticks = 0;
    }
    vm->stuck_ticks++;
    return now - vm->stuck_since > JUMP_AFTER;
}

/* Arming walks the whole stack of calls, which may be half a million deep: for milliseconds, and on a busy machine until
 * after the next tick. If that one walked it again, and the one after it, nothing else would ever run. But to arm once is not
 * enough: liblua may be just about to note that there is no hook, and then does not see it. So of the ticks since a hook ran
 * the first arms it, and if it stays armed, the third, the seventh, the fifteenth and so on do so anew. */
static void arm(obh_vm *vm) {
    int is_due = !(vm->stuck_ticks & (vm->stuck_ticks + 1));
    if (is_due || !obh_is_armed(vm->current)) obh_arm(vm->current);
}

/* Leaves what was interrupted for good, with the signal open again. */
static void jump_out(obh_vm *vm, int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    siglongjmp(*(sigjmp_buf *)vm->jump, 1);
}

static void on_signal(int signal, siginfo_t *info, void *context) {
    int saved = errno;
    obh_vm *vm = obh_running_vm;
    if (vm && vm->current) {
        atomic_fetch_add_explicit(&ticks, 1, memory_order_relaxed);
        vm->ticked = 1;
        int stuck = is_stuck(vm);
        arm(vm);
        if (stuck && !vm->in_host && vm->jump && is_in_liblua(context)) {
            if (!vm->kill && obh_is_doomed(vm)) vm->kill = OBH_KILL_LETHAL;
            if (vm->kill) jump_out(vm, signal);
        }
    }
    const struct sigaction *previous = &installed[signal].previous;
    if (previous->sa_flags & SA_SIGINFO) {
        if (previous->sa_sigaction) previous->sa_sigaction(signal, info, context);
    } else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN) {
        previous->sa_handler(signal);
    }
    errno = saved;
}

OBH_JUMPED_OVER_END

/* ---- Installing ---------------------------------------------------------------------- */

#if defined(OBH_TSAN) && defined(__x86_64__)
/* ThreadSanitizer puts signals off until the next call it intercepts, which computing Lua never makes: the handler is
 * installed behind its back. */
struct kernel_action {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};
__attribute__((naked)) static void restore(void) { __asm__("mov $15, %eax\n\tsyscall"); }

static int set_handler(int signal) {
    struct kernel_action action = {on_signal, SA_RESTART | SA_SIGINFO | 0x04000000 /* SA_RESTORER */, restore, 0};
    return (int)syscall(SYS_rt_sigaction, signal, &action, NULL, 8);
}
static int is_set(int signal) {
    struct kernel_action action;
    return !syscall(SYS_rt_sigaction, signal, NULL, &action, 8) && action.handler == on_signal;
}
#else
static int set_handler(int signal) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    return sigaction(signal, &action, NULL);
}
static int is_set(int signal) {
    struct sigaction action;
    return !sigaction(signal, NULL, &action) && (action.sa_flags & SA_SIGINFO) && action.sa_sigaction == on_signal;
}
#endif

int obh_preempt_install(int signal) {
    if (signal <= 0 || signal >= 65) return EINVAL;
    int result = 0;
    pthread_mutex_lock(&lock);
    if (installed[signal].count == 0) {
        struct sigaction previous;
        if (sigaction(signal, NULL, &previous)) result = errno;
        if (!result) installed[signal].previous = previous;
        if (!result && set_handler(signal)) result = errno;
    }
    if (!result) installed[signal].count++;
    pthread_mutex_unlock(&lock);
    return result;
}

void obh_preempt_uninstall(int signal) {
    pthread_mutex_lock(&lock);
    /* Another one that was installed over ours, and chains to it, is left alone. */
    if (installed[signal].count > 0 && --installed[signal].count == 0 && is_set(signal)) {
        sigaction(signal, &installed[signal].previous, NULL);
    }
    pthread_mutex_unlock(&lock);
}

void obh_preempt_forget(void) {
    /* Whoever held it in the parent is not here. */
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    lock = fresh;
    for (int signal = 1; signal < 65; signal++) {
        if (installed[signal].count == 0) continue;
        installed[signal].count = 0;
        if (is_set(signal)) sigaction(signal, &installed[signal].previous, NULL);
    }
}

int obh_preempt_reinstall(int signal) {
    int replaced = 0;
    pthread_mutex_lock(&lock);
    if (installed[signal].count > 0 && !is_set(signal)) {
        replaced = 1;
        set_handler(signal);
    }
    pthread_mutex_unlock(&lock);
    return replaced;
}

void obh_preempt_thread(pthread_t thread, int signal) { pthread_kill(thread, signal); }

unsigned long obh_preempt_ticks(void) { return atomic_load_explicit(&ticks, memory_order_relaxed); }
