/* See native_init.h. */
#include "include/native_init.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/native_context.h"
#include "include/native_library.h"

typedef struct initialized {
    struct initialized *next;
    void *library;
    int32_t status;
    char text[512];
} initialized;

/* Never given back: libraries are not closed. */
static initialized *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int32_t obn_library_init(void *library, char *text, size_t size) {
    const obhut_plugin_descriptor *descriptor = obn_library_plugin(library, text, size);
    initialized *found;
    int32_t status;
    if (!descriptor) return size && text[0] ? -1 : 0;
    if (!descriptor->init) return 0;
    pthread_mutex_lock(&lock);
    for (found = all; found && found->library != library; found = found->next) {}
    if (!found && (found = calloc(1, sizeof *found))) {
        found->library = library;
        found->status = descriptor->init(found->text, sizeof found->text);
        if (found->status && !found->text[0])
            snprintf(found->text, sizeof found->text, "status %d", (int)found->status);
        found->next = all;
        all = found;
    }
    status = found ? found->status : -1;
    if (status)
        snprintf(text, size, "the plugin %s %s could not be initialized: %s", descriptor->name ? descriptor->name : "",
                 descriptor->version ? descriptor->version : "", found ? found->text : "no memory is left");
    pthread_mutex_unlock(&lock);
    return status;
}
