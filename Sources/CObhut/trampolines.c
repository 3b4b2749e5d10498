/* One C function for each name in functions.def: what Lua calls. It calls the Swift function of that name and does what its
 * answer asks for, when no Swift frame is left (ARCHITECTURE D3). */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

OBH_JUMPED_OVER_BEGIN

/* ---- Numbers and names of the operations ------------------------------------------- */

enum {
#define OBH_FUNCTION(module, lua, name) operation_##name,
#define OBH_TEXTUAL(module, lua, name) operation_##name,
#define OBH_BLOCKING(module, lua, name) operation_##name,
#define OBH_METHOD(type, lua, name) operation_##name,
#define OBH_BLOCKING_METHOD(type, lua, name) operation_##name,
#include "functions.def"
    operation_count
};

static const char *const operation_names[] = {
#define OBH_FUNCTION(module, lua, name) #module "." #lua,
#define OBH_TEXTUAL(module, lua, name) #module "." #lua,
#define OBH_BLOCKING(module, lua, name) #module "." #lua,
#define OBH_METHOD(type, lua, name) #type ":" #lua,
#define OBH_BLOCKING_METHOD(type, lua, name) #type ":" #lua,
#include "functions.def"
};

/* ---- Swift's side --------------------------------------------------------------------- */

#define CALL(name) int32_t obh_call_##name(obh_vm *vm, lua_State *L);
#define RESUME(name) int32_t obh_resume_##name(obh_vm *vm, lua_State *L);
#define OBH_FUNCTION(module, lua, name) CALL(name)
#define OBH_TEXTUAL(module, lua, name) CALL(name)
#define OBH_BLOCKING(module, lua, name) CALL(name) RESUME(name)
#define OBH_METHOD(type, lua, name) CALL(name)
#define OBH_BLOCKING_METHOD(type, lua, name) CALL(name) RESUME(name)
#include "functions.def"
#undef CALL
#undef RESUME

/* ---- The trampolines ------------------------------------------------------------------- */

typedef int32_t operation(obh_vm *vm, lua_State *L);

static inline __attribute__((always_inline)) int enter(lua_State *L, operation *call, int number) {
    obh_vm *vm = obh_vm_of(L);
    if (obh_must_stop(vm)) {
        lua_settop(L, 0);
        obh_stop_here(vm, L);
    }
    vm->in_host++;
    int32_t code = call(vm, L);
    vm->in_host--;
    if (OBH_LIKELY(code >= 0 && vm->arena.used <= vm->arena.limit && !obh_must_stop(vm))) return code;
    return obh_finish(vm, L, code, number);
}

/* Applies tostring to every argument; may call the program's __tostring. */
static void make_textual(lua_State *L) {
    for (int i = 1, n = lua_gettop(L); i <= n; i++) {
        if (lua_type(L, i) == LUA_TSTRING) continue;
        luaL_tolstring(L, i, NULL);
        lua_replace(L, i);
    }
}

#define TRAMPOLINE(name) \
    static int lua_calls_##name(lua_State *L) { return enter(L, obh_call_##name, operation_##name); }
#define CONTINUATION(name) \
    static int lua_resumes_##name(lua_State *L, int status, lua_KContext context) { \
        (void)status, (void)context; \
        return enter(L, obh_resume_##name, operation_##name); \
    }
#define OBH_FUNCTION(module, lua, name) TRAMPOLINE(name)
#define OBH_TEXTUAL(module, lua, name) \
    static int lua_calls_##name(lua_State *L) { \
        make_textual(L); \
        return enter(L, obh_call_##name, operation_##name); \
    }
#define OBH_BLOCKING(module, lua, name) TRAMPOLINE(name) CONTINUATION(name)
#define OBH_METHOD(type, lua, name) TRAMPOLINE(name)
#define OBH_BLOCKING_METHOD(type, lua, name) TRAMPOLINE(name) CONTINUATION(name)
#include "functions.def"

static const lua_KFunction continuations[operation_count] = {
#define OBH_BLOCKING(module, lua, name) [operation_##name] = lua_resumes_##name,
#define OBH_BLOCKING_METHOD(type, lua, name) [operation_##name] = lua_resumes_##name,
#include "functions.def"
};

