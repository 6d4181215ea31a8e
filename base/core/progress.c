#include <tandem/progress.h>

#define SECOND_NS UINT64_C(1000000000)
#define WINDOW_NS (SECOND_NS / 2)
#define WEIGHT    4u /* a window counts for a quarter of the rate */

void tandem_progress_begin(struct tandem_progress *progress, uint64_t now_ns)
{
	*progress = (struct tandem_progress){.begin_ns = now_ns, .mark_ns = now_ns};
}

/* Doubles: the products do not fit, and nobody reads more than three digits. */
static uint64_t rate_of(uint64_t bytes, uint64_t span_ns)
{
	double rate = (double)bytes / (double)span_ns * (double)SECOND_NS;

	return rate >= (double)(UINT64_MAX / 2) ? UINT64_MAX / 2 : (uint64_t)rate;
}

void tandem_progress_note(struct tandem_progress *progress, uint64_t done_bytes, uint64_t now_ns)
{
	uint64_t span_ns, rate;

	if (now_ns <= progress->mark_ns || done_bytes < progress->mark_bytes)
		return;
	span_ns = now_ns - progress->mark_ns;
	rate = rate_of(done_bytes - progress->mark_bytes, span_ns);
	if (progress->window_count == 0)
		progress->bytes_per_s = rate;
	if (span_ns < WINDOW_NS)
		return;
	if (progress->window_count > 0)
		progress->bytes_per_s =
		        progress->bytes_per_s - progress->bytes_per_s / WEIGHT + rate / WEIGHT;
	progress->window_count++;
	progress->mark_ns = now_ns;
	progress->mark_bytes = done_bytes;
}

unsigned tandem_progress_percent(uint64_t done_bytes, uint64_t total_bytes)
{
	double percent;

	if (total_bytes == 0)
		return 0;
	percent = (double)done_bytes / (double)total_bytes * 100;
	return percent >= 99 ? 99 : (unsigned)percent;
}

uint64_t tandem_progress_left_ns(uint64_t done_bytes, uint64_t total_bytes, uint64_t bytes_per_s)
{
	double left_ns;

	if (done_bytes >= total_bytes)
		return 0;
	if (bytes_per_s == 0)
		return UINT64_MAX;
	left_ns = (double)(total_bytes - done_bytes) / (double)bytes_per_s * (double)SECOND_NS;
	return left_ns >= (double)(UINT64_MAX / 2) ? UINT64_MAX : (uint64_t)left_ns;
}
