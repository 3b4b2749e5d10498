/* What stands in for a Swift function that is not there (yet): Lua gets an error that says so. The linker prefers the real
 * ones. It also lets C tests use this target alone. */
#include <time.h>

#include "internal.h"

static int32_t missing(lua_State *L, const char *name) {
    lua_pushfstring(L, "%s is not available in this build", name);
    return OBH_RAISE_WHERE;
}

#define CALL(name) \
    __attribute__((weak)) int32_t obh_call_##name(obh_vm *vm, lua_State *L) { return (void)vm, missing(L, #name); }
#define RESUME(name) \
    __attribute__((weak)) int32_t obh_resume_##name(obh_vm *vm, lua_State *L) { return (void)vm, missing(L, #name); }
#define OBH_FUNCTION(module, lua, name) CALL(name)
#define OBH_TEXTUAL(module, lua, name) CALL(name)
#define OBH_BLOCKING(module, lua, name) CALL(name) RESUME(name)
#define OBH_METHOD(type, lua, name) CALL(name)
#define OBH_BLOCKING_METHOD(type, lua, name) CALL(name) RESUME(name)
#include "functions.def"

__attribute__((weak)) int32_t obh_interrupted(obh_vm *vm) {
    (void)vm;
    return 1;
}

__attribute__((weak)) int32_t obh_is_doomed(obh_vm *vm) {
    (void)vm;
    return 0;
}

__attribute__((weak)) int32_t obh_push_arguments(obh_vm *vm, lua_State *L) {
    (void)vm, (void)L;
    return 0;
}

static int64_t read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

__attribute__((weak)) int64_t obh_seam_wall_clock(obh_vm *vm) { return (void)vm, read_clock(CLOCK_REALTIME); }
__attribute__((weak)) int64_t obh_seam_cpu_clock(obh_vm *vm) { return (void)vm, read_clock(CLOCK_PROCESS_CPUTIME_ID); }
__attribute__((weak)) uint64_t obh_seam_random(obh_vm *vm) {
    static uint64_t state;
    return (void)vm, state = state * 6364136223846793005u + 1442695040888963407u;
}
