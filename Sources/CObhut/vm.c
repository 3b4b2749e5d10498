/* The life of a VM: creation, fibers, the hook, and the three rungs of termination (ARCHITECTURE D2).
 *
 * Rung 1: what does not run never runs again (obh_step_fiber answers KILLED, obh_vm_destroy drops the arena).
 * Rung 2: `kill` is set; the hook raises a memory error at every instruction, and every trampoline on entry. Message handlers
 * are skipped by memory errors, and each __close handler dies at its first instruction.
 * Rung 3: a C function of liblua that does not come back is left by siglongjmp from the signal handler (preempt.c).
 *
 * process.exit unwinds with the same error, but once: the program's __close handlers run, and the protected calls that were
 * entered before pass the error on (obh_passes_on). */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE /* its longjmp check does not like jumps out of signal handlers */

#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

OBH_JUMPED_OVER_BEGIN

/* ---- Raising ------------------------------------------------------------------ */

/* The string that Lua itself raises when memory is short: lua_error knows it by its address and raises a memory error. */
static const char memory_message[] = "not enough memory";

void obh_raise_uncatchable(lua_State *L) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, OBH_KEY_MEMORY); /* allocates nothing */
    lua_error(L);
    __builtin_unreachable();
}

void obh_keep_traceback(obh_vm *vm, lua_State *L, int level) {
    char text[4096];
    size_t size = obh_lua_traceback(L, level, text, sizeof text);
    char *copy = malloc(size + 1);
    if (!copy) return;
    memcpy(copy, text, size + 1);
    free(vm->traceback);
    vm->traceback = copy;
}

void obh_stop_here(obh_vm *vm, lua_State *L) {
    if (!vm->kill && vm->arena.refused) {
        if (!vm->arena.has_traceback) obh_keep_traceback(vm, L, 0);
        vm->kill = OBH_KILL_MEMORY;
    }
    if (vm->kill) {
        obh_arm(L);
    } else {
        vm->exit_pending = 0;
    }
    obh_raise_uncatchable(L);
}

int obh_memory_exceeded(obh_vm *vm, lua_State *L) {
    if (vm->arena.used <= vm->arena.limit) return 0;
    vm->in_host++;
    lua_gc(L, LUA_GCCOLLECT);
    vm->in_host--;
    if (vm->arena.used <= vm->arena.limit) return 0;
    vm->arena.refused = vm->arena.used;
    return 1;
}

/* ---- The hook ------------------------------------------------------------------- */

/* A function has returned. The yield itself is not done here: only from a count hook it leaves the state whole. */
static void on_return(obh_vm *vm, lua_State *L) {
    if (!vm->wants_yield)
        lua_sethook(L, NULL, 0, 0);
    else if (obh_can_block(vm, L))
        obh_arm(L);
}

/* One for both masks. A tick may come between the two stores by which lua_sethook sets function and mask, and set them itself: the
 * function is then the tick's, and the mask is not. */
static void hook(lua_State *L, lua_Debug *activation) {
    obh_vm *vm = obh_vm_of(L);
    if (activation->event == LUA_HOOKRET) {
        on_return(vm, L);
        return;
    }
    /* Who does not get out of a callback counts as one that no hook reaches. */
    if (!vm->wants_yield) vm->hooks++;
    if (!vm->count_interval)
        lua_sethook(L, NULL, 0, 0);
    else if (lua_gethookcount(L) != vm->count_interval)
        lua_sethook(L, hook, LUA_MASKCOUNT, vm->count_interval);
    if (obh_must_stop(vm)) obh_stop_here(vm, L);
    vm->in_host++;
    int32_t answer = obh_interrupted(vm);
    vm->in_host--;
    if (answer == 2) {
        vm->kill = OBH_KILL_LETHAL;
        obh_stop_here(vm, L);
    }
    /* What an earlier step was to be interrupted by is none of this one's business. */
    if (answer == 0 || (!vm->count_interval && !vm->ticked)) return;
    if (!obh_can_block(vm, L)) {
        if (!vm->count_interval) obh_yield_soon(vm, L);
    } else {
        vm->preemptions++;
        vm->system_yield = OBH_YIELD_PREEMPT;
        lua_yield(L, 0);
    }
}

void obh_arm(lua_State *L) { lua_sethook(L, hook, LUA_MASKCOUNT, 1); }

