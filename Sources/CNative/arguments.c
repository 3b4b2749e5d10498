/* What a call is given and gives, between MessagePack and C. See native_call.h. */
#include "arguments.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const names[] = {
    [OBN_VOID] = "void", [OBN_BOOL] = "bool", [OBN_I8] = "i8", [OBN_I16] = "i16", [OBN_I32] = "i32", [OBN_I64] = "i64",
    [OBN_U8] = "u8", [OBN_U16] = "u16", [OBN_U32] = "u32", [OBN_U64] = "u64", [OBN_F32] = "f32", [OBN_F64] = "f64",
    [OBN_STRING] = "string", [OBN_BYTES] = "bytes", [OBN_PAYLOAD] = "payload", [OBN_CONTEXT] = "context",
    [OBN_STATUS] = "status",
};

const char *obn_type_name(uint8_t type) { return type < sizeof names / sizeof names[0] ? names[type] : NULL; }

/* Of the integer types: the bounds, and those as people read them. */
static const struct bounds {
    int64_t least;
    uint64_t most;
    const char *shown;
} integers[] = {
    [OBN_I8] = {INT8_MIN, INT8_MAX, "from -128 to 127"},
    [OBN_I16] = {INT16_MIN, INT16_MAX, "from -32768 to 32767"},
    [OBN_I32] = {INT32_MIN, INT32_MAX, "from -2147483648 to 2147483647"},
    [OBN_I64] = {INT64_MIN, INT64_MAX, "of 64 bits"},
    [OBN_U8] = {0, UINT8_MAX, "from 0 to 255"},
    [OBN_U16] = {0, UINT16_MAX, "from 0 to 65535"},
    [OBN_U32] = {0, UINT32_MAX, "from 0 to 4294967295"},
    [OBN_U64] = {0, UINT64_MAX, "from 0 to 18446744073709551615"},
};

static bool is_integer(uint8_t type) { return type >= OBN_I8 && type <= OBN_U64; }

/* Where what is wrong is written. */
typedef struct complaint {
    char *text;
    size_t size;
} complaint;

