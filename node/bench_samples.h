#ifndef TANDEM_BENCH_SAMPLES_H
#define TANDEM_BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>

/* Every measured value of one kind, so that percentiles are values that were seen, not edges of
 * buckets. The room is made before the run. One thread. */
struct tandem_bench_samples {
	uint64_t *values;
	size_t count;
	size_t capacity;
};

TANDEM_MUST_CHECK int tandem_bench_samples_make(struct tandem_bench_samples *samples,
                                                size_t capacity, struct tandem_error *reterr_error);
void tandem_bench_samples_clear(struct tandem_bench_samples *samples);
/* At most `capacity` times. */
void tandem_bench_samples_add(struct tandem_bench_samples *samples, uint64_t value);
/* After the last value, before the first question. */
void tandem_bench_samples_sort(struct tandem_bench_samples *samples);
/* The smallest value that at least `per_mille` (0 to 1000) of a thousand are not above: the nearest
 * rank. 0 when there is none. */
uint64_t tandem_bench_samples_at(const struct tandem_bench_samples *samples, unsigned per_mille);

#endif
