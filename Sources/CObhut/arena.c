/* All of a process's Lua memory.
 *
 * Blocks up to 2 KB, the stack of a coroutine and a small string table among them, are cut from chunks and recycled by
 * class: up to 256 bytes there is one for each step of 8, above that eight for each doubling. Each of the former has a list of
 * its free blocks. Of the latter most processes never have any: what their lists begin with stands in the free blocks
 * themselves. Chunks begin at 256 bytes and grow with the process, so that an idle worker stays small. Larger blocks are malloc's
 * own, chained so that all can be dropped at once: the end of a process is obh_arena_drop, never lua_close. Some blocks of a copy
 * are its template's (template.c): it counts them as its own, reads them, and only ever gives them up.
 *
 * A request over the limit is refused (F4). Lua then collects its garbage and asks again; if that succeeds the refusal is
 * cured, else it stays in `refused` and the process dies at its next instruction or call, whatever catches the error. So that
 * its report can name the line, it dies there and not where the error is caught: see lend. Nothing
 * is refused while Swift is on the stack (`in_host`): there the trampoline looks at the limit on its way out. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

OBH_JUMPED_OVER_BEGIN

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OBH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define OBH_ASAN 1
#endif

/* Under AddressSanitizer a free small block is poisoned but for its first words. */
#ifdef OBH_ASAN
#include <sanitizer/asan_interface.h>
#define CLOSE_BLOCK(block, size, head) __asan_poison_memory_region((char *)(block) + (head), (size) - (head))
#define OPEN_BLOCK(block, size) __asan_unpoison_memory_region(block, size)
#else
#define CLOSE_BLOCK(block, size, head) ((void)0)
#define OPEN_BLOCK(block, size) ((void)0)
#endif

enum { UNIT = 8, SMALL = 256 * UNIT, FIRST_CHUNK = 256, LARGEST_CHUNK = 64 * 1024, SMALL_HEAP = 32 * 1024 };

/* Classes of blocks up to SMALL bytes; what `free_classes` has bits for. */
enum { LISTED = OBH_LISTED_CLASSES, IN_DOUBLING = 8, CLASSES = LISTED + OBH_DOUBLINGS * IN_DOUBLING };

/* What malloc keeps beside each of its blocks, which are so much less than a multiple of 16. */
enum { MALLOC_OVERHEAD = 8 };

struct chunk {
    struct chunk *next;
    size_t size;
};

/* A free block of a class that has no list of its own. */
struct obh_free_block {
    struct obh_free_block *next;  /* of the same class */
    struct obh_free_block *above; /* of the first one of a class: the first one of the next larger class of its doubling that has any */
    size_t class;
};

struct large {
    struct large *next;
    struct large **link; /* what points to this one */
};

static inline size_t units(size_t size) { return (size + UNIT - 1) / UNIT; }

/* The smallest class whose blocks have `n` units, and the size of a class in bytes. */
static inline size_t class_of(size_t n) {
    if (OBH_LIKELY(n <= LISTED)) return n;
    if (n <= 64) return LISTED + (n - 32 + 3) / 4;
    if (n <= 128) return 40 + (n - 64 + 7) / 8;
    return 48 + (n - 128 + 15) / 16;
}

static inline size_t class_size(size_t class) {
    if (class <= LISTED) return class * UNIT;
    if (class <= 40) return (32 + (class - 32) * 4) * UNIT;
    if (class <= 48) return (64 + (class - 40) * 8) * UNIT;
    return (128 + (class - 48) * 16) * UNIT;
}

static inline size_t class_for(size_t size) { return class_of(units(size)); }

/* Where the first free block of an unlisted class is noted, or would be. */
static inline struct obh_free_block **unlisted_place(obh_arena *arena, size_t class) {
    struct obh_free_block **place = &arena->unlisted[(class - LISTED - 1) / IN_DOUBLING];
    while (*place && (*place)->class < class) place = &(*place)->above;
    return place;
}

