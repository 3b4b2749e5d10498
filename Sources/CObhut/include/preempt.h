#ifndef OBH_PREEMPT_H
#define OBH_PREEMPT_H
#include <pthread.h>
void obh_preempt_thread(pthread_t thread);
#endif
