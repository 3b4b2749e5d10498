/* obhut_payload.h: payloads written and read in C, without a library.
 *
 * MessagePack, as far as payloads are made of it. All of it is inline: a plugin that links nothing can use it, and so can
 * any program beside obhut.h. obhut_plugin.h includes it.
 *
 *     obhut_writer writer = OBHUT_WRITER_INIT;
 *     obhut_write_array(&writer, 2);
 *     obhut_write_string(&writer, "width");
 *     obhut_write_integer(&writer, 640);
 *     if (!writer.failed) obhut_context_send(context, pid, "resized", writer.bytes, writer.length);
 *     obhut_writer_free(&writer);
 *
 * For every function here: [threads: one at a time for each writer and reader] [blocks: no] Since 0.1.
 */
#ifndef OBHUT_PAYLOAD_H
#define OBHUT_PAYLOAD_H

#include "obhut.h"

#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------- MessagePack, written */

/* Bytes that are being written: begin with OBHUT_WRITER_INIT, end with obhut_writer_free. Without memory it sets
 * `failed`, and writes nothing more. */
typedef struct obhut_writer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
    bool failed;
} obhut_writer;

#define OBHUT_WRITER_INIT {NULL, 0, 0, false}

static inline void obhut_writer_free(obhut_writer *writer) {
    free(writer->bytes);
    memset(writer, 0, sizeof *writer);
}

/* Empties it and keeps its memory. */
static inline void obhut_writer_clear(obhut_writer *writer) {
    writer->length = 0;
    writer->failed = false;
}

