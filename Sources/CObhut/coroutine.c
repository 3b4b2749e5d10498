/* The runtime's own coroutine library: to the program the same as Lua's.
 *
 * A yield that is the runtime's (`system_yield`: a blocking call, or an interruption) must not surface at the program's own
 * coroutine.resume. So resume records which lua_State runs (`current`, where hooks are armed), and when a coroutine comes
 * back with such a yield, marks it as waiting and yields itself, outward to the fiber; when the fiber is stepped again, each
 * level resumes the next one inward. Only where all levels can yield: `unyieldable` says that some outer one cannot, which
 * lua_isyieldable of the innermost does not know. */
#include <assert.h>

#include "internal.h"

OBH_JUMPED_OVER_BEGIN

/* What a suspended resume has to remember, in its lua_KContext beside the coroutine's address. */
enum { WRAPPED = 1, WAS_EXITING = 2, CONTEXT_FLAGS = 3 };

static lua_State *check_coroutine(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    if (!co) luaL_typeerror(L, 1, "thread");
    return co;
}

enum status { RUNNING, DEAD, SUSPENDED, NORMAL };
static const char *const status_names[] = {"running", "dead", "suspended", "normal"};

static enum status status_of(lua_State *L, lua_State *co) {
    if (co == L) return RUNNING;
    lua_Debug level;
    switch (lua_status(co)) {
    case LUA_YIELD: return obh_flags(co) ? NORMAL : SUSPENDED;
    case LUA_OK:
        if (lua_getstack(co, 0, &level)) return NORMAL; /* it has resumed another one */
        if (lua_gettop(co) == 0) return DEAD;
        return obh_flags(co) & OBH_OWNED ? (lua_isfunction(co, 1) ? NORMAL : DEAD) : SUSPENDED;
    default: return DEAD;
    }
}

/* Closes a coroutine's pending variables; its error object, if any, is then on its top. Their handlers cannot yield. */
static int close_coroutine(obh_vm *vm, lua_State *L, lua_State *co) {
    const char *here = __builtin_frame_address(0);
    if ((intptr_t)vm->stack_base - (intptr_t)here > OBH_CLOSING_STACK) luaL_error(L, "C stack overflow");
    uint8_t outer = vm->unyieldable;
    vm->unyieldable = 1;
    vm->current = co;
    int status = lua_resetthread(co);
    vm->current = L;
    vm->unyieldable = outer;
    if (OBH_UNLIKELY(vm->wants_yield)) obh_yield_soon(vm, L);
    return status;
}

/* Raises the string or object on top as a wrapped coroutine's error: a string gets the caller's position. */
static int raise_from_wrap(lua_State *L) {
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int refuse(lua_State *L, int flags, const char *why) {
    if (!(flags & WRAPPED)) lua_pushboolean(L, 0);
    lua_pushstring(L, why);
    return flags & WRAPPED ? raise_from_wrap(L) : 2;
}

static int carry_on(lua_State *L, int status, lua_KContext context);

/* Resumes `co` with the top `arguments` values of its own stack, and deals with how it comes back. */
static int run(lua_State *L, lua_State *co, int arguments, int flags) {
    obh_vm *vm = obh_vm_of(L);
    uint8_t outer = vm->unyieldable;
    int results;
    vm->unyieldable = outer || !lua_isyieldable(L);
    vm->current = co;
    if (OBH_UNLIKELY(vm->exit_pending)) obh_arm(co);
    int status = lua_resume(co, L, arguments, &results);
    vm->current = L;
    vm->unyieldable = outer;
    if (OBH_UNLIKELY(vm->wants_yield)) obh_yield_soon(vm, L);
    if (obh_must_stop(vm)) obh_stop_here(vm, L);

    if (status == LUA_YIELD && vm->system_yield != OBH_YIELD_NONE) {
        obh_set_flag(co, OBH_WAITS);
        return lua_yieldk(L, 0, (lua_KContext)((uintptr_t)co | (uintptr_t)flags), carry_on);
    }
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, results + 1)) {
            lua_pop(co, results);
            return refuse(L, flags, "too many results to resume");
        }
        if (!(flags & WRAPPED)) lua_pushboolean(L, 1);
        lua_xmove(co, L, results);
        return results + !(flags & WRAPPED);
    }
    if (obh_passes_on(vm, flags & WAS_EXITING)) {
        close_coroutine(vm, L, co); /* the process unwinds: nobody else will */
        if (obh_must_stop(vm)) obh_stop_here(vm, L);
        obh_raise_uncatchable(L);
    }
    if (!(flags & WRAPPED)) {
        lua_xmove(co, L, 1); /* `co` may be L itself */
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    int left = lua_status(co);
    if (left != LUA_OK && left != LUA_YIELD) {
        left = close_coroutine(vm, L, co);
        if (obh_must_stop(vm)) obh_stop_here(vm, L);
        if (obh_passes_on(vm, flags & WAS_EXITING)) obh_raise_uncatchable(L);
    }
    lua_xmove(co, L, 1);
    return left == LUA_ERRMEM ? lua_error(L) : raise_from_wrap(L);
}

