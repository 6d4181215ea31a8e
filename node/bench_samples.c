#include "bench_samples.h"

#include <stdlib.h>

#include <tandem/assert.h>
#include <tandem/memory.h>

int tandem_bench_samples_make(struct tandem_bench_samples *samples, size_t capacity,
                              struct tandem_error *reterr_error)
{
	*samples = (struct tandem_bench_samples){.capacity = capacity};
	samples->values = tandem_memory_alloc_array(capacity, sizeof *samples->values);
	if (samples->values != NULL)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "samples",
	                        "no memory for %zu samples", capacity);
}

void tandem_bench_samples_clear(struct tandem_bench_samples *samples)
{
	tandem_memory_free(samples->values);
	*samples = (struct tandem_bench_samples){.values = NULL};
}

void tandem_bench_samples_add(struct tandem_bench_samples *samples, uint64_t value)
{
	TANDEM_ASSERT(samples->count < samples->capacity);
	samples->values[samples->count++] = value;
}

static int compare(const void *left, const void *right)
{
	const uint64_t one = *(const uint64_t *)left, other = *(const uint64_t *)right;

	return (one > other) - (one < other);
}

void tandem_bench_samples_sort(struct tandem_bench_samples *samples)
{
	if (samples->count > 0)
		qsort(samples->values, samples->count, sizeof *samples->values, compare);
}

uint64_t tandem_bench_samples_at(const struct tandem_bench_samples *samples, unsigned per_mille)
{
	const size_t rank = (samples->count * per_mille + 999) / 1000;

	if (samples->count == 0)
		return 0;
	return samples->values[rank > 0 ? rank - 1 : 0];
}
