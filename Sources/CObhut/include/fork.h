/* Whether this is still the process that called the library first: one byte in a page that the kernel
 * clears in the child of a fork (MADV_WIPEONFORK), so that asking costs a load and no system call. */
#ifndef OBH_FORK_H
#define OBH_FORK_H

/* 1 if obh_fork_mark was called in this process, and not only in one it was forked from. Async-signal-safe. */
int obh_fork_is_marked(void);

/* Marks this process. Thread-safe. */
void obh_fork_mark(void);

#endif
