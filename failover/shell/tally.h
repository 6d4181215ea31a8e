#ifndef TANDEM_FAILOVER_TALLY_H
#define TANDEM_FAILOVER_TALLY_H

#include "core/machine.h"

/* What happened to a pair in this life of the controller, counted. */
#define TANDEM_TALLY_CAUSE_TABLE(X)                                                                \
	X(AUTOMATIC, "automatic") /* the controller's own decision */                              \
	X(PROMOTE, "promote")     /* the operator's word */                                        \
	X(FORCE, "force")         /* the operator's word, with data loss accepted */               \
	X(RESUMED, "resumed")     /* begun by an earlier life of the controller */

enum tandem_tally_cause {
#define X(name, text) TANDEM_TALLY_CAUSE_##name,
	TANDEM_TALLY_CAUSE_TABLE(X)
#undef X
	        TANDEM_TALLY_CAUSE_COUNT,
};

struct tandem_tally {
	uint64_t take_overs[TANDEM_TALLY_CAUSE_COUNT];
	uint64_t decision; /* of the last one counted */
	uint64_t unscheduled_max_ns;
};

/* After each step. */
void tandem_tally_look(struct tandem_tally *tally, const struct tandem_machine *machine);
const char *tandem_tally_cause_text(enum tandem_tally_cause cause);

#endif
