#ifndef TANDEM_QEMU_MULTIFD_H
#define TANDEM_QEMU_MULTIFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/qemu_stream.h>

/* One of the further connections that a QEMU with the capability multifd opens for pages: a header,
 * then packets, each followed by the pages that it names. Pure decoder, big-endian; any bytes are
 * safe to decode. Source: QEMU 7.2 to 11.1, migration/multifd.[ch]; the field that counts pages of
 * zeros came with 9.0 and is zero before. */
#define TANDEM_QEMU_MULTIFD_MAGIC    UINT32_C(0x11223344)
#define TANDEM_QEMU_CHANNELS_MAX     16u
#define TANDEM_QEMU_UUID_BYTES       16u
#define TANDEM_QEMU_PACKET_PAGES_MAX 128u
#define TANDEM_QEMU_PACKET_BYTES     (320u + 8u * TANDEM_QEMU_PACKET_PAGES_MAX)

struct tandem_qemu_multifd {
	bool has_header;
	bool has_packet; /* its pages are still to come or to be told */
	bool is_sync;
	uint8_t channel;
	uint8_t uuid[TANDEM_QEMU_UUID_BYTES]; /* of the guest; zeros where it has none */
	uint64_t packet_number;
	unsigned block;
	unsigned page_count;      /* with data */
	unsigned fill_count;      /* of zeros; behind the others in `offsets` */
	unsigned told_fill_count; /* fills are told first: they need no further bytes */
	unsigned told_page_count;
	uint64_t offsets_bytes[TANDEM_QEMU_PACKET_PAGES_MAX];
};

void tandem_qemu_multifd_init(struct tandem_qemu_multifd *multifd);

/* Decodes the item that begins at `bytes`, as tandem_qemu_stream_take() does: MORE, FAULT, NOTED,
 * CHANNEL, PAGE, FILL or SYNC. `stream` is the main channel's, which has told all blocks before any
 * page can be understood: no packet is to be given before its SET_UP. */
void tandem_qemu_multifd_take(struct tandem_qemu_multifd *multifd,
                              const struct tandem_qemu_stream *stream, const uint8_t *bytes,
                              size_t length, struct tandem_qemu_item *ret_item);

#endif
