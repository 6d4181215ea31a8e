#ifndef TANDEM_HISTOGRAM_H
#define TANDEM_HISTOGRAM_H

#include <stdint.h>

/* Counts of values in buckets of about 3 % width (HDR style: 32 linear steps in each power of two).
 * Plain memory, so it may lie in a shared page; one writer. Pure. */
#define TANDEM_HISTOGRAM_BUCKETS (32 * 40)

struct tandem_histogram {
	uint64_t count;
	uint64_t max;
	uint64_t sum;
	uint32_t buckets[TANDEM_HISTOGRAM_BUCKETS];
};

void tandem_histogram_add(struct tandem_histogram *histogram, uint64_t value);
void tandem_histogram_clear(struct tandem_histogram *histogram);
/* Upper edge of the bucket that holds the given per-mille (500 is the median), never above max; 0
 * when empty. */
uint64_t tandem_histogram_at(const struct tandem_histogram *histogram, unsigned per_mille);
/* How many of the values are at most `value`, but for those in the bucket that it cuts. */
uint64_t tandem_histogram_below(const struct tandem_histogram *histogram, uint64_t value);

#endif
