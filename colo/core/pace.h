#ifndef TANDEM_PACE_H
#define TANDEM_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* How long the next pause would be, by what the ones before it took, and what follows from that:
 * whether a checkpoint fits the budget, and whether what is left is staged. Pure. */

enum tandem_capture {
	TANDEM_CAPTURE_STOP,
	TANDEM_CAPTURE_STAGE,
	TANDEM_CAPTURE_AUTO,
};

struct tandem_pace_options {
	enum tandem_capture capture;
	uint64_t budget_ns;   /* of a pause; 0: none */
	uint64_t wait_max_ns; /* how long a checkpoint is put off because it does not fit */
};

struct tandem_pace {
	struct tandem_pace_options options;
	/* measured, 0: not yet */
	uint64_t scan_ns;       /* a scan that finds little */
	uint64_t small_ns;      /* a pause that captures little */
	uint64_t stage_page_ps; /* picoseconds more for each page that is staged, */
	uint64_t push_page_ps;  /* and that it takes to push one */
	bool is_staging;        /* AUTO: the last choice */
	/* the open epoch */
	uint64_t opened_ns;
	uint64_t scanned_ns;
	uint64_t left_pages;  /* known to be written and not pushed */
	uint64_t found_pages; /* by the last scan, of those that were written in ... */
	uint64_t found_in_ns; /* ... this long */
	bool is_fitting;
	bool is_overdue; /* it has been put off for wait_max_ns */
};

void tandem_pace_init(struct tandem_pace *pace, const struct tandem_pace_options *options);
/* An epoch is open; the last capture was at `captured_ns`. */
void tandem_pace_open(struct tandem_pace *pace, uint64_t now_ns, uint64_t captured_ns);
/* A scan beside the running program. */
void tandem_pace_note_scan(struct tandem_pace *pace, uint64_t now_ns, uint64_t elapsed_ns,
                           uint64_t left_pages);
/* The program is held: nothing is written any more. */
void tandem_pace_stand(struct tandem_pace *pace);
/* Pages were pushed, beside it or not. */
void tandem_pace_note_push(struct tandem_pace *pace, uint64_t pages, uint64_t elapsed_ns);
/* What the program was held for, and how many pages of it were captured. */
void tandem_pace_note_pause(struct tandem_pace *pace, uint64_t pause_ns, uint64_t pages,
                            bool is_staged);
/* As far as is known `left_pages` are left now. */
void tandem_pace_look(struct tandem_pace *pace, uint64_t now_ns, uint64_t left_pages);
/* When what is likely to be written meanwhile will not fit any more; UINT64_MAX for never. */
uint64_t tandem_pace_misfit_ns(const struct tandem_pace *pace);
/* A checkpoint should be taken now as far as the budget goes. */
bool tandem_pace_allows(const struct tandem_pace *pace);
/* Pages that fit the budget; UINT64_MAX where there is none, or nothing is known. */
uint64_t tandem_pace_pages_max(const struct tandem_pace *pace);
/* Whether `left_pages` are to be staged. */
bool tandem_pace_stages(struct tandem_pace *pace, uint64_t left_pages);
/* Pages that are pushed in about `span_ns`. */
uint64_t tandem_pace_pages_in(const struct tandem_pace *pace, uint64_t span_ns);

#endif
