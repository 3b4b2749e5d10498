#ifndef OBHUT_HEADER_TEXT_H
#define OBHUT_HEADER_TEXT_H

#include "../../../include/obhut.h"

/* Swift imports a macro's text as a String; the exports need bytes that live as long as the library. */

static inline const char *obhut_header_version(void) { return OBHUT_VERSION_STRING; }

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define OBHUT_HEADER_SANITIZER ", thread sanitizer"
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define OBHUT_HEADER_SANITIZER ", address sanitizer"
#else
#define OBHUT_HEADER_SANITIZER ""
#endif

#if defined(__x86_64__)
#define OBHUT_HEADER_MACHINE "x86_64"
#elif defined(__aarch64__)
#define OBHUT_HEADER_MACHINE "aarch64"
#else
#define OBHUT_HEADER_MACHINE "unknown machine"
#endif

#define OBHUT_HEADER_BUILD_INFO(configuration) \
    "obhut " OBHUT_VERSION_STRING ", " configuration OBHUT_HEADER_SANITIZER ", " OBHUT_HEADER_MACHINE ", " __VERSION__

static inline const char *obhut_header_build_info(bool debug)
{
    return debug ? OBHUT_HEADER_BUILD_INFO("debug") : OBHUT_HEADER_BUILD_INFO("release");
}

#endif
