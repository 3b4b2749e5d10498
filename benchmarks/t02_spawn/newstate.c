/* What a Lua state costs with the stock library: made, libraries opened, compiled code loaded, closed.
 * Arguments: a Lua file, how often. */
#include "driver.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static char code[1 << 16];
static size_t code_length;

static int keep(lua_State *state, const void *bytes, size_t length, void *user)
{
    (void)state, (void)user;
    if (code_length + length > sizeof code) return 1;
    memcpy(code + code_length, bytes, length);
    code_length += length;
    return 0;
}

static void life(void)
{
    lua_State *state = luaL_newstate();
    if (!state) fail("luaL_newstate");
    luaL_openlibs(state);
    if (luaL_loadbuffer(state, code, code_length, "leaf")) fail(lua_tostring(state, -1));
    lua_close(state);
}

int main(int count, char **arguments)
{
    if (count != 3) fail("usage: newstate FILE COUNT");
    lua_State *state = luaL_newstate();
    if (luaL_loadfile(state, arguments[1]) || lua_dump(state, keep, NULL, 0)) fail("cannot compile the file");
    lua_close(state);

    long lives = atol(arguments[2]);
    for (long i = 0; i < lives / 10; i++) life();
    int64_t start = now();
    for (long i = 0; i < lives; i++) life();
    printf("{\"each\": %.1f}\n", (double)(now() - start) / (double)lives);
    return 0;
}
