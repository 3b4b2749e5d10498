/* See native_library.h. */
#define _GNU_SOURCE
#include "include/native_library.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "include/native_file.h"

void *obn_library_open(const char *path, char *text, size_t size) {
    void *library;
    const char *why;
    if (size) text[0] = 0;
    if (!path[0]) {
        snprintf(text, size, "the name of the library is empty");
        return NULL;
    }
    /* What the loader says of these is less clear. */
    if (strchr(path, '/') && obn_file_check(path, text, size) != 0) return NULL;
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library) return library;
    why = dlerror();
    snprintf(text, size, "%s cannot be loaded: %s", path, why ? why : "the loader does not say why");
    return NULL;
}

/* What stands under a name: its address, and whether the loader knows it as data. NULL: nothing. */
static void *find(void *library, const char *symbol, bool *is_data, struct link_map **owner) {
    const ElfW(Sym) *entry = NULL;
    Dl_info info;
    void *address = dlsym(library, symbol);
    if (!address) return NULL;
    *is_data = false;
    *owner = NULL;
    if (dladdr1(address, &info, (void **)&entry, RTLD_DL_SYMENT) && entry && info.dli_saddr == address) {
        unsigned type = ELF64_ST_TYPE(entry->st_info);
        *is_data = type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE;
    }
    dladdr1(address, &info, (void **)owner, RTLD_DL_LINKMAP);
    return address;
}

static const char *name_of(void *library) {
    const struct link_map *map = library;
    return map->l_name && map->l_name[0] ? map->l_name : "the library";
}

static void *find_kind(void *library, const char *symbol, bool wants_data, char *text, size_t size) {
    bool is_data;
    struct link_map *owner;
    void *address = find(library, symbol, &is_data, &owner);
    if (size) text[0] = 0;
    if (!address) snprintf(text, size, "%s has no symbol '%s'", name_of(library), symbol);
    else if (is_data && !wants_data) snprintf(text, size, "'%s' of %s is data, not a function", symbol, name_of(library));
    else if (!is_data && wants_data) snprintf(text, size, "'%s' of %s is a function, not data", symbol, name_of(library));
    else return address;
    return NULL;
}

void *obn_library_symbol(void *library, const char *symbol, char *text, size_t size) {
    return find_kind(library, symbol, false, text, size);
}

void *obn_library_data(void *library, const char *symbol, char *text, size_t size) {
    return find_kind(library, symbol, true, text, size);
}

const obhut_plugin_descriptor *obn_library_plugin(void *library, char *text, size_t size) {
    bool is_data;
    struct link_map *owner;
    const obhut_plugin_descriptor *descriptor = find(library, "obhut_plugin", &is_data, &owner);
    char why[512];
    if (size) text[0] = 0;
    /* A library that it needs may be a plugin too. */
    if (!descriptor || (owner && owner != library)) return NULL;
    if (!is_data) {
        snprintf(text, size, "'obhut_plugin' of %s is a function, not a descriptor", name_of(library));
        return NULL;
    }
    if (obn_plugin_check(descriptor->abi, descriptor->pointer_size, descriptor->struct_size, descriptor->functions_size,
                         descriptor->entry_size, why, sizeof why) == 0)
        return descriptor;
    snprintf(text, size, "%s cannot be used: %s", name_of(library), why);
    return NULL;
}
