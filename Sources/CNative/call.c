/* PLACEHOLDER of the other builder's part: integers and strings. */
#define _GNU_SOURCE
#include "include/native_call.h"
#include <dlfcn.h>
#include <stdio.h>
int32_t obn_call(void *function, const obn_signature *s, obhut_context *context, const void *arguments, size_t length, void **result, size_t *result_length, char *text, size_t size) {
    uint64_t a[6] = {0}, r; int n = 0; obhut_reader reader = obhut_reader_of(arguments, length); obhut_value v; char *strings[6] = {0};
    obhut_writer w = OBHUT_WRITER_INIT;
    obhut_read(&reader, &v);
    for (int i = 0; i < s->count && n < 6; i++) {
        if (s->parameters[i] == OBN_CONTEXT) { a[n++] = (uint64_t)(uintptr_t)context; continue; }
        obhut_read(&reader, &v);
        if (s->parameters[i] == OBN_STRING) { strings[i] = strndup((char *)v.bytes, v.length); a[n++] = (uint64_t)(uintptr_t)strings[i]; }
        else a[n++] = v.number;
    }
    r = ((uint64_t (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t))function)(a[0], a[1], a[2], a[3], a[4], a[5]);
    for (int i = 0; i < 6; i++) free(strings[i]);
    if (s->result == OBN_STATUS && (int32_t)r) { snprintf(text, size, "status %d", (int32_t)r); return OBN_FAILED; }
    if (s->result == OBN_VOID || s->result == OBN_STATUS) obhut_write_nil(&w); else obhut_write_integer(&w, (int64_t)r);
    *result = w.bytes; *result_length = w.length; return 0;
}
void *obn_library_open(const char *path, char *text, size_t size) {
    void *l = dlopen(path, RTLD_NOW | RTLD_LOCAL); if (!l) snprintf(text, size, "%s", dlerror()); return l;
}
void *obn_library_symbol(void *library, const char *symbol, char *text, size_t size) {
    void *f = dlsym(library, symbol); if (!f) snprintf(text, size, "no symbol %s", symbol); return f;
}
