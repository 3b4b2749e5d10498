/* A function that waits until another one lets it go. */
#include <pthread.h>
#include <stdint.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int32_t waiting, passes;

/* Waits for a pass, and answers `number`. */
int32_t gate_pass(int32_t number) {
    pthread_mutex_lock(&lock);
    waiting++;
    pthread_cond_broadcast(&changed);
    while (passes == 0) pthread_cond_wait(&changed, &lock);
    passes--;
    waiting--;
    pthread_mutex_unlock(&lock);
    return number;
}

void gate_open(int32_t count) {
    pthread_mutex_lock(&lock);
    passes += count;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* How many wait at the gate. */
int32_t gate_waiting(void) {
    int32_t count;
    pthread_mutex_lock(&lock);
    count = waiting;
    pthread_mutex_unlock(&lock);
    return count;
}
