/* A process's VM as a copy of a prepared one (ARCHITECTURE D1).
 *
 * A VM is made once in one piece of memory, the image: obh_vm, globals, the entry's loaded code. To start a process the image
 * is copied, and every word in it that held an address inside the image gets the new place's address. This needs no knowledge
 * of Lua's structures. That a number is taken for an address, or an address for a number, is found out beforehand: the first
 * copy is compared with its original, byte for byte where an address may hide, its code as lua_dump writes it, its tables by
 * all their keys; and collected, which must free nothing. If they are not alike, the image is made again elsewhere.
 *
 * What is never written again need not be copied: the instructions and the numbers of their lines, a tenth of a small program
 * and more of a large one. They are found without knowing Lua's structures, too: a block that was allocated while the code was
 * loaded and whose bytes stand in the dumped code as they are can hold no address, so nothing for the collector to mark, and
 * nothing of it is left to be made. It is taken out of the image, and the copies have its address in the template's memory.
 * They count it as theirs, and when one frees it, nothing happens but that (arena.c).
 *
 * Only what has not run can be copied: a table whose keys are objects is sorted by their addresses. */
#define _GNU_SOURCE /* memmem */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
    SMALLEST_IMAGE = 64 * 1024,
    LARGEST_IMAGE = 16 * 1024 * 1024, /* of code that large the copying is not the cost that matters */
    ATTEMPTS = 3,
    ROOM = 1024,                      /* what a copy can allocate before it needs memory of its own, as long as nobody has
                                         waited; then, what the first one had needed, */
    SLACK = 64,                       /* with this much more, */
    MOST_ROOM = 16 * 1024,            /* but at most this */
    /* In code of many functions too much would be searched again and again, in one step of the process that is the first to be a
     * copy: what has been looked through in vain, in bytes and in times of the whole code, after which nothing more is shared. */
    ENOUGH_SEARCHED = 1024 * 1024,
    TIMES_SEARCHED = 16,
    NEAR = 4 * 1024,                  /* bytes of code in which a block is looked for; after each that is not found, twice as many */
    RECYCLED = 1024 * 1024            /* bytes of ended copies that are kept for new ones */
};

struct spare {
    struct spare *next;
};

/* A block of the original, and where it is in the template's own memory. */
struct block {
    const char *begin;
    size_t size;
    size_t place;
    size_t left_out; /* bytes of the image that are shared, up to the end of this one */
};

struct loaded {
    struct block *blocks;
    size_t count, capacity;
    const char *from;    /* while the code is loaded */
    const char *highest; /* of all that were noted: what lies above is new */
};

struct obh_template {
    struct obh_shared shared; /* the blocks that are not copied; first, see obh_vm_may_share */
    struct loaded loaded; /* while it is made: the blocks that could be shared, then those that are, by their addresses */
    char *image;         /* addresses within it are relative to its begin */
    size_t size;
    uint32_t *moved;     /* the words that are addresses */
    size_t moved_count;
    atomic_uchar learned; /* `block` is as it stays */
    atomic_flag busy;    /* guards what is below; held for a few instructions */
    size_t block;        /* size of a copy with its room */
    struct spare *spares; /* of that size */
    size_t spare_count;
};

static const size_t BEGIN = (sizeof(obh_vm) + 15) / 16 * 16; /* of the first chunk */

/* ---- Copying ----------------------------------------------------------------------------- */

static void lock(obh_template *source) {
    for (int i = 0; atomic_flag_test_and_set_explicit(&source->busy, memory_order_acquire); i++) {
        if (i > 100) sched_yield();
    }
}

static void unlock(obh_template *source) { atomic_flag_clear_explicit(&source->busy, memory_order_release); }

static void *take_block(obh_template *source, size_t *size) {
    lock(source);
    *size = source->block;
    struct spare *spare = source->spares;
    if (spare) {
        source->spares = spare->next;
        source->spare_count--;
    }
    unlock(source);
    return spare ? spare : malloc(*size);
}

/* Blocks are of a multiple of 8 bytes, so that their end is where the arena knows it. */
static size_t block_of(const obh_vm *vm) { return (size_t)((const char *)&vm->arena - (const char *)vm) + vm->arena.image; }

