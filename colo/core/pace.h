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
	uint64_t small_ns;      /* of a pause, whatever it captures */
	uint64_t stage_page_ps; /* picoseconds more for each page that is staged, */
	uint64_t push_page_ps;  /* and that it takes to push one */
	double written_per_ns;  /* pages, while nothing holds the program */
	bool is_staging;        /* AUTO: the last choice */
	/* the open epoch */
	uint64_t opened_ns;
	uint64_t scanned_ns;  /* what was written until then is known; later by as much as the
	                         program was held since */
	uint64_t left_pages;  /* known to be written and not pushed */
	bool is_standing;     /* nothing is written */
	uint64_t held_ns;     /* since when, because the program that asked is held; 0: it runs */
	bool is_fitting;      /* as far as was known then */
	bool has_held;        /* the program, so that it writes less */
	uint64_t patience_ns; /* how long an epoch is open before that, by what the last ones
	                         needed */
};

/* What the program was held for. */
struct tandem_pace_pause {
	uint64_t rest_ns;  /* to find the pages, and the like */
	uint64_t pages_ns; /* to stage or push them */
	uint64_t pages;
	bool is_staged;
};

void tandem_pace_init(struct tandem_pace *pace, const struct tandem_pace_options *options);
/* An epoch is open; the last capture was at `captured_ns`. */
void tandem_pace_open(struct tandem_pace *pace, uint64_t now_ns, uint64_t captured_ns);
/* A scan beside the running program: what was written before it began is known. */
void tandem_pace_note_scan(struct tandem_pace *pace, uint64_t now_ns, uint64_t elapsed_ns,
                           uint64_t left_pages);
/* The program is held: nothing is written any more. */
void tandem_pace_stand(struct tandem_pace *pace);
/* It asked and is held for a better answer: so is nothing written, until it is let go. */
void tandem_pace_hold(struct tandem_pace *pace, uint64_t now_ns);
void tandem_pace_let_go(struct tandem_pace *pace, uint64_t now_ns);
/* Pages were pushed, beside it or not. */
void tandem_pace_note_push(struct tandem_pace *pace, uint64_t pages, uint64_t elapsed_ns);
/* Of a capture. */
void tandem_pace_note_pause(struct tandem_pace *pace, const struct tandem_pace_pause *pause);
/* As far as is known `left_pages` are left now. */
void tandem_pace_look(struct tandem_pace *pace, uint64_t now_ns, uint64_t left_pages);
/* When what is likely to be written meanwhile will not fit any more, if the program runs from now
 * on; UINT64_MAX for never. */
uint64_t tandem_pace_misfit_ns(const struct tandem_pace *pace, uint64_t now_ns);
/* What is known to be left, and what is likely to have been written since, fits. */
bool tandem_pace_fits(const struct tandem_pace *pace, uint64_t now_ns);
/* The checkpoint has been put off for wait_max_ns. */
bool tandem_pace_is_overdue(const struct tandem_pace *pace, uint64_t now_ns);
/* To find the pages takes more than the budget, however few they are. */
bool tandem_pace_is_hopeless(const struct tandem_pace *pace);
/* How long a program that cannot make its checkpoint is held at a time, so that it writes less;
 * less than the budget, 0: not at all. */
uint64_t tandem_pace_hold_ns(struct tandem_pace *pace, uint64_t now_ns);
/* Pages that fit the budget; UINT64_MAX where there is none, or nothing is known. */
uint64_t tandem_pace_pages_max(const struct tandem_pace *pace);
/* Whether `left_pages` are to be staged. */
bool tandem_pace_stages(struct tandem_pace *pace, uint64_t left_pages);
/* Pages that are pushed in about `span_ns`. */
uint64_t tandem_pace_pages_in(const struct tandem_pace *pace, uint64_t span_ns);

#endif