static int carry_on(lua_State *L, int status, lua_KContext context) {
    (void)status;
    lua_State *co = (lua_State *)((uintptr_t)context & ~(uintptr_t)CONTEXT_FLAGS);
    obh_clear_flag(co, OBH_WAITS);
    return run(L, co, 0, (int)(context & CONTEXT_FLAGS));
}

static int begin(lua_State *L, lua_State *co, int arguments, int flags) {
    obh_vm *vm = obh_vm_of(L);
    if (obh_must_stop(vm)) obh_stop_here(vm, L);
    if (obh_flags(co)) {
        int dead = status_of(L, co) == DEAD;
        return refuse(L, flags, dead ? "cannot resume dead coroutine" : "cannot resume non-suspended coroutine");
    }
    if (!lua_checkstack(co, arguments)) return refuse(L, flags, "too many arguments to resume");
    lua_xmove(L, co, arguments);
    return run(L, co, arguments, flags | (vm->exiting ? WAS_EXITING : 0));
}

int obh_coroutine_resume(lua_State *L) {
    lua_State *co = check_coroutine(L);
    return begin(L, co, lua_gettop(L) - 1, 0);
}

int obh_coroutine_create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    *obh_word(co) = (uintptr_t)obh_vm_of(L); /* Lua has copied the main state's flags */
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int call_wrapped(lua_State *L) {
    return begin(L, lua_tothread(L, lua_upvalueindex(1)), lua_gettop(L), WRAPPED);
}

int obh_coroutine_wrap(lua_State *L) {
    obh_coroutine_create(L);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

int obh_coroutine_yield(lua_State *L) {
    if (obh_flags(L) & OBH_OWNED) {
        lua_pushliteral(L, "attempt to yield from outside a coroutine");
        return lua_error(L);
    }
    return lua_yield(L, lua_gettop(L));
}

int obh_coroutine_close(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    if (obh_must_stop(vm)) obh_stop_here(vm, L);
    lua_State *co = check_coroutine(L);
    enum status status = status_of(L, co);
    if (status != DEAD && status != SUSPENDED) {
        return luaL_error(L, "cannot close a %s coroutine", status_names[status]);
    }
    int was_exiting = vm->exiting;
    int left = obh_flags(co) & OBH_OWNED ? LUA_OK : close_coroutine(vm, L, co);
    if (obh_must_stop(vm)) obh_stop_here(vm, L);
    if (left == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (obh_passes_on(vm, was_exiting)) obh_raise_uncatchable(L);
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}

int obh_coroutine_status(lua_State *L) {
    lua_pushstring(L, status_names[status_of(L, check_coroutine(L))]);
    return 1;
}

/* In a fiber the second result is true, as in Lua's own main coroutine: where coroutine.yield raises. */
int obh_coroutine_running(lua_State *L) {
    lua_pushthread(L);
    lua_pushboolean(L, (obh_flags(L) & OBH_OWNED) != 0);
    return 2;
}

int obh_coroutine_isyieldable(lua_State *L) {
    lua_State *co = lua_isnone(L, 1) ? L : check_coroutine(L);
    lua_pushboolean(L, !(obh_flags(co) & OBH_OWNED) && lua_isyieldable(co));
    return 1;
}

OBH_JUMPED_OVER_END
