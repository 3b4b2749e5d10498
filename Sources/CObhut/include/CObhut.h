/* CObhut: the little C that Swift cannot be.
 *
 *   thread.h   what runs on this thread (thread-local), threads, eventfd
 */
#ifndef COBHUT_H
#define COBHUT_H

#include "thread.h"

#endif
