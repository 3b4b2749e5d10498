/* epoll and the runtime's end of a worker's channel, as Swift can use them. Errnos are answered, not left. */
#ifndef OBN_POLL_H
#define OBN_POLL_H

#include <stddef.h>
#include <stdint.h>

enum { OBN_POLL_READ = 1, OBN_POLL_WRITE = 2, OBN_POLL_GONE = 4 };

typedef struct obn_poll_event {
    uint64_t token;
    uint32_t what; /* OBN_POLL_… */
} obn_poll_event;

/* An epoll descriptor; -1 with errno. */
int obn_poll_new(void);

/* What is watched for, beside reading and the end of the other side. */
enum {
    OBN_POLL_ROOM = 1, /* room to write, too */
    OBN_POLL_EDGE = 2, /* what is new only: a second thread that waits is not woken for what the first was told */
    OBN_POLL_ONCE = 4  /* no more after it was told, until the next change */
};

/* Begins to watch, and changes for what; a change tells anew what is there already. 0 or an errno. */
int obn_poll_add(int poll, int descriptor, uint64_t token, int watched);
int obn_poll_change(int poll, int descriptor, uint64_t token, int watched);
void obn_poll_remove(int poll, int descriptor);

/* Waits for `timeout` milliseconds (-1: for ever); answers how many of `events` it has filled. */
int obn_poll_wait(int poll, obn_poll_event *events, int capacity, int timeout);

/* Sends as much of a frame as there is room for, without waiting; of `length` bytes and the four before them the first `done` were
 * sent already. Answers how many are sent now in all, or a negative errno. */
int64_t obn_frame_send(int channel, const void *bytes, size_t length, size_t done);

/* read(2) without waiting: -EAGAIN when nothing is there; 0 at the end. */
int64_t obn_read_some(int descriptor, void *buffer, size_t size);

#endif
