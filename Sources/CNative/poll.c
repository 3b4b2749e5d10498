/* See native_poll.h. */
#define _GNU_SOURCE
#include "include/native_poll.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int obn_poll_new(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int control(int poll, int operation, int descriptor, uint64_t token, int watched) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN | (watched & OBN_POLL_ROOM ? EPOLLOUT : 0) | (watched & OBN_POLL_EDGE ? (uint32_t)EPOLLET : 0)
        | (watched & OBN_POLL_ONCE ? (uint32_t)EPOLLONESHOT : 0);
    event.data.u64 = token;
    return epoll_ctl(poll, operation, descriptor, &event) ? errno : 0;
}

int obn_poll_add(int poll, int descriptor, uint64_t token, int watched) {
    return control(poll, EPOLL_CTL_ADD, descriptor, token, watched);
}

int obn_poll_change(int poll, int descriptor, uint64_t token, int watched) {
    return control(poll, EPOLL_CTL_MOD, descriptor, token, watched);
}

/* Said, and not left to close: a child that the program has forked may hold the descriptor too. */
void obn_poll_remove(int poll, int descriptor) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    epoll_ctl(poll, EPOLL_CTL_DEL, descriptor, &event);
}

int obn_poll_wait(int poll, obn_poll_event *events, int capacity, int timeout) {
    struct epoll_event found[32];
    int count, i;
    if (capacity > 32) capacity = 32;
    count = epoll_wait(poll, found, capacity, timeout);
    for (i = 0; i < count; i++) {
        events[i].token = found[i].data.u64;
        events[i].what = (found[i].events & EPOLLIN ? OBN_POLL_READ : 0) | (found[i].events & EPOLLOUT ? OBN_POLL_WRITE : 0)
            | (found[i].events & (EPOLLHUP | EPOLLERR) ? OBN_POLL_GONE : 0);
    }
    return count < 0 ? 0 : count;
}

int64_t obn_frame_send(int channel, const void *bytes, size_t length, size_t done) {
    uint32_t size = (uint32_t)length;
    while (done < length + sizeof size) {
        struct iovec parts[2];
        struct msghdr message;
        ssize_t sent;
        size_t head = done < sizeof size ? sizeof size - done : 0;
        size_t past = done > sizeof size ? done - sizeof size : 0;
        memset(&message, 0, sizeof message);
        parts[0].iov_base = (char *)&size + (sizeof size - head);
        parts[0].iov_len = head;
        parts[1].iov_base = (char *)bytes + past;
        parts[1].iov_len = length - past;
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        sent = sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) done += (size_t)sent;
        else if (errno == EAGAIN) break;
        else if (errno != EINTR) return -errno;
    }
    return (int64_t)done;
}

int64_t obn_read_some(int descriptor, void *buffer, size_t size) {
    ssize_t count;
    do count = read(descriptor, buffer, size); while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}