/* The function too: a tick may come between the two when the hook is being taken off. */
int obh_is_armed(lua_State *L) {
    if (!lua_gethook(L)) return 0;
    int mask = lua_gethookmask(L);
    return mask & LUA_MASKRET || (mask & LUA_MASKCOUNT && lua_gethookcount(L) == 1);
}

/* Inside of a callback (of sort, gsub, a metamethod that C calls) nothing can yield. A program that spends its time in short ones
 * would be interrupted only if a tick met it between two of them; so with each return it is looked whether it can yield now. */
void obh_yield_soon(obh_vm *vm, lua_State *L) {
    vm->wants_yield = 1;
    if (obh_is_armed(L)) return;
    if (obh_can_block(vm, L))
        obh_arm(L);
    else if (!lua_isyieldable(L)) /* otherwise it is an outer level that cannot: it comes here when this one is left */
        lua_sethook(L, hook, LUA_MASKRET, 0);
}

int obh_can_block(obh_vm *vm, lua_State *L) { return !vm->unyieldable && lua_isyieldable(L); }

/* ---- Creation and end -------------------------------------------------------------- */

/* Lua found no protected call to take an error: memory was refused in one of the few places that have none (a message in a
 * coroutine that does not run). The process dies of it. */
static int panic(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    if (vm->jump && !vm->in_host) {
        if (!vm->kill) vm->kill = OBH_KILL_MEMORY;
        siglongjmp(*(sigjmp_buf *)vm->jump, 2);
    }
    abort();
}

static int main_body(lua_State *L);

/* Answers what the main state is to run: main_body, and the chunk for its argument. */
static int set_up(lua_State *L) {
    const obh_vm_options *options = lua_touserdata(L, 1);
    obh_vm *vm = obh_vm_of(L);
    lua_settop(L, 0);
    /* One after the other into a registry that is still empty: so its array grows to hold them. */
    for (int key = LUA_RIDX_LAST + 1; key <= OBH_KEY_NEAR; key++) {
        lua_pushboolean(L, 0);
        lua_rawseti(L, LUA_REGISTRYINDEX, key);
    }
    lua_pushlstring(L, memory_message, sizeof memory_message - 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, OBH_KEY_MEMORY);
    obh_make_globals(L);
    if (options->complete_tables) obh_complete_all(L);
    lua_pushcfunction(L, main_body);
    if (vm->source) obh_template_loading(vm, 1);
    int failure = obh_lua_loadcode(L, options->code, options->code_size, options->code_name);
    if (vm->source) obh_template_loading(vm, 0);
    return failure ? lua_error(L) : 2;
}

/* How far a heap grows, in percent of what was alive, before it is collected again; and how much is done in one step of a
 * cycle. A process that is asked now and then has to be small more than it has to be quick, and there may be a million of it:
 * a cycle is done in one step, because between two steps a heap grows. One that allocates much is Lua's own (the second
 * figures are Lua's). */
enum { COLD_PAUSE = 108, HOT_PAUSE = 200, COLD_STEP = 400, HOT_STEP = 100 };

/* Bytes that a process allocates until then. */
enum { COLD_BYTES = 1024 * 1024 };

void obh_vm_warm_up(obh_vm *vm) {
    lua_State *L = vm->main_state;
    int pause = lua_gc(L, LUA_GCSETPAUSE, HOT_PAUSE);
    if (pause < 0) { /* the collector is at work */
        vm->arena.warm_at = vm->arena.turnover + COLD_BYTES;
        return;
    }
    vm->arena.warm_at = SIZE_MAX;
    int step = lua_gc(L, LUA_GCSETSTEPMUL, HOT_STEP);
    /* What the program has chosen itself stays (Lua keeps a quarter of these). */
    if (pause / 4 != COLD_PAUSE / 4) lua_gc(L, LUA_GCSETPAUSE, pause);
    if (step / 4 != COLD_STEP / 4) lua_gc(L, LUA_GCSETSTEPMUL, step);
}

