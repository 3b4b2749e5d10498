/* Swift's static Glibc overlay refers to hypotf, whose newest version came with glibc 2.35. That reference alone
 * would keep the library and the command off systems with 2.34, so they bring their own. Nothing calls it. */
#include <math.h>

__attribute__((visibility("hidden"))) float hypotf(float x, float y)
{
    if (isinf(x) || isinf(y)) return INFINITY;
    return (float)sqrt((double)x * x + (double)y * y); /* squares of floats are exact in double, and cannot overflow */
}
