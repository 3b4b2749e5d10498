/* CObhut: the little C that Swift cannot be.
 *
 *   thread.h   what runs on this thread (thread-local), threads, conditions
 *   body.h     the table of functions that is a kind of process
 *   preempt.h  the signal that interrupts a worker which computes
 */
#ifndef COBHUT_H
#define COBHUT_H

#include "body.h"
#include "preempt.h"
#include "thread.h"

#endif
