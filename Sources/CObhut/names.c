/* The tables that a program finds its names in: globals, libraries, modules, the methods of userdata.
 *
 * A name costs nothing until the program uses it (ARCHITECTURE D1). A table begins empty, with a metatable that gives each
 * name of functions.def once, at its first use, and then remembers that it did: so a program that sets `load = nil` gets
 * nil from then on. Before anything can look at such a table raw (next, pairs, rawget, rawset, getmetatable, setmetatable,
 * a payload), obh_complete puts the names that are left into it and takes the metatable away. So no program can tell it
 * from an ordinary one.
 *
 * The functions that do the raw looking are in sandbox.c. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

OBH_JUMPED_OVER_BEGIN

/* ---- Swift's functions, as Lua calls them ------------------------------------------ */

#define CALLED(name) int obh_lua_calls_##name(lua_State *L);
#define OBH_FUNCTION(module, lua, name) CALLED(name)
#define OBH_TEXTUAL(module, lua, name) CALLED(name)
#define OBH_BLOCKING(module, lua, name) CALLED(name)
#define OBH_METHOD(type, lua, name) CALLED(name)
#define OBH_BLOCKING_METHOD(type, lua, name) CALLED(name)
#include "functions.def"
#undef CALLED

/* ---- The catalog ---------------------------------------------------------------------- */

enum kind { FUNCTION, STOCK, COMPATIBLE, STRING, INTEGER, NUMBER, TABLE, RANDOM };

struct name {
    uint8_t table;
    uint8_t kind;
    uint8_t length;
    const char *text;
    union {
        lua_CFunction function; /* of STOCK and COMPATIBLE: found when liblua is opened; NULL: it has none */
        const char *string;
        lua_Integer integer;
        lua_Number number;
        int table;
    } value;
    size_t string_length;
};

/* The names of all tables, one table after the other: modules by their number, then the methods of types, whose table is
 * obh_module_count + type. Metamethods are not here: no table is searched for them. */
