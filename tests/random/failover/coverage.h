#ifndef TEST_FAILOVER_COVERAGE_H
#define TEST_FAILOVER_COVERAGE_H

#include "cluster.h"
#include "core/rules.h"

/* Which cells of the table were asked, and which way each row's guard went. The linker leads the
 * calls through here (--wrap), so the product has no hook for it. The same place breaks guards for
 * seeded bugs. */

enum guard {
#define X(name) GUARD_##name,
	TANDEM_GUARD_TABLE(X)
#undef X
	        GUARD_COUNT,
};

struct coverage {
	uint64_t cells[TANDEM_STATE_COUNT][TANDEM_EVENT_COUNT];
	uint64_t sides[GUARD_COUNT][TANDEM_STATE_COUNT][2];
};

/* What is met from now on is counted there. */
void coverage_begin(struct coverage *coverage, enum bug bug);
void coverage_add(struct coverage *sum, const struct coverage *more);
/* Prints all; returns how much was never met though it should be. */
unsigned coverage_print(const struct coverage *coverage, bool is_rare_wanted);

#endif
