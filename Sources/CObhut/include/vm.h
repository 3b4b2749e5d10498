/* The Lua virtual machine of one process.
 *
 * The law of this target:
 *
 *  - One `obh_vm` is one Lua heap. It is used by one thread at a time: the
 *    worker that runs the step. Only the preemption signal's handler looks at
 *    it besides, on that same thread.
 *  - No Lua error crosses Swift. Each function that Lua can call is a C
 *    trampoline (trampolines.c) that calls a Swift function and does the
 *    yielding and raising when no Swift frame is left (`obh_finish`).
 *  - While Swift code is on the stack (`in_host` > 0) the allocator never
 *    refuses, so that nothing in `lua_api.h` can raise; what was taken over the
 *    limit is looked at on the way out.
 *  - A VM ends by dropping its arena. Nothing of the program runs then.
 */
#ifndef OBH_VM_H
#define OBH_VM_H

#include <stddef.h>
#include <stdint.h>

struct lua_State;
typedef struct obh_template obh_template;

/* The tables whose names are given at their first use (names.c): modules, then methods of types. */
enum {
    obh_counted_modules = 0
#define OBH_MODULE(module, known_as) +1
#include "functions.def"
    ,
    obh_counted_types = 1
#define OBH_TYPE(type, lua) +1
#define OBH_COLLECTED_TYPE(type, lua) +1
#include "functions.def"
    ,
    OBH_TABLES = obh_counted_modules + obh_counted_types,
    obh_counted_names = 0
#define OBH_TABLE(module, lua, other) +1
#define OBH_STOCK(module, lua) +1
#define OBH_COMPATIBLE(module, lua) +1
#define OBH_RANDOM(module, lua, own) +1
#define OBH_OWN(module, lua, own) +1
#define OBH_FUNCTION(module, lua, name) +1
#define OBH_TEXTUAL(module, lua, name) +1
#define OBH_BLOCKING(module, lua, name) +1
#define OBH_ALIAS(module, lua, name) +1
#define OBH_STRING(module, lua, text) +1
#define OBH_INTEGER(module, lua, number) +1
#define OBH_NUMBER(module, lua, real) +1
#include "functions.def"
    /* of modules */
};

/* ---- What a Swift function answers to its trampoline ---------------------- */

enum {
    /* n >= 0: the top n values are the results. */
    OBH_RAISE = -1,        /* the value on top is raised, as it is */
    OBH_RAISE_WHERE = -2,  /* the string on top is raised, with the caller's position before it */
    OBH_BLOCK = -3,        /* the fiber has parked: it yields; when ready again, obh_resume_<name> is called
                              with the same arguments on the stack. Only for functions marked BLOCKING */
    OBH_CANNOT_BLOCK = -4, /* raises "attempt to block where Lua cannot yield", naming the call */
    OBH_BAD_ARGUMENT = -5, /* the string on top says why argument `vm->bad_argument` is refused:
                              "bad argument #1 to 'send' (...)" */
    OBH_EXIT = -6,         /* the process ends normally: unwinds the fiber from any depth */
    OBH_BAD_TYPE = -7,     /* like BAD_ARGUMENT, the string is the expected type:
                              "(string expected, got nil)" */
    OBH_CALL_BASE = -16,   /* OBH_CALL_BASE - n: calls the function that lies below the top n values with
                              them; obh_resume_<name> is then called with its results above what lay
                              below the function. Only for functions marked BLOCKING */
    OBH_TRY_BASE = -0x100000 /* OBH_TRY_BASE - n: the same in a protected call: when it fails, vm->call_failed is
                              set and the error value is its only result */
};

/* ---- Why a VM runs no more code of its own -------------------------------- */

enum {
    OBH_KILL_NONE = 0,
    OBH_KILL_LETHAL = 1, /* a lethal signal, a deadline, a step limit: the core knows which */
    OBH_KILL_MEMORY = 2  /* its memory limit (F4) */
};

/* ---- How a step of a fiber ended (obh_step_fiber) -------------------------- */

enum {
    OBH_FIBER_BLOCKED = 0,   /* parked by a blocking call */
    OBH_FIBER_PREEMPTED = 1, /* interrupted while computing: step it again */
    OBH_FIBER_ENDED = 2,     /* `vm->outcome` says how; its values lie on the fiber's stack until obh_fiber_drop */
    OBH_FIBER_KILLED = 3     /* `vm->kill` says why; the VM must not be touched any more but to destroy it */
};

enum {
    OBH_OUTCOME_RETURNED = 0,    /* values first .. first+count-1 */
    OBH_OUTCOME_FAILED = 1,      /* uncaught error: the value at `first`; vm->traceback */
    OBH_OUTCOME_NO_TABLE = 2,    /* the source returned the value at `first`, which is no table */
    OBH_OUTCOME_NO_FUNCTION = 3, /* the method is the value at `first`, which is no function */
    OBH_OUTCOME_EXITED = 4       /* process.exit, or unwound because the process ends */
};

