#ifndef TANDEM_ARBITER_PROBE_H
#define TANDEM_ARBITER_PROBE_H

#include <tandem/controller.h>

/* Whether what decides for a pair can be reached from this node, asked as the controller asks.
 * Nothing is decided, written or switched. Any thread; they wait. */

/* Reads the register once, for arbiter_timeout_ns at most. *ret_generation is that of its record, 0
 * when it was never written. A directory must exist, it would be made. TANDEM_E_TIMEOUT, or what
 * the arbiter says. */
TANDEM_MUST_CHECK int tandem_arbiter_probe(const struct tandem_controller_pair *pair,
                                           uint64_t *ret_generation,
                                           struct tandem_error *reterr_error);

/* Runs a fence agent with action=monitor, which asks its device and switches nothing, for
 * timeout_ns at most. TANDEM_E_SYSTEM: it cannot be run, or says that it failed; its last line is
 * in the detail. TANDEM_E_TIMEOUT. */
TANDEM_MUST_CHECK int tandem_fence_agent_probe(const struct tandem_controller_fence_agent *agent,
                                               uint64_t timeout_ns,
                                               struct tandem_error *reterr_error);

#endif
