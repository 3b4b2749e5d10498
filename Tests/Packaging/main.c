/* A program of a user: header twice, calls through it, compiled as C99 and as C++17 with every warning an error. */
#include <obhut.h>
#include <obhut.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    char expected[64];
    snprintf(expected, sizeof expected, "%d.%d.%d", OBHUT_VERSION_MAJOR, OBHUT_VERSION_MINOR, OBHUT_VERSION_PATCH);
    if (strcmp(expected, OBHUT_VERSION_STRING) != 0 || strcmp(expected, obhut_version()) != 0) return 1;
    if (obhut_abi_version() != OBHUT_ABI_VERSION) return 2;
    if (strstr(obhut_build_info(), expected) == NULL) return 3;
    puts(obhut_version());
    return 0;
}
