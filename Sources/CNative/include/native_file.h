/* What is in a shared library, read from its file: nothing of it is loaded, so nothing of it runs.
 *
 * Symbols come from its table of dynamic symbols, and the descriptor of a plugin out of its data, with the relocations
 * that the loader would apply. Every offset is checked against the file: any bytes may be given. A file that is changed
 * while it is read may end the program, as it does who loads it.
 *
 * An obn_file belongs to one thread at a time. What is wrong is said in `text`, of `size` bytes, ended by a NUL.
 */
#ifndef OBN_FILE_H
#define OBN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct obn_file obn_file;

/* What a symbol stands for. */
typedef enum obn_symbol_kind { OBN_SYMBOL_NONE = 0, OBN_SYMBOL_FUNCTION = 1, OBN_SYMBOL_DATA = 2 } obn_symbol_kind;

/* Checks that `path` can be loaded as far as its header says: 0, or -1: missing, no file, not ELF, for another
 * architecture, no shared library. */
int32_t obn_file_check(const char *path, char *text, size_t size);

/* Opens the file, checked as above; NULL: it cannot be read. Closed by obn_file_close. */
obn_file *obn_file_open(const char *path, char *text, size_t size);
void obn_file_close(obn_file *file);

/* What the library exports under a name. */
obn_symbol_kind obn_file_symbol(const obn_file *file, const char *name);

/* How many entries its table of symbols has, and the name of one, borrowed from the file; NULL of one that is not
 * exported. */
size_t obn_file_symbol_count(const obn_file *file);
const char *obn_file_symbol_at(const obn_file *file, size_t index, obn_symbol_kind *kind);

/* The descriptor of a plugin. Texts are borrowed from the file; NULL where the library has none. */
typedef struct obn_plugin {
    uint32_t abi;
    const char *name;
    const char *version;
    size_t entry_count;
    uint64_t entries;    /* for obn_file_plugin_entry */
    uint64_t entry_size; /* likewise */
} obn_plugin;

/* 1: it has a descriptor of this ABI; 0: it has none; -1: one that cannot be used, `text` tells why and which side to
 * upgrade; `abi` is there if it could be read, else 0. */
int32_t obn_file_plugin(const obn_file *file, obn_plugin *plugin, char *text, size_t size);

/* An entry of the descriptor: as an obhut_plugin_entry. 0, or -1 if it cannot be read. */
typedef struct obn_plugin_entry {
    const char *name;
    const char *symbol;
    const char *signature;
    int32_t mode;
} obn_plugin_entry;
int32_t obn_file_plugin_entry(const obn_file *file, const obn_plugin *plugin, size_t index, obn_plugin_entry *entry);

/* Where the loader finds a soname: the path, which the caller frees; NULL: nowhere. */
char *obn_find_library(const char *soname);

/* Whether two descriptors' numbers fit: 0, or -1 and `text`. The numbers are those of obhut_plugin_descriptor. */
int32_t obn_plugin_check(uint32_t abi, uint32_t pointer_size, uint64_t struct_size, uint64_t functions_size,
                         uint64_t entry_size, char *text, size_t size);

#endif
