#include <string.h>

#include <tandem/clock.h>

#include "library_internal.h"

/* The engine's thread counts on while they are read: each figure is right by itself. */
static struct tandem_durations durations_of(const struct tandem_histogram *histogram)
{
	return (struct tandem_durations){
	        .count = histogram->count,
	        .sum_ns = histogram->sum,
	        .median_ns = tandem_histogram_at(histogram, 500),
	        .p99_ns = tandem_histogram_at(histogram, 990),
	        .max_ns = histogram->max,
	};
}

static uint64_t age_ns(const _Atomic uint64_t *since_ns)
{
	uint64_t since = atomic_load(since_ns), now_ns = tandem_clock_now_ns();

	return since == 0 || since > now_ns ? 0 : now_ns - since;
}

static struct tandem_statistics gather(const struct tandem_stats *stats)
{
	return (struct tandem_statistics){
	        .generation = atomic_load(&stats->generation),
	        .epoch_committed = atomic_load(&stats->epoch_committed),
	        .epochs_committed_count = atomic_load(&stats->epochs_committed),
	        .epochs_aborted_count = atomic_load(&stats->epochs_aborted),
	        .pushed_bytes = atomic_load(&stats->bytes_pushed),
	        .zero_bytes = atomic_load(&stats->zero_pages) * TANDEM_PAGE_BYTES,
	        .copy_done_bytes = atomic_load(&stats->copy_bytes_done),
	        .copy_total_bytes = atomic_load(&stats->copy_bytes_total),
	        .commit_age_ns = age_ns(&stats->committed_ns),
	        .held_age_ns = age_ns(&stats->held_since_ns),
	        .behind_age_ns = age_ns(&stats->behind_since_ns),
	        .pause = durations_of(&stats->pause_ns),
	        .scan = durations_of(&stats->scan_ns),
	        .push = durations_of(&stats->push_ns),
	        .commit = durations_of(&stats->commit_ns),
	};
}

void tandem_statistics_read(const struct tandem *tandem, struct tandem_statistics *ret_statistics,
                            size_t statistics_bytes)
{
	struct tandem_statistics statistics = {0};
	size_t known_bytes =
	        statistics_bytes < sizeof statistics ? statistics_bytes : sizeof statistics;

	if (tandem_library_check(tandem, NULL) == 0 && tandem->is_started)
		statistics = gather(tandem->engine.stats);
	memset(ret_statistics, 0, statistics_bytes);
	memcpy(ret_statistics, &statistics, known_bytes);
}
