#include <stdint.h>

int64_t successor(int64_t number);
int64_t successor(int64_t number) { return number + 1; }
