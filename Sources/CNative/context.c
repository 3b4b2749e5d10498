/* See native_context.h. */
#include "include/native_context.h"

#include <stdio.h>

#include "include/native_frames.h"

static obn_context *of(obhut_context *context) { return (obn_context *)context; }

obhut_status obn_context_fault(obn_context *context, obhut_status status, const char *text) {
    snprintf(context->error, sizeof context->error, "%s", text);
    return status;
}

/* Begins a request of `count` values beside the operation. */
static obhut_writer *begin(obn_context *context, int operation, uint32_t count) {
    obhut_writer_clear(&context->request);
    obhut_write_array(&context->request, count + 1);
    obhut_write_unsigned(&context->request, (uint64_t)operation);
    return &context->request;
}

/* Asks what was written. On success `reader` stands behind the status. */
static obhut_status ask(obn_context *context, obhut_reader *reader, const void **answer, size_t *length) {
    const void *bytes = NULL;
    size_t count = 0;
    obhut_value value;
    int64_t status;
    obhut_status carried;
    if (context->request.failed) return obn_context_fault(context, OBHUT_SYSTEM, "no memory is left for the request");
    if (context->most_bytes && context->request.length > context->most_bytes) {
        snprintf(context->error, sizeof context->error, "the payload is too long: the request has %zu bytes; max_message is %zu",
                 context->request.length, context->most_bytes - OBN_FRAME_ROOM);
        return OBHUT_LIMIT;
    }
    carried = context->exchange(context->carrier, context->request.bytes, context->request.length, &bytes, &count);
    if (carried == OBHUT_TERMINATED) return obn_context_fault(context, carried, "the process has been ended");
    if (carried == OBHUT_FORKED) return obn_context_fault(context, carried, "the context is of the process from which this one was forked");
    if (carried != OBHUT_OK) return obn_context_fault(context, carried, "the runtime cannot be asked");
    *reader = obhut_reader_of(bytes, count);
    if (answer) *answer = bytes;
    if (length) *length = count;
    if (!obhut_read(reader, &value) || value.kind != OBHUT_VALUE_ARRAY || !obhut_read_integer(reader, &status))
        return obn_context_fault(context, OBHUT_SYSTEM, "the answer of the runtime is malformed");
    if (status == OBHUT_OK) return OBHUT_OK;
    context->error[0] = 0;
    if (obhut_read(reader, &value) && value.kind == OBHUT_VALUE_STRING) {
        size_t size = value.length < sizeof context->error - 1 ? value.length : sizeof context->error - 1;
        memcpy(context->error, value.bytes, size);
        context->error[size] = 0;
    }
    return (obhut_status)status;
}

static obhut_status ask_nothing(obn_context *context) {
    obhut_reader reader;
    return ask(context, &reader, NULL, NULL);
}

static obhut_status ask_pid(obn_context *context, obhut_pid *pid) {
    obhut_reader reader;
    obhut_value value;
    obhut_status status = ask(context, &reader, NULL, NULL);
    if (pid) *pid = 0;
    if (status != OBHUT_OK) return status;
    if (!obhut_read(&reader, &value)) return obn_context_fault(context, OBHUT_SYSTEM, "the answer of the runtime is malformed");
    if (pid) *pid = value.number;
    return OBHUT_OK;
}

static obhut_status write_payload(obn_context *context, const void *payload, size_t length) {
    if (!payload && length) return obn_context_fault(context, OBHUT_INVALID_ARGUMENT, "the payload is NULL and has a length");
    if (length) obhut_write_bytes(&context->request, payload, length);
    else obhut_write_bytes(&context->request, "\xc0", 1);
    return OBHUT_OK;
}

static obhut_pid self(obhut_context *context) { return of(context)->pid; }
static const char *entry(obhut_context *context) { return of(context)->entry; }
static const char *error(obhut_context *context) { return of(context)->error; }