static struct name catalog[] = {
/* Each passes on the text of a name, not the name: `unix` is a macro of some compilers. */
#define ENTRY(in, named, lua, ...) {.table = (in), .kind = (named), .length = sizeof lua - 1, .text = lua, __VA_ARGS__},
#define CALLED(in, lua, name) ENTRY(in, FUNCTION, lua, .value.function = obh_lua_calls_##name)
#define OBH_TABLE(module, lua, other) ENTRY(obh_module_##module, TABLE, #lua, .value.table = obh_module_##other)
#define OBH_STOCK(module, lua) ENTRY(obh_module_##module, STOCK, #lua)
#define OBH_COMPATIBLE(module, lua) ENTRY(obh_module_##module, COMPATIBLE, #lua)
#define OBH_RANDOM(module, lua, own) ENTRY(obh_module_##module, RANDOM, #lua, .value.function = own)
#define OBH_OWN(module, lua, own) ENTRY(obh_module_##module, FUNCTION, #lua, .value.function = own)
#define OBH_FUNCTION(module, lua, name) CALLED(obh_module_##module, #lua, name)
#define OBH_TEXTUAL(module, lua, name) CALLED(obh_module_##module, #lua, name)
#define OBH_BLOCKING(module, lua, name) CALLED(obh_module_##module, #lua, name)
#define OBH_ALIAS(module, lua, name) CALLED(obh_module_##module, #lua, name)
#define OBH_STRING(module, lua, text) \
    ENTRY(obh_module_##module, STRING, #lua, .value.string = text, .string_length = sizeof text - 1)
#define OBH_INTEGER(module, lua, number) ENTRY(obh_module_##module, INTEGER, #lua, .value.integer = number)
#define OBH_NUMBER(module, lua, real) ENTRY(obh_module_##module, NUMBER, #lua, .value.number = real)
#define OBH_METHOD(type, lua, name) CALLED(obh_module_count + obh_type_##type, #lua, name)
#define OBH_BLOCKING_METHOD(type, lua, name) CALLED(obh_module_count + obh_type_##type, #lua, name)
#include "functions.def"
#undef ENTRY
#undef CALLED
};
enum { CATALOG = sizeof catalog / sizeof *catalog };

_Static_assert(OBH_TABLES == obh_module_count + obh_type_count, "room for each table in obh_vm");

/* What Lua's own messages call a table (push_loaded); NULL: nothing. */
static const char *const known_as[obh_module_count] = {
#define OBH_MODULE(module, name) [obh_module_##module] = name,
#include "functions.def"
};

/* Where the names of a table are in the catalog, and where to look for one: HASHED places, each the number of a name in its
 * table + 1, or 0. */
enum { HASHED = 128, MOST_NAMES = 64 };
static struct names {
    struct name *first;
    int count;
    int first_bit; /* of a module: in obh_vm.given */
    uint8_t places[HASHED];
} names_of[OBH_TABLES];

static inline unsigned place_of(const char *text, size_t length) {
    const unsigned char *bytes = (const unsigned char *)text;
    return ((unsigned)length * 5 + bytes[0] * 7 + bytes[length - 1] * 3 + bytes[length / 2]) % HASHED;
}

/* The number of a name in its table, or -1. */
static int find_name(int table, const char *text, size_t length) {
    const struct names *names = &names_of[table];
    if (length == 0) return -1;
    for (unsigned place = place_of(text, length); names->places[place]; place = (place + 1) % HASHED) {
        const struct name *name = &names->first[names->places[place] - 1];
        if (name->length == length && !memcmp(name->text, text, length)) return names->places[place] - 1;
    }
    return -1;
}

static int by_table(const void *a, const void *b) {
    return (int)((const struct name *)a)->table - (int)((const struct name *)b)->table;
}

static void index_catalog(void) {
    qsort(catalog, CATALOG, sizeof *catalog, by_table);
    for (int i = 0; i < CATALOG; i++) {
        struct names *names = &names_of[catalog[i].table];
        if (catalog[i].length > 1 && !strncmp(catalog[i].text, "__", 2)) continue;
        if (!names->first) names->first = &catalog[i];
        int number = (int)(&catalog[i] - names->first);
        names->count = number + 1;
        if (number >= MOST_NAMES) abort();
        unsigned place = place_of(catalog[i].text, catalog[i].length);
        while (names->places[place]) place = (place + 1) % HASHED;
        names->places[place] = (uint8_t)(number + 1);
    }
    for (int table = 1; table < obh_module_count; table++) {
        names_of[table].first_bit = names_of[table - 1].first_bit + names_of[table - 1].count;
    }
}

/* ---- liblua's functions ------------------------------------------------------------------ */

/* liblua has them as values of its libraries only. Each is the same function in every state. */
static struct {
    const char *event;
    lua_CFunction function;
} string_arithmetic[] = {{"__add", NULL}, {"__sub", NULL}, {"__mul", NULL}, {"__mod", NULL},
                         {"__pow", NULL}, {"__div", NULL}, {"__idiv", NULL}, {"__unm", NULL}};
enum { ARITHMETIC = sizeof string_arithmetic / sizeof *string_arithmetic };
lua_CFunction obh_stock_load, obh_stock_os_time, obh_stock_os_date, obh_stock_random, obh_stock_randomseed;

/* The function of C that the field of the table on top is, with its upvalues: none, or (1) a generator of random numbers
 * alone. NULL if it is anything else. */
static lua_CFunction stock_function(lua_State *L, const char *field, int upvalues) {
    int table = lua_gettop(L), found = 0, as_expected = 1;
    lua_getfield(L, table, field);
    lua_CFunction function = lua_tocfunction(L, -1);
    while (function && lua_getupvalue(L, table + 1, found + 1)) {
        found++;
        as_expected = as_expected && lua_type(L, -1) == LUA_TUSERDATA;
        lua_pop(L, 1);
    }
    lua_settop(L, table);
    return found == upvalues && as_expected ? function : NULL;
}

static int collect_stock(lua_State *L) {
    const char **missing = lua_touserdata(L, 1);
    static const struct {
        int module;
        lua_CFunction *open;
        const char *name;
    } libraries[] = {
        {obh_module_global, &luaopen_base, "_G"},     {obh_module_string, &luaopen_string, "string"},
        {obh_module_table, &luaopen_table, "table"},  {obh_module_math, &luaopen_math, "math"},
        {obh_module_utf8, &luaopen_utf8, "utf8"},     {obh_module_os, &luaopen_os, "os"},
        {obh_module_debug, &luaopen_debug, "debug"},
    };
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        lua_pushcfunction(L, *libraries[i].open);
        lua_pushstring(L, libraries[i].name);
        lua_call(L, 1, 1);
        const struct names *names = &names_of[libraries[i].module];
        for (int n = 0; n < names->count; n++) {
            struct name *name = &names->first[n];
            if (name->kind != STOCK && name->kind != COMPATIBLE) continue;
            name->value.function = stock_function(L, name->text, 0);
            if (!name->value.function && name->kind == STOCK) *missing = name->text;
        }
        if (libraries[i].module == obh_module_global && !(obh_stock_load = stock_function(L, "load", 0))) *missing = "load";
        if (libraries[i].module == obh_module_os) {
            if (!(obh_stock_os_time = stock_function(L, "time", 0))) *missing = "os.time";
            if (!(obh_stock_os_date = stock_function(L, "date", 0))) *missing = "os.date";
        }
        if (libraries[i].module == obh_module_math) {
            if (!(obh_stock_random = stock_function(L, "random", 1))) *missing = "math.random";
            if (!(obh_stock_randomseed = stock_function(L, "randomseed", 1))) *missing = "math.randomseed";
        }
        lua_pop(L, 1);
    }
    lua_pushliteral(L, "");
    if (!lua_getmetatable(L, -1)) {
        *missing = "the metatable of strings";
        return 0;
    }
    for (int i = 0; i < ARITHMETIC; i++) {
        string_arithmetic[i].function = stock_function(L, string_arithmetic[i].event, 0);
        if (!string_arithmetic[i].function) *missing = string_arithmetic[i].event;
    }
    return 0;
}

