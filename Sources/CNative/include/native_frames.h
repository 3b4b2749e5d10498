/* Frames on the socket pair between the runtime and a worker: a length of 32 bits in the machine's order, then so many bytes of
 * MessagePack. Both ends are of one build (OBN_PROTOCOL). */
#ifndef OBN_FRAMES_H
#define OBN_FRAMES_H

#include <stddef.h>
#include <stdint.h>

/* Of frames and their contents; the first argument of a worker, which refuses another. */
#define OBN_PROTOCOL 2

/* The most that a frame can have: longer payloads are refused before. */
#define OBN_MOST_BYTES ((size_t)1 << 31)

/* Bytes of a frame beside its payload, at most: topics, names and texts are bounded. */
#define OBN_FRAME_ROOM 4096

/* What [OBN_START, ...] carries, in this order; the runtime's first frame. */
enum {
    OBN_START_LIBRARY = 1,   /* path or soname */
    OBN_START_SYMBOL,
    OBN_START_RESULT,        /* a type of native_call.h */
    OBN_START_PARAMETERS,    /* an array of such */
    OBN_START_ARGUMENTS,     /* bin: a MessagePack array */
    OBN_START_PID,
    OBN_START_ENTRY,
    OBN_START_MEMORY_LIMIT,  /* bytes, 0: none */
    OBN_START_CPU_LIMIT,     /* nanoseconds, 0: none */
    OBN_START_MOST_BYTES,    /* of a payload; more is refused by the worker, and a longer frame is none of its own */
    OBN_START_FIELDS
};

/* Exit codes by which a worker says why it ended without a frame. */
enum {
    OBN_EXIT_PROTOCOL = 120, /* it is of another version than the runtime */
    OBN_EXIT_CHANNEL = 121,  /* its end of the channel is gone: the function has closed it */
    OBN_EXIT_MEMORY = 122    /* no memory was left for what has come: it could not be told, and cannot be taken back */
};

/* Writes a frame; waits where the other end is slow. 0, or an errno. */
int obn_frame_write(int channel, const void *bytes, size_t length);

/* Where frames are read to; begins as all zero. */
typedef struct obn_frame_buffer {
    uint8_t *bytes;
    size_t capacity;
    size_t length; /* read, and not taken yet */
    size_t taken;  /* of the last frame, with its length */
} obn_frame_buffer;

/* Reads the next frame, which stays in the buffer until the next call. 0; -1: the other end is closed; or an errno.
 *
 * `patience`: for so many nanoseconds it looks again and again before it sleeps: to be woken may take longer than what it waits for.
 * Whoever else has something to do on its processor goes before. */
int obn_frame_read(int channel, obn_frame_buffer *buffer, int64_t patience, const void **bytes, size_t *length);

void obn_frame_buffer_free(obn_frame_buffer *buffer);

#endif
