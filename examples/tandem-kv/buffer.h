#ifndef TANDEM_KV_BUFFER_H
#define TANDEM_KV_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that are appended at the end and taken from the front, with a bound. All zero but `limit`
 * is an empty one. One thread. */
struct tandem_kv_buffer {
	uint8_t *bytes;
	size_t start; /* the first byte that was not taken */
	size_t end;
	size_t capacity;
	size_t limit;   /* it never holds more than this */
	bool is_failed; /* an append did not fit or found no memory; the buffer is then unchanged */
};

size_t tandem_kv_buffer_length(const struct tandem_kv_buffer *buffer);
const uint8_t *tandem_kv_buffer_front(const struct tandem_kv_buffer *buffer);

/* `length` writable bytes behind the end, or NULL and is_failed. tandem_kv_buffer_grow() takes them
 * in. */
uint8_t *tandem_kv_buffer_reserve(struct tandem_kv_buffer *buffer, size_t length);
void tandem_kv_buffer_grow(struct tandem_kv_buffer *buffer, size_t length);

void tandem_kv_buffer_append(struct tandem_kv_buffer *buffer, const void *bytes, size_t length);
void tandem_kv_buffer_take(struct tandem_kv_buffer *buffer, size_t length);
/* Forgets what is behind the first `length` bytes, and is_failed. */
void tandem_kv_buffer_cut(struct tandem_kv_buffer *buffer, size_t length);
/* Gives memory back when the buffer is empty and large. */
void tandem_kv_buffer_trim(struct tandem_kv_buffer *buffer);
void tandem_kv_buffer_free(struct tandem_kv_buffer *buffer);

#endif
