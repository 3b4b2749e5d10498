#include <obhut_plugin.h>

obhut_status echo(obhut_context *context);
obhut_status echo(obhut_context *context)
{
    obhut_event event = OBHUT_EVENT_INIT;
    obhut_status status;
    while ((status = obhut_context_receive(context, -1, &event)) == OBHUT_OK) {
        if (event.kind != OBHUT_MESSAGE_DATA) continue;
        status = obhut_context_send(context, event.from, "pong", event.payload, event.length);
        if (status != OBHUT_OK) break;
    }
    return status;
}
