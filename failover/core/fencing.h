#ifndef TANDEM_FAILOVER_FENCING_H
#define TANDEM_FAILOVER_FENCING_H

#include <stdint.h>

#include <tandem/controller.h>

/* A fence agent that was killed at its timeout may take this long to go. */
#define TANDEM_FENCING_GRACE_NS UINT64_C(1000000000)

/* The longest that a CAS which needs fencing may take before it is answered: every agent up to its
 * timeout. 0 for other arbiters. */
uint64_t tandem_fencing_total_ns(const struct tandem_controller_pair *pair);

#endif