/* As large as what malloc takes for it anyway: a multiple of 16 without its own 8 bytes. */
static size_t block_size(const obh_template *source, size_t room) { return (source->size + room + 7) / 16 * 16 + 8; }

obh_vm *obh_template_clone(obh_template *source) {
    size_t size;
    char *block = take_block(source, &size);
    if (!block) return NULL;
    memcpy(block, source->image, source->size);
    uintptr_t *words = (uintptr_t *)block;
    for (size_t i = 0; i < source->moved_count; i++) words[source->moved[i]] += (uintptr_t)block;
    obh_vm *vm = (obh_vm *)block;
    vm->source = source;
    obh_arena_begin_with(&vm->arena, block + source->size, size - source->size, 0);
    vm->arena.held = size + source->shared.size;
    obh_arena_close_free_blocks(&vm->arena);
    return vm;
}

void obh_template_recycle(obh_template *source, obh_vm *vm) {
    size_t size = block_of(vm);
    obh_arena_open_memory(vm, size);
    struct spare *spare = (struct spare *)vm;
    lock(source);
    int keep = size == source->block && source->spare_count * size < RECYCLED;
    if (keep) {
        spare->next = source->spares;
        source->spares = spare;
        source->spare_count++;
    }
    unlock(source);
    if (!keep) free(spare);
}

static void free_spares(struct spare *spare) {
    for (struct spare *next; spare; spare = next) {
        next = spare->next;
        free(spare);
    }
}

void obh_vm_waits(obh_vm *vm) {
    obh_template *source = vm->source;
    if (OBH_LIKELY(!source || atomic_load_explicit(&source->learned, memory_order_relaxed))) return;
    if (atomic_exchange(&source->learned, 1)) return;
    /* More than what it holds now: of the holes that its image came with, not every one has found a use. */
    size_t room = obh_arena_cut_since(&vm->arena, (char *)vm + source->size) + SLACK;
    lock(source);
    source->block = block_size(source, room < MOST_ROOM ? room : MOST_ROOM);
    struct spare *spares = source->spares;
    source->spares = NULL;
    source->spare_count = 0;
    unlock(source);
    free_spares(spares);
}

void obh_template_free(obh_template *source) {
    if (!source) return;
    free_spares(source->spares);
    free(source->loaded.blocks);
    free(source->shared.begin);
    free(source->moved);
    free(source->image);
    free(source);
}

/* ---- Comparing a copy with its original ------------------------------------------------------- */

enum { MOST_TABLES = 64, DEEPEST = 16 };

struct comparison {
    const void *seen[MOST_TABLES]; /* tables of the original */
    int count;
};

/* Whether no address of the original's memory is left in the copy, wherever it may stand. */
static int refers_elsewhere(const char *copy, size_t size, uintptr_t original) {
    for (size_t i = 0; i + sizeof(uintptr_t) <= size; i++) {
        uintptr_t word;
        memcpy(&word, copy + i, sizeof word);
        if (word - original <= size) return 1;
    }
    return 0;
}

struct expected {
    const char *bytes;
    size_t left;
};

static int compare_code(lua_State *L, const void *bytes, size_t size, void *raw) {
    (void)L;
    struct expected *expected = raw;
    if (size > expected->left || memcmp(bytes, expected->bytes, size)) return 1;
    expected->bytes += size;
    expected->left -= size;
    return 0;
}

static int same_code(obh_vm *vm, const obh_vm_options *options) {
    struct expected expected = {options->code, options->code_size};
    lua_State *L = vm->main_state;
    return lua_gettop(L) == 2 && lua_type(L, 2) == LUA_TFUNCTION && lua_dump(L, compare_code, &expected, 0) == 0 &&
           expected.left == 0;
}

static int same_tables(struct comparison *seen, lua_State *a, lua_State *b, int depth);