/* Lua's smallest stack, of 40 values, is a little too small for a function of some ten variables that calls one of C, which
 * has to find 20 free. The next size is 80, which the collector takes back to twice what is in use; and as it cannot do so in
 * place, both moves leave a hole in the heap of every worker. So the stack begins with 46: it is made large, and a
 * collection finds 23 in use. (46 and the 5 that Lua adds fill a block of the arena; 52 took one that is larger by 128 bytes.)
 * The large one is malloc's and leaves no hole; the one of 40 does, which is filled by what the state is made of then.
 *
 * Made large inside of a call: what a frame was once granted counts as in use as long as it lasts. */
enum { GROWN_STACK = 200, SPARED_STACK = 21 };

static int grow_stack(lua_State *L) {
    lua_checkstack(L, GROWN_STACK);
    return 0;
}

static int size_stack(obh_vm *vm, lua_State *L) {
    uint8_t sealed = vm->arena.sealed;
    if (sealed) vm->arena.sealed = OBH_SIZING;
    lua_pushcfunction(L, grow_stack);
    int failed = lua_pcall(L, 0, 0, 0) != LUA_OK || !lua_checkstack(L, SPARED_STACK);
    lua_gc(L, LUA_GCCOLLECT);
    vm->arena.sealed = sealed;
    return failed ? -1 : 0;
}

int obh_vm_set_up(obh_vm *vm, const obh_vm_options *options) {
    vm->count_interval = options->count_interval;
    vm->sorted_pairs = (uint8_t)(options->sorted_pairs != 0);
    lua_State *L = lua_newstate(obh_arena_allocate, vm);
    if (!L) return -1;
    vm->main_state = L;
    *obh_word(L) = (uintptr_t)vm | OBH_OWNED;
    lua_atpanic(L, panic);
    lua_gc(L, LUA_GCSTOP);
    /* New coroutines inherit the hook. */
    if (vm->count_interval) lua_sethook(L, hook, LUA_MASKCOUNT, vm->count_interval);
    if (size_stack(vm, L)) return -1;
    lua_pushcfunction(L, set_up);
    lua_pushlightuserdata(L, (void *)options);
    if (lua_pcall(L, 1, 2, 0) != LUA_OK) return -1;
    vm->arena.refused = 0;
    lua_gc(L, LUA_GCRESTART);
    lua_gc(L, LUA_GCINC, COLD_PAUSE, COLD_STEP, 0);
    lua_gc(L, LUA_GCCOLLECT); /* what it leaves is the size from which the pause counts */
    vm->arena.warm_at = vm->arena.turnover + COLD_BYTES; /* what the loading took, however much code it is, does not count */
    return 0;
}

static obh_vm *make(const obh_vm_options *options) {
    obh_vm *vm = calloc(1, sizeof *vm);
    if (!vm) return NULL;
    obh_arena_init(&vm->arena);
    if (!obh_vm_set_up(vm, options)) return vm;
    obh_vm_destroy(vm);
    return NULL;
}

obh_vm *obh_vm_create(const obh_vm_options *options, obh_template *source) {
    obh_vm *vm = source ? obh_template_clone(source) : make(options);
    if (!vm) return NULL;
    assert(vm->count_interval == options->count_interval && vm->sorted_pairs == !!options->sorted_pairs);
    vm->method = options->method;
    vm->seed[0] = options->seed[0];
    vm->seed[1] = options->seed[1];
    if (options->memory_limit) vm->arena.limit = options->memory_limit;
    return vm;
}

void obh_vm_destroy(obh_vm *vm) {
    assert(!vm->current);
    obh_arena_drop(&vm->arena);
    free(vm->traceback);
    free(vm->collected);
    if (vm->source) {
        obh_template_recycle(vm->source, vm);
    } else {
        free(vm);
    }
}

uint64_t obh_vm_take_collected(obh_vm *vm) {
    return vm->collected_count ? vm->collected[--vm->collected_count] : 0;
}

/* ---- Compiling ------------------------------------------------------------------------ */

struct code {
    char *bytes;
    size_t size, capacity;
};

static int write_code(lua_State *L, const void *bytes, size_t size, void *raw) {
    (void)L;
    struct code *code = raw;
    if (code->capacity - code->size < size) {
        size_t capacity = (code->size + size) * 2;
        char *grown = realloc(code->bytes, capacity);
        if (!grown) return 1;
        code->bytes = grown;
        code->capacity = capacity;
    }
    memcpy(code->bytes + code->size, bytes, size);
    code->size += size;
    return 0;
}

