/* Two handlers that send a number to and fro, as t01_ping_pong and benchmarks/peers/ping_pong.erl do. */
#include <obhut_plugin.h>

#include <stdlib.h>
#include <time.h>

typedef struct ping {
    obhut_pid echo, asked;
    int64_t trips, number, right, start;
    uint8_t sent[9]; /* the last number, as it went */
} ping_state;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* MessagePack's integer of 64 bits. */
static void write_number(uint8_t *bytes, int64_t number)
{
    uint64_t value = __builtin_bswap64((uint64_t)number);
    bytes[0] = 0xd3;
    memcpy(bytes + 1, &value, sizeof value);
}

/* Its arguments: the text of the other's pid, and the number of round trips. */
static obhut_status ping_init(obhut_context *context, const void *arguments, size_t length, void **state)
{
    obhut_reader reader = obhut_reader_of(arguments, length);
    obhut_value value;
    ping_state *self = calloc(1, sizeof *self);
    char text[128] = "";
    if (!self) return OBHUT_SYSTEM;
    *state = self;
    obhut_read(&reader, &value);
    if (obhut_read(&reader, &value) && value.kind == OBHUT_VALUE_STRING && value.length < sizeof text)
        memcpy(text, value.bytes, value.length);
    obhut_read_integer(&reader, &self->trips);
    self->number = -self->trips / 10; /* the first tenth warms up */
    return obhut_context_lookup(context, text, &self->echo);
}

static int32_t ping_handle(obhut_context *context, void *state, const obhut_event *event)
{
    ping_state *self = state;
    if (event->kind != OBHUT_MESSAGE_DATA) return OBHUT_HANDLER_CONTINUE;
    if (event->from != self->echo) {
        self->asked = event->from;
    } else {
        if (event->length == sizeof self->sent && !memcmp(event->payload, self->sent, sizeof self->sent) && self->number >= 0)
            self->right++;
        self->number++;
    }
    if (self->number == 0) self->start = now();
    if (self->number < self->trips) {
        write_number(self->sent, self->number);
        return obhut_context_send(context, self->echo, "ping", self->sent, sizeof self->sent);
    }
    write_number(self->sent, self->right == self->trips ? now() - self->start : -1);
    return obhut_context_send(context, self->asked, "nanoseconds", self->sent, sizeof self->sent);
}

const obhut_handler ping = {sizeof(obhut_handler), ping_init, ping_handle, free};

static obhut_status echo_init(obhut_context *context, const void *arguments, size_t length, void **state)
{
    (void)context, (void)arguments, (void)length, (void)state;
    return OBHUT_OK;
}

static int32_t echo_handle(obhut_context *context, void *state, const obhut_event *event)
{
    (void)state;
    if (event->kind != OBHUT_MESSAGE_DATA) return OBHUT_HANDLER_CONTINUE;
    return obhut_context_send(context, event->from, "pong", event->payload, event->length);
}

const obhut_handler echo = {sizeof(obhut_handler), echo_init, echo_handle, NULL};