static int32_t refuse(complaint to, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int32_t refuse(complaint to, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(to.text, to.size, format, list);
    va_end(list);
    return OBN_REFUSED;
}

/* A value as a complaint shows it after "got". */
static void show(const obhut_value *value, char text[48]) {
    switch (value->kind) {
    case OBHUT_VALUE_NIL: strcpy(text, "nil"); return;
    case OBHUT_VALUE_BOOL: strcpy(text, value->number ? "true" : "false"); return;
    case OBHUT_VALUE_INTEGER: snprintf(text, 48, "%" PRId64, value->integer); return;
    case OBHUT_VALUE_UNSIGNED: snprintf(text, 48, "%" PRIu64, value->number); return;
    case OBHUT_VALUE_DOUBLE: snprintf(text, 48, "%.14g", value->real); return;
    case OBHUT_VALUE_STRING: strcpy(text, "a string"); return;
    case OBHUT_VALUE_BYTES: strcpy(text, "bytes that are no UTF-8"); return;
    case OBHUT_VALUE_ARRAY: strcpy(text, "a list"); return;
    case OBHUT_VALUE_MAP: strcpy(text, "a map"); return;
    case OBHUT_VALUE_PID: strcpy(text, "a pid"); return;
    default: strcpy(text, value->type == 2 ? "an error" : "a value of another kind"); return;
    }
}

static int32_t mismatch(complaint to, int number, const char *expected, uint8_t type, const obhut_value *value) {
    char got[48];
    show(value, got);
    return refuse(to, "argument %d must be %s (%s), got %s", number, expected, names[type], got);
}

bool obn_is_utf8(const uint8_t *bytes, size_t length) {
    const uint8_t *end = bytes + length;
    while (bytes < end) {
        uint32_t scalar, least;
        int more;
        uint8_t first = *bytes++;
        if (first < 0x80) continue;
        if (first >= 0xc2 && first <= 0xdf) { more = 1; scalar = first & 0x1f; least = 0x80; }
        else if (first >= 0xe0 && first <= 0xef) { more = 2; scalar = first & 0x0f; least = 0x800; }
        else if (first >= 0xf0 && first <= 0xf4) { more = 3; scalar = first & 0x07; least = 0x10000; }
        else return false;
        if (end - bytes < more) return false;
        for (; more > 0; more--, bytes++) {
            if ((*bytes & 0xc0) != 0x80) return false;
            scalar = scalar << 6 | (*bytes & 0x3f);
        }
        if (scalar < least || scalar > 0x10ffff || (scalar >= 0xd800 && scalar <= 0xdfff)) return false;
    }
    return true;
}

/* MARK: Arguments */

/* A whole number of a type's range, also one that came as a float: Lua's 10 / 2 is 5.0. */
static int32_t take_integer(const obhut_value *value, uint8_t type, int number, obn_cell *cell, complaint to) {
    const struct bounds *range = &integers[type];
    char expected[64];
    int64_t integer = value->integer;
    uint64_t positive = value->number;
    bool is_negative = false, fits;
    switch (value->kind) {
    case OBHUT_VALUE_INTEGER: is_negative = integer < 0; fits = true; break;
    case OBHUT_VALUE_UNSIGNED: fits = true; break;
    case OBHUT_VALUE_DOUBLE:
        /* From 2^53 on every double is whole. */
        fits = value->real >= -9223372036854775808.0 && value->real < 18446744073709551616.0
            && (value->real >= 9007199254740992.0 || value->real == (double)(int64_t)value->real);
        is_negative = fits && value->real < 0;
        if (fits && is_negative) integer = (int64_t)value->real;
        if (fits && !is_negative) positive = (uint64_t)value->real;
        break;
    default: fits = false; break;
    }
    if (fits && (is_negative ? integer >= range->least : positive <= range->most)) {
        uint64_t bits = is_negative ? (uint64_t)integer : positive;
        switch (type) {
        case OBN_I8: cell->i8 = (int8_t)bits; break;
        case OBN_I16: cell->i16 = (int16_t)bits; break;
        case OBN_I32: cell->i32 = (int32_t)bits; break;
        case OBN_U8: cell->u8 = (uint8_t)bits; break;
        case OBN_U16: cell->u16 = (uint16_t)bits; break;
        case OBN_U32: cell->u32 = (uint32_t)bits; break;
        default: cell->u64 = bits; break;
        }
        return 0;
    }
    snprintf(expected, sizeof expected, "a whole number %s", range->shown);
    return mismatch(to, number, expected, type, value);
}

static int32_t take_real(const obhut_value *value, uint8_t type, int number, obn_cell *cell, complaint to) {
    double real;
    switch (value->kind) {
    case OBHUT_VALUE_DOUBLE: real = value->real; break;
    case OBHUT_VALUE_INTEGER: real = (double)value->integer; break;
    case OBHUT_VALUE_UNSIGNED: real = (double)value->number; break;
    default: return mismatch(to, number, "a number", type, value);
    }
    if (type == OBN_F64) {
        cell->f64 = real;
        return 0;
    }
    /* What rounds to more than the largest float is not one; infinity and not-a-number are. */
    if (isfinite(real) && fabs(real) >= 0x1.ffffffp127) return mismatch(to, number, "a number that a float holds", type, value);
    cell->f32 = (float)real;
    return 0;
}

static int32_t take_string(const obhut_value *value, int number, obn_cell *cell, char **scratch, complaint to) {
    const uint8_t *nul;
    /* Lua's strings come as bytes if they are no UTF-8, another language's may be although they are. */
    bool is_text = value->kind == OBHUT_VALUE_STRING
        || (value->kind == OBHUT_VALUE_BYTES && obn_is_utf8(value->bytes, value->length));
    if (!is_text) return mismatch(to, number, "a string in UTF-8", OBN_STRING, value);
    nul = value->length ? memchr(value->bytes, 0, value->length) : NULL;
    if (nul)
        return refuse(to, "argument %d must be a string without a NUL (string), got one at byte %zu", number,
                      (size_t)(nul - value->bytes) + 1);
    if (scratch) {
        if (value->length) memcpy(*scratch, value->bytes, value->length);
        (*scratch)[value->length] = 0;
        cell->pointer = *scratch;
        *scratch += value->length + 1;
    }
    return 0;
}

/* One argument: one cell, or the two of bytes. */
static int32_t take(obhut_reader *reader, uint8_t type, int number, obn_cell cells[2], char **scratch, complaint to) {
    obhut_reader begin = *reader;
    obhut_value value;
    if (type == OBN_PAYLOAD) {
        if (!obhut_read_skip(reader)) return refuse(to, "argument %d is malformed MessagePack", number);
        cells[0].pointer = begin.at;
        cells[1].u64 = (uint64_t)(reader->at - begin.at);
        return 0;
    }
    if (!obhut_read(reader, &value)) return refuse(to, "argument %d is malformed MessagePack", number);
    if (is_integer(type)) return take_integer(&value, type, number, cells, to);
    switch (type) {
    case OBN_BOOL:
        if (value.kind != OBHUT_VALUE_BOOL) return mismatch(to, number, "true or false", type, &value);
        cells[0].u8 = (uint8_t)value.number;
        return 0;
    case OBN_F32:
    case OBN_F64: return take_real(&value, type, number, cells, to);
    case OBN_STRING: return take_string(&value, number, cells, scratch, to);
    case OBN_BYTES:
        if (value.kind != OBHUT_VALUE_STRING && value.kind != OBHUT_VALUE_BYTES)
            return mismatch(to, number, "a string", type, &value);
        /* An empty one has an address too: C functions take NULL for something else. */
        cells[0].pointer = value.bytes ? value.bytes : begin.at;
        cells[1].u64 = value.length;
        return 0;
    default: return refuse(to, "argument %d has a type that is no parameter's", number);
    }
}

int32_t obn_take_arguments(const obn_signature *signature, const void *arguments, size_t length, obn_cell *cells,
                           char *scratch, char *text, size_t size) {
    complaint to = {text, size};
    obhut_reader reader = obhut_reader_of(arguments, length);
    obhut_value list;
    obn_cell unused[2];
    int first, expected, i, cell = 0;
    if (size) text[0] = 0;
    if (signature->count > OBN_MAX_PARAMETERS) return refuse(to, "the signature has more than %d parameters", OBN_MAX_PARAMETERS);
    first = signature->count > 0 && signature->parameters[0] == OBN_CONTEXT;
    expected = signature->count - first;
    if (arguments == NULL || length == 0) {
        list.kind = OBHUT_VALUE_ARRAY;
        list.length = 0;
    } else if (!obhut_read(&reader, &list) || list.kind != OBHUT_VALUE_ARRAY) {
        return refuse(to, "the arguments are no MessagePack array");
    }
    if (list.length != (size_t)expected) {
        char types[OBN_MAX_PARAMETERS * 10] = "";
        for (i = first; i < signature->count; i++) {
            const char *name = obn_type_name(signature->parameters[i]);
            snprintf(types + strlen(types), sizeof types - strlen(types), "%s%s", i > first ? ", " : "", name ? name : "?");
        }
        return refuse(to, "%d argument%s must be given (%s), got %zu", expected, expected == 1 ? "" : "s",
                      expected ? types : "none", list.length);
    }
    for (i = first; i < signature->count; i++) {
        uint8_t type = signature->parameters[i];
        int32_t fault = take(&reader, type, i - first + 1, cells ? cells + cell : unused, cells ? &scratch : NULL, to);
        if (fault) return fault;
        cell += type == OBN_BYTES || type == OBN_PAYLOAD ? 2 : 1;
    }
    if (length && reader.at != reader.end) return refuse(to, "bytes follow the arguments");
    return 0;
}

int32_t obn_check(const obn_signature *signature, const void *arguments, size_t length, char *text, size_t size) {
    return obn_take_arguments(signature, arguments, length, NULL, NULL, text, size);
}
