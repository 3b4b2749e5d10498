#define _GNU_SOURCE
#include "lua_table.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

struct obh_lua obh_lua;
uintptr_t obh_lua_text_begin, obh_lua_text_end;
uintptr_t obh_lua_leaves[OBH_LUA_LEAVES];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[200];

static const char *const names[] = {
#define X(name) #name,
    OBH_LUA_CALLS(X)
#undef X
};

/* Finds the executable segment that holds lua_resume: out of it the third rung of termination jumps. */
static int find_text(struct dl_phdr_info *info, size_t size, void *address) {
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X) && (uintptr_t)address >= begin &&
            (uintptr_t)address < begin + header->p_memsz) {
            obh_lua_text_begin = begin;
            obh_lua_text_end = begin + header->p_memsz;
            return 1;
        }
    }
    return 0;
}

int obh_is_sanitized(void) {
    static const char *const marks[] = {"__asan_init", "__tsan_init", "__msan_init", "__hwasan_init"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (dlsym(RTLD_DEFAULT, marks[i])) return 1;
    return 0;
}

/* As liblua's own calls find them. In the C locale, its strcoll goes on as strcmp; in others it does not come here. */
static void find_leaves(void *library) {
    static const char *const leaves[OBH_LUA_LEAVES] = {"memcmp", "strcmp", "strlen"};
    for (int i = 0; i < OBH_LUA_LEAVES; i++) obh_lua_leaves[i] = (uintptr_t)dlsym(library, leaves[i]);
}

static void open_once(void) {
    int flags = RTLD_NOW | RTLD_LOCAL;
    int sanitized = obh_is_sanitized();
    /* A sanitizer's own allocator would be bypassed; AddressSanitizer ends the program for it. */
    if (!sanitized) flags |= RTLD_DEEPBIND;
    void *library = dlopen("liblua5.4.so.0", flags);
    if (!library) {
        snprintf(failure, sizeof failure, "cannot open liblua5.4: %s", dlerror());
        return;
    }
    void **slots = (void **)&obh_lua;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        slots[i] = dlsym(library, names[i]);
        if (!slots[i]) {
            snprintf(failure, sizeof failure, "liblua5.4 has no function %s", names[i]);
            return;
        }
    }
    int version = (int)lua_version(NULL);
    if (version != LUA_VERSION_NUM) {
        snprintf(failure, sizeof failure, "liblua5.4 is of version %d.%d, not 5.4", version / 100, version % 100);
        return;
    }
    const char *missing = obh_open_names();
    if (missing) {
        snprintf(failure, sizeof failure, "liblua5.4 has no usable %s", missing);
        return;
    }
    dl_iterate_phdr(find_text, (void *)lua_resume);
    if (!sanitized) find_leaves(library); /* a sanitizer's call others */
}

int obh_lua_open(char *error, size_t size) {
    pthread_once(&once, open_once);
    if (!failure[0]) return 0;
    if (size) snprintf(error, size, "%s", failure);
    return -1;
}
