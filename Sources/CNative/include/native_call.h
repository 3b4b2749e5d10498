/* Calls of C functions of which only the signature is known.
 *
 * The law of a call:
 *
 *   - Arguments come as one MessagePack array and are checked whole, count, types, ranges, UTF-8, before anything is
 *     called. What is wrong is said in `text`: which argument, what it must be, what came.
 *   - What a pointer argument points to is a copy that lives until the call returns (`string`) or lies in the given
 *     array (`bytes`, `payload`). A function that wants to keep it copies it.
 *   - A `string` result is copied before anything else is called; the function keeps what it points to.
 *   - A call allocates, on the calling thread, and holds no lock; any thread may make any number of them.
 *
 * No variadic functions, no structs by value.
 */
#ifndef OBN_CALL_H
#define OBN_CALL_H

#include <stddef.h>
#include <stdint.h>

#include "../../../include/obhut_plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The types of a signature, in C in parentheses. */
enum {
    OBN_VOID = 0,    /* result only */
    OBN_BOOL = 1,    /* bool */
    OBN_I8 = 2,
    OBN_I16 = 3,
    OBN_I32 = 4,
    OBN_I64 = 5,
    OBN_U8 = 6,
    OBN_U16 = 7,
    OBN_U32 = 8,
    OBN_U64 = 9,
    OBN_F32 = 10,    /* float */
    OBN_F64 = 11,    /* double */
    OBN_STRING = 12, /* const char *: UTF-8, ended by its only NUL; as a result NULL is nil */
    OBN_BYTES = 13,  /* const uint8_t * and size_t; parameter only */
    OBN_PAYLOAD = 14, /* the same, one MessagePack value of whatever type; parameter only */
    OBN_CONTEXT = 15, /* obhut_context *; first parameter only, and no argument stands for it */
    OBN_STATUS = 16   /* obhut_status; result only */
};

#define OBN_MAX_PARAMETERS 16

/* What a function takes and gives: one of the types each. */
typedef struct obn_signature {
    uint8_t result;
    uint8_t count;
    uint8_t parameters[OBN_MAX_PARAMETERS];
} obn_signature;

/* What a call answers beside 0: not called, see `text`; */
#define OBN_REFUSED (-1)
/* called, and it answered a status that is not OBHUT_OK, then `result` is that integer, or it has let out a C++
 * exception (obn_guard), then `result` is nil; `text` says which. */
#define OBN_FAILED 1

/* Calls `function`. Its `context` parameter, if it has one, is `context`. `arguments`: a MessagePack array, borrowed.
 * 0: `*result` is the result as one MessagePack value, `*result_length` bytes, freed by `free`; nil of `void`, and of a
 * status that is OBHUT_OK. Else OBN_REFUSED or OBN_FAILED and `text`, of `size` bytes, ended by a NUL, in UTF-8. */
int32_t obn_call(void *function, const obn_signature *signature, obhut_context *context, const void *arguments,
                 size_t length, void **result, size_t *result_length, char *text, size_t size);

/* The same checks of the arguments; nothing is called. 0 or OBN_REFUSED. */
int32_t obn_check(const obn_signature *signature, const void *arguments, size_t length, char *text, size_t size);

/* The word for a type, "u64"; NULL for what is none. Static. */
const char *obn_type_name(uint8_t type);

/* What calls of foreign functions are made within, if it is there: calls `function` with `user` and answers 0, or not 0
 * and `text`, if a C++ exception came out of it. NULL: they are called as they are, and an exception ends the program.
 * Set before main (target CNativeGuard). */
extern int32_t (*obn_guard)(void (*function)(void *), void *user, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
