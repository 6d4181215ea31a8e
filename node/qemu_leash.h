#ifndef TANDEM_NODE_QEMU_LEASH_H
#define TANDEM_NODE_QEMU_LEASH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <tandem/error.h>

/* A QEMU that ends when its holder does, however that ends: fencing ends the protected program, and
 * its guest has to be over with it. A process of its own, the guard, holds QEMU. It has hardly any
 * memory to give back, so it ends at once when it is killed, and its QEMU with it
 * (PTRACE_O_EXITKILL, ptrace(2)); the end of its holder it learns from a word that the kernel marks
 * before it takes the holder's memory back (tandem/life.h). A signal to QEMU's first thread takes
 * the way through the guard, nothing else is slower. One thread makes all calls. */
struct tandem_qemu_leash {
	int fd;        /* -1: none; readable: see tandem_qemu_leash_read() */
	pid_t guard;   /* 0: none, or one that ends when it has let the process go */
	pid_t process; /* 0: none is held */
	_Atomic uint32_t *life;
};

#define TANDEM_QEMU_LEASH_NONE ((struct tandem_qemu_leash){.fd = -1})

/* Starts the guard, before there are threads. With `run` it starts a process that calls it, which
 * does not return, and holds that; nothing of it runs before it is held. Errors: TANDEM_E_SYSTEM.
 */
int tandem_qemu_leash_open(struct tandem_qemu_leash *leash, void (*run)(const void *argument),
                           const void *argument, struct tandem_error *reterr_error);

/* Holds a process that runs already; it is not stopped. Errors: TANDEM_E_SYSTEM: it may not be held
 * (another user's and no CAP_SYS_PTRACE, Yama, a debugger has it), or there is none;
 * TANDEM_E_TIMEOUT: the guard did not answer. The process is not held then, or not for long. */
int tandem_qemu_leash_hold(struct tandem_qemu_leash *leash, pid_t process,
                           struct tandem_error *reterr_error);

/* True: the process is not there any more. *ret_status as of waitpid(2); -1: the guard has ended,
 * and with it the process. */
bool tandem_qemu_leash_read(struct tandem_qemu_leash *leash, int *ret_status);

/* The process lives on and belongs to nobody. Errors: TANDEM_E_TIMEOUT: the guard has not answered,
 * and does it when it can, whatever becomes of this program; TANDEM_E_SYSTEM: the process has
 * ended. */
int tandem_qemu_leash_release(struct tandem_qemu_leash *leash, struct tandem_error *reterr_error);

/* Ends the guard, and what it holds. */
void tandem_qemu_leash_close(struct tandem_qemu_leash *leash);

#endif
