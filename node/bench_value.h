#ifndef TANDEM_BENCH_VALUE_H
#define TANDEM_BENCH_VALUE_H

#include <stdbool.h>
#include <stdint.h>

/* Values of the command line. False, and said on standard error, where `text` is not one from
 * `least` to `most`. */
bool tandem_bench_parse_number(const char *text, uint64_t least, uint64_t most,
                               uint64_t *ret_number);
bool tandem_bench_parse_unsigned(const char *text, uint64_t least, unsigned most,
                                 unsigned *ret_number);
/* The same with a unit: "4096", "64K", "256M", "4G". */
bool tandem_bench_parse_bytes(const char *text, uint64_t least, uint64_t most, uint64_t *ret_bytes);

/* The same in whole MiB, of --size. */
bool tandem_bench_parse_size(const char *text, uint64_t least, uint64_t *ret_bytes);

/* Which of `words`, a list that NULL ends, `value` is. False, and said on standard error, where it
 * is none. */
bool tandem_bench_parse_word(const char *option, const char *value, const char *const *words,
                             unsigned *ret_index);

/* False, and said on standard error: "--OPTION 'VALUE' must be WANTED". */
bool tandem_bench_refuse(const char *option, const char *value, const char *wanted);

#endif
