#ifndef TANDEM_BENCH_LOAD_H
#define TANDEM_BENCH_LOAD_H

#include <stdint.h>

#include <tandem/error.h>

/* What an epoch of the bench writes: both sides, and the yardsticks in tools/yardstick, make the
 * same list from the same numbers. */
enum tandem_bench_pattern {
	TANDEM_BENCH_RANDOM,     /* single pages in random order */
	TANDEM_BENCH_RUNS,       /* runs of 64 KiB in random order */
	TANDEM_BENCH_SEQUENTIAL, /* the pages in order, merged to writes of 256 KiB */
	TANDEM_BENCH_PATTERNS,
};

struct tandem_bench_load {
	enum tandem_bench_pattern pattern;
	uint64_t region_bytes;
	uint64_t bytes; /* of an epoch, at most region_bytes */
	uint32_t write_bytes;
	uint64_t write_count;
	uint64_t *offsets; /* in the region, of each write */
};

const char *tandem_bench_pattern_text(enum tandem_bench_pattern pattern);
/* TANDEM_BENCH_PATTERNS where there is none of that name. */
enum tandem_bench_pattern tandem_bench_pattern_of(const char *text);
uint32_t tandem_bench_pattern_write_bytes(enum tandem_bench_pattern pattern);

/* Fills write_count and offsets from the rest. Errors: TANDEM_E_CONFIG (not whole writes, or more
 * than the region), TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_bench_load_make(struct tandem_bench_load *load,
                                             struct tandem_error *reterr_error);
void tandem_bench_load_clear(struct tandem_bench_load *load);
/* Of the bytes that the list names, in its order. */
uint32_t tandem_bench_load_crc32c(const struct tandem_bench_load *load, const uint8_t *region);

#endif
