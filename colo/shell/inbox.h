#ifndef TANDEM_INBOX_H
#define TANDEM_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/error.h>

#include "../core/layout.h"
#include "../core/wire.h"

/* What seals bring: the slot memory that the primary writes, and private, validated copies of it
 * (4.5). Nothing is believed before it was copied. One thread. */
struct tandem_inbox_epoch {
	uint32_t mask; /* channels whose list is here */
	uint32_t run_count[16];
	uint64_t page_count[16];     /* of these runs */
	struct tandem_run *runs[16]; /* layout.runs_max each */
	uint8_t *state;
	uint32_t state_bytes;
};

struct tandem_inbox {
	struct tandem_layout layout;
	uint8_t *slots; /* remotely writable */
	size_t slots_bytes;
	uint64_t *listed;                    /* pages that are in a run of the epoch collected */
	struct tandem_inbox_epoch sealing;   /* collected, not committed */
	struct tandem_inbox_epoch committed; /* to apply; its state blob is the image's */
	unsigned apply_channel;
	uint32_t apply_run;
};

/* Errors: TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_inbox_init(struct tandem_inbox *inbox,
                                        const struct tandem_layout *layout,
                                        struct tandem_error *reterr_error);
/* `keeps_slots`: a fence could not prove them safe. */
void tandem_inbox_done(struct tandem_inbox *inbox, bool keeps_slots);

/* Copies and checks what `channel` sealed. 0 and *ret_trailer, or TANDEM_E_PROTOCOL with the fault
 * named. */
TANDEM_MUST_CHECK int tandem_inbox_take(struct tandem_inbox *inbox, unsigned channel,
                                        uint32_t immediate, struct tandem_trailer *ret_trailer,
                                        struct tandem_error *reterr_error);
/* What was collected and not committed is nothing. */
void tandem_inbox_discard(struct tandem_inbox *inbox);
/* A session that ended, fenced: what it sealed and did not complete is nothing, and no trailer that
 * it left behind can be taken for one of the next. */
void tandem_inbox_forget(struct tandem_inbox *inbox);
/* The sealed epoch becomes the committed one. The one before must be applied. */
void tandem_inbox_commit(struct tandem_inbox *inbox);
/* The next run of the committed epoch, or NULL at the end. */
const struct tandem_run *tandem_inbox_next_run(struct tandem_inbox *inbox);

#endif
