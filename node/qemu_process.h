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
	int fd;                 /* to read the guest from; -1: there is no image, QEMU boots */
	int feed_fd;            /* its other end, until what feeds it was started */
	const char *state_file; /* of the image, once that is known */
	/* RAM that is not in there, because QEMU is to have the image's own files. */
	unsigned shared_count;
	struct tandem_qemu_restored_file {
		char id[TANDEM_QEMU_ID_BYTES]; /* of QEMU's memory-backend-file */
		char path[512];
	} shared[TANDEM_QEMU_BACKENDS_MAX];
};

/* What QEMU needs to know of an image before it starts. Errors: TANDEM_E_SYSTEM, TANDEM_E_PROTOCOL
 * (the image is none of a guest). */
int tandem_qemu_restore_prepare(const struct tandem_recovery *recovery,
                                struct tandem_qemu_restored *ret_restored,
                                struct tandem_error *reterr_error);
/* Starts a process that writes to the pipe what makes a guest of the image, whose texts it borrows.
 * Before there are threads, and before QEMU was started, or behind that: then the image may be
 * another one, of the same guest. Errors: as above. */
int tandem_qemu_restore_feed(const struct tandem_recovery *recovery,
                             struct tandem_qemu_restored *restored,
                             struct tandem_error *reterr_error);
/* The guest is about to run: to write to its disks, and to the shared files, which are no image of
 * an epoch then. They and the state lose their names, so that no guest is made of them again. QEMU
 * that only loads leaves them as they are. */
void tandem_qemu_restored_use(const struct tandem_qemu_restored *restored);

/* QEMU's control sockets: that of who protects the guest, and of the watch. */
enum { TANDEM_QEMU_SOCKETS = 2 };

/* A QEMU that is to be started under a leash: call tandem_qemu_process_run() there. */
struct tandem_qemu_process {
	char *const
	        *words; /* its command line; ours comes behind it, with a netdev for each gate */
	const struct tandem_qemu_gates *gates;
	const struct tandem_qemu_restored *restored;
	int qmp_fds[TANDEM_QEMU_SOCKETS]; /* listen at its control sockets; -1: not yet */
};

/* Makes the control sockets at `qmp_paths`; they can be connected to at once. With an image QEMU
 * has its shared files for its own, and waits to be told to restore from the descriptor of
 * `restored`.
 * Borrows all. Errors: TANDEM_E_SYSTEM, TANDEM_E_USAGE (too many words), TANDEM_E_CONFIG (a path is
 * too long, or the words have no backend for a shared file). */
int tandem_qemu_process_prepare(struct tandem_qemu_process *process,
                                const char *const qmp_paths[TANDEM_QEMU_SOCKETS],
                                struct tandem_error *reterr_error);
/* In the process that becomes QEMU; does not return. */
void tandem_qemu_process_run(const void *process);
/* Here nothing of it is needed any more, nor the descriptor of `restored`. */
void tandem_qemu_process_forget(struct tandem_qemu_process *process);

#endif
