#ifndef TANDEM_FAILOVER_AGREEMENT_H
#define TANDEM_FAILOVER_AGREEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/controller.h>

/* What both nodes of a pair must have configured alike, or their deadlines contradict each other:
 * one accuses before the other could answer, or goes on alone while the other still waits. Each
 * heartbeat carries it [H4]. Times are in microseconds. */
#define TANDEM_AGREEMENT_TABLE(X)                                                                  \
	X(INTERVAL, TIME, "heartbeat_interval_ms")                                                 \
	X(MISSES, COUNT, "heartbeat_misses")                                                       \
	X(SOLO, TIME, "solo_after_ms")                                                             \
	X(COMMIT, TIME, "commit_timeout_ms")                                                       \
	X(FENCE, TIME, "fence_timeout_ms")                                                         \
	X(ACTIVATE, TIME, "promote.timeout_ms")                                                    \
	X(LEASE, TIME, "lease_ms")                                                                 \
	X(MODE, MODE, "mode")                                                                      \
	X(ARBITER, ARBITER, "arbiter.type")                                                        \
	X(FENCE_DELAY, TIME, "arbiter.fence_delay_ms")

enum tandem_agreement_item {
#define X(name, unit, key) TANDEM_AGREEMENT_##name,
	TANDEM_AGREEMENT_TABLE(X)
#undef X
	        TANDEM_AGREEMENT_COUNT,
};

enum tandem_agreement_unit {
	TANDEM_AGREEMENT_UNIT_TIME,
	TANDEM_AGREEMENT_UNIT_COUNT,
	TANDEM_AGREEMENT_UNIT_MODE,    /* 0 available, 1 strict */
	TANDEM_AGREEMENT_UNIT_ARBITER, /* enum tandem_arbiter_type */
};

struct tandem_agreement {
	uint32_t values[TANDEM_AGREEMENT_COUNT]; /* no interval: it is not known */
};

void tandem_agreement_of(const struct tandem_controller_pair *pair,
                         struct tandem_agreement *ret_agreement);
/* The first item in which they differ; TANDEM_AGREEMENT_COUNT when in none, or one is not known. */
enum tandem_agreement_item tandem_agreement_difference(const struct tandem_agreement *own,
                                                       const struct tandem_agreement *peer);
/* As the configuration calls it. */
const char *tandem_agreement_key(enum tandem_agreement_item item);
/* The name of a value of ARBITER, "unknown" for any that this release does not know. */
const char *tandem_agreement_arbiter(uint32_t value);
enum tandem_agreement_unit tandem_agreement_unit(enum tandem_agreement_item item);

#endif
