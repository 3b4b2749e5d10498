/* See lua_api.h. */
#include "internal.h"

#include <math.h>
#include <string.h>

_Static_assert(OBH_REGISTRY == LUA_REGISTRYINDEX, "the registry's index");
_Static_assert(OBH_TTHREAD == LUA_TTHREAD && OBH_TNONE == LUA_TNONE, "the numbers of the types");

int obh_lua_gettop(lua_State *L) { return lua_gettop(L); }
void obh_lua_settop(lua_State *L, int index) { lua_settop(L, index); }
void obh_lua_pop(lua_State *L, int count) { lua_pop(L, count); }
int obh_lua_absindex(lua_State *L, int index) { return lua_absindex(L, index); }
void obh_lua_pushvalue(lua_State *L, int index) { lua_pushvalue(L, index); }
void obh_lua_rotate(lua_State *L, int index, int by) { lua_rotate(L, index, by); }
void obh_lua_insert(lua_State *L, int index) { lua_insert(L, index); }
void obh_lua_remove(lua_State *L, int index) { lua_remove(L, index); }
int obh_lua_checkstack(lua_State *L, int count) { return lua_checkstack(L, count); }
void obh_lua_xmove(lua_State *from, lua_State *to, int count) { lua_xmove(from, to, count); }

int obh_lua_type(lua_State *L, int index) { return lua_type(L, index); }

const char *obh_lua_typename_of(lua_State *L, int index) {
    int type = lua_type(L, index);
    if (type == LUA_TLIGHTUSERDATA) return "light userdata";
    if (lua_getmetatable(L, index)) {
        lua_pushliteral(L, "__name");
        const char *name = lua_rawget(L, -2) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        lua_pop(L, 2); /* the metatable keeps the text alive */
        if (name) return name;
    }
    return lua_typename(L, type);
}

int obh_lua_isinteger(lua_State *L, int index) { return lua_isinteger(L, index); }
int obh_lua_toboolean(lua_State *L, int index) { return lua_toboolean(L, index); }
int64_t obh_lua_tointeger(lua_State *L, int index, int *ok) { return lua_tointegerx(L, index, ok); }
double obh_lua_tonumber(lua_State *L, int index, int *ok) { return lua_tonumberx(L, index, ok); }
const char *obh_lua_string(lua_State *L, int index, size_t *size) {
    return lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, size) : NULL;
}
const char *obh_lua_tostring(lua_State *L, int index, size_t *size) { return lua_tolstring(L, index, size); }

static inline int to_scalar(lua_State *L, int index, obh_scalar *scalar) {
    if (lua_isinteger(L, index)) {
        scalar->type = OBH_TINTEGER;
        scalar->integer = lua_tointegerx(L, index, NULL);
        return 1;
    }
    switch (scalar->type = lua_type(L, index)) {
    case LUA_TNIL: return 1;
    case LUA_TBOOLEAN: scalar->truth = lua_toboolean(L, index); return 1;
    case LUA_TNUMBER: scalar->number = lua_tonumberx(L, index, NULL); return 1;
    case LUA_TSTRING: scalar->text = lua_tolstring(L, index, &scalar->size); return 1;
    default: return 0;
    }
}

void obh_lua_toscalar(lua_State *L, int index, obh_scalar *scalar) { to_scalar(L, index, scalar); }
size_t obh_lua_rawlen(lua_State *L, int index) { return lua_rawlen(L, index); }
int obh_lua_rawequal(lua_State *L, int a, int b) { return lua_rawequal(L, a, b); }
const void *obh_lua_topointer(lua_State *L, int index) { return lua_topointer(L, index); }

void obh_lua_pushnil(lua_State *L) { lua_pushnil(L); }
void obh_lua_pushboolean(lua_State *L, int value) { lua_pushboolean(L, value); }
void obh_lua_pushinteger(lua_State *L, int64_t value) { lua_pushinteger(L, value); }
void obh_lua_pushnumber(lua_State *L, double value) { lua_pushnumber(L, value); }
void obh_lua_pushstring(lua_State *L, const char *bytes, size_t size) { lua_pushlstring(L, bytes, size); }

int obh_lua_pushpeer(obh_vm *vm, lua_State *L, uint64_t pid) {
    if (vm->peer != pid) return 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, OBH_KEY_PEER);
    return 1;
}

void obh_lua_keeppeer(obh_vm *vm, lua_State *L, uint64_t pid) {
    vm->peer = pid;
    vm->peer_text = lua_tolstring(L, -1, NULL);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, OBH_KEY_PEER);
}

void obh_lua_createtable(lua_State *L, int array, int fields) { lua_createtable(L, array, fields); }
int obh_lua_rawget(lua_State *L, int index) { return lua_rawget(L, index); }
int obh_lua_rawgeti(lua_State *L, int index, int64_t key) { return lua_rawgeti(L, index, key); }

int obh_lua_rawgetfield(lua_State *L, int index, const char *key) {
    index = lua_absindex(L, index);
    lua_pushstring(L, key);
    return lua_rawget(L, index);
}

int obh_lua_rawgetp(lua_State *L, int index, const void *key) { return lua_rawgetp(L, index, key); }

int obh_lua_rawset(lua_State *L, int index) {
    int bad = lua_isnil(L, -2);
    if (lua_type(L, -2) == LUA_TNUMBER && !lua_isinteger(L, -2)) bad = isnan(lua_tonumber(L, -2));
    if (bad) {
        lua_pop(L, 2);
        return 0;
    }
    lua_rawset(L, index);
    return 1;
}

void obh_lua_rawseti(lua_State *L, int index, int64_t key) { lua_rawseti(L, index, key); }

void obh_lua_rawsetfield(lua_State *L, int index, const char *key) {
    index = lua_absindex(L, index);
    lua_pushstring(L, key);
    lua_insert(L, -2);
    lua_rawset(L, index);
}

void obh_lua_rawsetp(lua_State *L, int index, const void *key) { lua_rawsetp(L, index, key); }
void obh_lua_complete(lua_State *L, int index) { obh_complete(L, index); }
int obh_lua_next(lua_State *L, int index) { return lua_next(L, index); }

int obh_lua_nextscalars(lua_State *L, int index, int64_t place, obh_scalar *scalars, int count) {
    int read = 0;
    while (read < count && lua_next(L, index)) {
        if (!lua_isinteger(L, -2) || lua_tointegerx(L, -2, NULL) != place + read) return -1;
        if (!to_scalar(L, -1, &scalars[read++])) return -1;
        lua_pop(L, 1);
    }
    return read;
}

void obh_lua_getuservalue(lua_State *L, int index, int n) { lua_getiuservalue(L, index, n); }
void obh_lua_setuservalue(lua_State *L, int index, int n) { lua_setiuservalue(L, index, n); }
