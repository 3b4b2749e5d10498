/* A program with a Lua of its own, all of whose functions it exports (-rdynamic): both run side by side.
 *
 *     cc another_lua.c -rdynamic liblua5.4.a … -lobhut     a whole Lua, which it uses
 *     cc -DTRAPS another_lua.c -rdynamic … -lobhut          functions of Lua's names that end the program
 *
 * The library must not bind to them: its liblua is found first in itself (RTLD_DEEPBIND). Prints what its own Lua
 * and a process answer. */
#include <obhut.h>

#include <stdio.h>
#include <stdlib.h>

#ifdef TRAPS
#define TRAP(name) \
    void name(void); \
    void name(void) { fputs(#name " of the program was called\n", stderr), abort(); }
TRAP(lua_newstate) TRAP(lua_close) TRAP(lua_newthread) TRAP(lua_resume) TRAP(lua_yieldk) TRAP(lua_callk) TRAP(lua_pcallk)
TRAP(lua_load) TRAP(lua_gc) TRAP(lua_error) TRAP(lua_next) TRAP(lua_settop) TRAP(lua_pushvalue) TRAP(lua_rawgeti)
TRAP(lua_rawset) TRAP(lua_rawseti) TRAP(lua_pushlstring) TRAP(lua_pushstring) TRAP(lua_pushinteger) TRAP(lua_pushnumber)
TRAP(lua_pushcclosure) TRAP(lua_createtable) TRAP(lua_newuserdatauv) TRAP(lua_setmetatable) TRAP(lua_tolstring)
TRAP(lua_tointegerx) TRAP(lua_tonumberx) TRAP(lua_touserdata) TRAP(lua_type) TRAP(lua_version) TRAP(lua_sethook)
TRAP(luaL_newstate) TRAP(luaL_openlibs) TRAP(luaL_requiref) TRAP(luaL_error) TRAP(luaL_traceback) TRAP(luaL_checkinteger)
TRAP(luaL_checklstring) TRAP(luaL_setfuncs) TRAP(luaL_loadbufferx) TRAP(luaopen_base) TRAP(luaopen_string)

static int own(int round)
{
    return round * round;
}
#else
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

/* The program's own Lua squares a number. */
static int own(int round)
{
    lua_State *state = luaL_newstate();
    luaL_openlibs(state);
    lua_pushinteger(state, round);
    lua_setglobal(state, "round");
    if (luaL_dostring(state, "return select(2, pcall(function() return round * round end))")) abort();
    int answer = (int)lua_tointeger(state, -1);
    lua_close(state);
    return answer;
}
#endif

static const char application[] =
    "version: '1.0'\nnamespace: app\nentries:\n"
    "  - { name: host, kind: process.host, host: { workers: 2 }, lifecycle: { auto_start: true } }\n"
    "  - { name: squares, kind: process.lua, method: main,\n"
    "      source: 'return { main = function(n) return select(2, pcall(function() return n * n end)) end }' }\n";

int main(void)
{
    obhut_runtime *runtime;
    obhut_port *port;
    obhut_error *error = NULL;
    if (obhut_runtime_create(NULL, &runtime, &error) ||
        obhut_runtime_load_text(runtime, application, sizeof application - 1, &error) ||
        obhut_runtime_start(runtime, OBHUT_START_ALL, &error) || obhut_port_create(runtime, &port, &error)) {
        fprintf(stderr, "%s\n", obhut_error_text(error));
        return 1;
    }
    for (int round = 1; round <= 100; round++) {
        const unsigned char arguments[] = {0x91, (unsigned char)round};
        obhut_pid pid;
        obhut_message *message;
        const void *value;
        const char *text;
        size_t length;
        char *json = NULL;
        if (obhut_port_spawn(port, "app:squares", NULL, arguments, sizeof arguments, OBHUT_SPAWN_MONITORED, &pid, NULL)) return 1;
        int expected = own(round);
        if (obhut_port_receive(port, INT64_C(10000000000), &message, NULL)) return 1;
        if (!obhut_message_result(message, &value, &length, &text)) return fprintf(stderr, "%s\n", text), 1;
        if (obhut_payload_to_json(value, length, &json, NULL, NULL) || atoi(json) != expected)
            return fprintf(stderr, "%s is not %d\n", json ? json : "nothing", expected), 1;
        if (round == 100) printf("%s\n", json);
        obhut_bytes_free(json);
        obhut_message_free(message);
    }
    obhut_port_free(port);
    if (obhut_runtime_stop(runtime, -1, NULL)) return 1;
    obhut_runtime_free(runtime);
    return 0;
}
