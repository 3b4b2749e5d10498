/* What Swift may call of Lua: only what cannot raise while the allocator cannot refuse, that is with
 * in_host > 0 (inside obh_call_*, obh_resume_*, or between obh_host_enter and obh_host_leave).
 *
 * Nothing here calls a metamethod. Who pushes more than 20 values onto a stack asks obh_lua_checkstack first.
 * Indexes are Lua's: 1 is the first argument, -1 the top.
 */
#ifndef OBH_LUA_API_H
#define OBH_LUA_API_H

#include <stddef.h>
#include <stdint.h>

#include "vm.h"

#define OBH_REGISTRY (-1000000 - 1000)

enum {
    OBH_TNONE = -1, OBH_TNIL = 0, OBH_TBOOLEAN = 1, OBH_TLIGHTUSERDATA = 2, OBH_TNUMBER = 3, OBH_TSTRING = 4,
    OBH_TTABLE = 5, OBH_TFUNCTION = 6, OBH_TUSERDATA = 7, OBH_TTHREAD = 8,
    OBH_TINTEGER = 16 /* of obh_scalar only */
};

/* The kinds of userdata of functions.def: obh_type_channel, ... 0 is none of ours. */
enum {
    obh_type_none = 0,
#define OBH_TYPE(type, lua) obh_type_##type,
#define OBH_COLLECTED_TYPE(type, lua) obh_type_##type,
#include "functions.def"
    obh_type_count
};

/* The modules of functions.def: obh_module_time, ... */
enum {
#define OBH_MODULE(module, known_as) obh_module_##module,
#include "functions.def"
    obh_module_count
};

/* Allows the calls below outside a trampoline (start of a process, results). Nest freely. */
static inline void obh_host_enter(obh_vm *vm) { vm->in_host++; }
static inline void obh_host_leave(obh_vm *vm) { vm->in_host--; }

int obh_lua_gettop(struct lua_State *L);
void obh_lua_settop(struct lua_State *L, int index);
void obh_lua_pop(struct lua_State *L, int count);
int obh_lua_absindex(struct lua_State *L, int index);
void obh_lua_pushvalue(struct lua_State *L, int index);
void obh_lua_rotate(struct lua_State *L, int index, int by);
void obh_lua_insert(struct lua_State *L, int index);
void obh_lua_remove(struct lua_State *L, int index);
/* 0 when there is no room for `count` more values. */
int obh_lua_checkstack(struct lua_State *L, int count);
void obh_lua_xmove(struct lua_State *from, struct lua_State *to, int count);

int obh_lua_type(struct lua_State *L, int index);
/* As Lua's own messages name the value's type: a metatable's __name, "light userdata", "no value", ... The text lives as
 * long as the value. */
const char *obh_lua_typename_of(struct lua_State *L, int index);
int obh_lua_isinteger(struct lua_State *L, int index);
int obh_lua_toboolean(struct lua_State *L, int index);
/* `*ok` is 0 when the value is no number, no string that reads as one, or has no integer of its value. */
int64_t obh_lua_tointeger(struct lua_State *L, int index, int *ok);
double obh_lua_tonumber(struct lua_State *L, int index, int *ok);
/* A value that holds no other: OBH_TNIL, _TBOOLEAN, _TINTEGER, _TNUMBER (a float) or _TSTRING. */
typedef struct obh_scalar {
    int32_t type; /* of any other value: its own */
    int32_t truth;
    union {
        int64_t integer;
        double number;
        const char *text; /* lives as long as the value */
    };
    size_t size;
} obh_scalar;
void obh_lua_toscalar(struct lua_State *L, int index, obh_scalar *scalar);
/* The bytes of a string; NULL for anything else, numbers too. They live as long as the value. */
const char *obh_lua_string(struct lua_State *L, int index, size_t *size);
/* The same, or those of a number turned into a string in its place. Never calls __tostring. */
const char *obh_lua_tostring(struct lua_State *L, int index, size_t *size);
size_t obh_lua_rawlen(struct lua_State *L, int index);
int obh_lua_rawequal(struct lua_State *L, int a, int b);
const void *obh_lua_topointer(struct lua_State *L, int index);

