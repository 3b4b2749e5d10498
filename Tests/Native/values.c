/* C functions of every signature that a test needs. */
#include <obhut_plugin.h>
#include <stdio.h>

#define ECHO(name, type) \
    type echo_##name(type value) { return value; }
ECHO(bool, bool)
ECHO(i8, int8_t)
ECHO(i16, int16_t)
ECHO(i32, int32_t)
ECHO(i64, int64_t)
ECHO(u8, uint8_t)
ECHO(u16, uint16_t)
ECHO(u32, uint32_t)
ECHO(u64, uint64_t)
ECHO(f32, float)
ECHO(f64, double)
ECHO(string, const char *)
ECHO(status, obhut_status)

static int calls;
void nothing(void) {}
void count_call(void) { calls++; }
int32_t call_count(void) { return calls; }
const char *no_text(void) { return NULL; }
const char *latin1(void) { return "na\xefve"; }

/* What came, as text: nothing that is left over from another call may be seen. */
static char seen[256];
const char *see_bytes(const uint8_t *bytes, size_t length) {
    size_t i, used = 0;
    used += (size_t)snprintf(seen, sizeof seen, "%zu:", length);
    for (i = 0; i < length && used + 3 < sizeof seen; i++) used += (size_t)snprintf(seen + used, sizeof seen - used, "%02x", bytes[i]);
    return bytes ? seen : "NULL";
}

/* 16 parameters, 18 C arguments: of each kind of register some, and the rest on the stack. */
double sixteen(bool a, int8_t b, uint16_t c, int32_t d, uint64_t e, float f, double g, const char *h, const uint8_t *i,
               size_t i_length, const uint8_t *j, size_t j_length, int64_t k, uint8_t l, float m, double n, int16_t o, uint32_t p) {
    return (a ? 1 : 0) + b + c + d + (double)e + (double)f + g + (double)strlen(h) + i[0] + (double)i_length
        + (j[0] == 0xc0 ? (double)j_length : -1e9) + (double)k + l + (double)m + n + o + p;
}

bool has_context(obhut_context *context, int32_t number) { return context && number == 7; }

const int table[4] = {1, 2, 3, 4};
int counter;
