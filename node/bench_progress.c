#include "bench_progress.h"

#include <stdio.h>
#include <unistd.h>

#include <tandem/clock.h>

#define SHOW_NS (TANDEM_NS_PER_S / 4)

struct tandem_bench_progress tandem_bench_progress_begin(uint64_t total)
{
	const uint64_t now_ns = tandem_clock_now_ns();

	return (struct tandem_bench_progress){.total = total,
	                                      .is_shown = isatty(STDERR_FILENO) == 1,
	                                      .begin_ns = now_ns,
	                                      .show_at_ns = now_ns + 4 * SHOW_NS};
}

void tandem_bench_progress_step(struct tandem_bench_progress *progress, const char *what)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	double left_s;

	progress->done++;
	if (!progress->is_shown || now_ns < progress->show_at_ns)
		return;
	progress->show_at_ns = now_ns + SHOW_NS;
	left_s = (double)(now_ns - progress->begin_ns) / 1e9 / (double)progress->done *
	         (double)(progress->total - progress->done);
	fprintf(stderr, "\r\033[K%s: %llu of %llu, %.0f s left", what,
	        (unsigned long long)progress->done, (unsigned long long)progress->total, left_s);
}

void tandem_bench_progress_wipe(struct tandem_bench_progress *progress)
{
	if (progress->is_shown)
		fputs("\r\033[K", stderr);
}