const char *obh_open_names(void) {
    index_catalog();
    const char *missing = NULL;
    lua_State *L = lua_newstate(obh_plain_allocate, NULL);
    if (!L) return "memory";
    lua_pushcfunction(L, collect_stock);
    lua_pushlightuserdata(L, &missing);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK && !missing) missing = "memory";
    lua_close(L);
    return missing;
}

/* ---- Giving a name ------------------------------------------------------------------------- */

static inline int is_given(const obh_vm *vm, int table, int number) {
    unsigned bit = (unsigned)(names_of[table].first_bit + number);
    return table >= obh_module_count ? 0 : vm->given[bit / 8] >> bit % 8 & 1;
}

static inline void set_given(obh_vm *vm, int table, int number) {
    unsigned bit = (unsigned)(names_of[table].first_bit + number);
    if (table < obh_module_count) vm->given[bit / 8] |= (uint8_t)(1u << bit % 8);
}

/* A table's place in obh_vm.tables: its distance in words, of which 32 bits are kept, so that a copy of a VM needs no change. */
static inline uint32_t place_from(const obh_vm *vm, const void *table) {
    return (uint32_t)(((uintptr_t)table - (uintptr_t)vm) / sizeof(void *));
}

/* Which table is at that place, as long as it is lazy; -1 if none. */
static inline int table_at(const obh_vm *vm, uint32_t place) {
    for (int table = 0; table < OBH_TABLES; table++) {
        if (vm->tables[table] == place) return place ? table : -1;
    }
    return -1;
}

/* Which table the value at `index` is, as long as it is lazy; -1 if none. It is known to have the metatable of lazy tables, or
 * to be no table: of others one might lie 32 GiB away from a lazy one. */
static int lazy_table(const obh_vm *vm, lua_State *L, int index) {
    return lua_type(L, index) == LUA_TTABLE ? table_at(vm, place_from(vm, lua_topointer(L, index))) : -1;
}

/* Sets a name that has not been given in the table at `into`. */
static void give(obh_vm *vm, lua_State *L, int table, int number, int into) {
    const struct name *name = &names_of[table].first[number];
    lua_pushlstring(L, name->text, name->length);
    switch (name->kind) {
    case STRING: lua_pushlstring(L, name->value.string, name->string_length); break;
    case INTEGER: lua_pushinteger(L, name->value.integer); break;
    case NUMBER: lua_pushnumber(L, name->value.number); break;
    case TABLE: obh_lua_pushmodule(L, name->value.table); break;
    case RANDOM: /* its generator is made when it is called (sandbox.c) */
        lua_pushnil(L);
        lua_pushcclosure(L, name->value.function, 1);
        break;
    default:
        if (name->value.function) {
            lua_pushcfunction(L, name->value.function);
        } else {
            lua_pushnil(L);
        }
    }
    lua_rawset(L, into);
    set_given(vm, table, number);
}

/* The number of the name that the key at `index` is, if the table has still to give it; else -1. */
static int pending_name(const obh_vm *vm, lua_State *L, int table, int index) {
    if (lua_type(L, index) != LUA_TSTRING) return -1;
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    int number = find_name(table, text, length);
    return number < 0 || is_given(vm, table, number) ? -1 : number;
}

