#ifndef TANDEM_FAILOVER_SEEN_H
#define TANDEM_FAILOVER_SEEN_H

#include <stdint.h>

#include <tandem/controller.h>

#include "core/record.h"

/* The highest generation that this node has seen of a pair, in RUN_DIR/PAIR.register. A register
 * never goes back; storage that is not mounted, or was moved away, looks like one that was never
 * written, and whoever believed it would lead beside the real owner (R4). One thread. */
struct tandem_seen {
	uint64_t generation;
	char path[TANDEM_CONTROLLER_PATH_BYTES + TANDEM_NAME_BYTES + 16];
};

/* What is remembered; nothing when there is no such file. */
void tandem_seen_open(struct tandem_seen *seen, const char *run_directory, const char *pair);
/* TANDEM_E_SYSTEM when a register in `directory` shows an older generation than one seen before. A
 * newer one is remembered. */
TANDEM_MUST_CHECK int tandem_seen_check(struct tandem_seen *seen, uint64_t generation,
                                        const char *directory, struct tandem_error *reterr_error);
/* Before a node takes over: its run directory must take what a program that leads writes there. One
 * that does not costs the copy, because the promoted program would end. TANDEM_E_SYSTEM, with the
 * file and why. */
TANDEM_MUST_CHECK int tandem_seen_prove(const struct tandem_seen *seen,
                                        const struct tandem_record *expected,
                                        const struct tandem_record *desired,
                                        struct tandem_error *reterr_error);

#endif
