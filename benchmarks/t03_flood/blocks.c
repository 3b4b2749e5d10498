/* What the memory of a mailbox alone costs: blocks of 128 bytes, as many as messages are queued, are written and put on a stack, as
 * a sender does; turned round, as the receiver does who drains it; read in order, and free again.
 *
 *   blocks LENGTH TIMES
 *
 * Prints {"each": nanoseconds of a block}. Nothing of the library is in it. */
#include <sys/mman.h>

#include "driver.h"

enum { BLOCK = 128, REGION = 2 << 20 };

struct block {
    struct block *next;
    uint64_t fields[7]; /* a cache line */
    uint64_t payload[8];
};

static struct block *unused;

static void add_region(void)
{
    char *raw = mmap(NULL, 2 * REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *region = (char *)(((uintptr_t)raw + REGION - 1) & ~(uintptr_t)(REGION - 1));
    if (raw == MAP_FAILED) fail("no memory");
    madvise(region, REGION, MADV_HUGEPAGE);
    for (long i = REGION / BLOCK - 1; i >= 0; i--) {
        struct block *block = (struct block *)(region + i * BLOCK);
        block->next = unused;
        unused = block;
    }
}

static uint64_t fill_and_empty(long length)
{
    struct block *stack = NULL, *queue = NULL;
    uint64_t sum = 0;
    for (long i = 0; i < length; i++) {
        struct block *block = unused;
        if (!block) {
            add_region();
            block = unused;
        }
        unused = block->next;
        memset(block->fields, 0, sizeof block->fields);
        block->payload[0] = (uint64_t)i;
        block->next = stack;
        stack = block;
    }
    while (stack) {
        struct block *block = stack;
        stack = block->next;
        block->fields[0] = 1;
        block->next = queue;
        queue = block;
    }
    while (queue) {
        struct block *block = queue;
        queue = block->next;
        sum += block->payload[0];
        block->next = unused;
        unused = block;
    }
    return sum;
}

int main(int count, char **arguments)
{
    _Static_assert(sizeof(struct block) == BLOCK, "two cache lines");
    if (count != 3) fail("usage: blocks LENGTH TIMES");
    long length = atol(arguments[1]), times = atol(arguments[2]);
    if (length < 1 || times < 1) fail("how many?");
    int64_t start = now();
    for (long i = 0; i < times; i++) {
        if (fill_and_empty(length) != (uint64_t)length * (uint64_t)(length - 1) / 2) fail("what was read is not what was written");
    }
    printf("{\"each\": %f}\n", (double)(now() - start) / ((double)length * (double)times));
    return 0;
}
