/* Private to this target. */
#ifndef OBH_INTERNAL_H
#define OBH_INTERNAL_H

#include <stdint.h>

#include "lua_calls.h"
#include "lua_api.h"
#include "vm.h"

#define OBH_LIKELY(x) __builtin_expect(!!(x), 1)
#define OBH_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Lua's errors and yields jump over the functions between these two. ThreadSanitizer cannot be told (Debian's liblua uses
 * __longjmp_chk, which it does not intercept), and its own record of the stack would overflow; so it leaves them alone. */
#if defined(__clang__) && defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OBH_JUMPED_OVER_BEGIN \
    _Pragma("clang attribute push(__attribute__((disable_sanitizer_instrumentation)), apply_to = function)")
#define OBH_JUMPED_OVER_END _Pragma("clang attribute pop")
#endif
#endif
#ifndef OBH_JUMPED_OVER_BEGIN
#define OBH_JUMPED_OVER_BEGIN
#define OBH_JUMPED_OVER_END
#endif

/* ---- The word that Lua keeps for us before each lua_State ------------------- */

/* It holds the obh_vm's address, which is a multiple of 16, and these flags of that lua_State. */
enum {
    OBH_WAITS = 1, /* the runtime's yield goes through it: status "normal", resume and close refuse it */
    OBH_OWNED = 2  /* a fiber: the runtime resumes it and nobody else; coroutine.yield raises */
};

static inline uintptr_t *obh_word(lua_State *L) { return (uintptr_t *)lua_getextraspace(L); }
static inline int obh_flags(lua_State *L) { return (int)(*obh_word(L) & 15); }
static inline void obh_set_flag(lua_State *L, int flag) { *obh_word(L) |= (uintptr_t)flag; }
static inline void obh_clear_flag(lua_State *L, int flag) { *obh_word(L) &= ~(uintptr_t)flag; }

/* ---- arena.c -------------------------------------------------------------------- */

void obh_arena_init(obh_arena *arena);
/* The first `size` bytes after the arena's own are its first chunk; nothing is taken from malloc until they are used up, and
 * nothing at all while `sealed`. They are not the arena's to free. */
void obh_arena_begin_with(obh_arena *arena, char *chunk, size_t size, int sealed);
/* The bytes that were cut from its memory since `from`, an address in its first chunk: in use, or free again in pieces. */
size_t obh_arena_cut_since(const obh_arena *arena, const char *from);
/* What a block for so many bytes takes up. */
size_t obh_arena_extent(size_t size);
/* Gives back all that came from malloc. The arena must not be used any more. */
void obh_arena_drop(obh_arena *arena);
/* Under AddressSanitizer, and only there: lets nobody touch the free blocks; lets everybody touch all of it. */
void obh_arena_close_free_blocks(obh_arena *arena);
void obh_arena_open_memory(void *memory, size_t size);
/* The lua_Alloc; `vm` is an obh_vm. */
void *obh_arena_allocate(void *vm, void *block, size_t old_size, size_t new_size);

/* ---- vm.c ------------------------------------------------------------------------ */

/* Makes a VM in memory that is zeroed: state, globals and the loaded chunk, with no limit yet. The arena has
 * been initialised. 0, or -1 when memory is short. */
int obh_vm_set_up(obh_vm *vm, const obh_vm_options *options);
/* The process has allocated as much as arena.warm_at says: its collector is to cost less. Legal in the allocator. */
void obh_vm_warm_up(obh_vm *vm);
/* A lua_Alloc on malloc alone, for states that run no process. */
void *obh_plain_allocate(void *ud, void *block, size_t old_size, size_t new_size);

/* ---- template.c ------------------------------------------------------------------ */

/* A VM copied from a template; NULL when memory is short. */
obh_vm *obh_template_clone(obh_template *source);
/* Takes back the memory of a VM that obh_template_clone made; its arena holds nothing else any more. */
void obh_template_recycle(obh_template *source, obh_vm *vm);

/* Blocks smaller than this are never shared: it would cost the freeing of those that every message has. */
enum { OBH_LEAST_SHARED = 64 };
/* While a template is made its VM has it for its source, and says which blocks are made and freed, and when its code begins to be
 * loaded and has been. Only blocks that are cut meanwhile are shared. */
void obh_template_loading(obh_vm *vm, int begins);
void obh_template_note(obh_template *source, const void *block, size_t size);
/* Whether a block is the template's own; one of the VM that it is made of is forgotten. */
int obh_template_shares(obh_template *source, const void *block);
/* With this a template begins: what its copies share; everything, as long as its VM is made. */
struct obh_shared {
    char *begin;
    size_t size;
};
/* Whether obh_template_shares must be asked before a block of at least OBH_LEAST_SHARED bytes is freed. */
static inline int obh_vm_may_share(const obh_vm *vm, const void *block) {
    const struct obh_shared *shared = (const struct obh_shared *)vm->source;
    return shared && OBH_UNLIKELY((uintptr_t)block - (uintptr_t)shared->begin < shared->size);
}

/* ---- vm.c, again ------------------------------------------------------------------- */

/* Raises the error that no program can catch, because the process is killed or unwinds. The stack may be full. */
_Noreturn void obh_raise_uncatchable(lua_State *L);
/* Arms the hook on L so that it runs before the next instruction. Takes a time that grows with the depth of the calls.
 * Async-signal-safe, and legal in the allocator. */
