/* See native_init.h. */
#include "include/native_init.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/native_call.h"
#include "include/native_context.h"
#include "include/native_library.h"

typedef struct initialized {
    struct initialized *next;
    void *library;
    pthread_mutex_t lock; /* held while it is being initialized: others wait for this library, and for no other one */
    bool is_done;
    int32_t status;
    char text[512];
} initialized;

/* Never given back: libraries are not closed. */
static initialized *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The entry of a library; NULL: no memory is left. */
static initialized *entry_of(void *library) {
    initialized *found;
    pthread_mutex_lock(&lock);
    for (found = all; found && found->library != library; found = found->next) {}
    if (!found && (found = calloc(1, sizeof *found))) {
        found->library = library;
        pthread_mutex_init(&found->lock, NULL);
        found->next = all;
        all = found;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

typedef struct initialization {
    const obhut_plugin_descriptor *descriptor;
    initialized *entry;
} initialization;

static void initialize(void *user) {
    initialization *it = user;
    it->entry->status = it->descriptor->init(it->entry->text, sizeof it->entry->text);
}

int32_t obn_library_init(void *library, char *text, size_t size) {
    const obhut_plugin_descriptor *descriptor = obn_library_plugin(library, text, size);
    initialized *found;
    int32_t status;
    if (!descriptor) return size && text[0] ? -1 : 0;
    if (!descriptor->init) return 0;
    found = entry_of(library);
    if (found) {
        pthread_mutex_lock(&found->lock);
        if (!found->is_done) {
            initialization it = {descriptor, found};
            if (!obn_guard) initialize(&it);
            else if (obn_guard(initialize, &it, found->text, sizeof found->text)) found->status = -1;
            if (found->status && !found->text[0])
                snprintf(found->text, sizeof found->text, "status %d", (int)found->status);
            found->is_done = true;
        }
        pthread_mutex_unlock(&found->lock);
    }
    status = found ? found->status : -1;
    if (status)
        snprintf(text, size, "the plugin %s %s could not be initialized: %s", descriptor->name ? descriptor->name : "",
                 descriptor->version ? descriptor->version : "", found ? found->text : "no memory is left");
    return status;
}
