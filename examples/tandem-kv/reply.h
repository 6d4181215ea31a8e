#ifndef TANDEM_KV_REPLY_H
#define TANDEM_KV_REPLY_H

#include "buffer.h"

/* Answers of the Redis serialization protocol, version 2, appended to a buffer. One that does not
 * fit leaves the buffer's is_failed. */
void tandem_kv_reply_status(struct tandem_kv_buffer *buffer, const char *text);
/* `text` begins with its code ("ERR ..."). Bytes that would end the line become blanks. */
void tandem_kv_reply_error(struct tandem_kv_buffer *buffer, const char *text);
void tandem_kv_reply_errorf(struct tandem_kv_buffer *buffer, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void tandem_kv_reply_integer(struct tandem_kv_buffer *buffer, int64_t number);
void tandem_kv_reply_bulk(struct tandem_kv_buffer *buffer, const void *bytes, size_t length);
void tandem_kv_reply_text(struct tandem_kv_buffer *buffer, const char *text);
void tandem_kv_reply_nil(struct tandem_kv_buffer *buffer);
void tandem_kv_reply_array(struct tandem_kv_buffer *buffer, size_t count);

#endif
