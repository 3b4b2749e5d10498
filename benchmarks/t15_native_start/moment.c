#include <stdint.h>
#include <time.h>

/* Nanoseconds of the monotonic clock, which is the same in every process of a system. */
int64_t moment(void);
int64_t moment(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}