/* Whether the values on top of both stacks are alike; pops them. */
static int same_values(struct comparison *seen, lua_State *a, lua_State *b, int depth) {
    int type = lua_type(a, -1), same = lua_type(b, -1) == type;
    if (same) {
        size_t length_a, length_b;
        const char *text_a, *text_b;
        switch (type) {
        case LUA_TNUMBER:
            same = lua_isinteger(a, -1) == lua_isinteger(b, -1) && lua_tointeger(a, -1) == lua_tointeger(b, -1) &&
                   lua_tonumber(a, -1) == lua_tonumber(b, -1);
            break;
        case LUA_TBOOLEAN: same = lua_toboolean(a, -1) == lua_toboolean(b, -1); break;
        case LUA_TLIGHTUSERDATA: same = lua_touserdata(a, -1) == lua_touserdata(b, -1); break;
        case LUA_TSTRING:
            text_a = lua_tolstring(a, -1, &length_a);
            text_b = lua_tolstring(b, -1, &length_b);
            same = length_a == length_b && !memcmp(text_a, text_b, length_a);
            break;
        case LUA_TFUNCTION: same = lua_tocfunction(a, -1) && lua_tocfunction(a, -1) == lua_tocfunction(b, -1); break;
        case LUA_TTABLE: same = same_tables(seen, a, b, depth + 1); break;
        case LUA_TTHREAD: break;
        default: same = 0; /* nothing else stands in an image */
        }
    }
    lua_pop(a, 1);
    lua_pop(b, 1);
    return same;
}

static int size_of(lua_State *L) {
    int size = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) size++;
    return size;
}

/* Pushes a copy of the key on top of `a` onto `b`, made anew: so that a string is found as a program finds it. */
static int push_key(lua_State *a, lua_State *b) {
    size_t length;
    const char *text;
    switch (lua_type(a, -1)) {
    case LUA_TSTRING:
        text = lua_tolstring(a, -1, &length);
        lua_pushlstring(b, text, length);
        return 1;
    case LUA_TNUMBER:
        if (!lua_isinteger(a, -1)) return 0;
        lua_pushinteger(b, lua_tointeger(a, -1));
        return 1;
    default: return 0;
    }
}

/* The same for tables, which it leaves. */
static int same_tables(struct comparison *seen, lua_State *a, lua_State *b, int depth) {
    const void *table = lua_topointer(a, -1);
    for (int i = 0; i < seen->count; i++) {
        if (seen->seen[i] == table) return 1;
    }
    if (seen->count == MOST_TABLES || depth > DEEPEST || !lua_checkstack(a, 8) || !lua_checkstack(b, 8)) return 0;
    seen->seen[seen->count++] = table;
    if (size_of(a) != size_of(b)) return 0;
    for (lua_pushnil(a); lua_next(a, -2);) {
        lua_pushvalue(a, -2);
        if (!push_key(a, b)) return 0;
        lua_pop(a, 1);
        lua_rawget(b, -2);
        if (!same_values(seen, a, b, depth)) return 0;
    }
    int has = lua_getmetatable(a, -1);
    if (lua_getmetatable(b, -1) != has) return 0;
    return !has || same_values(seen, a, b, depth);
}

/* Neither may be used for anything else afterwards. */
static int alike(obh_vm *original, obh_vm *copy, const obh_vm_options *options) {
    struct comparison seen = {.count = 0};
    size_t used = copy->arena.used;
    lua_State *a = original->main_state, *b = copy->main_state;
    original->in_host++;
    copy->in_host++;
    int same = same_code(copy, options);
    lua_pushvalue(a, LUA_REGISTRYINDEX);
    lua_pushvalue(b, LUA_REGISTRYINDEX);
    same = same && same_tables(&seen, a, b, 0);
    lua_settop(a, 2);
    lua_settop(b, 2);
    lua_pushliteral(a, ""); /* what strings have for a metatable is in no table */
    lua_pushliteral(b, "");
    same = same && lua_getmetatable(a, -1) && lua_getmetatable(b, -1) && same_values(&seen, a, b, 0);
    lua_settop(a, 2);
    lua_settop(b, 2);
    /* The original has just been collected: whatever is garbage in the copy alone has lost a reference. */
    lua_gc(b, LUA_GCCOLLECT);
    same = same && copy->arena.used == used;
    copy->in_host--;
    original->in_host--;
    return same;
}

