/* `pairs` in simulation (T2): the same order in every run. Lua's own order hangs on addresses and on the seed of its string
 * hashes. Numbers come first, by value, then strings, by bytes, then false and true; what has no order but its address
 * (tables, functions, ...) comes last, as Lua finds it.
 *
 * The keys are those at the time of the call; one that is gone when its turn comes is passed over, as with `next`. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct key {
    int rank; /* of its type */
    int place; /* where Lua found it */
    int is_integer;
    lua_Integer integer;
    lua_Number number;
    const char *bytes; /* anchored in the list of keys */
    size_t size;
};

static int by_number(const struct key *a, const struct key *b) {
    if (a->is_integer && b->is_integer) return (a->integer > b->integer) - (a->integer < b->integer);
    return (a->number > b->number) - (a->number < b->number);
}

static int by_bytes(const struct key *a, const struct key *b) {
    size_t common = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->bytes, b->bytes, common);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static int compare(const void *left, const void *right) {
    const struct key *a = left, *b = right;
    int order = a->rank - b->rank;
    if (!order && a->rank == 0) order = by_number(a, b);
    if (!order && a->rank == 1) order = by_bytes(a, b);
    return order ? order : a->place - b->place;
}

static struct key describe(lua_State *L, int index, int place) {
    struct key key = {.place = place, .rank = 4};
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        key.rank = 0;
        key.is_integer = lua_isinteger(L, index);
        if (key.is_integer) key.integer = lua_tointegerx(L, index, NULL);
        key.number = lua_tonumberx(L, index, NULL);
        break;
    case LUA_TSTRING:
        key.rank = 1;
        key.bytes = lua_tolstring(L, index, &key.size);
        break;
    case LUA_TBOOLEAN: key.rank = 2 + lua_toboolean(L, index); break;
    default: break;
    }
    return key;
}

/* Upvalues: the keys as Lua found them, their order, how many, how many were given. */
static int next_sorted(lua_State *L) {
    const int *order = lua_touserdata(L, lua_upvalueindex(2));
    int count = (int)lua_tointegerx(L, lua_upvalueindex(3), NULL);
    int given = (int)lua_tointegerx(L, lua_upvalueindex(4), NULL);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    while (given < count) {
        lua_rawgeti(L, lua_upvalueindex(1), order[given++] + 1);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 1) != LUA_TNIL) {
            lua_pushinteger(L, given);
            lua_replace(L, lua_upvalueindex(4));
            return 2;
        }
        lua_settop(L, 1);
    }
    lua_pushinteger(L, given);
    lua_replace(L, lua_upvalueindex(4));
    lua_pushnil(L);
    return 1;
}

static void push_iterator(lua_State *L, int table) {
    int count = 0;
    lua_createtable(L, 0, 0);
    int keys = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, keys + 1)) {
        lua_pushvalue(L, keys + 1);
        lua_rawseti(L, keys, ++count);
    }
    struct key *sorted = lua_newuserdatauv(L, (size_t)count * sizeof *sorted + 1, 0);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, keys, i + 1);
        sorted[i] = describe(L, -1, i);
        lua_settop(L, keys + 1);
    }
    qsort(sorted, (size_t)count, sizeof *sorted, compare);
    int *order = lua_newuserdatauv(L, (size_t)count * sizeof *order + 1, 0);
    for (int i = 0; i < count; i++) order[i] = sorted[i].place;
    lua_remove(L, keys + 1);
    lua_pushinteger(L, count);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_sorted, 4);
}

int obh_sorted_pairs(lua_State *L) {
    lua_settop(L, 1);
    if (!lua_istable(L, 1)) luaL_typeerror(L, 1, "table");
    push_iterator(L, 1);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}