/* Bytes as they are: MessagePack that is there already. */
static inline void obhut_write_raw(obhut_writer *writer, const void *bytes, size_t length) {
    if (writer->failed) return;
    if (length > writer->capacity - writer->length) {
        size_t capacity = writer->capacity ? writer->capacity : 64;
        uint8_t *larger;
        while (capacity - writer->length < length && capacity <= SIZE_MAX / 2) capacity *= 2;
        larger = capacity - writer->length < length ? NULL : (uint8_t *)realloc(writer->bytes, capacity);
        if (!larger) {
            writer->failed = true;
            return;
        }
        writer->bytes = larger;
        writer->capacity = capacity;
    }
    if (length) memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

/* A first byte and `size` bytes of a big-endian number. */
static inline void obhut_write_number(obhut_writer *writer, uint8_t tag, uint64_t number, int size) {
    uint8_t bytes[9];
    int i;
    bytes[0] = tag;
    for (i = 0; i < size; i++) bytes[1 + i] = (uint8_t)(number >> (8 * (size - 1 - i)));
    obhut_write_raw(writer, bytes, (size_t)size + 1);
}

static inline void obhut_write_nil(obhut_writer *writer) { obhut_write_number(writer, 0xc0, 0, 0); }

static inline void obhut_write_bool(obhut_writer *writer, bool value) {
    obhut_write_number(writer, value ? 0xc3 : 0xc2, 0, 0);
}

static inline void obhut_write_unsigned(obhut_writer *writer, uint64_t value) {
    if (value <= 0x7f) obhut_write_number(writer, (uint8_t)value, 0, 0);
    else if (value <= 0xff) obhut_write_number(writer, 0xcc, value, 1);
    else if (value <= 0xffff) obhut_write_number(writer, 0xcd, value, 2);
    else if (value <= 0xffffffff) obhut_write_number(writer, 0xce, value, 4);
    else obhut_write_number(writer, 0xcf, value, 8);
}

static inline void obhut_write_integer(obhut_writer *writer, int64_t value) {
    if (value >= 0) obhut_write_unsigned(writer, (uint64_t)value);
    else if (value >= -32) obhut_write_number(writer, (uint8_t)value, 0, 0);
    else if (value >= INT8_MIN) obhut_write_number(writer, 0xd0, (uint64_t)value, 1);
    else if (value >= INT16_MIN) obhut_write_number(writer, 0xd1, (uint64_t)value, 2);
    else if (value >= INT32_MIN) obhut_write_number(writer, 0xd2, (uint64_t)value, 4);
    else obhut_write_number(writer, 0xd3, (uint64_t)value, 8);
}

static inline void obhut_write_double(obhut_writer *writer, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    obhut_write_number(writer, 0xcb, bits, 8);
}

/* A str: UTF-8, which is not looked at. */
static inline void obhut_write_text(obhut_writer *writer, const char *text, size_t length) {
    if (length <= 31) obhut_write_number(writer, (uint8_t)(0xa0 | length), 0, 0);
    else if (length <= 0xff) obhut_write_number(writer, 0xd9, length, 1);
    else if (length <= 0xffff) obhut_write_number(writer, 0xda, length, 2);
    else if (length <= 0xffffffff) obhut_write_number(writer, 0xdb, length, 4);
    else writer->failed = true;
    obhut_write_raw(writer, text, length);
}

static inline void obhut_write_string(obhut_writer *writer, const char *text) {
    obhut_write_text(writer, text, strlen(text));
}

static inline void obhut_write_bytes(obhut_writer *writer, const void *bytes, size_t length) {
    if (length <= 0xff) obhut_write_number(writer, 0xc4, length, 1);
    else if (length <= 0xffff) obhut_write_number(writer, 0xc5, length, 2);
    else if (length <= 0xffffffff) obhut_write_number(writer, 0xc6, length, 4);
    else writer->failed = true;
    obhut_write_raw(writer, bytes, length);
}

/* `count` values follow. */
static inline void obhut_write_array(obhut_writer *writer, uint32_t count) {
    if (count <= 15) obhut_write_number(writer, (uint8_t)(0x90 | count), 0, 0);
    else if (count <= 0xffff) obhut_write_number(writer, 0xdc, count, 2);
    else obhut_write_number(writer, 0xdd, count, 4);
}

/* `count` pairs follow, each a key and a value. */
static inline void obhut_write_map(obhut_writer *writer, uint32_t count) {
    if (count <= 15) obhut_write_number(writer, (uint8_t)(0x80 | count), 0, 0);
    else if (count <= 0xffff) obhut_write_number(writer, 0xde, count, 2);
    else obhut_write_number(writer, 0xdf, count, 4);
}

/* A pid, which arrives in Lua as its text. */
static inline void obhut_write_pid(obhut_writer *writer, obhut_pid pid) {
    obhut_write_number(writer, 0xd7, 1, 1);
    {
        uint8_t bytes[8];
        int i;
        for (i = 0; i < 8; i++) bytes[i] = (uint8_t)(pid >> (8 * (7 - i)));
        obhut_write_raw(writer, bytes, 8);
    }
}

/* ---------------------------------------------------------------- MessagePack, read */

/* A place in bytes that are read; they are borrowed. */
typedef struct obhut_reader {
    const uint8_t *at;
    const uint8_t *end;
} obhut_reader;

typedef enum obhut_value_kind {
    OBHUT_VALUE_MALFORMED = 0, /* also: nothing is left */
    OBHUT_VALUE_NIL,
    OBHUT_VALUE_BOOL,     /* number: 0 or 1 */
    OBHUT_VALUE_INTEGER,  /* integer */
    OBHUT_VALUE_UNSIGNED, /* number: more than INT64_MAX */
    OBHUT_VALUE_DOUBLE,   /* real */
    OBHUT_VALUE_STRING,   /* bytes, length: UTF-8 without a NUL at its end */
    OBHUT_VALUE_BYTES,    /* bytes, length */
    OBHUT_VALUE_ARRAY,    /* length: so many values follow */
    OBHUT_VALUE_MAP,      /* length: so many pairs follow, key then value */
    OBHUT_VALUE_EXTENSION, /* type, bytes, length */
    OBHUT_VALUE_PID       /* number: extension type 1 */
} obhut_value_kind;

typedef struct obhut_value {
    obhut_value_kind kind;
    int8_t type;
    int64_t integer;
    uint64_t number;
    double real;
    const uint8_t *bytes; /* borrowed, as what is read */
    size_t length;
} obhut_value;

static inline obhut_reader obhut_reader_of(const void *payload, size_t length) {
    obhut_reader reader;
    reader.at = (const uint8_t *)payload;
    reader.end = payload ? reader.at + length : reader.at;
    return reader;
}

/* The big-endian number of `size` bytes at the reader's place; false if they are not there. */
static inline bool obhut_read_number(obhut_reader *reader, int size, uint64_t *number) {
    int i;
    *number = 0;
    if (reader->end - reader->at < size) return false;
    for (i = 0; i < size; i++) *number = *number << 8 | reader->at[i];
    reader->at += size;
    return true;
}

/* `length` bytes at the reader's place; false if they are not there. */
static inline bool obhut_read_raw(obhut_reader *reader, uint64_t length, obhut_value *value) {
    if ((uint64_t)(reader->end - reader->at) < length) return false;
    value->bytes = reader->at;
    value->length = (size_t)length;
    reader->at += length;
    return true;
}

/* The next value, or the head of a container whose values the following calls give. False: there is none, or it is
 * malformed; then every further call answers so too. It never reads beyond the end. */
static inline bool obhut_read(obhut_reader *reader, obhut_value *value) {
    uint64_t number = 0;
    uint8_t tag;
    int size;
    bool ok = true;
    memset(value, 0, sizeof *value);
    if (reader->at >= reader->end) return false;
    tag = *reader->at++;
    if (tag <= 0x7f || tag >= 0xe0) {
        value->kind = OBHUT_VALUE_INTEGER;
        value->integer = (int8_t)tag;
        value->number = (uint64_t)value->integer;
        return true;
    }
    if (tag <= 0x8f) { value->kind = OBHUT_VALUE_MAP; number = tag & 0x0f; }
    else if (tag <= 0x9f) { value->kind = OBHUT_VALUE_ARRAY; number = tag & 0x0f; }
    else if (tag <= 0xbf) { value->kind = OBHUT_VALUE_STRING; number = tag & 0x1f; }
    else switch (tag) {
        case 0xc0: value->kind = OBHUT_VALUE_NIL; return true;
        case 0xc2: case 0xc3: value->kind = OBHUT_VALUE_BOOL; value->number = tag & 1; return true;
        case 0xc4: case 0xc5: case 0xc6:
            value->kind = OBHUT_VALUE_BYTES;
            ok = obhut_read_number(reader, 1 << (tag - 0xc4), &number);
            break;
        case 0xc7: case 0xc8: case 0xc9:
            value->kind = OBHUT_VALUE_EXTENSION;
            ok = obhut_read_number(reader, 1 << (tag - 0xc7), &number);
            break;
        case 0xca:
            ok = obhut_read_number(reader, 4, &number);
            if (ok) {
                uint32_t bits = (uint32_t)number;
                float real;
                memcpy(&real, &bits, sizeof real);
                value->real = real;
                value->kind = OBHUT_VALUE_DOUBLE;
                return true;
            }
            break;
        case 0xcb:
            ok = obhut_read_number(reader, 8, &number);
            if (ok) {
                memcpy(&value->real, &number, sizeof number);
                value->kind = OBHUT_VALUE_DOUBLE;
                return true;
            }
            break;
        case 0xcc: case 0xcd: case 0xce: case 0xcf:
            ok = obhut_read_number(reader, 1 << (tag - 0xcc), &number);
            if (ok) {
                value->kind = number > (uint64_t)INT64_MAX ? OBHUT_VALUE_UNSIGNED : OBHUT_VALUE_INTEGER;
                value->integer = (int64_t)number;
                value->number = number;
                return true;
            }
            break;
        case 0xd0: case 0xd1: case 0xd2: case 0xd3:
            size = 1 << (tag - 0xd0);
            ok = obhut_read_number(reader, size, &number);
            if (ok) {
                value->kind = OBHUT_VALUE_INTEGER;
                value->integer = size == 1 ? (int8_t)number : size == 2 ? (int16_t)number
                    : size == 4 ? (int32_t)number : (int64_t)number;
                value->number = (uint64_t)value->integer;
                return true;
            }
            break;
        case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8:
            value->kind = OBHUT_VALUE_EXTENSION;
            number = (uint64_t)1 << (tag - 0xd4);
            break;
        case 0xd9: case 0xda: case 0xdb:
            value->kind = OBHUT_VALUE_STRING;
            ok = obhut_read_number(reader, 1 << (tag - 0xd9), &number);
            break;
        case 0xdc: case 0xdd:
            value->kind = OBHUT_VALUE_ARRAY;
            ok = obhut_read_number(reader, tag == 0xdc ? 2 : 4, &number);
            break;
        case 0xde: case 0xdf:
            value->kind = OBHUT_VALUE_MAP;
            ok = obhut_read_number(reader, tag == 0xde ? 2 : 4, &number);
            break;
        default: ok = false;
    }
    if (ok && (value->kind == OBHUT_VALUE_ARRAY || value->kind == OBHUT_VALUE_MAP)) {
        /* Each value takes a byte at least. */
        ok = number * (value->kind == OBHUT_VALUE_MAP ? 2 : 1) <= (uint64_t)(reader->end - reader->at);
        value->length = (size_t)number;
    } else if (ok && value->kind == OBHUT_VALUE_EXTENSION) {
        uint64_t type;
        ok = obhut_read_number(reader, 1, &type) && obhut_read_raw(reader, number, value);
        value->type = (int8_t)type;
        if (ok && value->type == 1 && value->length == 8) {
            int i;
            value->kind = OBHUT_VALUE_PID;
            for (i = 0; i < 8; i++) value->number = value->number << 8 | value->bytes[i];
        }
    } else if (ok) {
        ok = obhut_read_raw(reader, number, value);
    }
    if (!ok) {
        value->kind = OBHUT_VALUE_MALFORMED;
        reader->at = reader->end;
    }
    return ok;
}

/* Passes over one value, however deep. */
static inline bool obhut_read_skip(obhut_reader *reader) {
    uint64_t pending = 1;
    obhut_value value;
    while (pending > 0) {
        if (!obhut_read(reader, &value)) return false;
        pending -= 1;
        if (value.kind == OBHUT_VALUE_ARRAY) pending += value.length;
        if (value.kind == OBHUT_VALUE_MAP) pending += 2 * (uint64_t)value.length;
    }
    return true;
}

/* An integer that a double has exactly counts as one too: Lua and JSON may send 3.0. */
static inline bool obhut_read_integer(obhut_reader *reader, int64_t *integer) {
    obhut_value value;
    *integer = 0;
    if (!obhut_read(reader, &value)) return false;
    if (value.kind == OBHUT_VALUE_DOUBLE && value.real >= -9007199254740992.0 && value.real <= 9007199254740992.0
        && value.real == (double)(int64_t)value.real) {
        *integer = (int64_t)value.real;
        return true;
    }
    *integer = value.integer;
    return value.kind == OBHUT_VALUE_INTEGER;
}

#ifdef __cplusplus
}
#endif

#endif
