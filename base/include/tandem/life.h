#ifndef TANDEM_LIFE_H
#define TANDEM_LIFE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A word in shared memory that says whether a thread lives. However the thread ends, the kernel
 * marks the word and wakes whoever waits for it before it takes the process's memory back, which
 * for much memory lasts far longer than anything else of an end: descriptors, pidfds and sockets
 * come after it. Made with the list of robust futexes, set_robust_list(2). */

/* The calling thread's word from now on; the memory must stay as long as the thread. Not for a
 * thread that locks robust mutexes. */
void tandem_life_begin(_Atomic uint32_t *word);
/* The calling thread goes on, or ends in order: 0, and whoever waits is woken. */
void tandem_life_end(_Atomic uint32_t *word);

enum tandem_life {
	TANDEM_LIFE_NONE,  /* nobody's, or ended in order */
	TANDEM_LIFE_LIVES, /* ... and the kernel will say when it ends */
	TANDEM_LIFE_OVER,
};

/* Any value is safe. */
enum tandem_life tandem_life_read(uint32_t value);

/* Any process that maps the word: wakes who waits for it, to look again. */
void tandem_life_wake(const _Atomic uint32_t *word);

#define TANDEM_LIFE_WAITS_MAX 128

/* Waits until one of `count` words (at most TANDEM_LIFE_WAITS_MAX) has not the value beside it, or
 * for less; words may be mapped for reading only. False where the kernel cannot (Linux before
 * 5.16), at once. */
bool tandem_life_wait(const _Atomic uint32_t *const *words, const uint32_t *values, unsigned count);

#endif
