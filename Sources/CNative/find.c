/* Where the loader finds a soname, without loading it: what it says of its own search path, then its cache. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "include/native_file.h"

/* The path, if it can be loaded. */
static char *candidate(const char *folder, const char *soname) {
    char *path, text[8];
    if (asprintf(&path, "%s/%s", folder, soname) < 0) return NULL;
    if (obn_file_check(path, text, sizeof text) == 0) return path;
    free(path);
    return NULL;
}

/* LD_LIBRARY_PATH and the folders that the loader was built with. */
static char *in_search_path(const char *soname) {
    Dl_serinfo size, *info;
    char *found = NULL;
    unsigned i;
    void *program = dlopen(NULL, RTLD_LAZY | RTLD_NOLOAD);
    if (!program) return NULL;
    if (dlinfo(program, RTLD_DI_SERINFOSIZE, &size) == 0 && (info = malloc(size.dls_size))) {
        if (dlinfo(program, RTLD_DI_SERINFOSIZE, info) == 0 && dlinfo(program, RTLD_DI_SERINFO, info) == 0)
            for (i = 0; i < info->dls_cnt && !found; i++) found = candidate(info->dls_serpath[i].dls_name, soname);
        free(info);
    }
    dlclose(program);
    return found;
}

/* /etc/ld.so.cache, which has the folders of ld.so.conf; its format is that of glibc 2.2 and later. */
typedef struct cache_header {
    char magic[20]; /* "glibc-ld.so.cache1.1" */
    uint32_t count;
    uint32_t strings;
    uint32_t reserved[5];
} cache_header;

typedef struct cache_entry {
    int32_t flags;
    uint32_t name; /* offsets in the file */
    uint32_t path;
    uint32_t version;
    uint64_t hardware;
} cache_entry;

static const char *cached_text(const char *bytes, size_t length, uint32_t offset) {
    return offset < length && memchr(bytes + offset, 0, length - offset) ? bytes + offset : NULL;
}

static char *in_cache(const char *soname) {
    struct stat status;
    char *found = NULL, text[8];
    const char *bytes;
    uint32_t i;
    int file = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
    if (file < 0) return NULL;
    if (fstat(file, &status) != 0 || (size_t)status.st_size < sizeof(cache_header)) {
        close(file);
        return NULL;
    }
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (bytes == MAP_FAILED) return NULL;
    {
        size_t length = (size_t)status.st_size;
        const cache_header *header = (const void *)bytes;
        const cache_entry *entries = (const void *)(bytes + sizeof *header);
        bool is_known = memcmp(header->magic, "glibc-ld.so.cache1.1", 20) == 0
            && header->count <= (length - sizeof *header) / sizeof *entries;
        for (i = 0; is_known && i < header->count && !found; i++) {
            const char *name = cached_text(bytes, length, entries[i].name);
            const char *path = cached_text(bytes, length, entries[i].path);
            /* One for other hardware may be listed first; it is the same library. */
            if (name && path && strcmp(name, soname) == 0 && obn_file_check(path, text, sizeof text) == 0)
                found = strdup(path);
        }
    }
    munmap((void *)(uintptr_t)bytes, (size_t)status.st_size);
    return found;
}

char *obn_find_library(const char *soname) {
    char *found = strchr(soname, '/') ? NULL : in_search_path(soname);
    return found || strchr(soname, '/') ? found : in_cache(soname);
}
