/* A plugin whose descriptor macros can make wrong. */
#include <obhut_plugin.h>

uint64_t sum(const uint8_t *bytes, size_t length) {
    uint64_t sum = 0;
    size_t i;
    for (i = 0; i < length; i++) sum += bytes[i];
    return sum;
}
static obhut_status begin(obhut_context *context, const void *arguments, size_t length, void **state) {
    (void)context, (void)arguments, (void)length, (void)state;
    return OBHUT_OK;
}
static int32_t handle(obhut_context *context, void *state, const obhut_event *event) {
    (void)context, (void)state, (void)event;
    return OBHUT_HANDLER_END;
}
const obhut_handler counter = {sizeof(obhut_handler), begin, handle, NULL};

#ifndef EXPORTED
#define EXPORTED static
#endif
EXPORTED const obhut_plugin_entry entries[] = {
    {"sum", "sum", "u64(bytes)", OBHUT_MODE_FUNCTION},
    {"counter", "counter", NULL, OBHUT_MODE_HANDLER},
    {"broken", "sum", "u64(bites)", OBHUT_MODE_FUNCTION},
    {"missing", "nowhere", "void()", OBHUT_MODE_FUNCTION},
};

#ifndef ABI
#define ABI OBHUT_PLUGIN_ABI
#endif
#ifndef POINTER
#define POINTER sizeof(void *)
#endif
#ifndef FUNCTIONS
#define FUNCTIONS sizeof(obhut_context_functions)
#endif
#ifndef ENTRY
#define ENTRY sizeof(obhut_plugin_entry)
#endif
OBHUT_PLUGIN_EXPORT const obhut_plugin_descriptor obhut_plugin;
const obhut_plugin_descriptor obhut_plugin = {
    ABI, POINTER, sizeof(obhut_plugin_descriptor), sizeof(obhut_event), FUNCTIONS, ENTRY, "described", "1.2.3", entries, 4, NULL};
