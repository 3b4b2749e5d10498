// See native_guard.h.
#include "native_guard.h"

#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <exception>
#include <typeinfo>

#include "../CNative/include/native_call.h"

// The name of the type as its author writes it.
static void describe(char *text, std::size_t size, const std::type_info *type, const char *what)
{
    int status = -1;
    char *name = type ? abi::__cxa_demangle(type->name(), nullptr, nullptr, &status) : nullptr;
    std::snprintf(
        text, size, "a C++ exception has left the function: %s%s%s", name ? name : type ? type->name() : "of an unknown type",
        what ? ": " : "", what ? what : "");
    std::free(name);
}

extern "C" {

static int32_t guarded(void (*function)(void *), void *user, char *text, std::size_t size)
{
    try {
        function(user);
        return 0;
    } catch (abi::__forced_unwind &) {
        throw; // a thread that is cancelled
    } catch (const std::exception &exception) {
        describe(text, size, &typeid(exception), exception.what());
    } catch (...) {
        describe(text, size, abi::__cxa_current_exception_type(), nullptr);
    }
    return -1;
}

__attribute__((constructor)) static void install(void) { obn_guard = guarded; }

}
