/* The bare round trip between two OS processes over a socket pair, each of which waits in read(2).
 *
 *   pair TRIPS
 *
 * Prints {"each": nanoseconds of a round trip, the median}. */
#include <sys/socket.h>
#include <sys/wait.h>

#include "driver.h"

/* About as long as a frame with a small message. */
typedef struct frame {
    char bytes[48];
} frame;

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void echo(int channel)
{
    frame frame;
    while (read(channel, &frame, sizeof frame) == sizeof frame)
        if (write(channel, &frame, sizeof frame) != sizeof frame) break;
    _exit(0);
}

int main(int count, char **arguments)
{
    long trips = count == 2 ? atol(arguments[1]) : 0;
    int64_t *samples = calloc(trips > 0 ? (size_t)trips : 1, sizeof *samples);
    int pair[2];
    frame sent = {{0}}, answer;
    if (trips < 1) fail("usage: pair TRIPS");
    if (!samples) fail("no memory");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) fail("no socket pair");
    pid_t pid = fork();
    if (pid < 0) fail("no child");
    if (pid == 0) {
        close(pair[0]);
        echo(pair[1]);
    }
    close(pair[1]);
    for (long i = -trips / 10; i < trips; i++) { /* the first tenth warms up */
        memset(&sent, (int)(i & 0x7f), sizeof sent);
        int64_t start = now();
        if (write(pair[0], &sent, sizeof sent) != sizeof sent) fail("the child is gone");
        if (read(pair[0], &answer, sizeof answer) != sizeof answer) fail("the child has not answered");
        if (memcmp(&sent, &answer, sizeof sent)) fail("answers do not fit the questions");
        if (i >= 0) samples[i] = now() - start;
    }
    close(pair[0]);
    waitpid(pid, NULL, 0);
    qsort(samples, (size_t)trips, sizeof *samples, compare);
    printf("{\"each\": %" PRId64 "}\n", samples[trips / 2]);
    free(samples);
    return 0;
}
