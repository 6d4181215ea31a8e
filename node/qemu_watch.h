#ifndef TANDEM_NODE_QEMU_WATCH_H
#define TANDEM_NODE_QEMU_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <tandem/error.h>
#include <tandem/qemu_guest.h>

/* The process that lets a guest go when its protector hangs, and a word between both: an epoch that
 * is being kept is one moment of a guest that stands still, so either it is kept or the guest is
 * let go. All zeros: there is none. */
struct tandem_qemu_watch {
	pid_t process;
	_Atomic uint32_t *word; /* in memory that both have */
};

/* Starts the watch of a QEMU that was started, at a control socket of its own and with the times of
 * `options`: a process that ends with that QEMU, and with this thread. To be called before there
 * are threads. Errors: TANDEM_E_SYSTEM, TANDEM_E_MEMORY. */
int tandem_qemu_watch_start(struct tandem_qemu_watch *watch, const char *qmp_path,
                            const struct tandem_qemu_guest_options *options,
                            struct tandem_error *reterr_error);

/* An epoch begins to be kept: its guest is not let go until tandem_qemu_watch_free(). False: it was
 * let go, and the epoch is none. */
bool tandem_qemu_watch_hold(struct tandem_qemu_watch *watch);
/* What is kept of the epoch does not change any more when the guest runs. */
void tandem_qemu_watch_free(struct tandem_qemu_watch *watch);
/* The protection begins anew. */
void tandem_qemu_watch_renew(struct tandem_qemu_watch *watch);

#endif
