/* How fast this machine is at the moment, as far as it is ours: what an addition takes that waits for the one before, a cycle of
 * the processor; one of eight that do not wait for each other, a third of a cycle or less, and more where another
 * thread has a part of the core; and a load that waits for the one before, from 64 MB in an order that nothing foresees. */
#include "driver.h"

enum { ADDITIONS = 100000000, LOADS = 500000, LINES = 1 << 20, ROUNDS = 9 };

#if defined(__aarch64__)
#define ADD "add %0, %0, %1\n\t"
#else
#define ADD "add %1, %0\n\t" /* a register: newer processors add constants on the way, in no time */
#endif

typedef struct line {
    struct line *next;
    char rest[64 - sizeof(struct line *)];
} line;

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *rounds)
{
    qsort(rounds, ROUNDS, sizeof *rounds, compare);
    return rounds[ROUNDS / 2];
}

static double addition(void)
{
    double rounds[ROUNDS];
    uint64_t sum = 0, one = 1;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now();
        /* Ten in a row, so that what the loop takes does not count. */
        for (int i = 0; i < ADDITIONS / 10; i++) __asm__ volatile(ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD : "+r"(sum) : "r"(one));
        rounds[round] = (double)(now() - start) / ADDITIONS;
    }
    return median(rounds);
}

static double side_by_side(void)
{
    double rounds[ROUNDS];
    uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, one = 1;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now();
        for (int i = 0; i < ADDITIONS / 8; i++) {
            __asm__ volatile(ADD : "+r"(a) : "r"(one));
            __asm__ volatile(ADD : "+r"(b) : "r"(one));
            __asm__ volatile(ADD : "+r"(c) : "r"(one));
            __asm__ volatile(ADD : "+r"(d) : "r"(one));
            __asm__ volatile(ADD : "+r"(e) : "r"(one));
            __asm__ volatile(ADD : "+r"(f) : "r"(one));
            __asm__ volatile(ADD : "+r"(g) : "r"(one));
            __asm__ volatile(ADD : "+r"(h) : "r"(one));
        }
        rounds[round] = (double)(now() - start) / ADDITIONS;
    }
    return median(rounds);
}

static double load(void)
{
    double rounds[ROUNDS];
    line *lines = aligned_alloc(sizeof *lines, LINES * sizeof *lines);
    if (!lines) fail("no memory");
    for (int i = 0; i < LINES; i++) lines[i].next = &lines[i];
    /* One circle through all of them (Sattolo). */
    uint64_t random = 1;
    for (uint64_t i = LINES - 1; i > 0; i--) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t j = (random >> 33) % i;
        line *next = lines[i].next;
        lines[i].next = lines[j].next;
        lines[j].next = next;
    }
    line *place = lines;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now();
        for (int i = 0; i < LOADS; i++) {
            place = place->next;
            __asm__ volatile("" : "+r"(place));
        }
        rounds[round] = (double)(now() - start) / LOADS;
    }
    free(lines);
    return median(rounds);
}

int main(void)
{
    printf("{\"addition\": %.3f, \"side_by_side\": %.3f, \"load\": %.3f}\n", addition(), side_by_side(), load());
}