static bool should_stop(obhut_context *context) {
    return obn_control_is_stopped(of(context)->control);
}

/* Writes what the caller's struct has room for. */
static void put_event(obhut_event *event, const obhut_event *found) {
    size_t size = event->struct_size;
    size_t known = size < sizeof *found ? size : sizeof *found;
    if (size > sizeof(size_t)) memset((char *)event + sizeof(size_t), 0, size - sizeof(size_t));
    memcpy(event, found, known);
    event->struct_size = size;
}

static bool text(obhut_reader *reader, obhut_value *value) {
    return obhut_read(reader, value) && (value->kind == OBHUT_VALUE_STRING || value->kind == OBHUT_VALUE_BYTES);
}

static obhut_status read_event(obn_context *context, obhut_reader *reader, obhut_event *event) {
    obhut_event found = OBHUT_EVENT_INIT;
    obhut_value value;
    int64_t number;
    bool ok = obhut_read_integer(reader, &number);
    found.kind = (int32_t)number;
    ok = ok && obhut_read(reader, &value);
    found.from = value.number;
    ok = ok && text(reader, &value);
    if (ok) {
        obhut_writer_clear(&context->topic);
        obhut_write_raw(&context->topic, value.bytes, value.length);
        obhut_write_raw(&context->topic, "", 1);
        if (context->topic.failed) return obn_context_fault(context, OBHUT_SYSTEM, "no memory is left for a topic");
        found.topic = (const char *)context->topic.bytes;
        found.topic_length = value.length;
    }
    ok = ok && obhut_read(reader, &value);
    if (ok && value.kind == OBHUT_VALUE_BYTES) {
        found.payload = value.bytes;
        found.length = value.length;
    }
    ok = ok && obhut_read(reader, &value);
    found.is_error = value.number != 0;
    ok = ok && obhut_read(reader, &value);
    found.request = value.number;
    ok = ok && obhut_read_integer(reader, &found.deadline);
    ok = ok && obhut_read(reader, &value);
    found.origin = value.number;
    ok = ok && obhut_read(reader, &value);
    found.hops = (uint32_t)value.number;
    if (!ok) return obn_context_fault(context, OBHUT_SYSTEM, "the answer of the runtime is malformed");
    put_event(event, &found);
    return OBHUT_OK;
}

obhut_status obn_context_read_event(obn_context *context, const void *answer, size_t length, obhut_event *event) {
    obhut_reader reader = obhut_reader_of(answer, length);
    obhut_value value;
    int64_t status;
    if (!obhut_read(&reader, &value) || !obhut_read_integer(&reader, &status)) return OBHUT_SYSTEM;
    return status == OBHUT_OK ? read_event(context, &reader, event) : (obhut_status)status;
}

/* An event without anything in it. */
static obhut_status clear_event(obn_context *context, obhut_event *event) {
    static const obhut_event none = OBHUT_EVENT_INIT;
    if (!event || event->struct_size < offsetof(obhut_event, from))
        return obn_context_fault(context, OBHUT_INVALID_ARGUMENT, "the event is NULL or has no struct_size: begin with OBHUT_EVENT_INIT");
    put_event(event, &none);
    return OBHUT_OK;
}

static obhut_status receive(obhut_context *plugin, int64_t timeout, obhut_event *event) {
    obn_context *context = of(plugin);
    obhut_reader reader;
    obhut_status status = clear_event(context, event);
    if (status != OBHUT_OK) return status;
    if (context->is_handler)
        return obn_context_fault(context, OBHUT_WRONG_STATE, "in mode handler events come to `handle`: it cannot receive");
    obhut_write_integer(begin(context, OBN_RECEIVE, 1), timeout);
    status = ask(context, &reader, NULL, NULL);
    return status == OBHUT_OK ? read_event(context, &reader, event) : status;
}