void obh_lua_pushnil(struct lua_State *L);
void obh_lua_pushboolean(struct lua_State *L, int value);
void obh_lua_pushinteger(struct lua_State *L, int64_t value);
void obh_lua_pushnumber(struct lua_State *L, double value);
void obh_lua_pushstring(struct lua_State *L, const char *bytes, size_t size);

/* Tables, without metamethods. */
/* The text of the pid whose messages the program answers: the registry holds the last one, so that it is neither written nor
 * read each time. `keep` takes the string on top, which stays there; `push` answers 1, or 0 when another is kept. Who meets
 * `vm->peer_text` in a string has met that string: while it is kept nothing else has its address. */
int obh_lua_pushpeer(obh_vm *vm, struct lua_State *L, uint64_t pid);
void obh_lua_keeppeer(obh_vm *vm, struct lua_State *L, uint64_t pid);

void obh_lua_createtable(struct lua_State *L, int array, int fields);
int obh_lua_rawget(struct lua_State *L, int index);
int obh_lua_rawgeti(struct lua_State *L, int index, int64_t key);
int obh_lua_rawgetfield(struct lua_State *L, int index, const char *key);
int obh_lua_rawgetp(struct lua_State *L, int index, const void *key);
/* Pops key and value. 0, and nothing set, when the key is nil or NaN. */
int obh_lua_rawset(struct lua_State *L, int index);
void obh_lua_rawseti(struct lua_State *L, int index, int64_t key);
void obh_lua_rawsetfield(struct lua_State *L, int index, const char *key);
void obh_lua_rawsetp(struct lua_State *L, int index, const void *key);
/* The key on top must be nil or have come from this function, and the table unchanged but for existing fields. */
int obh_lua_next(struct lua_State *L, int index);
/* Goes on in a walk that expects nothing but scalars at the places 1, 2, ..., from `place` on. Reads as many as `count` and
 * answers how many: less when the walk is over, and its key gone. -1: the next key or value is another. */
int obh_lua_nextscalars(struct lua_State *L, int index, int64_t place, obh_scalar *scalars, int count);

/* Userdata of the types of functions.def. Pushes it; the memory is 8-byte aligned and not initialised. */
void *obh_lua_newuserdata(struct lua_State *L, int type, size_t size, int user_values);
/* Its memory if the value is of `type`, else NULL. */
void *obh_lua_touserdata(struct lua_State *L, int index, int type);
/* The type of the value: obh_type_*; obh_type_none for all that is not ours. */
int obh_lua_userdata_type(struct lua_State *L, int index);
/* Pushes user value n, counted from 1. */
void obh_lua_getuservalue(struct lua_State *L, int index, int n);
/* Pops the value. */
void obh_lua_setuservalue(struct lua_State *L, int index, int n);

/* Pushes the table of a module of functions.def ("os" is one too), always the same one: obh_module_*. */
void obh_lua_pushmodule(struct lua_State *L, int module);
/* To be called before the table at `index` is looked at by obh_lua_next or obh_lua_rawget for a name that the runtime gives
 * (names.c); does nothing to any other value. */
void obh_lua_complete(struct lua_State *L, int index);

/* Pushes a function of Lua that calls obh_call_native_call, whose first upvalue (at OBH_REGISTRY - 1) is `address`. */
void obh_lua_pushnative(struct lua_State *L, const void *address);
/* Pushes the function that dumped code makes (obh_compile); 0, or a message is pushed instead. */
int obh_lua_loadcode(struct lua_State *L, const void *code, size_t size, const char *chunk_name);

/* "src/a.lua:12: " of the function at `level` (1: who called this one); "" if it has none. Answers the length. */
size_t obh_lua_where(struct lua_State *L, int level, char *text, size_t size);
/* A traceback of L from `level` on as text; answers the length. */
size_t obh_lua_traceback(struct lua_State *L, int level, char *text, size_t size);

#endif
