/* The `init` of a library's descriptor. */
#ifndef OBN_INIT_H
#define OBN_INIT_H

#include <stddef.h>
#include <stdint.h>

/* Calls `init` of the library's descriptor, if it has one, once in this OS process; any thread, and others wait for the first. 0, or not 0
 * with `text`, which it then answers each time. `library` is what obn_library_open gave. */
int32_t obn_library_init(void *library, char *text, size_t size);

#endif
