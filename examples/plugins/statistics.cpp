// A process in C++: the mean of the numbers that it is sent. As a handler it is called for each message, on the runtime's
// own workers: no thread and no child of its own, so it must not block.
//
//     c++ -shared -fPIC -I include statistics.cpp -o app/libstatistics.so
#include <obhut_plugin.h>

#include <new>
#include <numeric>
#include <vector>

namespace {

struct statistics {
    std::vector<double> numbers;
    double mean() const
    {
        return numbers.empty() ? 0 : std::accumulate(numbers.begin(), numbers.end(), 0.0) / double(numbers.size());
    }
};

obhut_status begin(obhut_context *context, const void *, std::size_t, void **state)
{
    *state = new (std::nothrow) statistics;
    if (!*state) {
        obhut_fail(context, "no memory is left");
        return OBHUT_SYSTEM;
    }
    return obhut_context_register(context, "mean");
}

int32_t handle(obhut_context *context, void *state, const obhut_event *event)
{
    auto &its = *static_cast<statistics *>(state);
    if (event->kind == OBHUT_MESSAGE_CANCEL) return OBHUT_HANDLER_END;
    if (event->kind != OBHUT_MESSAGE_DATA) return OBHUT_HANDLER_CONTINUE;
    obhut_reader reader = obhut_reader_of(event->payload, event->length);
    obhut_value value;
    if (obhut_read(&reader, &value)) {
        if (value.kind == OBHUT_VALUE_DOUBLE) its.numbers.push_back(value.real);
        if (value.kind == OBHUT_VALUE_INTEGER) its.numbers.push_back(double(value.integer));
    }
    if (event->request) {
        obhut_writer writer = OBHUT_WRITER_INIT;
        obhut_write_double(&writer, its.mean());
        obhut_context_reply(context, event->from, event->request, writer.bytes, writer.length, false);
        obhut_writer_free(&writer);
    }
    return OBHUT_HANDLER_CONTINUE;
}

void end(void *state) { delete static_cast<statistics *>(state); }

const obhut_plugin_entry entries[] = {{"mean", "statistics_handler", nullptr, OBHUT_MODE_HANDLER}};

} // namespace

extern "C" __attribute__((visibility("default"))) const obhut_handler statistics_handler;
const obhut_handler statistics_handler = {sizeof(obhut_handler), begin, handle, end};

OBHUT_PLUGIN("statistics", "1.0.0", entries, nullptr)
