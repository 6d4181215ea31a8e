#ifndef TANDEM_FAILOVER_WATCHDOG_H
#define TANDEM_FAILOVER_WATCHDOG_H

#include <stdbool.h>

#include <tandem/error.h>

/* The second line behind fences and leases: a watchdog device resets this node when its controller
 * does not run for some seconds, whatever holds it up. One loop thread. */
struct event_base;
struct tandem_watchdog;

/* Opens and arms `path` (as /dev/watchdog) and keeps it from firing while the loop `base` runs.
 * `timeout_s`: what is asked for, at least 2; the device may only take another one, which status
 * tells. Errors: TANDEM_E_SYSTEM (it is not there, is used by another program, or its timeout is
 * longer than asked), TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_watchdog_open(struct event_base *base, const char *path,
                                           unsigned timeout_s,
                                           struct tandem_watchdog **ret_watchdog,
                                           struct tandem_error *reterr_error);
/* Disarms, where the device can be: the controller ends by the operator's wish. NULL is allowed. */
void tandem_watchdog_free(struct tandem_watchdog *watchdog);
/* "Software Watchdog, 10 s"; borrowed until free; "" for NULL. */
const char *tandem_watchdog_text(const struct tandem_watchdog *watchdog);

#endif
