#ifndef COBHUT_H
#define COBHUT_H
#include <stdint.h>
#endif
