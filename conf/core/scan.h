#ifndef TANDEM_CONF_SCAN_H
#define TANDEM_CONF_SCAN_H

#include <stddef.h>

/* A look at the text before libconfig reads it, for what libconfig takes in ways that surprise.
 * Pure; any bytes that end with a zero are safe. */

/* Finds the next whole number outside strings and comments, at or behind `from` (plain text, not
 * inside a string), that is larger than 2^31 - 1: libconfig 1.5 keeps its low 32 bits and says
 * nothing. The number's length, or 0 when there is none; its place in *ret_offset. */
size_t tandem_config_scan_large(const char *text, size_t from, size_t *ret_offset);

/* The first line that starts with @include; NULL when there is none. */
const char *tandem_config_scan_include(const char *text);

#endif
