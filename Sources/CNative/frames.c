/* See native_frames.h. */
#define _GNU_SOURCE
#include "include/native_frames.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

static void wait_for(int channel, short events) {
    struct pollfd what = {.fd = channel, .events = events};
    while (poll(&what, 1, -1) < 0 && errno == EINTR) {}
}

int obn_frame_write(int channel, const void *bytes, size_t length) {
    uint32_t size = (uint32_t)length;
    struct iovec parts[2] = {{&size, sizeof size}, {(void *)bytes, length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (length >= OBN_MOST_BYTES) return EMSGSIZE;
    while (parts[0].iov_len + parts[1].iov_len > 0) {
        ssize_t sent = sendmsg(channel, &message, MSG_NOSIGNAL);
        int i;
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) return errno;
            wait_for(channel, POLLOUT);
            continue;
        }
        for (i = 0; i < 2; i++) {
            size_t part = (size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + part;
            parts[i].iov_len -= part;
            sent -= (ssize_t)part;
        }
    }
    return 0;
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* recv(2), which sleeps only when `until` has passed. */
static ssize_t receive(int channel, void *bytes, size_t size, int64_t until) {
    for (;;) {
        ssize_t count = recv(channel, bytes, size, until ? MSG_DONTWAIT : 0);
        if (!until || count >= 0 || errno != EAGAIN) return count;
        if (now() >= until) until = 0;
        else sched_yield();
    }
}

int obn_frame_read(int channel, obn_frame_buffer *buffer, int64_t patience, const void **bytes, size_t *length) {
    int64_t until = patience ? now() + patience : 0;
    /* What was taken goes; what was read behind it, hardly ever anything, moves to the front. */
    if (buffer->taken) memmove(buffer->bytes, buffer->bytes + buffer->taken, buffer->length -= buffer->taken);
    buffer->taken = 0;
    for (;;) {
        size_t wanted = sizeof(uint32_t);
        ssize_t count;
        if (buffer->length >= wanted) {
            uint32_t size;
            memcpy(&size, buffer->bytes, sizeof size);
            if (size >= OBN_MOST_BYTES) return EPROTO;
            wanted += size;
            if (buffer->length >= wanted) {
                *bytes = buffer->bytes + sizeof size;
                *length = size;
                buffer->taken = wanted;
                return 0;
            }
        }
        if (wanted < 4096) wanted = 4096;
        if (buffer->capacity < wanted) {
            uint8_t *larger = realloc(buffer->bytes, wanted);
            if (!larger) return ENOMEM;
            buffer->bytes = larger;
            buffer->capacity = wanted;
        }
        count = receive(channel, buffer->bytes + buffer->length, buffer->capacity - buffer->length, until);
        if (count == 0) return -1;
        if (count > 0) buffer->length += (size_t)count;
        else if (errno == EAGAIN) wait_for(channel, POLLIN);
        else if (errno != EINTR) return errno;
    }
}

void obn_frame_buffer_free(obn_frame_buffer *buffer) {
    free(buffer->bytes);
    memset(buffer, 0, sizeof *buffer);
}
