#ifndef TANDEM_NODE_QEMU_PROCESS_H
#define TANDEM_NODE_QEMU_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tandem/error.h>
#include <tandem/qemu_guest.h>
#include <tandem/qemu_restore.h>
#include <tandem/tandem.h>

#include "qemu_gates.h"

/* An epoch's state blob: the length of the stream's opening and, one bit each, which RAM blocks
 * were shared with QEMU (little-endian, 4 and 8 bytes), the opening, the state of the devices. */
#define TANDEM_QEMU_BLOB_HEAD_BYTES 12u

/* The region that is a RAM block's copy. */
#define TANDEM_QEMU_REGION_BYTES 32u
void tandem_qemu_region_name(unsigned block, char ret_name[TANDEM_QEMU_REGION_BYTES]);

/* What makes a guest of an image. */
struct tandem_qemu_restored {
	int fd; /* to read the guest from; -1: there is no image, QEMU boots */
	/* RAM that is not in there, because QEMU is to have the image's own files. */
	unsigned shared_count;
	struct tandem_qemu_restored_file {
		char id[TANDEM_QEMU_ID_BYTES]; /* of QEMU's memory-backend-file */
		char path[512];
	} shared[TANDEM_QEMU_BACKENDS_MAX];
};

/* Starts a process that writes to a pipe what makes a guest of the image. To be called before there
 * are threads. Errors: TANDEM_E_SYSTEM, TANDEM_E_PROTOCOL (the image is none of a guest). */
int tandem_qemu_restore_start(const struct tandem_recovery *recovery,
                              struct tandem_qemu_restored *ret_restored,
                              struct tandem_error *reterr_error);
/* The guest is about to write to the shared files, which are no image of an epoch then: they lose
 * their names, so that none is made of them again. */
void tandem_qemu_restored_use(const struct tandem_qemu_restored *restored);

/* QEMU's control sockets: that of who protects the guest, and of the watch. */
enum { TANDEM_QEMU_SOCKETS = 2 };

/* Starts QEMU: `words`, and ours behind them, with a netdev for each gate; it lives no longer than
 * this thread. Its control sockets are at `qmp_paths`, where they can be connected to at once. The
 * descriptor of `restored` is taken. With shared files QEMU has them for its own, and waits to be
 * told to restore from that descriptor. Errors: TANDEM_E_SYSTEM, TANDEM_E_USAGE (too many words),
 * TANDEM_E_CONFIG (a path is too long, or it has no backend for a shared file). */
int tandem_qemu_process_start(char *const *words, const struct tandem_qemu_gates *gates,
                              const char *const qmp_paths[TANDEM_QEMU_SOCKETS],
                              const struct tandem_qemu_restored *restored, pid_t *ret_process,
                              struct tandem_error *reterr_error);

#endif