void *obh_plain_allocate(void *ud, void *block, size_t old_size, size_t new_size) {
    (void)ud, (void)old_size;
    if (new_size) return realloc(block, new_size);
    free(block);
    return NULL;
}

struct obh_compiler {
    lua_State *L;
};

obh_compiler *obh_compiler_create(void) {
    obh_compiler *compiler = malloc(sizeof *compiler);
    if (!compiler) return NULL;
    compiler->L = lua_newstate(obh_plain_allocate, NULL);
    if (compiler->L) return compiler;
    free(compiler);
    return NULL;
}

void obh_compiler_destroy(obh_compiler *compiler) {
    if (!compiler) return;
    lua_close(compiler->L);
    free(compiler);
}

int obh_compile(obh_compiler *compiler, const char *source, size_t size, const char *chunk_name, void **code,
                size_t *code_size, char *message, size_t message_size) {
    *code = NULL;
    *code_size = 0;
    if (!compiler) {
        snprintf(message, message_size, "%s", memory_message);
        return -1;
    }
    lua_State *L = compiler->L;
    if (size >= 3 && !memcmp(source, "\xef\xbb\xbf", 3)) source += 3, size -= 3;
    if (size && *source == '#') { /* "#!/usr/bin/..."; the line's end stays, for the numbers of the others */
        const char *end = memchr(source, '\n', size);
        size -= end ? (size_t)(end - source) : size;
        source = end ? end : source;
    }
    int status = luaL_loadbufferx(L, source, size, chunk_name, "t");
    struct code out = {0};
    if (status == LUA_OK && lua_dump(L, write_code, &out, 0) != 0) {
        snprintf(message, message_size, "%s", memory_message);
        status = -1;
    } else if (status != LUA_OK) {
        const char *text = lua_tostring(L, -1);
        snprintf(message, message_size, "%s", text ? text : memory_message);
    }
    lua_settop(L, 0);
    if (status != LUA_OK) {
        free(out.bytes);
        return -1;
    }
    *code = out.bytes;
    *code_size = out.size;
    return 0;
}

/* ---- Fibers ------------------------------------------------------------------------------ */

/* Runs where an error that nobody will catch was raised. */
static int uncaught(lua_State *L) {
    obh_vm *vm = obh_vm_of(L);
    if (!vm->exiting && !vm->kill) obh_keep_traceback(vm, L, 1);
    return 1;
}

static int end(obh_vm *vm, int kind, int count) {
    vm->outcome.kind = kind;
    return count;
}

static int failed(obh_vm *vm, lua_State *L) {
    if (vm->exiting || obh_must_stop(vm)) obh_stop_here(vm, L);
    return end(vm, OBH_OUTCOME_FAILED, 1);
}

static int method_done(lua_State *L, int status, lua_KContext context) {
    (void)context;
    obh_vm *vm = obh_vm_of(L);
    if (status != LUA_OK && status != LUA_YIELD) return failed(vm, L);
    return end(vm, OBH_OUTCOME_RETURNED, lua_gettop(L) - 1);
}

static int chunk_done(lua_State *L, int status, lua_KContext context) {
    (void)context;
    obh_vm *vm = obh_vm_of(L);
    if (status != LUA_OK && status != LUA_YIELD) return failed(vm, L);
    if (obh_must_stop(vm)) obh_stop_here(vm, L);
    if (!lua_istable(L, 2)) return end(vm, OBH_OUTCOME_NO_TABLE, 1);
    if (lua_getfield(L, 2, vm->method) != LUA_TFUNCTION) return end(vm, OBH_OUTCOME_NO_FUNCTION, 1);
    lua_remove(L, 2);
    vm->in_host++;
    int arguments = obh_push_arguments(vm, L);
    vm->in_host--;
    if (obh_must_stop(vm) || obh_memory_exceeded(vm, L)) obh_stop_here(vm, L);
    return method_done(L, lua_pcallk(L, arguments, LUA_MULTRET, 1, 0, method_done), 0);
}

static const char *read_code(lua_State *L, void *raw, size_t *size) {
    (void)L;
    struct code *code = raw;
    *size = code->size;
    code->size = 0;
    return *size ? code->bytes : NULL;
}

