#ifndef TANDEM_BYTES_H
#define TANDEM_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Cursors over little-endian wire bytes. A cursor that runs out of room fails once and for all:
 * later calls do nothing (a reader gives zeros), so a codec checks `failed` at its end only. Pure;
 * used by cores. */
struct tandem_writer {
	uint8_t *bytes;
	size_t capacity;
	size_t length;
	bool failed;
};

struct tandem_reader {
	const uint8_t *bytes;
	size_t length;
	size_t offset;
	bool failed;
};

struct tandem_writer tandem_writer_over(void *bytes, size_t capacity);
void tandem_write_u8(struct tandem_writer *writer, uint8_t value);
void tandem_write_u16(struct tandem_writer *writer, uint16_t value);
void tandem_write_u32(struct tandem_writer *writer, uint32_t value);
void tandem_write_u64(struct tandem_writer *writer, uint64_t value);
void tandem_write_bytes(struct tandem_writer *writer, const void *bytes, size_t length);
/* A fixed field: the text and zeros up to `field_size`; fails when the text and its end do not fit.
 */
void tandem_write_text(struct tandem_writer *writer, const char *text, size_t field_size);

struct tandem_reader tandem_reader_over(const void *bytes, size_t length);
uint8_t tandem_read_u8(struct tandem_reader *reader);
uint16_t tandem_read_u16(struct tandem_reader *reader);
uint32_t tandem_read_u32(struct tandem_reader *reader);
uint64_t tandem_read_u64(struct tandem_reader *reader);
void tandem_read_bytes(struct tandem_reader *reader, void *ret_bytes, size_t length);
/* Reads a fixed field into `ret_text` (field_size bytes); fails when it has no terminating zero. */
void tandem_read_text(struct tandem_reader *reader, char *ret_text, size_t field_size);
size_t tandem_reader_left(const struct tandem_reader *reader);
/* True when nothing failed and nothing is left over. */
bool tandem_reader_done(const struct tandem_reader *reader);

#endif
