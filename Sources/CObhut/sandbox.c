/* The functions of Lua's own libraries that must know of the runtime, in its place (F6). Those that catch errors (pcall,
 * xpcall, load) pass on the end of the process; those that look at tables raw complete them first (names.c); those that ask
 * for time or chance ask the seams (T2). */
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
    if (obh_passes_on(vm, context & WAS_EXITING)) obh_raise_uncatchable(L);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

int obh_base_pcall(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    luaL_checkany(L, 1);
    lua_KContext context = vm->exiting ? WAS_EXITING : 0;
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return protected_done(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, context, protected_done), context);
}

int obh_base_xpcall(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    int arguments = lua_gettop(L) - 2;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_KContext context = 2 << BELOW_SHIFT | (vm->exiting ? WAS_EXITING : 0);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* f, handler, true, f, arguments */
    return protected_done(L, lua_pcallk(L, arguments, LUA_MULTRET, 2, context, protected_done), context);
}

/* Text only, whatever mode is asked for. */
int obh_base_load(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    int was_exiting = vm->exiting;
    const char *mode = luaL_optstring(L, 3, "bt");
    if (lua_isnone(L, 1)) return obh_stock_load(L); /* raises */
    if (lua_gettop(L) < 3) lua_settop(L, 3); /* a fourth argument is an environment, even if it is nil */
    lua_pushstring(L, strchr(mode, 't') ? "t" : "");
    lua_replace(L, 3);
    int results = obh_stock_load(L);
    if (obh_must_stop(vm)) obh_stop_here(vm, L);
    if (lua_isnil(L, -results) && obh_passes_on(vm, was_exiting)) obh_raise_uncatchable(L);
    return results;
}

/* ---- Raw looks at tables -------------------------------------------------------------- */

int obh_base_next(lua_State *L) {
    if (OBH_UNLIKELY(!lua_istable(L, 1))) {
        /* The message looks for its name among the globals. Who has it from `pairs` may never have used that name. */
        obh_lua_pushmodule(L, obh_module_global);
        obh_complete(L, -1);
        lua_pop(L, 1);
        luaL_checktype(L, 1, LUA_TTABLE);
    }
    lua_settop(L, 2);
    obh_complete(L, 1);
    if (lua_next(L, 1)) return 2;
    lua_pushnil(L);
    return 1;
}

static int metamethod_done(lua_State *L, int status, lua_KContext context) {
    (void)L, (void)status, (void)context;
    return 3;
}

int obh_base_pairs(lua_State *L) {
    luaL_checkany(L, 1);
    obh_complete(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_callk(L, 1, 3, 0, metamethod_done);
        return 3;
    }
    if (obh_vm_of(L)->sorted_pairs) return obh_sorted_pairs(L);
    lua_pushcfunction(L, obh_base_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

int obh_base_rawget(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    obh_complete(L, 1);
    lua_rawget(L, 1);
    return 1;
}

int obh_base_rawset(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    obh_complete(L, 1);
    lua_rawset(L, 1);
    return 1;
}

int obh_base_getmetatable(lua_State *L) {
    luaL_checkany(L, 1);
    obh_complete(L, 1);
    if (lua_type(L, 1) == LUA_TUSERDATA) {
        lua_pushboolean(L, 0); /* the runtime's own: as if it had a __metatable */
        return 1;
    }
    if (lua_type(L, 1) == LUA_TSTRING) obh_lua_pushmodule(L, obh_module_string); /* which stands in it from then on */
    if (!lua_getmetatable(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    luaL_getmetafield(L, 1, "__metatable");
    return 1; /* its value, or the metatable itself */
}

int obh_base_setmetatable(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    int type = lua_type(L, 2);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    obh_complete(L, 1);
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

int obh_os_time(lua_State *L) {
    if (!lua_isnoneornil(L, 1)) return obh_stock_os_time(L);
    push_wall_seconds(L);
    return 1;
}

int obh_os_date(lua_State *L) {
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        push_wall_seconds(L);
    }
    return obh_stock_os_date(L);
}

int obh_os_clock(lua_State *L) {
    lua_pushnumber(L, (double)obh_seam_cpu_clock(obh_vm_of(L)) / 1e9);
    return 1;
}

/* `random` and `randomseed` have an upvalue each, where liblua's own expect their generator. It is made at the first call, and
 * seeded from the process's own seed: not when the table is completed, for that may happen under Swift, where nothing may
 * raise, and in a VM that is yet to be copied, before it has a seed. */
static void make_generator(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    if (lua_rawgeti(L, LUA_REGISTRYINDEX, OBH_KEY_GENERATOR) != LUA_TNIL) {
        lua_replace(L, lua_upvalueindex(1));
        return;
    }
    lua_pop(L, 1);
    luaopen_math(L);
    lua_getfield(L, -1, "random");
    lua_getupvalue(L, -1, 1);
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(1));
    lua_pushinteger(L, (lua_Integer)vm->seed[0]);
    lua_insert(L, 1);
    lua_pushinteger(L, (lua_Integer)vm->seed[1]);
    lua_insert(L, 2);
    lua_pop(L, obh_stock_randomseed(L));
    lua_remove(L, 1);
    lua_remove(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, OBH_KEY_GENERATOR);
    lua_pop(L, 2);
}

int obh_math_random(lua_State *L) {
    if (OBH_UNLIKELY(lua_type(L, lua_upvalueindex(1)) == LUA_TNIL)) make_generator(L);
    return obh_stock_random(L);
}

/* Given nothing, liblua's seeds from the clock. */
int obh_math_randomseed(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    if (lua_type(L, lua_upvalueindex(1)) == LUA_TNIL) make_generator(L);
    if (lua_isnone(L, 1)) {
        lua_pushinteger(L, (lua_Integer)obh_seam_random(vm));
        lua_pushinteger(L, (lua_Integer)obh_seam_random(vm));
    }
    return obh_stock_randomseed(L);
}

OBH_JUMPED_OVER_END
