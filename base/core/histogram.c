#include <tandem/histogram.h>

#include <string.h>

/* Values below STEPS have a bucket each; then every power of two is cut into STEPS equal ones. */
#define STEPS      32u
#define STEPS_LOG2 5u

static unsigned bucket_of(uint64_t value)
{
	if (value < STEPS)
		return (unsigned)value;
	unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
	unsigned step = (unsigned)(value >> (exponent - STEPS_LOG2)) - STEPS;
	unsigned bucket = (exponent - STEPS_LOG2 + 1) * STEPS + step;
	return bucket < TANDEM_HISTOGRAM_BUCKETS ? bucket : TANDEM_HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_edge_of(unsigned bucket)
{
	if (bucket < STEPS)
		return bucket;
	if (bucket == TANDEM_HISTOGRAM_BUCKETS - 1)
		return UINT64_MAX; /* it holds all larger values too */
	unsigned shift = bucket / STEPS - 1;
	return (((uint64_t)STEPS + bucket % STEPS + 1) << shift) - 1;
}

void tandem_histogram_add(struct tandem_histogram *histogram, uint64_t value)
{
	histogram->buckets[bucket_of(value)]++;
	histogram->count++;
	histogram->sum += value;
	if (value > histogram->max)
		histogram->max = value;
}

void tandem_histogram_clear(struct tandem_histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
}

uint64_t tandem_histogram_at(const struct tandem_histogram *histogram, unsigned per_mille)
{
	if (histogram->count == 0)
		return 0;
	uint64_t rank = (histogram->count * per_mille + 999) / 1000;
	uint64_t seen = 0;
	if (rank == 0)
		rank = 1;
	for (unsigned i = 0; i < TANDEM_HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= rank) {
			uint64_t edge = upper_edge_of(i);
			return edge < histogram->max ? edge : histogram->max;
		}
	}
	return histogram->max;
}

uint64_t tandem_histogram_below(const struct tandem_histogram *histogram, uint64_t value)
{
	uint64_t count = 0;
	for (unsigned i = 0; i < TANDEM_HISTOGRAM_BUCKETS && upper_edge_of(i) <= value; i++)
		count += histogram->buckets[i];
	return count;
}
