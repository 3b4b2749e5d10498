/* See native_launch.h.
 *
 * posix_spawn, not fork: the child shares no lock, no heap and no handler with the program, and it costs the same however large
 * that is. What a worker inherits is said here alone: descriptors 0 to 4, an empty signal mask, default dispositions, the
 * environment. It leads a session of its own: a Ctrl-C is for the program, and what it forks can be killed with it. */
#define _GNU_SOURCE
#include "include/native_launch.h"
#include "include/native_frames.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

extern char **environ;

/* Descriptors of ours are above those that the child gets, so that none is written over while they are put in place. */
static int above(int descriptor) {
    int higher;
    if (descriptor < 0) return -1;
    higher = fcntl(descriptor, F_DUPFD_CLOEXEC, 10);
    {
        int fault = errno;
        close(descriptor);
        errno = fault;
    }
    return higher;
}

static void shut(int *descriptor) {
    if (*descriptor >= 0) close(*descriptor);
    *descriptor = -1;
}

int obn_worker_start(const char *path, obn_worker *worker, const char **step) {
    int channel[2] = {-1, -1}, output[2] = {-1, -1}, errors[2] = {-1, -1}, page = -1;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    char protocol[16], parent[16];
    char *arguments[] = {(char *)"obhut-worker", protocol, parent, NULL};
    int fault = 0;
    int i;

    memset(worker, 0, sizeof *worker);
    worker->descriptor = worker->channel = worker->output = worker->errors = -1;
    *step = "a socket pair";
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel)) return errno;
    *step = "a pipe";
    if (pipe2(output, O_CLOEXEC) || pipe2(errors, O_CLOEXEC)) { fault = errno; goto out; }
    *step = "shared memory";
    page = memfd_create("obhut", MFD_CLOEXEC);
    if (page < 0 || ftruncate(page, sizeof(obn_control))) { fault = errno; goto out; }
    worker->control = mmap(NULL, sizeof(obn_control), PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    if (worker->control == MAP_FAILED) { worker->control = NULL; fault = errno; goto out; }
    *step = "a descriptor";
    for (i = 0; i < 2; i++) {
        if ((channel[i] = above(channel[i])) < 0 || (output[i] = above(output[i])) < 0 || (errors[i] = above(errors[i])) < 0) {
            fault = errno;
            goto out;
        }
    }
    if ((page = above(page)) < 0) { fault = errno; goto out; }
    fcntl(channel[0], F_SETFL, O_NONBLOCK);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    fcntl(errors[0], F_SETFL, O_NONBLOCK);

    snprintf(protocol, sizeof protocol, "%d", OBN_PROTOCOL);
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    *step = "the worker";
    if ((fault = posix_spawn_file_actions_init(&actions))) goto out;
    if ((fault = posix_spawnattr_init(&attributes))) {
        posix_spawn_file_actions_destroy(&actions);
        goto out;
    }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output[1], 1);
    posix_spawn_file_actions_adddup2(&actions, errors[1], 2);
    posix_spawn_file_actions_adddup2(&actions, channel[1], 3);
    posix_spawn_file_actions_adddup2(&actions, page, 4);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    fault = posix_spawn(&worker->pid, path, &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (fault) goto out;
    *step = "a descriptor of the worker (Linux 5.4)";
    worker->descriptor = (int)syscall(SYS_pidfd_open, worker->pid, 0);
    if (worker->descriptor < 0) {
        fault = errno;
        /* Gone already, and waited for by another: its number may be somebody else's. */
        if (fault == ESRCH) {
            *step = "the worker has ended at once";
            goto out;
        }
        kill(worker->pid, SIGKILL);
        waitpid(worker->pid, NULL, 0);
        goto out;
    }
    worker->channel = channel[0];
    worker->output = output[0];
    worker->errors = errors[0];
    channel[0] = output[0] = errors[0] = -1;
out:
    for (i = 0; i < 2; i++) {
        shut(&channel[i]);
        shut(&output[i]);
        shut(&errors[i]);
    }
    shut(&page);
    if (fault) obn_worker_close(worker);
    return fault;
}

