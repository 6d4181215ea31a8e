#ifndef TANDEM_BASE64_H
#define TANDEM_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Base64 with padding, RFC 4648 section 4. Pure. */

/* Characters for `length` bytes, with the terminating zero. */
#define TANDEM_BASE64_BYTES(length) (((length) + 2) / 3 * 4 + 1)

/* `text` has room for TANDEM_BASE64_BYTES(length). */
void tandem_base64_encode(const void *bytes, size_t length, char *ret_text);

/* All of `text` (`text_length` characters, nothing but base64) into at most `capacity` bytes. 0, or
 * TANDEM_E_PROTOCOL for a text that is no base64 or gives more. */
int tandem_base64_decode(const char *text, size_t text_length, uint8_t *ret_bytes, size_t capacity,
                         size_t *ret_length);

#endif