/* After a protected call that a Swift function asked for: the context is its operation, and vm->exiting at its entry. */
static int tried(lua_State *L, int status, lua_KContext context) {
    obh_vm *vm = obh_vm_of(L);
    vm->call_failed = status != LUA_OK && status != LUA_YIELD;
    if (vm->call_failed) {
        if (obh_must_stop(vm)) obh_stop_here(vm, L);
        if (obh_passes_on(vm, context & 1)) obh_raise_uncatchable(vm, L);
    }
    return continuations[context >> 1](L, LUA_OK, context >> 1);
}

/* Raises that argument `argument` is refused because of the string on top, in Lua's own words. As there, the function
 * goes by the name it was called by, and by its full one where that is not known (called by pcall). */
static int bad_argument(lua_State *L, int argument, int number) {
    const char *name = operation_names[number], *why = lua_tostring(L, -1);
    lua_Debug call;
    if (lua_getstack(L, 0, &call)) {
        lua_getinfo(L, "n", &call);
        if (call.name) name = call.name;
        if (!strcmp(call.namewhat, "method") && --argument == 0) {
            return luaL_error(L, "calling '%s' on bad self (%s)", name, why);
        }
    }
    return luaL_error(L, "bad argument #%d to '%s' (%s)", argument, name, why);
}

int obh_finish(obh_vm *vm, lua_State *L, int32_t code, int number) {
    if (obh_must_stop(vm) || obh_memory_exceeded(vm, L)) {
        lua_settop(L, 0);
        obh_stop_here(vm, L);
    }
    if (code >= 0) return code;
    switch (code) {
    case OBH_RAISE: return lua_error(L);
    case OBH_RAISE_WHERE:
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
        return lua_error(L);
    case OBH_BLOCK:
        vm->system_yield = OBH_YIELD_BLOCK;
        return lua_yieldk(L, 0, number, continuations[number]);
    case OBH_CANNOT_BLOCK:
        return luaL_error(L, "attempt to block where Lua cannot yield (in %s)", operation_names[number]);
    case OBH_BAD_ARGUMENT: return bad_argument(L, vm->bad_argument, number);
    case OBH_BAD_TYPE: {
        lua_insert(L, 1); /* out of the way: a missing argument must stay missing */
        const char *got = obh_lua_typename_of(L, vm->bad_argument + 1);
        lua_pushfstring(L, "%s expected, got %s", lua_tostring(L, 1), got);
        lua_remove(L, 1);
        return bad_argument(L, vm->bad_argument, number);
    }
    case OBH_EXIT:
        vm->exiting = 1;
        lua_settop(L, 0);
        obh_raise_uncatchable(vm, L);
    default:
        if (code <= OBH_TRY_BASE) {
            lua_KContext context = (lua_KContext)number << 1 | (vm->exiting != 0);
            return tried(L, lua_pcallk(L, OBH_TRY_BASE - code, LUA_MULTRET, 0, context, tried), context);
        }
        lua_callk(L, OBH_CALL_BASE - code, LUA_MULTRET, number, continuations[number]);
        return continuations[number](L, LUA_OK, number);
    }
}

/* ---- Modules and types ------------------------------------------------------------------- */

/* Their tables live in the registry under these addresses. */
static const char module_keys[obh_module_count], type_keys[obh_type_count];