/* ---- Sharing what is never written -------------------------------------------------------------- */

void obh_template_loading(obh_vm *vm, int begins) {
    vm->source->loaded.from = begins ? vm->arena.bump : NULL;
    vm->arena.sealed = begins ? OBH_LOADING : OBH_SEALED;
}

void obh_template_note(obh_template *source, const void *block, size_t size) {
    struct loaded *loaded = &source->loaded;
    /* obh_vm.tables holds distances, which are not relocated: so whatever was there before the code must not move. */
    if (!loaded->from || (const char *)block < loaded->from || size < OBH_LEAST_SHARED) return;
    if ((const char *)block > loaded->highest) loaded->highest = block;
    else obh_template_shares(source, block); /* resized where it is */
    if (loaded->count == loaded->capacity) {
        size_t capacity = loaded->capacity * 2 + 16;
        struct block *grown = realloc(loaded->blocks, capacity * sizeof *grown);
        if (!grown) return;
        loaded->blocks = grown;
        loaded->capacity = capacity;
    }
    loaded->blocks[loaded->count++] = (struct block){.begin = block, .size = size};
}

int obh_template_shares(obh_template *source, const void *block) {
    if (source->shared.size != SIZE_MAX) return (uintptr_t)block - (uintptr_t)source->shared.begin < source->shared.size;
    struct loaded *loaded = &source->loaded;
    for (size_t i = loaded->count; i-- > 0;) {
        if (loaded->blocks[i].begin != block) continue;
        memmove(loaded->blocks + i, loaded->blocks + i + 1, (--loaded->count - i) * sizeof *loaded->blocks);
        break;
    }
    return 0;
}

static void forget_loaded(struct loaded *loaded) {
    free(loaded->blocks);
    *loaded = (struct loaded){.count = 0};
}

static int by_address(const void *a, const void *b) {
    const struct block *one = a, *other = b;
    return one->begin < other->begin ? -1 : one->begin > other->begin;
}

/* Of the blocks that were made by loading keeps those that stand in the code as they are, and puts them together. Their order
 * is that of the code, so each is looked for behind the one before; and near at first, for most of what does not stand there is
 * of a function that has something that does. */
static void choose_shared(obh_template *made, const obh_vm_options *options) {
    struct loaded *loaded = &made->loaded;
    made->shared.size = 0;
    const char *code = options->code, *end = code + options->code_size;
    size_t count = 0, size = 0, searched = 0;
    for (size_t i = 0, near = NEAR; i < loaded->count && searched <= ENOUGH_SEARCHED + TIMES_SEARCHED * options->code_size; i++) {
        struct block block = loaded->blocks[i];
        size_t left = (size_t)(end - code), most = left < block.size + near ? left : block.size + near;
        const char *found = memmem(code, most, block.begin, block.size);
        if (!found) {
            searched += most;
            if (near < options->code_size) near *= 2;
            continue;
        }
        near = NEAR;
        code = found + block.size;
        block.size = obh_arena_extent(block.size);
        block.place = size;
        size += block.size;
        loaded->blocks[count++] = block;
    }
    char *shared = malloc(size);
    loaded->count = shared ? count : 0;
    if (!shared) return;
    for (size_t i = 0; i < count; i++) memcpy(shared + loaded->blocks[i].place, loaded->blocks[i].begin, loaded->blocks[i].size);
    qsort(loaded->blocks, count, sizeof *loaded->blocks, by_address);
    for (size_t i = 0, left_out = 0; i < count; i++) loaded->blocks[i].left_out = left_out += loaded->blocks[i].size;
    made->shared = (struct obh_shared){shared, size};
}

/* An address in the original's memory: one in the template's, or (1) relative to the begin of the image without what is
 * shared. */
static int relocate(const obh_template *made, const char *memory, uintptr_t *address) {
    const struct block *blocks = made->loaded.blocks;
    size_t before = 0; /* so many begin at or before it */
    for (size_t after = made->loaded.count; before < after;) {
        size_t middle = (before + after) / 2;
        if ((uintptr_t)blocks[middle].begin <= *address) before = middle + 1; else after = middle;
    }
    if (before) {
        const struct block *block = &blocks[before - 1];
        size_t within = (size_t)(*address - (uintptr_t)block->begin);
        if (within < block->size) {
            *address = (uintptr_t)made->shared.begin + block->place + within;
            return 0;
        }
        *address -= block->left_out;
    }
    *address -= (uintptr_t)memory;
    return 1;
}

