#ifndef TANDEM_KV_NUMBER_H
#define TANDEM_KV_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal numbers as the protocol writes them; pure. */

#define TANDEM_KV_NUMBER_BYTES 24 /* room for any 64-bit number and its terminating zero */

/* Strict: an optional '-', no '+', no leading zero, no blank, no overflow. */
bool tandem_kv_number_parse(const void *bytes, size_t length, int64_t *ret_number);
/* The same for 0 to 2^64-1, which is what a SCAN cursor is. */
bool tandem_kv_number_parse_unsigned(const void *bytes, size_t length, uint64_t *ret_number);

/* Returns the length of the text, which has no terminating zero. */
size_t tandem_kv_number_format(int64_t number, char ret_text[TANDEM_KV_NUMBER_BYTES]);
size_t tandem_kv_number_format_unsigned(uint64_t number, char ret_text[TANDEM_KV_NUMBER_BYTES]);

#endif
