#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "number.h"

static void reply_line(struct tandem_kv_buffer *buffer, char kind, const char *text, size_t length)
{
	uint8_t *room = tandem_kv_buffer_reserve(buffer, length + 3);

	if (!room)
		return;
	room[0] = (uint8_t)kind;
	for (size_t i = 0; i < length; i++)
		room[1 + i] = text[i] == '\r' || text[i] == '\n' ? ' ' : (uint8_t)text[i];
	room[1 + length] = '\r';
	room[2 + length] = '\n';
	tandem_kv_buffer_grow(buffer, length + 3);
}

static void reply_number(struct tandem_kv_buffer *buffer, char kind, int64_t number)
{
	char text[TANDEM_KV_NUMBER_BYTES];

	reply_line(buffer, kind, text, tandem_kv_number_format(number, text));
}

void tandem_kv_reply_status(struct tandem_kv_buffer *buffer, const char *text)
{
	reply_line(buffer, '+', text, strlen(text));
}

void tandem_kv_reply_error(struct tandem_kv_buffer *buffer, const char *text)
{
	reply_line(buffer, '-', text, strlen(text));
}

void tandem_kv_reply_errorf(struct tandem_kv_buffer *buffer, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tandem_kv_reply_error(buffer, text);
}

void tandem_kv_reply_integer(struct tandem_kv_buffer *buffer, int64_t number)
{
	reply_number(buffer, ':', number);
}

void tandem_kv_reply_bulk(struct tandem_kv_buffer *buffer, const void *bytes, size_t length)
{
	reply_number(buffer, '$', (int64_t)length);
	tandem_kv_buffer_append(buffer, bytes, length);
	tandem_kv_buffer_append(buffer, "\r\n", 2);
}

void tandem_kv_reply_text(struct tandem_kv_buffer *buffer, const char *text)
{
	tandem_kv_reply_bulk(buffer, text, strlen(text));
}

void tandem_kv_reply_nil(struct tandem_kv_buffer *buffer)
{
	tandem_kv_buffer_append(buffer, "$-1\r\n", 5);
}

void tandem_kv_reply_array(struct tandem_kv_buffer *buffer, size_t count)
{
	reply_number(buffer, '*', (int64_t)count);
}
