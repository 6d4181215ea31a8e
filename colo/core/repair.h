#ifndef TANDEM_REPAIR_H
#define TANDEM_REPAIR_H

#include <stdbool.h>
#include <stdint.h>

/* Data channels that were lost and what the secondary has been asked of them (DESIGN 4.13, [C23]).
 * One FENCE is under way at a time; later losses wait for the next. Pure. */
struct tandem_repair {
	uint32_t lost_mask;   /* not fenced yet: what they carried is written nowhere else */
	uint32_t asked_mask;  /* of them, named in the FENCE under way */
	uint64_t deadline_ns; /* of its answer; UINT64_MAX for none */
};

void tandem_repair_reset(struct tandem_repair *repair);
bool tandem_repair_is_under_way(const struct tandem_repair *repair);
/* A FENCE is to be sent, and none is under way. */
bool tandem_repair_is_due(const struct tandem_repair *repair);
/* The channels that the FENCE names. */
uint32_t tandem_repair_ask(struct tandem_repair *repair, uint64_t deadline_ns);
/* False when nothing was asked of exactly these channels. */
bool tandem_repair_answer(struct tandem_repair *repair, uint32_t channel_mask);

#endif