/* pid, topic and payload. */
static obhut_status write_message(obn_context *context, obhut_pid pid, const char *topic, const void *payload, size_t length) {
    size_t size;
    if (!topic) return obn_context_fault(context, OBHUT_INVALID_ARGUMENT, "the topic is NULL");
    size = strlen(topic);
    /* What is right in a topic is the runtime's to say; this bounds what travels. */
    obhut_write_unsigned(&context->request, pid);
    obhut_write_text(&context->request, topic, size < 300 ? size : 300);
    return write_payload(context, payload, length);
}

static obhut_status send(obhut_context *plugin, obhut_pid pid, const char *topic, const void *payload, size_t length) {
    obn_context *context = of(plugin);
    obhut_status status;
    begin(context, OBN_SEND, 3);
    status = write_message(context, pid, topic, payload, length);
    return status == OBHUT_OK ? ask_nothing(context) : status;
}

static obhut_status request(obhut_context *plugin, obhut_pid pid, const char *topic, const void *payload, size_t length,
                            int64_t timeout, obhut_event *event) {
    obn_context *context = of(plugin);
    obhut_reader reader;
    obhut_status status = clear_event(context, event);
    if (status != OBHUT_OK) return status;
    if (context->is_handler)
        return obn_context_fault(context, OBHUT_WRONG_STATE, "in mode handler nothing may wait: send, and take the answer in `handle`");
    begin(context, OBN_REQUEST, 4);
    status = write_message(context, pid, topic, payload, length);
    if (status != OBHUT_OK) return status;
    obhut_write_integer(&context->request, timeout);
    status = ask(context, &reader, NULL, NULL);
    return status == OBHUT_OK ? read_event(context, &reader, event) : status;
}

static obhut_status reply(obhut_context *plugin, obhut_pid pid, uint64_t number, const void *payload, size_t length,
                          bool is_error) {
    obn_context *context = of(plugin);
    obhut_writer *writer = begin(context, OBN_REPLY, 4);
    obhut_status status;
    obhut_write_unsigned(writer, pid);
    obhut_write_unsigned(writer, number);
    status = write_payload(context, payload, length);
    if (status != OBHUT_OK) return status;
    obhut_write_bool(writer, is_error);
    return ask_nothing(context);
}

static obhut_status spawn(obhut_context *plugin, const char *name, const char *host, const void *arguments, size_t length,
                          uint32_t flags, obhut_pid *pid) {
    obn_context *context = of(plugin);
    obhut_writer *writer = begin(context, OBN_SPAWN, 4);
    if (pid) *pid = 0;
    if (!name) return obn_context_fault(context, OBHUT_INVALID_ARGUMENT, "the entry is NULL");
    if (!arguments && length) return obn_context_fault(context, OBHUT_INVALID_ARGUMENT, "the arguments are NULL and have a length");
    obhut_write_string(writer, name);
    if (host) obhut_write_string(writer, host);
    else obhut_write_nil(writer);
    if (length) obhut_write_bytes(writer, arguments, length);
    else obhut_write_bytes(writer, "\x90", 1);
    obhut_write_unsigned(writer, flags);
    return ask_pid(context, pid);
}

static obhut_status ask_of_pid(obhut_context *plugin, int operation, obhut_pid pid) {
    obhut_write_unsigned(begin(of(plugin), operation, 1), pid);
    return ask_nothing(of(plugin));
}

static obhut_status link_to(obhut_context *context, obhut_pid pid) { return ask_of_pid(context, OBN_LINK, pid); }
static obhut_status unlink_from(obhut_context *context, obhut_pid pid) { return ask_of_pid(context, OBN_UNLINK, pid); }
static obhut_status monitor(obhut_context *context, obhut_pid pid) { return ask_of_pid(context, OBN_MONITOR, pid); }
static obhut_status unmonitor(obhut_context *context, obhut_pid pid) { return ask_of_pid(context, OBN_UNMONITOR, pid); }
static obhut_status terminate(obhut_context *context, obhut_pid pid) { return ask_of_pid(context, OBN_TERMINATE, pid); }

