#ifndef TANDEM_TEST_QEMU_STREAM_TEXT_H
#define TANDEM_TEST_QEMU_STREAM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/qemu_stream.h>

#define TEXT_BYTES 4096

/* A migration stream under construction. */
struct made {
	uint8_t bytes[65536];
	size_t length;
};

void put(struct made *made, uint64_t value, size_t size);
void put_text(struct made *made, const char *text);
void put_name(struct made *made, const char *name);
void put_pages(struct made *made, unsigned count, uint8_t value);
void put_header(struct made *made);
void put_configuration(struct made *made);
/* What begins a section of RAM that is not the first. */
void put_part(struct made *made, uint8_t mark);
/* A section of a device, the end, and the description. */
void put_first_devices(struct made *made);
void put_footer(struct made *made);
/* Two blocks: ram of four pages, vga of one. */
void put_start(struct made *made, bool has_addresses);

/* Adds a word for the item, and what it tells, to `text` of TEXT_BYTES. */
void add_item(const struct tandem_qemu_stream *stream, const struct tandem_qemu_item *item,
              char *text);

/* What the decoder says of `bytes` that come in pieces of `piece_bytes`: a word for each item. The
 * first device state is taken whole, and the decoder is told. */
void decode(const uint8_t *bytes, size_t length, size_t piece_bytes, char *ret_text);

#endif
