/* Tracebacks written into a plain buffer: they need no Lua memory, so one can be had of a process that is out of it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

struct text {
    char *bytes;
    size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void append(struct text *text, const char *format, ...) {
    if (text->used + 1 >= text->size) return;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text->bytes + text->used, text->size - text->used, format, arguments);
    va_end(arguments);
    if (n < 0) return;
    size_t left = text->size - text->used - 1;
    text->used += (size_t)n < left ? (size_t)n : left;
}

static void append_level(struct text *text, const lua_Debug *level) {
    append(text, "\n\t%s:", level->short_src);
    if (level->currentline > 0) append(text, "%d:", level->currentline);
    append(text, " in ");
    if (*level->namewhat == 'g')
        append(text, "function '%s'", level->name);
    else if (*level->namewhat)
        append(text, "%s '%s'", level->namewhat, level->name);
    else if (*level->what == 'm')
        append(text, "main chunk");
    else if (*level->what == 'C')
        append(text, "?");
    else
        append(text, "function <%s:%d>", level->short_src, level->linedefined);
    if (level->istailcall) append(text, "\n\t(...tail calls...)");
}

size_t obh_lua_traceback(lua_State *L, int level, char *bytes, size_t size) {
    enum { FIRST = 12, LAST = 8 }; /* levels shown of a deep stack */
    struct text text = {bytes, size, 0};
    if (!size) return 0;
    bytes[0] = 0;
    lua_Debug debug;
    int end = level;
    for (int step = 1; step; ) { /* finds the number of levels: doubling, then halving */
        if (lua_getstack(L, end + step, &debug)) {
            end += step;
            step *= 2;
        } else {
            step /= 2;
        }
    }
    append(&text, "stack traceback:");
    for (int i = level; lua_getstack(L, i, &debug); i++) {
        if (i == level + FIRST && end - i >= LAST) {
            append(&text, "\n\t...\t(skipping %d levels)", end - LAST - i + 1);
            i = end - LAST + 1;
            if (!lua_getstack(L, i, &debug)) break;
        }
        lua_getinfo(L, "Slnt", &debug);
        append_level(&text, &debug);
    }
    return text.used;
}

size_t obh_lua_where(lua_State *L, int level, char *bytes, size_t size) {
    struct text text = {bytes, size, 0};
    lua_Debug debug;
    if (!size) return 0;
    bytes[0] = 0;
    if (!lua_getstack(L, level, &debug)) return 0;
    lua_getinfo(L, "Sl", &debug);
    if (debug.currentline > 0) append(&text, "%s:%d: ", debug.short_src, debug.currentline);
    return text.used;
}

size_t obh_vm_where(obh_vm *vm, char *bytes, size_t size) {
    struct text text = {bytes, size, 0};
    lua_Debug debug;
    if (!size) return 0;
    bytes[0] = 0;
    if (!vm->current || !lua_getstack(vm->current, 0, &debug)) return 0;
    lua_getinfo(vm->current, "Sln", &debug);
    if (debug.name) append(&text, "%s", debug.name);
    if (debug.currentline > 0) append(&text, debug.name ? " (%s:%d)" : "%s:%d", debug.short_src, debug.currentline);
    return text.used;
}