static const char *const type_names[obh_type_count] = {
#define OBH_TYPE(type, lua) [obh_type_##type] = lua,
#define OBH_COLLECTED_TYPE(type, lua) [obh_type_##type] = lua,
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

static void set_function(lua_State *L, int table, const char *name, lua_CFunction function) {
    lua_pushcfunction(L, function);
    lua_setfield(L, table, name);
}

/* Sets a method of the type whose metatable is at `first + type`: a metamethod, or a field of its __index. */
static void set_method(lua_State *L, int metatable, const char *name, lua_CFunction function) {
    if (strncmp(name, "__", 2) == 0) return set_function(L, metatable, name, function);
    lua_getfield(L, metatable, "__index");
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* Puts `value`, a stack index, into the table at `into`, and makes it known to Lua's own messages. */
static void publish(lua_State *L, int into, const char *field, int value, const char *known_as) {
    lua_pushvalue(L, value);
    lua_setfield(L, into, field);
    if (!known_as) return;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, value);
    lua_setfield(L, -2, known_as);
    lua_pop(L, 1);
}

void obh_open_functions(lua_State *L) {
    lua_settop(L, 0);
    lua_checkstack(L, obh_module_count + obh_type_count + 20);
    /* Modules at 1 .. obh_module_count, then the metatables of the types. */
    for (int module = 0; module < obh_module_count; module++) {
        if (module == obh_module_global) {
            lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        } else if (module == obh_module_coroutine) {
            lua_getfield(L, 1 + obh_module_global, "coroutine");
        } else {
            lua_createtable(L, 0, 8);
        }
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &module_keys[module]);
    }
    for (int type = 1; type < obh_type_count; type++) {
        lua_createtable(L, 0, 6);
        lua_pushstring(L, type_names[type]);
        lua_setfield(L, -2, "__name");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        lua_createtable(L, 0, 4);
        lua_setfield(L, -2, "__index");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &type_keys[type]);
    }
#define MODULE(name) (1 + obh_module_##name)
#define TYPE(name) (obh_module_count + obh_type_##name)
#define OBH_FUNCTION(module, lua, name) set_function(L, MODULE(module), #lua, lua_calls_##name);
#define OBH_TEXTUAL(module, lua, name) OBH_FUNCTION(module, lua, name)
#define OBH_BLOCKING(module, lua, name) OBH_FUNCTION(module, lua, name)
#define OBH_ALIAS(module, lua, name) OBH_FUNCTION(module, lua, name)
#define OBH_COLLECTED_TYPE(type, lua) set_function(L, TYPE(type), "__gc", collected);
#define OBH_METHOD(type, lua, name) set_method(L, TYPE(type), #lua, lua_calls_##name);
#define OBH_BLOCKING_METHOD(type, lua, name) OBH_METHOD(type, lua, name)
#define OBH_STRING(module, lua, value) lua_pushliteral(L, value), lua_setfield(L, MODULE(module), #lua);
#define OBH_INTEGER(module, lua, value) lua_pushinteger(L, value), lua_setfield(L, MODULE(module), #lua);
#include "functions.def"

    publish(L, MODULE(global), "process", MODULE(process), "process");
    publish(L, MODULE(global), "channel", MODULE(channel), "channel");
    publish(L, MODULE(global), "errors", MODULE(errors), "errors");
    publish(L, MODULE(process), "registry", MODULE(registry), "process.registry");
    publish(L, MODULE(process), "event", MODULE(event), NULL);
    lua_settop(L, 0);
}

void obh_lua_pushmodule(lua_State *L, int module) { lua_rawgetp(L, LUA_REGISTRYINDEX, &module_keys[module]); }

void obh_lua_pushlibrary(lua_State *L, const char *name) {
    if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) != LUA_TTABLE) return;
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

/* ---- Userdata ------------------------------------------------------------------------------- */

/* A process's VM has no full userdata but these, as far as a program can reach; the first 8 bytes hold the type. */

void *obh_lua_newuserdata(lua_State *L, int type, size_t size, int user_values) {
    uint64_t *block = lua_newuserdatauv(L, sizeof *block + size, user_values);
    memset(block, 0, sizeof *block + size);
    block[0] = (uint64_t)type;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &type_keys[type]);
    lua_setmetatable(L, -2);
    return block + 1;
}

int obh_lua_userdata_type(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA) return obh_type_none;
    return (int)*(const uint64_t *)lua_touserdata(L, index);
}

void *obh_lua_touserdata(lua_State *L, int index, int type) {
    if (lua_type(L, index) != LUA_TUSERDATA) return NULL;
    uint64_t *block = lua_touserdata(L, index);
    return (int)block[0] == type ? block + 1 : NULL;
}

OBH_JUMPED_OVER_END