static inline lua_Integer key_of(int module) {
    return module == obh_module_global ? LUA_RIDX_GLOBALS : OBH_KEY_TABLES + module;
}

/* Lua's messages look for the name of a function in the registry's table of what is loaded. It is made, of the tables that there
 * are, when they first do: few processes ever do. */
static void push_loaded(obh_vm *vm, lua_State *L) {
    lua_createtable(L, 0, 4);
    for (int module = 0; module < obh_module_count; module++) {
        if (!known_as[module]) continue;
        if (lua_rawgeti(L, LUA_REGISTRYINDEX, key_of(module)) == LUA_TTABLE) {
            lua_setfield(L, -2, known_as[module]);
        } else {
            lua_pop(L, 1);
        }
    }
    lua_pushliteral(L, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    vm->has_loaded = 1;
}

/* __index of lazy tables, of the registry, and of userdata that have no methods. */
static int lazy_index(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    int table = lazy_table(vm, L, 1), number = table < 0 ? -1 : pending_name(vm, L, table, 2);
    if (number < 0) {
        if (lua_rawequal(L, 1, LUA_REGISTRYINDEX) && lua_type(L, 2) == LUA_TSTRING && !strcmp(lua_tostring(L, 2), LUA_LOADED_TABLE)) {
            push_loaded(vm, L);
            return 1;
        }
        lua_pushnil(L);
        return 1;
    }
    give(vm, L, table, number, 1);
    lua_settop(L, 2);
    lua_rawget(L, 1);
    return 1;
}

/* __newindex of lazy tables. */
static int lazy_newindex(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    int table = lazy_table(vm, L, 1), number = table < 0 ? -1 : pending_name(vm, L, table, 2);
    if (lua_isnil(L, 2)) return luaL_error(L, "table index is nil");
    if (lua_type(L, 2) == LUA_TNUMBER && isnan(lua_tonumber(L, 2))) return luaL_error(L, "table index is NaN");
    if (number >= 0) set_given(vm, table, number);
    lua_rawset(L, 1);
    return 0;
}

/* Puts what has not been given into the table at `index`, an absolute one. */
static void give_all(obh_vm *vm, lua_State *L, int table, int index) {
    for (int number = 0; number < names_of[table].count; number++) {
        if (!is_given(vm, table, number)) give(vm, L, table, number, index);
    }
}

void obh_complete(lua_State *L, int index) {
    if (OBH_LIKELY(!lua_getmetatable(L, index))) return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, OBH_KEY_LAZY);
    int lazy = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (!lazy) return;
    obh_vm *vm = obh_vm_of(L);
    int table = lazy_table(vm, L, index);
    if (table < 0) return;
    index = lua_absindex(L, index);
    give_all(vm, L, table, index);
    lua_pushnil(L);
    lua_setmetatable(L, index);
    vm->tables[table] = 0;
}

/* ---- Making the tables ---------------------------------------------------------------------- */

/* Makes the table on top lazy. */
static void make_lazy(obh_vm *vm, lua_State *L, int table) {
    uint32_t place = place_from(vm, lua_topointer(L, -1));
    /* Two with one place cannot be told apart: the second one is made complete at once. */
    if (OBH_UNLIKELY(table_at(vm, place) >= 0)) return give_all(vm, L, table, lua_gettop(L));
    lua_rawgeti(L, LUA_REGISTRYINDEX, OBH_KEY_LAZY);
    lua_setmetatable(L, -2);
    vm->tables[table] = place;
}

/* Makes the table on top that of a module. */
static void adopt(obh_vm *vm, lua_State *L, int module) {
    make_lazy(vm, L, module);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, key_of(module));
    if (known_as[module] && vm->has_loaded) {
        lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_pushvalue(L, -2);
        lua_setfield(L, -2, known_as[module]);
        lua_pop(L, 1);
    }
}

static void index_strings(lua_State *L);

void obh_lua_pushmodule(lua_State *L, int module) {
    if (OBH_LIKELY(lua_rawgeti(L, LUA_REGISTRYINDEX, key_of(module)) == LUA_TTABLE)) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 0);
    adopt(obh_vm_of(L), L, module);
    if (module == obh_module_string) index_strings(L);
}

/* Strings are indexed, and calculate, without a name. */

/* Their __index until there is a table of their functions; from then on it is that. */
static int first_string_index(lua_State *L) {
    lua_settop(L, 2);
    obh_lua_pushmodule(L, obh_module_string);
    lua_replace(L, 1);
    lua_gettable(L, 1);
    return 1;
}

