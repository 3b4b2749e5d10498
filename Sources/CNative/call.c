/* See native_call.h. */
#include "include/native_call.h"

#include <ffi.h>
#include <stdio.h>

#include "arguments.h"

/* Two for each parameter of bytes. */
#define MAX_CELLS (2 * OBN_MAX_PARAMETERS)

/* What libffi writes a result into; smaller integers it widens to a register. */
typedef union returned {
    ffi_arg word;
    ffi_sarg integer;
    uint64_t u64;
    int64_t i64;
    float f32;
    double f64;
    const char *string;
} returned;

static ffi_type *type_of(uint8_t type) {
    switch (type) {
    case OBN_VOID: return &ffi_type_void;
    case OBN_BOOL:
    case OBN_U8: return &ffi_type_uint8;
    case OBN_I8: return &ffi_type_sint8;
    case OBN_I16: return &ffi_type_sint16;
    case OBN_I32:
    case OBN_STATUS: return &ffi_type_sint32;
    case OBN_I64: return &ffi_type_sint64;
    case OBN_U16: return &ffi_type_uint16;
    case OBN_U32: return &ffi_type_uint32;
    case OBN_U64: return &ffi_type_uint64;
    case OBN_F32: return &ffi_type_float;
    case OBN_F64: return &ffi_type_double;
    default: return &ffi_type_pointer;
    }
}

static void write_text(obhut_writer *writer, const char *text) {
    size_t length;
    if (!text) {
        obhut_write_nil(writer);
        return;
    }
    length = strlen(text);
    if (obn_is_utf8((const uint8_t *)text, length)) obhut_write_text(writer, text, length);
    else obhut_write_bytes(writer, text, length);
}

static void write_result(obhut_writer *writer, uint8_t type, const returned *value) {
    switch (type) {
    case OBN_BOOL: obhut_write_bool(writer, (value->word & 0xff) != 0); return;
    case OBN_I8: obhut_write_integer(writer, (int8_t)value->integer); return;
    case OBN_I16: obhut_write_integer(writer, (int16_t)value->integer); return;
    case OBN_I32: obhut_write_integer(writer, (int32_t)value->integer); return;
    case OBN_I64: obhut_write_integer(writer, value->i64); return;
    case OBN_U8: obhut_write_unsigned(writer, (uint8_t)value->word); return;
    case OBN_U16: obhut_write_unsigned(writer, (uint16_t)value->word); return;
    case OBN_U32: obhut_write_unsigned(writer, (uint32_t)value->word); return;
    case OBN_U64: obhut_write_unsigned(writer, value->u64); return;
    case OBN_F32: obhut_write_double(writer, (double)value->f32); return;
    case OBN_F64: obhut_write_double(writer, value->f64); return;
    case OBN_STRING: write_text(writer, value->string); return;
    case OBN_STATUS: {
        int32_t status = (int32_t)value->integer;
        if (status == OBHUT_OK) obhut_write_nil(writer);
        else obhut_write_integer(writer, status);
        return;
    }
    default: obhut_write_nil(writer); return;
    }
}

static int32_t refuse(char *text, size_t size, const char *why) {
    snprintf(text, size, "%s", why);
    return OBN_REFUSED;
}

int32_t (*obn_guard)(void (*function)(void *), void *user, char *text, size_t size);

typedef struct foreign_call {
    ffi_cif *interface;
    void *function;
    returned *value;
    void **values;
} foreign_call;

static void make(void *call) {
    foreign_call *it = call;
    ffi_call(it->interface, FFI_FN(it->function), it->value, it->values);
}

int32_t obn_call(void *function, const obn_signature *signature, obhut_context *context, const void *arguments,
                 size_t length, void **result, size_t *result_length, char *text, size_t size) {
    obn_cell cells[MAX_CELLS];
    ffi_type *types[MAX_CELLS];
    void *values[MAX_CELLS];
    char few[512], *scratch = few;
    returned value;
    ffi_cif interface;
    obhut_writer writer = OBHUT_WRITER_INIT;
    unsigned count = 0;
    int32_t status;
    *result = NULL;
    *result_length = 0;
    if (length + OBN_MAX_PARAMETERS > sizeof few) {
        scratch = malloc(length + OBN_MAX_PARAMETERS);
        if (!scratch) return refuse(text, size, "no memory is left for the arguments");
    }
    {
        unsigned first = signature->count > 0 && signature->parameters[0] == OBN_CONTEXT, i;
        status = obn_take_arguments(signature, arguments, length, cells + first, scratch, text, size);
        if (status) goto done;
        for (i = 0; i < signature->count; i++) {
            uint8_t type = signature->parameters[i];
            types[count++] = type_of(type);
            if (type == OBN_BYTES || type == OBN_PAYLOAD) types[count++] = &ffi_type_uint64;
        }
        if (first) cells[0].pointer = context;
        for (i = 0; i < count; i++) values[i] = &cells[i];
    }
    if (ffi_prep_cif(&interface, FFI_DEFAULT_ABI, count, type_of(signature->result), types) != FFI_OK) {
        status = refuse(text, size, "libffi does not know how to make such a call");
        goto done;
    }
    memset(&value, 0, sizeof value);
    {
        foreign_call call = {&interface, function, &value, values};
        if (!obn_guard) make(&call);
        else if (obn_guard(make, &call, text, size)) status = OBN_FAILED;
    }
    if (status) obhut_write_nil(&writer);
    else write_result(&writer, signature->result, &value);
    if (writer.failed) {
        obhut_writer_free(&writer);
        status = refuse(text, size, "no memory is left for the result");
        goto done;
    }
    if (!status && signature->result == OBN_STATUS && (int32_t)value.integer != OBHUT_OK) {
        snprintf(text, size, "the function answered status %d", (int)(int32_t)value.integer);
        status = OBN_FAILED;
    }
    *result = writer.bytes;
    *result_length = writer.length;
done:
    if (scratch != few) free(scratch);
    return status;
}
