/* Interrupting Lua that computes (ARCHITECTURE D2): the signal, its handler, and the third rung of termination.
 *
 * The handler runs on the worker's own thread. It arms a hook on the lua_State that runs (`obh_vm.current`), which then
 * asks obh_interrupted. When hooks have not run for more than 10 ms of ticks, the process is inside a C function of liblua;
 * if the interrupted code is liblua's and no Swift is on the stack, the handler asks obh_is_doomed, and leaves the process
 * for good if it is: obh_step_fiber answers OBH_FIBER_KILLED. So whoever ticks a worker because of a lethal signal goes on
 * ticking it every few milliseconds until the step has ended.
 */
#ifndef OBH_PREEMPT_H
#define OBH_PREEMPT_H

#include <pthread.h>

/* Installs the handler for `signal`, chained to the one before. Counted: each call needs one obh_preempt_uninstall.
 * Answers 0 or an errno. Thread-safe. */
int obh_preempt_install(int signal);
void obh_preempt_uninstall(int signal);

/* Installs it again if another handler stands in its place; 1 if it had been replaced. */
int obh_preempt_reinstall(int signal);

/* In the child of a fork, which has none of the workers: gives back every handler that the parent had installed. */
void obh_preempt_forget(void);

/* Interrupts what the thread runs, with a signal that is installed. Does not wait; a thread that runs no Lua takes no
 * notice. */
void obh_preempt_thread(pthread_t thread, int signal);

/* Ticks that reached a worker in Lua, by all threads; to check that signals arrive. */
unsigned long obh_preempt_ticks(void);

#endif
