#ifndef TEST_FAILOVER_NEMESIS_H
#define TEST_FAILOVER_NEMESIS_H

#include "cluster.h"

/* What befalls a cluster: faults, their ends, and an operator, all drawn from its seed. */

/* Settings and chances of this schedule; before cluster_start(). */
void nemesis_init(struct cluster *cluster);
enum tandem_arbiter_type nemesis_draw_arbiter(uint64_t seed);
/* Runs for a while; where a decision is under way, what hurts it most may happen. */
void nemesis_run(struct cluster *cluster, uint64_t duration_ns);
/* One fault, or one that ends, or one word of the operator. */
void nemesis_strike(struct cluster *cluster);
void nemesis_end(struct cluster *cluster);
/* All is healed: an operator who does what status tells until the pair is one again. */
void nemesis_settle(struct cluster *cluster);

#endif
