/* Shared libraries: opened, once for each file, and what is in them found by name.
 *
 * A library is opened with RTLD_NOW | RTLD_LOCAL, so that what is missing shows at once and its symbols are no one
 * else's, and never closed: code of it may be on any stack. The loader knows one file by all its names, so opening it
 * again is the same library. Opening runs its constructors. Every function here may be called on any thread.
 *
 * What is wrong is said in `text`, of `size` bytes, ended by a NUL.
 */
#ifndef OBN_LIBRARY_H
#define OBN_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#include "../../../include/obhut_plugin.h"

/* `path`: absolute, or a soname without '/', which the loader searches. NULL: not found, not ELF, of another
 * architecture, no shared library, a dependency or symbol that it needs is missing; `text` tells which. */
void *obn_library_open(const char *path, char *text, size_t size);

/* A function of the library. NULL: there is none of this name, or it is data. */
void *obn_library_symbol(void *library, const char *symbol, char *text, size_t size);

/* Data of the library, such as a struct of OBHUT_MODE_HANDLER. NULL: there is none, or it is a function. */
void *obn_library_data(void *library, const char *symbol, char *text, size_t size);

/* The descriptor that the library exports, checked. NULL: it exports none (`text` is ""), or one of another ABI, and
 * `text` tells which side to upgrade. */
const obhut_plugin_descriptor *obn_library_plugin(void *library, char *text, size_t size);

#endif