int obh_lua_loadcode(lua_State *L, const void *bytes, size_t size, const char *chunk_name) {
    struct code code = {.bytes = (char *)bytes, .size = size};
    return lua_load(L, read_code, &code, chunk_name, "b") == LUA_OK ? 0 : -1;
}

/* Argument: the chunk. */
static int main_body(lua_State *L) {
    lua_pushcfunction(L, uncaught);
    lua_insert(L, 1);
    return chunk_done(L, lua_pcallk(L, 0, 1, 1, 0, chunk_done), 0);
}

static int spawned_done(lua_State *L, int status, lua_KContext context) {
    (void)context;
    obh_vm *vm = obh_vm_of(L);
    if (status != LUA_OK && status != LUA_YIELD) return failed(vm, L);
    return end(vm, OBH_OUTCOME_RETURNED, 0);
}

static int spawned_body(lua_State *L) {
    lua_pushcfunction(L, uncaught);
    lua_insert(L, 1);
    return spawned_done(L, lua_pcallk(L, lua_gettop(L) - 2, 0, 1, 0, spawned_done), 0);
}

lua_State *obh_fiber_main(obh_vm *vm) {
    if (!obh_memory_exceeded(vm, vm->main_state)) return vm->main_state;
    vm->kill = OBH_KILL_MEMORY;
    return NULL;
}

lua_State *obh_fiber_spawn(obh_vm *vm, lua_State *L, int arguments) {
    assert(vm->in_host);
    if (!lua_checkstack(L, 4)) return NULL;
    lua_State *fiber = lua_newthread(L);
    *obh_word(fiber) = (uintptr_t)vm | OBH_OWNED;
    lua_pushcfunction(fiber, spawned_body);
    lua_rawsetp(L, LUA_REGISTRYINDEX, fiber); /* its anchor */
    if (!lua_checkstack(fiber, arguments + 4)) {
        obh_fiber_drop(vm, fiber);
        return NULL;
    }
    lua_xmove(L, fiber, arguments + 1);
    return fiber;
}

void obh_fiber_drop(obh_vm *vm, lua_State *fiber) {
    vm->in_host++;
    lua_pushnil(fiber);
    lua_rawsetp(fiber, LUA_REGISTRYINDEX, fiber);
    vm->in_host--;
}

/* ---- A step ---------------------------------------------------------------------------------- */

static int left_by_jump(obh_vm *vm) {
    obh_running_vm = NULL;
    vm->jump = NULL;
    vm->current = NULL;
    return OBH_FIBER_KILLED;
}

int obh_step_fiber(obh_vm *vm, lua_State *fiber) {
    sigjmp_buf jump;
    if (vm->kill) return OBH_FIBER_KILLED;
    assert(vm->in_host == 0 && !vm->current);
    /* Without the signal mask, which costs a system call: the handler opens its signal before it jumps. */
    if (sigsetjmp(jump, 0)) return left_by_jump(vm);
    vm->stack_base = __builtin_frame_address(0);
    vm->stuck_since = 0;
    vm->fiber = fiber;
    vm->unyieldable = 0;
    vm->wants_yield = 0;
    vm->system_yield = OBH_YIELD_NONE;
    vm->jump = &jump;
    vm->current = fiber;
    if (vm->exit_pending) obh_arm(fiber);
    obh_running_vm = vm;

    int results, arguments = lua_status(fiber) == LUA_OK ? lua_gettop(fiber) - 1 : 0;
    int status = lua_resume(fiber, NULL, arguments, &results);

    obh_running_vm = NULL;
    vm->current = NULL;
    vm->jump = NULL;
    if (!vm->kill && vm->arena.refused) vm->kill = OBH_KILL_MEMORY;
    if (vm->kill) return OBH_FIBER_KILLED;
    if (status == LUA_YIELD) {
        int kind = vm->system_yield;
        vm->system_yield = OBH_YIELD_NONE;
        return kind == OBH_YIELD_PREEMPT ? OBH_FIBER_PREEMPTED : OBH_FIBER_BLOCKED;
    }
    if (status != LUA_OK) {
        vm->outcome.kind = vm->exiting ? OBH_OUTCOME_EXITED : OBH_OUTCOME_FAILED;
        results = 1;
    }
    vm->outcome.count = results;
    vm->outcome.first = lua_gettop(fiber) - results + 1;
    return OBH_FIBER_ENDED;
}

OBH_JUMPED_OVER_END