static obhut_status cancel(obhut_context *plugin, obhut_pid pid, int64_t timeout) {
    obhut_writer *writer = begin(of(plugin), OBN_CANCEL, 2);
    obhut_write_unsigned(writer, pid);
    obhut_write_integer(writer, timeout);
    return ask_nothing(of(plugin));
}

static obhut_status write_name(obn_context *context, int operation, const char *name) {
    size_t size;
    if (!name) return obn_context_fault(context, OBHUT_INVALID_ARGUMENT, "the name is NULL");
    size = strlen(name);
    obhut_write_text(begin(context, operation, 1), name, size < 400 ? size : 400);
    return OBHUT_OK;
}

static obhut_status register_name(obhut_context *context, const char *name) {
    obhut_status status = write_name(of(context), OBN_REGISTER, name);
    return status == OBHUT_OK ? ask_nothing(of(context)) : status;
}

static obhut_status unregister_name(obhut_context *context, const char *name) {
    obhut_status status = write_name(of(context), OBN_UNREGISTER, name);
    return status == OBHUT_OK ? ask_nothing(of(context)) : status;
}

static obhut_status lookup(obhut_context *context, const char *name, obhut_pid *pid) {
    obhut_status status = write_name(of(context), OBN_LOOKUP, name);
    if (pid) *pid = 0;
    return status == OBHUT_OK ? ask_pid(of(context), pid) : status;
}

static obhut_status set_trap_links(obhut_context *context, int32_t choice) {
    obhut_write_integer(begin(of(context), OBN_TRAP_LINKS, 1), choice);
    return ask_nothing(of(context));
}

static obhut_status ready(obhut_context *context) {
    begin(of(context), OBN_READY, 0);
    return ask_nothing(of(context));
}

static obhut_status log_text(obhut_context *context, int32_t level, const char *line) {
    if (!line) return obn_context_fault(of(context), OBHUT_INVALID_ARGUMENT, "the text is NULL");
    obhut_write_integer(begin(of(context), OBN_LOG, 2), level);
    obhut_write_string(&of(context)->request, line);
    return ask_nothing(of(context));
}

static obhut_status set_result(obhut_context *plugin, const void *payload, size_t length) {
    obn_context *context = of(plugin);
    obhut_reader reader = obhut_reader_of(payload, length);
    if (!length) {
        obhut_writer_clear(&context->result);
        return OBHUT_OK;
    }
    if (!payload || !obhut_read_skip(&reader) || reader.at != reader.end)
        return obn_context_fault(context, OBHUT_MALFORMED, "the result is not exactly one MessagePack value");
    obhut_writer_clear(&context->result);
    obhut_write_raw(&context->result, payload, length);
    return context->result.failed ? obn_context_fault(context, OBHUT_SYSTEM, "no memory is left for the result") : OBHUT_OK;
}

void obn_context_init(obn_context *context, obn_exchange exchange, void *carrier, obn_control *control, obhut_pid pid,
                      const char *name) {
    memset(context, 0, sizeof *context);
    context->plugin.functions = &obn_context_functions;
    context->exchange = exchange;
    context->carrier = carrier;
    context->control = control;
    context->pid = pid;
    context->entry = name;
}

void obn_context_free(obn_context *context) {
    obhut_writer_free(&context->request);
    obhut_writer_free(&context->topic);
    obhut_writer_free(&context->result);
}

static void fail(obhut_context *plugin, const char *reason) {
    obn_context *context = of(plugin);
    context->has_failed = true;
    snprintf(context->failure, sizeof context->failure, "%s", reason ? reason : "");
}

const obhut_context_functions obn_context_functions = {
    sizeof(obhut_context_functions), self, entry, error, should_stop, receive, send, request, reply, spawn, link_to,
    unlink_from, monitor, unmonitor, cancel, terminate, register_name, unregister_name, lookup, set_trap_links, ready,
    log_text, set_result, fail,
};
