/* The globals of a process (F6): the safe part of Lua's own libraries, and the few functions of it that must know of the
 * runtime. Those that catch errors (pcall, xpcall, load) pass on the end of the process; those that ask for time or chance
 * ask the seams (T2). */
#include <string.h>

#include "internal.h"

OBH_JUMPED_OVER_BEGIN

/* ---- Protected calls ------------------------------------------------------------- */

/* The lua_KContext of a suspended pcall: how many values lie below the results, and vm->exiting at its entry. */
enum { WAS_EXITING = 1, BELOW_SHIFT = 1 };

static int protected_done(lua_State *L, int status, lua_KContext context) {
    obh_vm *vm = obh_vm_of(L);
    if (OBH_LIKELY(status == LUA_OK || status == LUA_YIELD)) return lua_gettop(L) - (int)(context >> BELOW_SHIFT);
    if (obh_must_stop(vm)) obh_stop_here(vm, L);
    if (obh_passes_on(vm, context & WAS_EXITING)) obh_raise_uncatchable(vm, L);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int base_pcall(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    luaL_checkany(L, 1);
    lua_KContext context = vm->exiting ? WAS_EXITING : 0;
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return protected_done(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, context, protected_done), context);
}

static int base_xpcall(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    int arguments = lua_gettop(L) - 2;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_KContext context = 2 << BELOW_SHIFT | (vm->exiting ? WAS_EXITING : 0);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* f, handler, true, f, arguments */
    return protected_done(L, lua_pcallk(L, arguments, LUA_MULTRET, 2, context, protected_done), context);
}

/* Upvalue 1: Lua's own load. Text only, whatever mode is asked for. */
static int base_load(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    int has_environment = !lua_isnone(L, 4), was_exiting = vm->exiting;
    if (!lua_isstring(L, 1)) {
        luaL_optstring(L, 2, "");
        luaL_checktype(L, 1, LUA_TFUNCTION);
    }
    const char *mode = luaL_optstring(L, 3, "bt");
    lua_settop(L, 4);
    lua_pushstring(L, strchr(mode, 't') ? "t" : "");
    lua_replace(L, 3);
    if (!has_environment) lua_settop(L, 3);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    if (obh_must_stop(vm)) obh_stop_here(vm, L);
    if (lua_isnil(L, 1) && obh_passes_on(vm, was_exiting)) obh_raise_uncatchable(vm, L);
    return lua_gettop(L);
}

/* ---- Metatables --------------------------------------------------------------------- */

static int base_setmetatable(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    int type = lua_type(L, 2);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (lua_getmetatable(L, 1)) {
        lua_pushliteral(L, "__metatable");
        if (lua_rawget(L, -2) != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
    }
    lua_settop(L, 2);
    if (type == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL) {
            return luaL_error(L, "there are no finalizers here: use a <close> variable and '__close' instead of '__gc'");
        }
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* ---- Time and chance ------------------------------------------------------------------ */

static void push_wall_seconds(lua_State *L) {
    lua_pushinteger(L, obh_seam_wall_clock(obh_vm_of(L)) / 1000000000);
}

/* Upvalue 1: Lua's own os.time. */
static int os_time(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        push_wall_seconds(L);
        return 1;
    }
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

/* Upvalue 1: Lua's own os.date. */
static int os_date(lua_State *L) {
    luaL_optstring(L, 1, "%c");
    if (!lua_isnoneornil(L, 2)) luaL_checkinteger(L, 2);
    lua_settop(L, 2);
    if (lua_isnil(L, 1)) {
        lua_pushliteral(L, "%c");
        lua_replace(L, 1);
    }
    if (lua_isnil(L, 2)) {
        push_wall_seconds(L);
        lua_replace(L, 2);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
}

static int os_clock(lua_State *L) {
    lua_pushnumber(L, (double)obh_seam_cpu_clock(obh_vm_of(L)) / 1e9);
    return 1;
}

/* Upvalue 1: Lua's own math.randomseed, which seeds from the clock when it is given nothing. */
static int math_randomseed(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    if (lua_isnone(L, 1)) {
        lua_pushinteger(L, (lua_Integer)obh_seam_random(vm));
        lua_pushinteger(L, (lua_Integer)obh_seam_random(vm));
    } else {
        luaL_checknumber(L, 1);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* ---- Putting it together ----------------------------------------------------------------- */

/* Pushes what luaopen_<name> makes. */
static void open_library(lua_State *L, lua_CFunction open, const char *name) {
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
}

static void set_function(lua_State *L, const char *name, lua_CFunction function) {
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
}

/* Replaces a field of the table on top by a closure that has the old value as its upvalue. */
static void wrap_function(lua_State *L, const char *name, lua_CFunction function) {
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

static void drop_field(lua_State *L, const char *name) {
    lua_pushnil(L);
    lua_setfield(L, -2, name);
}

/* Pops a library: makes it a global, and known to Lua's own messages ("in function 'string.rep'"). */
static void publish(lua_State *L, const char *name) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_insert(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* A new table with some fields of the one on top, which it replaces. */
static void keep_only(lua_State *L, const char *const *names) {
    lua_createtable(L, 0, 4);
    for (; *names; names++) {
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
    lua_remove(L, -2);
}

void obh_open_sandbox(lua_State *L, const obh_vm_options *options) {
    open_library(L, luaopen_base, "_G");
    const char *const removed[] = {"dofile", "loadfile", "warn", "print"};
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++) drop_field(L, removed[i]);
    set_function(L, "pcall", base_pcall);
    set_function(L, "xpcall", base_xpcall);
    set_function(L, "setmetatable", base_setmetatable);
    wrap_function(L, "load", base_load);
    if (options->sorted_pairs) set_function(L, "pairs", obh_sorted_pairs);
    publish(L, "_G");

    open_library(L, luaopen_string, "string");
    drop_field(L, "dump");
    publish(L, "string");
    open_library(L, luaopen_table, "table");
    publish(L, "table");
    open_library(L, luaopen_utf8, "utf8");
    publish(L, "utf8");

    open_library(L, luaopen_math, "math");
    lua_getfield(L, -1, "randomseed");
    lua_pushinteger(L, (lua_Integer)options->seed[0]);
    lua_pushinteger(L, (lua_Integer)options->seed[1]);
    lua_call(L, 2, 0);
    wrap_function(L, "randomseed", math_randomseed);
    publish(L, "math");

    open_library(L, luaopen_os, "os");
    keep_only(L, (const char *const[]){"time", "date", "difftime", NULL});
    wrap_function(L, "time", os_time);
    wrap_function(L, "date", os_date);
    set_function(L, "clock", os_clock);
    publish(L, "os");

    open_library(L, luaopen_debug, "debug");
    keep_only(L, (const char *const[]){"traceback", NULL});
    publish(L, "debug");

    obh_open_coroutine(L);
    publish(L, "coroutine");
    obh_open_functions(L);
}

OBH_JUMPED_OVER_END
