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

#define CALL(name) \
    int32_t obh_call_##name(obh_vm *vm, lua_State *L); \
    int obh_lua_calls_##name(lua_State *L); /* for names.c */
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
    int obh_lua_calls_##name(lua_State *L) { return enter(L, obh_call_##name, operation_##name); }
#define CONTINUATION(name) \
    static int lua_resumes_##name(lua_State *L, int status, lua_KContext context) { \
        (void)status, (void)context; \
        return enter(L, obh_resume_##name, operation_##name); \
    }
#define OBH_FUNCTION(module, lua, name) TRAMPOLINE(name)
#define OBH_TEXTUAL(module, lua, name) \
    int obh_lua_calls_##name(lua_State *L) { \
        make_textual(L); \
        return enter(L, obh_call_##name, operation_##name); \
    }
#define OBH_BLOCKING(module, lua, name) TRAMPOLINE(name) CONTINUATION(name)
#define OBH_METHOD(type, lua, name) TRAMPOLINE(name)
#define OBH_BLOCKING_METHOD(type, lua, name) TRAMPOLINE(name) CONTINUATION(name)
#include "functions.def"

void obh_lua_pushnative(lua_State *L, const void *address) {
    lua_pushlightuserdata(L, (void *)address);
    lua_pushcclosure(L, obh_lua_calls_native_call, 1);
}

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
        if (obh_passes_on(vm, context & 1)) obh_raise_uncatchable(L);
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
        obh_raise_uncatchable(L);
    default:
        if (code <= OBH_TRY_BASE) {
            lua_KContext context = (lua_KContext)number << 1 | (vm->exiting != 0);
            return tried(L, lua_pcallk(L, OBH_TRY_BASE - code, LUA_MULTRET, 0, context, tried), context);
        }
        lua_callk(L, OBH_CALL_BASE - code, LUA_MULTRET, number, continuations[number]);
        return continuations[number](L, LUA_OK, number);
    }
}

OBH_JUMPED_OVER_END
