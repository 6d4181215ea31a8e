#include "buffer.h"

#include <string.h>

#include <tandem/memory.h>

#define BUFFER_FIRST_BYTES ((size_t)16 << 10)
#define BUFFER_KEEP_BYTES  ((size_t)128 << 10)

size_t tandem_kv_buffer_length(const struct tandem_kv_buffer *buffer)
{
	return buffer->end - buffer->start;
}

const uint8_t *tandem_kv_buffer_front(const struct tandem_kv_buffer *buffer)
{
	return buffer->bytes ? buffer->bytes + buffer->start : NULL;
}

static bool buffer_move(struct tandem_kv_buffer *buffer, size_t capacity)
{
	size_t length = tandem_kv_buffer_length(buffer);
	uint8_t *bytes = tandem_memory_alloc(capacity);

	if (!bytes)
		return false;
	if (length > 0)
		memcpy(bytes, buffer->bytes + buffer->start, length);
	tandem_memory_free(buffer->bytes);
	buffer->bytes = bytes;
	buffer->start = 0;
	buffer->end = length;
	buffer->capacity = capacity;
	return true;
}

uint8_t *tandem_kv_buffer_reserve(struct tandem_kv_buffer *buffer, size_t length)
{
	size_t held = tandem_kv_buffer_length(buffer);
	size_t capacity = buffer->capacity > 0 ? buffer->capacity : BUFFER_FIRST_BYTES;

	if (buffer->is_failed || held > buffer->limit || length > buffer->limit - held) {
		buffer->is_failed = true;
		return NULL;
	}
	if (buffer->bytes && buffer->capacity - buffer->end >= length)
		return buffer->bytes + buffer->end;
	while (capacity < held + length)
		capacity *= 2;
	/* Moving within half-empty memory is cheap: every byte moves once for each that was taken.
	 */
	if (buffer->bytes && capacity == buffer->capacity && buffer->start >= capacity / 2) {
		memmove(buffer->bytes, buffer->bytes + buffer->start, held);
		buffer->start = 0;
		buffer->end = held;
	} else if (!buffer_move(buffer, buffer->capacity == capacity ? capacity * 2 : capacity)) {
		buffer->is_failed = true;
		return NULL;
	}
	return buffer->bytes + buffer->end;
}

void tandem_kv_buffer_grow(struct tandem_kv_buffer *buffer, size_t length)
{
	buffer->end += length;
}

void tandem_kv_buffer_append(struct tandem_kv_buffer *buffer, const void *bytes, size_t length)
{
	uint8_t *room = length > 0 ? tandem_kv_buffer_reserve(buffer, length) : NULL;

	if (!room)
		return;
	memcpy(room, bytes, length);
	buffer->end += length;
}

void tandem_kv_buffer_take(struct tandem_kv_buffer *buffer, size_t length)
{
	buffer->start += length;
	if (buffer->start == buffer->end) {
		buffer->start = 0;
		buffer->end = 0;
	}
}

void tandem_kv_buffer_cut(struct tandem_kv_buffer *buffer, size_t length)
{
	buffer->end = buffer->start + length;
	buffer->is_failed = false;
}

void tandem_kv_buffer_trim(struct tandem_kv_buffer *buffer)
{
	if (buffer->end == 0 && buffer->capacity > BUFFER_KEEP_BYTES)
		tandem_kv_buffer_free(buffer);
}

void tandem_kv_buffer_free(struct tandem_kv_buffer *buffer)
{
	tandem_memory_free(buffer->bytes);
	buffer->bytes = NULL;
	buffer->start = 0;
	buffer->end = 0;
	buffer->capacity = 0;
}
