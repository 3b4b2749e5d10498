#ifndef OBHUT_H
#define OBHUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OBHUT_VERSION_MAJOR 0
#define OBHUT_VERSION_MINOR 1
#define OBHUT_VERSION_PATCH 0
#define OBHUT_VERSION_STRING "0.1.0"

/* Raised on any incompatible change; the number in the SONAME. */
#define OBHUT_ABI_VERSION 0

/* The version of the loaded library, "0.1.0". Static memory.
 * [threads: any] [blocks: no] [signal-safe] Since 0.1. */
const char *obhut_version(void);

/* OBHUT_ABI_VERSION of the loaded library; compare it with the header's.
 * [threads: any] [blocks: no] [signal-safe] Since 0.1. */
uint32_t obhut_abi_version(void);

/* What the library was built from and how, one line of text for a bug report. Static memory.
 * [threads: any] [blocks: no] [signal-safe] Since 0.1. */
const char *obhut_build_info(void);

#ifdef __cplusplus
}
#endif

#endif
