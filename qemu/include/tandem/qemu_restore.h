#ifndef TANDEM_QEMU_RESTORE_H
#define TANDEM_QEMU_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/qemu_stream.h>

/* A stream for `qemu -incoming` that makes a guest of one epoch: the opening of the stream that the
 * epoch came from, RAM, the epoch's device state, an end. Pure. The new QEMU has the same version,
 * machine type and devices, and x-ignore-shared set where the old one had. */
#define TANDEM_QEMU_OPENING_BYTES ((size_t)32 << 10)
#define TANDEM_QEMU_RECORD_BYTES  (TANDEM_QEMU_NAME_BYTES + 32u)

/* Header, configuration and RAM blocks as they came. */
struct tandem_qemu_opening {
	size_t length;
	uint8_t bytes[TANDEM_QEMU_OPENING_BYTES];
};

/* To be told of every item until SET_UP, with its bytes. False: it is longer than any can be. */
bool tandem_qemu_opening_add(struct tandem_qemu_opening *opening,
                             const struct tandem_qemu_item *item, const uint8_t *bytes);

/* The name of the machine that the opening is of. False: it names none. */
bool tandem_qemu_opening_machine(const uint8_t *opening, size_t opening_bytes,
                                 char ret_name[TANDEM_QEMU_NAME_BYTES]);

/* How to go on writing RAM. */
struct tandem_qemu_restore {
	const struct tandem_qemu_stream *stream; /* whose blocks and section they are */
	bool has_block;
	unsigned block; /* which the last page was of */
};

/* What to write, in this order: the opening; begin; for each page its record, and behind that of
 * tandem_qemu_restore_page() the page itself; end; the device state; tail. Pages may come in any
 * order; one that is left out is what a new QEMU has there, for RAM zeros. Blocks that the new QEMU
 * has already (x-ignore-shared) have no pages. Each returns how many of TANDEM_QEMU_RECORD_BYTES it
 * wrote. */
size_t tandem_qemu_restore_begin(struct tandem_qemu_restore *restore,
                                 const struct tandem_qemu_stream *stream, uint8_t *ret_bytes);
size_t tandem_qemu_restore_page(struct tandem_qemu_restore *restore, unsigned block,
                                uint64_t offset_bytes, uint8_t *ret_bytes);
size_t tandem_qemu_restore_fill(struct tandem_qemu_restore *restore, unsigned block,
                                uint64_t offset_bytes, uint8_t value, uint8_t *ret_bytes);
size_t tandem_qemu_restore_end(const struct tandem_qemu_restore *restore, uint8_t *ret_bytes);
/* An empty description of the device state, which QEMU reads and does not use. */
size_t tandem_qemu_restore_tail(uint8_t *ret_bytes);

#endif
