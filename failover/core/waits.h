#ifndef TANDEM_FAILOVER_WAITS_H
#define TANDEM_FAILOVER_WAITS_H

#include "core/machine.h"

/* What each state waits for, for the operator and the documentation. Of the rows of a state the
 * first that holds is said; its last one always does. */
struct tandem_wait {
	enum tandem_state state;
	bool (*holds)(const struct tandem_machine *machine, uint64_t now_ns); /* NULL: always */
	const char *waiting_for;
	const char *unblock; /* the command that ends the wait, "" where nobody need do anything */
};

extern const struct tandem_wait tandem_waits[];
extern const size_t tandem_wait_count;

#endif
