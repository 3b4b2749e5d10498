/* A plugin whose init throws. */
#include <obhut_plugin.h>

#include <stdexcept>

static obhut_status begin(char *, size_t) { throw std::runtime_error("no luck"); }

extern "C" int32_t one(void) { return 1; }

static const obhut_plugin_entry entries[] = {{"one", "one", "i32()", OBHUT_MODE_FUNCTION}};
OBHUT_PLUGIN("unlucky", "1", entries, begin)
