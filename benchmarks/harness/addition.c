/* What an addition takes that waits for the one before: a cycle of the processor, as far as this one is ours. */
#include "driver.h"

enum { ADDITIONS = 100000000, ROUNDS = 9 };

#if defined(__aarch64__)
#define ADD "add %0, %0, %1\n\t"
#else
#define ADD "add %1, %0\n\t" /* a register: newer processors add constants on the way, in no time */
#endif

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(void)
{
    double rounds[ROUNDS];
    uint64_t sum = 0, one = 1;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now();
        /* Ten in a row, so that what the loop takes does not count. */
        for (int i = 0; i < ADDITIONS / 10; i++) __asm__ volatile(ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD : "+r"(sum) : "r"(one));
        rounds[round] = (double)(now() - start) / ADDITIONS;
    }
    qsort(rounds, ROUNDS, sizeof *rounds, compare);
    printf("{\"addition\": %.3f}\n", rounds[ROUNDS / 2]);
}