typedef struct obh_outcome {
    int32_t kind;
    int32_t first;
    int32_t count;
} obh_outcome;

/* ---- Kinds of the runtime's own yields -------------------------------------- */

enum { OBH_YIELD_NONE = 0, OBH_YIELD_BLOCK = 1, OBH_YIELD_PREEMPT = 2 };

/* ---- The arena ------------------------------------------------------------------ */

/* Classes of blocks up to 256 bytes, which have a free list each, and the doublings from there to 2 KB. */
enum { OBH_LISTED_CLASSES = 32, OBH_DOUBLINGS = 3 };

/* A template is being made; its code is being loaded, of which copies may share blocks; its stack is being sized, and what is
 * large does not stay. */
enum { OBH_SEALED = 1, OBH_LOADING, OBH_SIZING };

/* All of a process's Lua memory (arena.c). Owner's alone. */
typedef struct obh_arena {
    void *free_lists[OBH_LISTED_CLASSES]; /* by class, from 1 */
    struct obh_free_block *unlisted[OBH_DOUBLINGS]; /* of the classes above these: one block of each, the smallest first */
    uint64_t free_classes;                /* bit n-1: there is a free block of class n */
    char *bump, *bump_end;                /* what is left of the newest chunk */
    void *chunks;                         /* all chunks, but the first one of a clone */
    size_t image;                         /* so many bytes from here on hold blocks that are no chunk's and not malloc's */
    void *large;                          /* all blocks over 2 KB, doubly linked */
    size_t used;                          /* bytes that Lua holds */
    size_t held;                          /* bytes taken from malloc */
    size_t peak;                          /* largest `used` */
    size_t turnover, warm_at;             /* bytes ever allocated, and at how many obh_vm_warm_up is called */
    size_t limit;                         /* SIZE_MAX: none */
    size_t refused;                       /* size of the refused allocation that nothing has cured yet; 0: none */
    uint8_t sealed;                       /* OBH_SEALED, ...: a template is being made, nothing from malloc */
    uint8_t is_traced;                    /* the process dies of `refused`, and what its report needs is under way or there */
    uint8_t has_traceback;                /* it is there */
} obh_arena;

enum { OBH_HOST_SPACE = 256 };

/* ---- The VM ----------------------------------------------------------------------- */

typedef struct obh_vm {
    struct lua_State *main_state;          /* owns the heap, and is the main fiber: no coroutine has to be made for it */
    obh_template *source;                  /* what it is a clone of; NULL: made by itself */
    struct lua_State *volatile current;    /* what runs right now: hooks are armed on it. NULL outside a step */
    void *process;                         /* the core's: its process slot */
    void *host;                            /* the Lua layer's: LuaProcess */
    volatile uint8_t kill;                 /* OBH_KILL_*: a memory error at every instruction and trampoline */
    volatile uint8_t in_host;              /* > 0: Swift (or C that must not be jumped over) is on the stack */
    volatile uint8_t ticked;               /* set by the signal handler; the step loop looks at it between fibers */
    uint8_t system_yield;                  /* OBH_YIELD_*: the yield under way is the runtime's */
    uint8_t unyieldable;                   /* some outer level cannot yield */
    uint8_t exiting;                       /* the process unwinds: no pcall entered before may stop it */
    uint8_t exit_pending;                  /* the current fiber has still to begin unwinding */
    uint8_t wants_yield;                   /* a hook came due where nothing can yield (obh_yield_soon) */
    int32_t count_interval;                /* 0: preemption by signal. N: a hook each N instructions (T2) */
    int32_t bad_argument;                  /* see OBH_BAD_ARGUMENT */
    uint8_t call_failed;                   /* see OBH_TRY_BASE */
    int64_t stuck_since;                   /* the handler's: when it first came since a hook ran, monotonic ns; 0: not yet */
    uint64_t stuck_hooks;                  /* the handler's: `hooks` at that moment */
    uint32_t stuck_ticks;                  /* the handler's: how often it has come since */
    void *volatile jump;                   /* the sigjmp_buf of obh_step_fiber; NULL outside */
    const char *stack_base;                /* where the C stack stood when the step began */
    obh_outcome outcome;
    struct lua_State *fiber;               /* the fiber that is being stepped */
    char *traceback;                       /* text of the last uncaught error's traceback; malloc'ed, or NULL */
    const char *method;                    /* name of the function that is run */
    uint64_t *collected;                   /* handles of collected userdata (obh_vm_take_collected) */
    uint32_t collected_count, collected_capacity;
    uint64_t hooks, preemptions;           /* counters for tests and metrics */
    uint64_t seed[2];                      /* of math.random, which is not made before it is used */
    uint8_t given[(obh_counted_names + 7) / 8]; /* a bit for each name of the modules: it has been given (names.c) */
    uint32_t tables[OBH_TABLES];           /* where those are that have still names to give; 0: not made, or complete */
    uint64_t peer;                         /* the pid whose text is kept (obh_lua_keeppeer); 0: none */
    const char *peer_text;
    uint64_t host_space[OBH_HOST_SPACE / 8]; /* the Lua layer's, for what `host` points to */
    uint8_t sorted_pairs;
    uint8_t has_loaded;                    /* Lua's messages have asked for the table of what is loaded (names.c) */
    obh_arena arena;                       /* last: a clone's first chunk follows it */
} obh_vm;

