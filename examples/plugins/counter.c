/* A process in C: counts the words of the texts that it is sent, and answers requests for the sum.
 *
 *     cc -shared -fPIC -I include counter.c -o app/libcounter.so
 */
#include <obhut_plugin.h>

/* Plain C functions need nothing of Obhut: this one is called for its result. */
uint64_t count_words(const uint8_t *text, size_t length) {
    uint64_t count = 0;
    bool inside = false;
    for (size_t i = 0; i < length; i++) {
        bool is_letter = text[i] > ' ';
        if (is_letter && !inside) count++;
        inside = is_letter;
    }
    return count;
}

/* One with a context is a process like those of Lua: a mailbox, a pid, links, names. */
obhut_status counter_main(obhut_context *context, const char *name) {
    uint64_t sum = 0;
    obhut_event event = OBHUT_EVENT_INIT;
    if (obhut_context_register(context, name) != OBHUT_OK) {
        obhut_fail(context, obhut_context_error(context));
        return OBHUT_FAILED;
    }
    obhut_context_ready(context);
    while (obhut_context_receive(context, -1, &event) == OBHUT_OK) {
        if (event.kind == OBHUT_MESSAGE_CANCEL) break;
        if (event.kind != OBHUT_MESSAGE_DATA) continue;
        if (!strcmp(event.topic, "text")) {
            obhut_reader reader = obhut_reader_of(event.payload, event.length);
            obhut_value value;
            if (obhut_read(&reader, &value) && value.kind == OBHUT_VALUE_STRING) sum += count_words(value.bytes, value.length);
        } else if (!strcmp(event.topic, "sum") && event.request) {
            obhut_writer writer = OBHUT_WRITER_INIT;
            obhut_write_unsigned(&writer, sum);
            obhut_context_reply(context, event.from, event.request, writer.bytes, writer.length, false);
            obhut_writer_free(&writer);
        } else if (!strcmp(event.topic, "crash")) {
            *(volatile int *)0 = 1; /* a bug: the end of this process and of nothing else */
        }
    }
    return OBHUT_OK;
}

static const obhut_plugin_entry entries[] = {
    {"counter", "counter_main", "status(context, string)", OBHUT_MODE_FUNCTION},
};
OBHUT_PLUGIN("counter", "1.0.0", entries, NULL)