/* What strings are indexed by is the table on top. */
static void index_strings(lua_State *L) {
    lua_pushliteral(L, "");
    if (lua_getmetatable(L, -1)) {
        lua_pushvalue(L, -3);
        lua_setfield(L, -2, "__index");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void open_strings(lua_State *L) {
    lua_pushliteral(L, "");
    lua_createtable(L, 0, ARITHMETIC + 1);
    for (int i = 0; i < ARITHMETIC; i++) {
        lua_pushcfunction(L, string_arithmetic[i].function);
        lua_setfield(L, -2, string_arithmetic[i].event);
    }
    lua_pushcfunction(L, first_string_index);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

void obh_make_globals(lua_State *L) {
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, lazy_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, lazy_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, OBH_KEY_LAZY);
    lua_setmetatable(L, LUA_REGISTRYINDEX);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    adopt(obh_vm_of(L), L, obh_module_global);
    lua_pop(L, 1);
    open_strings(L);
}

void obh_complete_all(lua_State *L) {
    for (int table = 0; table < obh_module_count; table++) {
        obh_lua_pushmodule(L, table);
        obh_complete(L, -1);
        lua_pop(L, 1);
    }
}

/* ---- Userdata ------------------------------------------------------------------------------- */

static const char *const type_names[obh_type_count] = {
#define OBH_TYPE(type, lua) [obh_type_##type] = lua,
#define OBH_COLLECTED_TYPE(type, lua) [obh_type_##type] = lua,
#include "functions.def"
};

static const uint8_t is_collected_type[obh_type_count] = {
#define OBH_COLLECTED_TYPE(type, lua) [obh_type_##type] = 1,
#include "functions.def"
};

/* The __gc of collected types: no Swift is called, the handle is only noted. */
static int collected(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    uint64_t *block = lua_touserdata(L, 1);
    if (!block || lua_rawlen(L, 1) < 2 * sizeof *block || !block[1]) return 0;
    if (vm->collected_count == vm->collected_capacity) {
        uint32_t capacity = vm->collected_capacity ? vm->collected_capacity * 2 : 16;
        uint64_t *grown = realloc(vm->collected, capacity * sizeof *grown);
        if (!grown) return 0; /* given back at the process's end */
        vm->collected = grown;
        vm->collected_capacity = capacity;
    }
    vm->collected[vm->collected_count++] = block[1];
    block[1] = 0; /* a key of a weak table is still to be seen once more */
    return 0;
}

/* Their metatable is out of a program's reach (getmetatable says false): so it holds no more than what Lua looks for. */
static void push_metatable(lua_State *L, int type) {
    lua_Integer key = (type <= obh_type_channel ? OBH_KEY_NEAR_TYPES : OBH_KEY_FAR_TYPES) + type;
    if (OBH_LIKELY(lua_rawgeti(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE)) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, type_names[type]);
    lua_setfield(L, -2, "__name");
    if (names_of[obh_module_count + type].count) {
        lua_createtable(L, 0, 0);
        make_lazy(obh_vm_of(L), L, obh_module_count + type);
    } else {
        lua_pushcfunction(L, lazy_index);
    }
    lua_setfield(L, -2, "__index");
    if (is_collected_type[type]) {
        lua_pushcfunction(L, collected);
        lua_setfield(L, -2, "__gc");
    }
    for (int i = 0; i < CATALOG; i++) {
        if (catalog[i].table != obh_module_count + type || strncmp(catalog[i].text, "__", 2)) continue;
        lua_pushcfunction(L, catalog[i].value.function);
        lua_setfield(L, -2, catalog[i].text);
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, key);
}

/* A process's VM has no userdata but these, full or light, as far as a program can reach; the first 8 bytes hold the type. */

void *obh_lua_newuserdata(lua_State *L, int type, size_t size, int user_values) {
    uint64_t *block = lua_newuserdatauv(L, sizeof *block + size, user_values);
    block[0] = (uint64_t)type;
    push_metatable(L, type);
    lua_setmetatable(L, -2);
    return block + 1;
}

int obh_lua_userdata_type(lua_State *L, int index) {
    const uint64_t *block = lua_touserdata(L, index);
    return block ? (int)*block : obh_type_none;
}

void *obh_lua_touserdata(lua_State *L, int index, int type) {
    uint64_t *block = lua_touserdata(L, index);
    return block && (int)block[0] == type ? block + 1 : NULL;
}

OBH_JUMPED_OVER_END
