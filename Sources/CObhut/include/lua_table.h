/* liblua, opened at run time so that a host program that carries a Lua of its own cannot capture our calls
 * (ARCHITECTURE D3). */
#ifndef OBH_LUA_TABLE_H
#define OBH_LUA_TABLE_H

#include <stddef.h>

/* Opens liblua once; every later call answers what the first one did. 0, or -1 with a text that says why.
 * Thread-safe. Must have succeeded before any other function of this target is called. */
int obh_lua_open(char *error, size_t size);

/* Whether this program, which need not be ours, was built with a sanitizer. */
int obh_is_sanitized(void);

#endif
