/* The smallest whole program: a folder with one Lua process, asked twice, seen to end.
 *
 *     cc -std=c99 basic.c $(pkg-config --cflags --libs obhut) -o basic && ./basic app
 *
 * It prints the two answers and how the process ended. Arguments and payloads are written as JSON and turned
 * into MessagePack by the library: nothing else is needed. */
#include <obhut.h>

#include <stdio.h>

#define SECOND 1000000000

/* Tells what failed. Answers whether it failed. */
static bool failed(const char *what, obhut_status status, obhut_error *error)
{
    if (status == OBHUT_OK) return false;
    fprintf(stderr, "%s: %s: %s\n", what, obhut_status_name(status), obhut_error_text(error));
    obhut_error_free(error);
    return true;
}

/* Sends the string `name`, and prints the one that comes back. */
static bool ask(obhut_port *port, obhut_pid pid, const char *json, size_t length)
{
    obhut_error *error = NULL;
    void *payload;
    size_t size;
    if (failed("payload", obhut_payload_from_json(json, length, &payload, &size, &error), error)) return false;
    obhut_status status = obhut_port_send(port, pid, "name", payload, size, &error);
    obhut_bytes_free(payload);
    if (failed("send", status, error)) return false;

    obhut_message *message;
    if (failed("receive", obhut_port_receive(port, 10LL * SECOND, &message, &error), error)) return false;
    char *answer;
    const void *bytes = obhut_message_payload(message, &size);
    status = obhut_payload_to_json(bytes, size, &answer, NULL, &error);
    if (!failed("answer", status, error)) printf("%s %s\n", obhut_message_topic(message, NULL), answer);
    obhut_bytes_free(answer);
    obhut_message_free(message);
    return status == OBHUT_OK;
}

/* Prints how the process ended. */
static bool see_the_end(obhut_port *port, obhut_pid pid)
{
    obhut_error *error = NULL;
    obhut_message *message;
    if (failed("receive", obhut_port_receive(port, 10LL * SECOND, &message, &error), error)) return false;
    const void *value;
    size_t size;
    const char *text;
    char *json = NULL;
    bool ended = obhut_message_kind(message) == OBHUT_MESSAGE_EXIT && obhut_message_from(message) == pid;
    if (!ended) {
        fprintf(stderr, "something else than the end came\n");
    } else if (!obhut_message_result(message, &value, &size, &text)) {
        printf("failed: %s\n", text);
    } else if (!failed("value", obhut_payload_to_json(value, size, &json, NULL, &error), error)) {
        printf("ended with %s\n", json);
    }
    obhut_bytes_free(json);
    obhut_message_free(message);
    return ended;
}

static bool run(obhut_runtime *runtime, const char *folder)
{
    obhut_error *error = NULL;
    if (failed("load", obhut_runtime_load_folder(runtime, folder, &error), error)) return false;
    if (failed("start", obhut_runtime_start(runtime, OBHUT_START_ALL, &error), error)) return false;

    obhut_port *port;
    if (failed("port", obhut_port_create(runtime, &port, &error), error)) return false;
    obhut_pid pid;
    const unsigned char arguments[] = {0x91, 2}; /* MessagePack: [2] */
    obhut_status status = obhut_port_spawn(port, "app:greeter", NULL, arguments, sizeof arguments,
                                           OBHUT_SPAWN_MONITORED, &pid, &error);
    bool done = !failed("spawn", status, error) && ask(port, pid, "\"Ada\"", 5) && ask(port, pid, "\"Grace\"", 7) &&
                see_the_end(port, pid);
    obhut_port_free(port);
    return !failed("stop", obhut_runtime_stop(runtime, -1, &error), error) && done;
}

int main(int count, char **arguments)
{
    obhut_error *error = NULL;
    obhut_runtime *runtime;
    if (count != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
        return 2;
    }
    if (failed("create", obhut_runtime_create(NULL, &runtime, &error), error)) return 1;
    bool done = run(runtime, arguments[1]);
    obhut_runtime_free(runtime);
    return done ? 0 : 1;
}