static inline void put_unlisted(obh_arena *arena, struct obh_free_block *block, size_t class) {
    struct obh_free_block **place = unlisted_place(arena, class), *first = *place;
    int has_others = first && first->class == class;
    *block = (struct obh_free_block){has_others ? first : NULL, has_others ? first->above : first, class};
    *place = block;
    arena->free_classes |= UINT64_C(1) << (class - 1);
    CLOSE_BLOCK(block, class_size(class), sizeof *block);
}

/* There is one. */
static inline void *take_unlisted(obh_arena *arena, size_t class) {
    struct obh_free_block **place = unlisted_place(arena, class), *block = *place;
    OPEN_BLOCK(block, class_size(class));
    if (block->next) {
        block->next->above = block->above;
        *place = block->next;
    } else {
        *place = block->above;
        arena->free_classes &= ~(UINT64_C(1) << (class - 1));
    }
    return block;
}

static inline void put_listed(obh_arena *arena, void *block, size_t class) {
    void **list = &arena->free_lists[class - 1];
    *(void **)block = *list;
    *list = block;
    arena->free_classes |= UINT64_C(1) << (class - 1);
    CLOSE_BLOCK(block, class_size(class), sizeof(void *));
}

/* There is one. */
static inline void *take_listed(obh_arena *arena, size_t class) {
    void **list = &arena->free_lists[class - 1], *block = *list;
    OPEN_BLOCK(block, class_size(class));
    *list = *(void **)block;
    if (!*list) arena->free_classes &= ~(UINT64_C(1) << (class - 1));
    return block;
}

static inline void put_free(obh_arena *arena, void *block, size_t class) {
    if (OBH_LIKELY(class <= LISTED)) return put_listed(arena, block, class);
    put_unlisted(arena, block, class);
}

static inline int has_free(const obh_arena *arena, size_t class) { return arena->free_classes >> (class - 1) & 1; }

static inline void *take_free(obh_arena *arena, size_t class) {
    return class <= LISTED ? take_listed(arena, class) : take_unlisted(arena, class);
}

size_t obh_arena_extent(size_t size) { return size <= SMALL ? class_size(class_for(size)) : units(size) * UNIT; }

void obh_arena_init(obh_arena *arena) {
    memset(arena, 0, sizeof *arena);
    arena->limit = SIZE_MAX;
    arena->warm_at = SIZE_MAX;
}

void obh_arena_begin_with(obh_arena *arena, char *chunk, size_t size, int sealed) {
    arena->bump = chunk;
    arena->bump_end = chunk + size / UNIT * UNIT;
    arena->image = (size_t)(arena->bump_end - (char *)arena);
    arena->held = size;
    arena->sealed = (uint8_t)sealed;
}

void obh_arena_close_free_blocks(obh_arena *arena) {
#ifdef OBH_ASAN
    for (size_t class = 1; class <= LISTED; class++) {
        for (void *block = arena->free_lists[class - 1]; block; block = *(void **)block) {
            CLOSE_BLOCK(block, class_size(class), sizeof(void *));
        }
    }
    for (size_t doubling = 0; doubling < OBH_DOUBLINGS; doubling++) {
        for (struct obh_free_block *first = arena->unlisted[doubling]; first; first = first->above) {
            for (struct obh_free_block *block = first; block; block = block->next) {
                CLOSE_BLOCK(block, class_size(first->class), sizeof *block);
            }
        }
    }
#else
    (void)arena;
#endif
}

void obh_arena_open_memory(void *memory, size_t size) {
    (void)memory, (void)size;
    OPEN_BLOCK(memory, size);
}

size_t obh_arena_cut_since(const obh_arena *arena, const char *from) {
    size_t cut = (size_t)((const char *)arena + arena->image - from) - (size_t)(arena->bump_end - arena->bump);
    for (const struct chunk *chunk = arena->chunks; chunk; chunk = chunk->next) cut += chunk->size - sizeof *chunk;
    return cut;
}