void obn_worker_kill(const obn_worker *worker) {
    /* First by the descriptor, which names no other process, ever. As long as it is not reaped nobody else leads its group. */
    if (syscall(SYS_pidfd_send_signal, worker->descriptor, SIGKILL, NULL, 0) == 0) kill(-worker->pid, SIGKILL);
}

int obn_worker_reap(const obn_worker *worker, obn_worker_end *end) {
    siginfo_t info, taken;
    struct rusage usage;
    memset(end, 0, sizeof *end);
    end->code = -1;
    memset(&info, 0, sizeof info);
    if (waitid((idtype_t)P_PIDFD, (id_t)worker->descriptor, &info, WEXITED | WNOHANG | WNOWAIT)) return errno;
    if (info.si_pid == 0) return EAGAIN;
    /* What it has forked and left: while it is not reaped its number leads that group and no other. */
    kill(-worker->pid, SIGKILL);
    memset(&usage, 0, sizeof usage);
    /* Its answer is known: should the program itself, waiting for any child, be faster, this one writes zeros. The C library's
     * waitid does not give the time that the child has used. */
    while (syscall(SYS_waitid, P_PIDFD, worker->descriptor, &taken, WEXITED, &usage) && errno == EINTR) {}
    end->cpu = (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000
        + (int64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
    if (info.si_code == CLD_EXITED) {
        end->code = info.si_status;
    } else {
        end->signal = info.si_status;
        end->core = info.si_code == CLD_DUMPED;
    }
    return 0;
}

void obn_worker_close(obn_worker *worker) {
    shut(&worker->descriptor);
    shut(&worker->channel);
    shut(&worker->output);
    shut(&worker->errors);
    if (worker->control) munmap(worker->control, sizeof(obn_control));
    worker->control = NULL;
}

const char *obn_signal_name(int number, char *text, size_t size) {
    static const struct { int number; const char *name; } names[] = {
        {SIGHUP, "SIGHUP"}, {SIGINT, "SIGINT"}, {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"}, {SIGTRAP, "SIGTRAP"},
        {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"},
        {SIGSEGV, "SIGSEGV"}, {SIGUSR2, "SIGUSR2"}, {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"},
        {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}, {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}, {SIGSYS, "SIGSYS"},
    };
    size_t i;
    for (i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].number == number) return names[i].name;
    snprintf(text, size, "signal %d", number);
    return text;
}

/* `FOLDER/tail` into `path` if it can be run. */
static int is_there(char *path, size_t size, const char *folder, size_t length, const char *tail) {
    if ((size_t)snprintf(path, size, "%.*s/%s", (int)length, folder, tail) < size && access(path, X_OK) == 0) return 1;
    path[0] = 0;
    return 0;
}

void obn_worker_find(char *path, size_t size) {
    char file[PATH_MAX];
    Dl_info found;
    size_t length;
    int up;
    path[0] = 0;
    if (!dladdr((void *)obn_worker_find, &found) || !found.dli_fname || !realpath(found.dli_fname, file)) {
        ssize_t count = readlink("/proc/self/exe", file, sizeof file - 1);
        if (count < 0) return;
        file[count] = 0;
    }
    length = strlen(file);
    /* From the folder of the library upwards: lib/x86_64-linux-gnu has the prefix two above it. */
    for (up = 0; up < 4; up++) {
        while (length > 0 && file[length - 1] != '/') length--;
        while (length > 0 && file[length - 1] == '/') length--;
        if (is_there(path, size, file, length, "libexec/obhut/obhut-worker")) return;
        if (is_there(path, size, file, length, "obhut/obhut-worker")) return;
        if (is_there(path, size, file, length, "obhut-worker")) return;
        if (length == 0) return;
    }
}
