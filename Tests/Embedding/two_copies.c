/* Two copies of the library in one program, as two plugins of it may bring them along: each runs processes of its own,
 * side by side, and answers the other's handles with a status.
 *
 *     cc two_copies.c -ldl -o two_copies && ./two_copies one/libobhut.so other/libobhut.so app */
#include <obhut.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct copy {
    void *library;
    obhut_status (*create)(const obhut_config *, obhut_runtime **, obhut_error **);
    obhut_status (*load)(obhut_runtime *, const char *, obhut_error **);
    obhut_status (*start)(obhut_runtime *, uint32_t, obhut_error **);
    obhut_status (*spawn)(obhut_runtime *, const char *, const char *, const void *, size_t, obhut_pid *, obhut_error **);
    obhut_status (*stop)(obhut_runtime *, int64_t, obhut_error **);
    obhut_status (*open)(obhut_runtime *, obhut_port **, obhut_error **);
    obhut_status (*send)(obhut_runtime *, obhut_pid, const char *, const void *, size_t, obhut_error **);
    obhut_status (*receive)(obhut_port *, int64_t, obhut_message **, obhut_error **);
    obhut_pid (*pid)(obhut_port *);
    void (*release_message)(obhut_message *);
    void (*release_port)(obhut_port *);
    void (*release)(obhut_runtime *);
    obhut_runtime *runtime;
    obhut_port *mailbox;
} copy;

static void require(bool is_so, const char *what)
{
    if (is_so) return;
    printf("not so: %s\n", what);
    exit(1);
}

/* A function of a copy, found by its name: C has no cast from an object's pointer to a function's. */
static void find(const copy *in, const char *name, void *function)
{
    void *address = dlsym(in->library, name);
    require(address != NULL, name);
    memcpy(function, &address, sizeof address);
}

static void begin(copy *it, const char *library, const char *folder)
{
    it->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!it->library) printf("%s\n", dlerror()), exit(1);
    find(it, "obhut_runtime_create", &it->create);
    find(it, "obhut_runtime_load_folder", &it->load);
    find(it, "obhut_runtime_start", &it->start);
    find(it, "obhut_runtime_stop", &it->stop);
    find(it, "obhut_runtime_free", &it->release);
    find(it, "obhut_spawn", &it->spawn);
    find(it, "obhut_send", &it->send);
    find(it, "obhut_port_create", &it->open);
    find(it, "obhut_port_receive", &it->receive);
    find(it, "obhut_port_pid", &it->pid);
    find(it, "obhut_port_free", &it->release_port);
    find(it, "obhut_message_free", &it->release_message);
    require(it->create(NULL, &it->runtime, NULL) == OBHUT_OK, "a runtime is made");
    require(it->load(it->runtime, folder, NULL) == OBHUT_OK, "its application is loaded");
    require(it->start(it->runtime, OBHUT_START_ALL, NULL) == OBHUT_OK, "it starts");
    require(it->open(it->runtime, &it->mailbox, NULL) == OBHUT_OK, "a port is made");
}

/* Processes run in it, and a message comes to its own port. */
static void runs(copy *it)
{
    const unsigned char nobody[] = {0x91, 0}, payload[] = {7};
    obhut_message *message = NULL;
    require(it->spawn(it->runtime, "app:greeter", NULL, nobody, sizeof nobody, NULL, NULL) == OBHUT_OK, "a process is made");
    require(it->send(it->runtime, it->pid(it->mailbox), "t", payload, sizeof payload, NULL) == OBHUT_OK, "a message is sent");
    require(it->receive(it->mailbox, -1, &message, NULL) == OBHUT_OK, "it comes");
    it->release_message(message);
}

/* What belongs to `other` is refused by `it`, and not harmed. */
static void refuses(copy *it, copy *other)
{
    const unsigned char payload[] = {7};
    obhut_message *message = NULL;
    require(it->stop(other->runtime, 0, NULL) == OBHUT_INVALID_HANDLE, "another's runtime is not stopped");
    require(it->load(other->runtime, ".", NULL) == OBHUT_INVALID_HANDLE, "nothing is loaded into another's runtime");
    require(it->send(other->runtime, 1, "t", payload, sizeof payload, NULL) == OBHUT_INVALID_HANDLE, "another's runtime sends nothing");
    require(it->receive(other->mailbox, 0, &message, NULL) == OBHUT_INVALID_HANDLE, "another's port is not received from");
    require(it->pid(other->mailbox) == 0, "another's port has no pid here");
    it->release_port(other->mailbox);
    it->release(other->runtime);
}

int main(int count, char **arguments)
{
    static copy one, other;
    if (count != 4) return 2;
    begin(&one, arguments[1], arguments[3]);
    begin(&other, arguments[2], arguments[3]);
    require(one.library != other.library, "there are two");
    for (int round = 0; round < 100; round++) {
        runs(&one);
        runs(&other);
        refuses(&one, &other);
        refuses(&other, &one);
    }
    require(one.stop(one.runtime, -1, NULL) == OBHUT_OK, "the one stops");
    runs(&other);
    require(other.stop(other.runtime, -1, NULL) == OBHUT_OK, "the other stops");
    one.release_port(one.mailbox);
    other.release_port(other.mailbox);
    one.release(one.runtime);
    other.release(other.runtime);
    return 0;
}