void obh_arm(lua_State *L);
/* Whether that was done, or a hook on returns was set by obh_yield_soon, and nothing has come of it yet. Async-signal-safe. */
int obh_is_armed(lua_State *L);
/* The process is to yield, and L runs again, or cannot yield where it is: it does at the first place where it can. */
void obh_yield_soon(obh_vm *vm, lua_State *L);

/* Whether what runs on this VM has to stop now: asked by every trampoline. */
static inline int obh_must_stop(const obh_vm *vm) {
    return OBH_UNLIKELY(vm->kill | vm->exit_pending | (vm->arena.refused != 0));
}
/* Keeps the traceback of L for the report of the end; takes nothing from the arena. Legal in the allocator while no stack moves. */
void obh_keep_traceback(obh_vm *vm, lua_State *L, int level);
/* Does what obh_must_stop asks for. */
_Noreturn void obh_stop_here(obh_vm *vm, lua_State *L);

/* C stack in use beyond which coroutine.close is refused: liblua does not count its frames (5.4.4). One chain of the 200 C
 * calls that liblua does count may come on top; so a worker's stack must have 1 MB. */
enum { OBH_CLOSING_STACK = 256 * 1024 };

/* ---- names.c, sandbox.c, coroutine.c, trampolines.c ----------------------------------- */

/* Keys of the registry, beside Lua's own and addresses. Those up to OBH_KEY_NEAR are looked up for every message: the registry
 * keeps them in its array, which costs a fifth of a search in its hash part. The others are so far away that Lua never makes its
 * array large enough for some of them. */
enum {
    OBH_KEY_PEER = LUA_RIDX_LAST + 1,
    OBH_KEY_MEMORY,
    OBH_KEY_LAZY,
    OBH_KEY_NEAR_TYPES = OBH_KEY_LAZY, /* + the type, from 1 */
    OBH_KEY_NEAR = OBH_KEY_NEAR_TYPES + obh_type_channel,
    OBH_KEY_FAR = 1 << 16,
    OBH_KEY_FAR_TYPES = OBH_KEY_FAR, /* + the type, of those after obh_type_channel */
    OBH_KEY_TABLES = OBH_KEY_FAR_TYPES + obh_type_count, /* + the module; globals are where Lua has them */
    OBH_KEY_GENERATOR = OBH_KEY_TABLES + obh_module_count
};
_Static_assert(OBH_KEY_NEAR == 8, "the array's size is a power of two");

/* Called once, when liblua is open. NULL, or what liblua lacks. */
const char *obh_open_names(void);
/* Makes the globals of a new state; may raise. */
void obh_make_globals(lua_State *L);
/* If the value at `index` is a table with names that the program has not used yet: puts them into it and makes it an ordinary
 * table. Whatever looks at a table raw calls it first. May raise, for want of memory alone. */
void obh_complete(lua_State *L, int index);
/* Does so with every table of a module; for tests. */
void obh_complete_all(lua_State *L);

/* Functions of liblua that ours call. */
extern lua_CFunction obh_stock_load, obh_stock_os_time, obh_stock_os_date, obh_stock_random, obh_stock_randomseed;

/* The functions that stand in the place of liblua's. */
#define OBH_OWN(module, lua, function) int function(lua_State *L);
#define OBH_RANDOM(module, lua, function) int function(lua_State *L);
#include "functions.def"
int obh_sorted_pairs(lua_State *L); /* pairs.c: the `pairs` of simulation, without metamethod */

/* Goes on after a failed protected call: 1 when the error must go on to the next one, because the process is killed,
 * or unwinds and the call was entered before it began to (`was_exiting` is vm->exiting at its entry). */
static inline int obh_passes_on(const obh_vm *vm, int was_exiting) {
    return vm->kill || vm->arena.refused || (vm->exiting && !was_exiting);
}

/* Does what a Swift function's answer asks for (see OBH_RAISE ...). `operation` indexes functions.def. */
int obh_finish(obh_vm *vm, lua_State *L, int32_t code, int operation);

/* ---- preempt.c ------------------------------------------------------------------------- */

/* The executable segment of liblua. */
extern uintptr_t obh_lua_text_begin, obh_lua_text_end;
/* Where libc's functions begin that compare and measure strings and call no others; 0: it is not the usual one. */
enum { OBH_LUA_LEAVES = 3 };
extern uintptr_t obh_lua_leaves[OBH_LUA_LEAVES];
/* What this thread runs; read by the signal handler. */
extern __thread obh_vm *volatile obh_running_vm __attribute__((tls_model("initial-exec")));

/* ---- Swift provides ------------------------------------------------------------------- */

/* A hook came due. 0: go on, 1: yield if possible, 2: the process dies (OBH_KILL_LETHAL). in_host > 0. */
int32_t obh_interrupted(obh_vm *vm);
/* Whether the process has to be killed. Called by the signal handler, but only when what it interrupted is liblua's own code,
 * or a comparison that liblua has called, with no Swift frame and no lock below it: so it may do what any function called from
 * Lua may do, except to touch Lua. */
int32_t obh_is_doomed(obh_vm *vm);
/* Pushes the arguments of the method; answers how many. in_host > 0. */
int32_t obh_push_arguments(obh_vm *vm, lua_State *L);
/* The seams (T2): nanoseconds since 1970, nanoseconds of CPU time, and chance. */
int64_t obh_seam_wall_clock(obh_vm *vm);
int64_t obh_seam_cpu_clock(obh_vm *vm);
uint64_t obh_seam_random(obh_vm *vm);

#endif
