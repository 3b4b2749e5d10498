/* What the C programs of the benchmarks share. */
#ifndef BENCHMARKS_DRIVER_H
#define BENCHMARKS_DRIVER_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Says what went wrong and ends the program. */
__attribute__((noreturn, unused)) static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* Nanoseconds of the monotonic clock. */
__attribute__((unused)) static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

__attribute__((unused)) static void sleep_milliseconds(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Bytes of this program that are in memory. */
__attribute__((unused)) static int64_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) fail("cannot read /proc/self/statm");
    fclose(file);
    return pages * (int64_t)sysconf(_SC_PAGESIZE);
}

#ifdef OBHUT_H

/* For calls that must succeed. */
__attribute__((unused)) static void must(obhut_status status, obhut_error *error)
{
    if (status == OBHUT_OK) return;
    fprintf(stderr, "%s: %s\n", obhut_status_name(status), error ? obhut_error_text(error) : obhut_status_text(status));
    exit(1);
}

#endif
#endif
