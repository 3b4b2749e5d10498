/* Between MessagePack and the cells that libffi passes. */
#ifndef OBN_ARGUMENTS_H
#define OBN_ARGUMENTS_H

#include "include/native_call.h"

/* A C argument. */
typedef union obn_cell {
    int8_t i8;
    int16_t i16;
    int32_t i32;
    uint8_t u8; /* bool too */
    uint16_t u16;
    uint32_t u32;
    uint64_t u64; /* i64 and size_t too */
    float f32;
    double f64;
    const void *pointer;
} obn_cell;

/* Checks the arguments, and puts them into `cells` if that is given: one for each, two for `bytes` and `payload`, none
 * for the context. Strings are copied to `scratch`, which has room for all bytes of `arguments` and a NUL for each
 * parameter. 0, or OBN_REFUSED and `text`. */
int32_t obn_take_arguments(const obn_signature *signature, const void *arguments, size_t length, obn_cell *cells,
                           char *scratch, char *text, size_t size);

bool obn_is_utf8(const uint8_t *bytes, size_t length);

#endif
