// A C++ exception that leaves the function; a plugin whose init fails.
#include <obhut_plugin.h>

#include <cstdio>
#include <stdexcept>

extern "C" void throws() { throw std::runtime_error("nobody catches this"); }

static obhut_status init(char *text, size_t size) {
    std::snprintf(text, size, "the device is not there");
    return OBHUT_SYSTEM;
}

static const obhut_plugin_entry entries[] = {{"throws", "throws", "void()", OBHUT_MODE_FUNCTION}};

#ifdef FAILING
OBHUT_PLUGIN("devices", "1.0", entries, init)
#else
void *unused = reinterpret_cast<void *>(init);
const void *unused_entries = entries;
#endif
