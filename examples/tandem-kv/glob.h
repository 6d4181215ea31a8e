#ifndef TANDEM_KV_GLOB_H
#define TANDEM_KV_GLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Patterns of SCAN MATCH and CONFIG GET: * ? [abc] [a-z] [^a] and \ before a character that stands
 * for itself. Pure; time is at most the product of both lengths. */
bool tandem_kv_glob_match(const void *pattern, size_t pattern_length, const void *text,
                          size_t text_length);

#endif
