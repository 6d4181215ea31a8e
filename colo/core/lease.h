#ifndef TANDEM_LEASE_H
#define TANDEM_LEASE_H

#include <stdint.h>

/* Output that nothing can gate ends with the process: the primary may go on until a time that the
 * secondary knows of. That time is counted from before a ping was sent, the secondary's from when
 * it answered, so the primary's always ends first [C26]. Pure. */
#define TANDEM_LEASE_PINGS_MAX 64u

struct tandem_lease {
	uint64_t length_ns; /* 0: output is gated, there is no lease */
	uint64_t numbers[TANDEM_LEASE_PINGS_MAX];
	uint64_t sent_ns[TANDEM_LEASE_PINGS_MAX];
};

/* A ping is about to be sent. */
void tandem_lease_note(struct tandem_lease *lease, uint64_t number, uint64_t now_ns);
/* Until when the answer to a ping lets the primary go on; 0 when it is not known any more. */
uint64_t tandem_lease_end_ns(const struct tandem_lease *lease, uint64_t number);
/* The secondary answered a ping at `granted_ns` and has answered none since: how long the primary
 * may still go on, at most. Clocks that run differently and a timer that is late are counted in. */
uint64_t tandem_lease_left_ns(uint64_t length_ns, uint64_t granted_ns, uint64_t now_ns);

#endif
