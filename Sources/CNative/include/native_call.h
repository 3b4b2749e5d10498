/* PLACEHOLDER of the other builder's part. */
#ifndef OBN_CALL_H
#define OBN_CALL_H
#include <stddef.h>
#include <stdint.h>
#include "../../../include/obhut_plugin.h"
enum { OBN_VOID, OBN_BOOL, OBN_I8, OBN_I16, OBN_I32, OBN_I64, OBN_U8, OBN_U16, OBN_U32, OBN_U64, OBN_F32, OBN_F64, OBN_STRING, OBN_BYTES, OBN_PAYLOAD, OBN_CONTEXT, OBN_STATUS };
#define OBN_MAX_PARAMETERS 16
#define OBN_FAILED 1
typedef struct obn_signature { uint8_t result, count; uint8_t parameters[OBN_MAX_PARAMETERS]; } obn_signature;
int32_t obn_call(void *function, const obn_signature *, obhut_context *, const void *arguments, size_t length, void **result, size_t *result_length, char *text, size_t size);
void *obn_library_open(const char *path, char *text, size_t size);
void *obn_library_symbol(void *library, const char *symbol, char *text, size_t size);
#endif