/* ---- Making one ---------------------------------------------------------------------------------- */

/* Finds the words that are addresses and makes them relative. */
static int take_image(obh_template *made, const char *memory) {
    made->image = malloc(made->size);
    made->moved = malloc(made->size / sizeof(uintptr_t) * sizeof *made->moved);
    if (!made->image || !made->moved) return -1;
    const struct loaded *shared = &made->loaded;
    size_t taken = 0, next = 0;
    for (size_t from = 0; from < made->size;) {
        if (next < shared->count && memory + from == shared->blocks[next].begin) {
            from += shared->blocks[next++].size;
            continue;
        }
        uintptr_t word;
        memcpy(&word, memory + from, sizeof word);
        if (word - (uintptr_t)memory <= made->size && relocate(made, memory, &word)) {
            made->moved[made->moved_count++] = (uint32_t)(taken / sizeof word);
        }
        memcpy(made->image + taken, &word, sizeof word);
        from += sizeof word;
        taken += sizeof word;
    }
    made->size = taken;
    uint32_t *fitting = realloc(made->moved, (made->moved_count + 1) * sizeof *fitting);
    if (fitting) made->moved = fitting;
    return 0;
}

/* A template made in `memory`, which is zeroed; NULL and `*retry` when more memory or another place might help. */
static obh_template *make_in(char *memory, size_t capacity, const obh_vm_options *options, int *more, int *elsewhere) {
    obh_vm *original = (obh_vm *)memory;
    *more = *elsewhere = 0;
    obh_arena_init(&original->arena);
    obh_arena_begin_with(&original->arena, memory + BEGIN, capacity - BEGIN, OBH_SEALED);
    obh_template *made = original->source = calloc(1, sizeof *made);
    if (!made) return NULL;
    made->shared.size = SIZE_MAX;
    if (obh_vm_set_up(original, options)) {
        *more = 1;
        obh_arena_drop(&original->arena);
        obh_template_free(made);
        return NULL;
    }
    original->source = NULL;
    made->size = (size_t)(original->arena.bump - memory);
    obh_arena_open_memory(memory, capacity);
    choose_shared(made, options);
    obh_vm *copy = NULL;
    if (!take_image(made, memory)) {
        made->block = block_size(made, ROOM);
        copy = obh_template_clone(made);
    }
    forget_loaded(&made->loaded);
    if (copy) {
        original->arena.sealed = 0;
        obh_arena_open_memory(copy, made->block);
        *elsewhere = refers_elsewhere((char *)copy, made->size, (uintptr_t)memory) || !alike(original, copy, options);
        obh_vm_destroy(copy);
        obh_arena_drop(&original->arena);
        if (!*elsewhere) return made;
    }
    obh_template_free(made);
    return NULL;
}

static char *zeroed_memory(void *context, size_t size) {
    (void)context;
    return calloc(1, size);
}

obh_template *obh_template_create(const obh_vm_options *options) {
    return obh_template_create_in(options, zeroed_memory, NULL);
}

obh_template *obh_template_create_in(const obh_vm_options *options, char *(*take)(void *, size_t), void *context) {
    obh_template *made = NULL;
    char *tried[ATTEMPTS];
    int attempts = 0, more, elsewhere = 1;
    for (size_t capacity = SMALLEST_IMAGE; elsewhere && attempts < ATTEMPTS && capacity <= LARGEST_IMAGE;) {
        char *memory = take(context, capacity);
        if (!memory) break;
        made = make_in(memory, capacity, options, &more, &elsewhere);
        if (more) {
            obh_arena_open_memory(memory, capacity);
            free(memory);
            capacity *= 2;
            elsewhere = 1;
        } else {
            tried[attempts++] = memory; /* kept until the end, so that the next one lies elsewhere */
        }
    }
    while (attempts) free(tried[--attempts]);
    return made;
}