void obh_arena_drop(obh_arena *arena) {
    for (struct large *block = arena->large, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    for (struct chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        OPEN_BLOCK(chunk, chunk->size);
        free(chunk);
    }
    arena->chunks = arena->large = NULL;
}

/* Gives a piece of memory to the free lists. */
static void scatter(obh_arena *arena, char *begin, char *end) {
    while (begin < end) {
        size_t n = (size_t)(end - begin) / UNIT;
        size_t class = n * UNIT >= SMALL ? CLASSES : class_of(n);
        if (class_size(class) > n * UNIT) class--;
        put_free(arena, begin, class);
        begin += class_size(class);
    }
}

/* Large blocks of a template are cut from its image; a clone can give one up, but not to malloc. */
static inline int in_image(const obh_arena *arena, const void *block) {
    return (uintptr_t)block - (uintptr_t)arena < arena->image;
}

/* Whether a block of a class is cut from a larger free one rather than from the newest chunk. */
static inline int cuts_up(const obh_arena *arena, size_t wanted, int is_short) {
    /* A small heap fills its holes before it grows: there may be a million of it, and what a template leaves free is in all its
     * copies. But what those might share has to lie behind all else. */
    int fills = arena->sealed == OBH_LOADING ? wanted < OBH_LEAST_SHARED : arena->used < SMALL_HEAP;
    /* A program that freed many blocks of another size should not have to grow for it. */
    return fills || (is_short && arena->held - arena->used > arena->used / 8);
}

static __attribute__((noinline)) void *cut_up(obh_arena *arena, uint64_t larger, size_t wanted) {
    size_t from = (size_t)__builtin_ctzll(larger) + 1;
    char *block = take_free(arena, from);
    scatter(arena, block + wanted, block + class_size(from));
    return block;
}

/* Begins a new chunk, in which there is room for as much. 0, or -1 when memory is short. */
static __attribute__((noinline)) int add_chunk(obh_arena *arena, size_t wanted) {
    if (arena->sealed) return -1;
    size_t size = FIRST_CHUNK;
    while (size < LARGEST_CHUNK && size < arena->held / 64) size *= 2;
    if (size < wanted + sizeof(struct chunk) + MALLOC_OVERHEAD) size = wanted + sizeof(struct chunk) + MALLOC_OVERHEAD;
    size -= MALLOC_OVERHEAD;
    struct chunk *chunk = malloc(size);
    if (!chunk) return -1;
    scatter(arena, arena->bump, arena->bump_end);
    chunk->next = arena->chunks;
    chunk->size = size;
    arena->chunks = chunk;
    arena->bump = (char *)(chunk + 1);
    arena->bump_end = arena->bump + (size - sizeof *chunk) / UNIT * UNIT;
    arena->held += size + MALLOC_OVERHEAD;
    return 0;
}

/* A block of a class of which none is free. */
static __attribute__((noinline)) void *refill(obh_arena *arena, size_t class) {
    size_t wanted = class_size(class);
    int is_short = (size_t)(arena->bump_end - arena->bump) < wanted;
    uint64_t larger = arena->free_classes >> class << class;
    if (larger && cuts_up(arena, wanted, is_short)) return cut_up(arena, larger, wanted);
    if (OBH_UNLIKELY(is_short) && add_chunk(arena, wanted)) return NULL;
    void *block = arena->bump;
    arena->bump += wanted;
    return block;
}

static __attribute__((noinline)) void *allocate_large(obh_arena *arena, size_t size) {
    if (arena->sealed && arena->sealed != OBH_SIZING) {
        void *cut = arena->bump;
        if (size > (size_t)(arena->bump_end - arena->bump)) return NULL;
        arena->bump += units(size) * UNIT;
        return cut;
    }
    if (size > SIZE_MAX - sizeof(struct large) - MALLOC_OVERHEAD) return NULL;
    struct large *block = malloc(sizeof *block + size);
    if (!block) return NULL;
    block->next = arena->large;
    block->link = (struct large **)&arena->large;
    if (block->next) block->next->link = &block->next;
    arena->large = block;
    arena->held += size + sizeof *block + MALLOC_OVERHEAD;
    return block + 1;
}

static void free_large(obh_arena *arena, void *user, size_t size) {
    if (in_image(arena, user)) return scatter(arena, user, (char *)user + units(size) * UNIT);
    struct large *block = (struct large *)user - 1;
    *block->link = block->next;
    if (block->next) block->next->link = block->link;
    arena->held -= size + sizeof *block + MALLOC_OVERHEAD;
    free(block);
}

static void *resize_large(obh_arena *arena, void *user, size_t old_size, size_t new_size) {
    if (new_size > SIZE_MAX - sizeof(struct large) - MALLOC_OVERHEAD) return NULL;
    struct large *block = realloc((struct large *)user - 1, sizeof *block + new_size);
    if (!block) return NULL;
    *block->link = block;
    if (block->next) block->next->link = &block->next;
    arena->held += new_size - old_size;
    return block + 1;
}

static __attribute__((noinline)) void *take_other(obh_arena *arena, size_t size) {
    if (size > SMALL) return allocate_large(arena, size);
    size_t class = class_for(size);
    return has_free(arena, class) ? take_unlisted(arena, class) : refill(arena, class);
}

static inline void *take(obh_arena *arena, size_t size) {
    if (OBH_UNLIKELY(size > LISTED * UNIT)) return take_other(arena, size);
    size_t class = units(size);
    return OBH_LIKELY(arena->free_lists[class - 1] != NULL) ? take_listed(arena, class) : refill(arena, class);
}

/* A block that may be the template's or malloc's, or of a class without a list. */
static __attribute__((noinline)) void give_other(obh_vm *vm, void *block, size_t size) {
    obh_arena *arena = &vm->arena;
    if (obh_vm_may_share(vm, block) && obh_template_shares(vm->source, block)) {
        arena->held -= obh_arena_extent(size);
    } else if (size > SMALL) {
        free_large(arena, block, size);
    } else {
        put_free(arena, block, class_for(size));
    }
}

static inline void give(obh_vm *vm, void *block, size_t size) {
    if (size >= OBH_LEAST_SHARED && OBH_UNLIKELY(size > LISTED * UNIT || obh_vm_may_share(vm, block)))
        return give_other(vm, block, size);
    put_listed(&vm->arena, block, units(size));
}

/* Over the limit, or malloc has nothing. NULL, unless Swift is on the stack: then it must not fail. */
static __attribute__((noinline)) void *refuse(obh_vm *vm, size_t new_size) {
    if (vm->in_host) {
        abort();
    }
    vm->arena.refused = new_size;
    if (vm->current) obh_arm(vm->current);
    return NULL;
}

/* No stack of Lua's has more bytes: its slots (LUAI_MAXSTACK, 16 bytes each) and what it adds for errors. */
enum { LARGEST_STACK = 17 * 1024 * 1024 };

/* By how much `used` may be above the limit, once, by a process that is about to die of it. */
enum { LOAN = 64 * 1024 };

/* Whether a request over the limit is met all the same, when a collection did not help. A small one is, once: then the process
 * dies at its very next instruction, where its stack still stands, and the report has its traceback. Of others the traceback is
 * taken here, as far as no stack can be on the move (some versions of Lua keep it in pieces meanwhile): of a new object, whose
 * type Lua says in the place of the old size, and of what is larger than any stack. */
static __attribute__((noinline)) int lend(obh_vm *vm, size_t more, size_t new_size, int is_object) {
    obh_arena *arena = &vm->arena;
    if (arena->refused != new_size || arena->is_traced || !vm->current) return 0;
    arena->is_traced = 1;
    if (more <= LOAN && arena->used + more <= arena->limit + LOAN) {
        obh_arm(vm->current);
        return 1;
    }
    if (is_object || new_size > LARGEST_STACK) {
        vm->in_host++; /* nobody jumps out of it */
        obh_keep_traceback(vm, vm->current, 0);
        vm->in_host--;
        arena->has_traceback = 1;
    }
    return 0;
}

void *obh_vm_allocate(obh_vm *vm, size_t size) {
    void *block = take(&vm->arena, size);
    if (!block) abort();
    vm->arena.used += size;
    return block;
}

void obh_vm_free(obh_vm *vm, void *block, size_t size) {
    vm->arena.used -= size;
    give(vm, block, size);
}

/* `held` counts what fragmentation wastes, too: no more than the limit over again. What a copy was given as room and has not
 * touched yet is no waste. */
static inline int is_refused(const obh_vm *vm, size_t more) {
    const obh_arena *arena = &vm->arena;
    return OBH_UNLIKELY((more > arena->limit || arena->used > arena->limit - more ||
                         (arena->held - (size_t)(arena->bump_end - arena->bump)) / 2 > arena->limit) &&
                        !vm->in_host);
}

/* A block that Lua has got. */
static inline void *count(obh_vm *vm, void *block, size_t old_size, size_t new_size) {
    obh_arena *arena = &vm->arena;
    /* What Lua leaves unwritten in a block, beside a type of one byte, must not look like an address of old. */
    if (OBH_UNLIKELY(arena->sealed) && new_size > old_size) {
        memset((char *)block + old_size, 0, obh_arena_extent(new_size) - old_size);
        if (vm->source) obh_template_note(vm->source, block, new_size);
    }
    if (new_size > old_size) arena->turnover += new_size - old_size;
    if (OBH_UNLIKELY(arena->turnover > arena->warm_at)) obh_vm_warm_up(vm);
    arena->used += new_size - old_size;
    if (arena->used > arena->peak) arena->peak = arena->used;
    if (OBH_UNLIKELY(arena->refused == new_size) && !arena->is_traced) arena->refused = 0; /* a collection has cured it */
    return block;
}

static inline void *allocate(obh_vm *vm, size_t size, int is_object) {
    void *block = is_refused(vm, size) && !lend(vm, size, size, is_object) ? NULL : take(&vm->arena, size);
    return OBH_LIKELY(block != NULL) ? count(vm, block, 0, size) : refuse(vm, size);
}

/* Apart: what happens at every message, a new block and a free one, needs few registers. */
static __attribute__((noinline)) void *resize(obh_vm *vm, void *block, size_t old_size, size_t new_size) {
    obh_arena *arena = &vm->arena;
    if (new_size > old_size && is_refused(vm, new_size - old_size) && !lend(vm, new_size - old_size, new_size, 0))
        return refuse(vm, new_size);
    int shared = old_size >= OBH_LEAST_SHARED && obh_vm_may_share(vm, block) && obh_template_shares(vm->source, block);
    void *result;
    if (old_size > SMALL && new_size > SMALL && !shared && !in_image(arena, block)) {
        result = resize_large(arena, block, old_size, new_size);
    } else if (old_size <= SMALL && new_size <= SMALL && class_for(old_size) == class_for(new_size)) {
        result = block;
    } else if (old_size <= SMALL && new_size < old_size && !shared && !has_free(arena, class_for(new_size))) {
        /* A stack on going idle: where it is. Only as long as there is no free block of its new size: parts are never put together
         * again, so what grows and shrinks in turns would cut up one large block after the other. */
        result = block;
        scatter(arena, (char *)block + class_size(class_for(new_size)), (char *)block + class_size(class_for(old_size)));
    } else {
        result = take(arena, new_size);
        if (OBH_LIKELY(result != NULL)) {
            memcpy(result, block, old_size < new_size ? old_size : new_size);
            give(vm, block, old_size);
        }
    }
    if (OBH_UNLIKELY(!result)) {
        if (new_size > old_size) return refuse(vm, new_size);
        result = block; /* Lua counts on it that a block can shrink: it stays as large as it was */
    }
    return count(vm, result, old_size, new_size);
}

void *obh_arena_allocate(void *ud, void *block, size_t old_size, size_t new_size) {
    obh_vm *vm = ud;
    if (!block) return new_size ? allocate(vm, new_size, old_size != 0) : NULL; /* old_size is the type of the object there */
    if (new_size) return resize(vm, block, old_size, new_size);
    vm->arena.used -= old_size;
    give(vm, block, old_size);
    return NULL;
}

OBH_JUMPED_OVER_END
