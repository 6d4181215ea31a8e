#ifndef TANDEM_NODE_QEMU_WATCH_H
#define TANDEM_NODE_QEMU_WATCH_H

#include <sys/types.h>
#include <tandem/error.h>
#include <tandem/qemu_guest.h>

/* Starts the watch of a QEMU that was started, at a control socket of its own and with the times of
 * `options`: a process that ends with that QEMU, and with this thread. To be called before there
 * are threads. Errors: TANDEM_E_SYSTEM. */
int tandem_qemu_watch_start(const char *qmp_path, const struct tandem_qemu_guest_options *options,
                            pid_t *ret_process, struct tandem_error *reterr_error);

#endif
