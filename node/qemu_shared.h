#ifndef TANDEM_NODE_QEMU_SHARED_H
#define TANDEM_NODE_QEMU_SHARED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <tandem/error.h>
#include <tandem/foreign.h>
#include <tandem/qemu_guest.h>

/* How a guest's RAM comes to Tandem. */
enum tandem_qemu_way {
	TANDEM_QEMU_AUTO,   /* shared where that is exact and cheap, else sent */
	TANDEM_QEMU_STREAM, /* QEMU sends the pages that were written */
	TANDEM_QEMU_SHARED, /* QEMU's file of it is mapped here, too */
};

/* "auto", "stream" or "shared"; false: it is none. */
bool tandem_qemu_way_read(const char *text, enum tandem_qemu_way *ret_way);

/* Files of a guest's RAM that are mapped in its QEMU, and here to be read. */
struct tandem_qemu_shared {
	unsigned count;
	struct tandem_qemu_part {
		char id[TANDEM_QEMU_ID_BYTES];
		uint64_t size_bytes;
		void *base;
		/* How the stores of QEMU are seen; compared where there is no userfault_fd. */
		struct tandem_foreign writer;
	} parts[TANDEM_QEMU_BACKENDS_MAX];
	bool is_at_rest_only; /* see struct tandem_foreign */
};

/* Maps all of `memory` and has the stores of the QEMU `process` seen. Errors: TANDEM_E_UNSUPPORTED
 * and TANDEM_E_SYSTEM: why it cannot be shared, or, with `way` AUTO, had better be sent. */
int tandem_qemu_shared_open(struct tandem_qemu_shared *shared, pid_t process,
                            const struct tandem_qemu_memory *memory, enum tandem_qemu_way way,
                            struct tandem_error *reterr_error);
/* Whether that process has the whole file mapped, to be written to by others, too. */
bool tandem_qemu_shared_is_mapped(pid_t process, const char *path);
/* The part that a RAM block is; `count`: none. */
unsigned tandem_qemu_shared_find(const struct tandem_qemu_shared *shared,
                                 const struct tandem_qemu_block *block);
/* The part becomes region `name`; once. Errors: as tandem_region_add(). */
int tandem_qemu_shared_add(struct tandem_qemu_shared *shared, unsigned part, struct tandem *tandem,
                           const char *name, struct tandem_error *reterr_error);
/* Stores are not seen as they have to be any more: QEMU has opened a file with O_DIRECT. Errors:
 * TANDEM_E_UNSUPPORTED. */
int tandem_qemu_shared_check(const struct tandem_qemu_shared *shared, pid_t process,
                             struct tandem_error *reterr_error);
/* Unmaps what became no region, or whose Tandem is closed. */
void tandem_qemu_shared_close(struct tandem_qemu_shared *shared);

#endif
