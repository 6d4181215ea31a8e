#ifndef TANDEM_PROGRESS_H
#define TANDEM_PROGRESS_H

#include <stdint.h>

/* How far something of a known size is, how fast it goes and how long it still takes. The rate
 * follows the last seconds, so that a slow beginning is not blamed on the end. Pure. */
struct tandem_progress {
	uint64_t begin_ns;
	uint64_t mark_ns; /* since when the next window counts, and what was done by then */
	uint64_t mark_bytes;
	uint64_t window_count;
	uint64_t bytes_per_s; /* 0: not known yet */
};

void tandem_progress_begin(struct tandem_progress *progress, uint64_t now_ns);
/* `done_bytes` since the beginning. */
void tandem_progress_note(struct tandem_progress *progress, uint64_t done_bytes, uint64_t now_ns);

/* Whole percents, at most 99: the end is told by something else. 0 for nothing to do. */
unsigned tandem_progress_percent(uint64_t done_bytes, uint64_t total_bytes);
/* UINT64_MAX when the rate does not tell; 0 when nothing is left. */
uint64_t tandem_progress_left_ns(uint64_t done_bytes, uint64_t total_bytes, uint64_t bytes_per_s);

#endif
