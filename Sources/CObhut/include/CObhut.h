/* CObhut: the little C that Swift cannot be.
 *
 *   thread.h     what runs on this thread (thread-local), threads, conditions, eventfd
 *   body.h       the table of functions that is a kind of process
 *   fork.h       whether this process is the child of one that used the library
 *   preempt.h    the signal that interrupts a worker which computes
 *   lua_table.h  liblua, opened at run time
 *   vm.h         the Lua virtual machine of one process: arena, fibers, trampolines
 *   lua_api.h    what Swift may call of Lua
 */
#ifndef COBHUT_H
#define COBHUT_H

#include "body.h"
#include "fork.h"
#include "lua_api.h"
#include "lua_table.h"
#include "preempt.h"
#include "thread.h"
#include "vm.h"

#endif
