#ifndef TANDEM_NODE_QEMU_INJECT_H
#define TANDEM_NODE_QEMU_INJECT_H

#include <sys/types.h>
#include <tandem/error.h>

/* Makes a userfaultfd(2) of the address space of another process and gives its descriptor, which is
 * then the only one: a thread of that process is stopped for about a millisecond and made to call
 * it, ptrace(2). Its first thread is left alone: that one is on a leash. On x86-64 only. Errors:
 * TANDEM_E_UNSUPPORTED (another processor), TANDEM_E_SYSTEM (no thread may be traced, or it does
 * not stop). */
int tandem_qemu_userfault_open(pid_t process, int *ret_fd, struct tandem_error *reterr_error);

#endif