/* What a new VM is made from. Pointers must outlive the VM unless said otherwise. */
typedef struct obh_vm_options {
    size_t memory_limit; /* bytes; 0: none */
    int32_t count_interval;
    int32_t sorted_pairs; /* `pairs` in an order that does not change from run to run (T2) */
    uint64_t seed[2]; /* math.random (T2) */
    const void *code;        /* the entry's chunk, dumped */
    size_t code_size;
    const char *code_name;   /* with its "@" */
    const char *method;      /* outlives the VM */
    int32_t complete_tables; /* every name is there from the beginning; for tests */
} obh_vm_options;

/* A new VM with its globals and the loaded chunk; NULL when memory is short. Runs nothing of the program. With a template it
 * is a copy of that, made from the same code and with the same options but for limit, seed and method. */
obh_vm *obh_vm_create(const obh_vm_options *options, obh_template *source);

/* Memory of the process besides Lua's: counted with it, and gone with it. Never NULL. Of at most 2 KB. */
void *obh_vm_allocate(obh_vm *vm, size_t size);
void obh_vm_free(obh_vm *vm, void *block, size_t size);

/* Gives all its memory back. Runs no Lua code: legal in any state outside a step. */
void obh_vm_destroy(obh_vm *vm);

/* A Lua state that compiles one text after the other: to make one takes a third of what it takes to compile a short text. One
 * thread at a time. NULL when memory is short; NULL may be destroyed. */
typedef struct obh_compiler obh_compiler;
obh_compiler *obh_compiler_create(void);
void obh_compiler_destroy(obh_compiler *compiler);

/* Compiles text. 0: `*code` is malloc'ed bytecode with all its debug information. Otherwise `*code` is NULL and
 * `message` holds Lua's own text, which begins with the chunk's name and line ("src/a.lua:3: ..."), or says that memory is
 * short, as it is without a compiler. */
int obh_compile(obh_compiler *compiler, const char *source, size_t size, const char *chunk_name, void **code,
                size_t *code_size, char *message, size_t message_size);

/* ---- Templates (ARCHITECTURE D1) ------------------------------------------------------- */

/* A VM as it is before it runs, ready to be copied. Any thread may use it. NULL when none can be made of this code: memory is
 * short, or no copy of it was like the original (template.c). It may refer to options->code_name, and to nothing else of the
 * options. */
obh_template *obh_template_create(const obh_vm_options *options);
/* The same with images in memory of the caller's choice, for tests: zeroed, calloc's, freed before the end; one for each attempt. */
obh_template *obh_template_create_in(const obh_vm_options *options, char *(*take)(void *context, size_t size), void *context);
/* All its copies have been destroyed. */
void obh_template_free(obh_template *source);

/* The process has come to wait. The first one of a template tells how much memory its kind needs until then: so that the
 * others can have it in one piece, with nothing left over. */
void obh_vm_waits(obh_vm *vm);

/* ---- Fibers -------------------------------------------------------------------------- */

/* The fiber that runs the chunk, calls the method with what obh_push_arguments pushes, and ends with its results. NULL (and
 * vm->kill) when the memory limit does not allow it. */
struct lua_State *obh_fiber_main(obh_vm *vm);

/* A fiber that calls the function below the top `arguments` values of L with them; pops them all. Called with
 * in_host > 0. NULL when L has no such room. */
struct lua_State *obh_fiber_spawn(obh_vm *vm, struct lua_State *L, int arguments);

/* Lets an ended fiber be collected. */
void obh_fiber_drop(obh_vm *vm, struct lua_State *fiber);

/* Runs a fiber until it blocks, is interrupted or ends: OBH_FIBER_*. */
int obh_step_fiber(obh_vm *vm, struct lua_State *fiber);

/* Whether the function that runs on L may answer OBH_BLOCK. Asked before a wait is registered. */
int obh_can_block(obh_vm *vm, struct lua_State *L);

/* Says what the process dies of if it has gone over its limit; 1 if so. Collects garbage first (F4). */
int obh_memory_exceeded(obh_vm *vm, struct lua_State *L);

/* Names the function that runs, as `obh_body.where` asks for it. */
size_t obh_vm_where(obh_vm *vm, char *text, size_t size);

/* Takes one handle of a collected userdata (types marked COLLECTED in functions.def: its first 8 bytes); 0: none. */
uint64_t obh_vm_take_collected(obh_vm *vm);

static inline obh_vm *obh_vm_of(struct lua_State *L) {
    return (obh_vm *)(*(uintptr_t *)((char *)L - sizeof(void *)) & ~(uintptr_t)15);
}

#endif
