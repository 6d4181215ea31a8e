#include "lease.h"

#define CLOCK_DRIFT_PER_MILLE 1u
#define TIMER_LATE_NS         UINT64_C(10000000)

void tandem_lease_note(struct tandem_lease *lease, uint64_t number, uint64_t now_ns)
{
	lease->numbers[number % TANDEM_LEASE_PINGS_MAX] = number;
	lease->sent_ns[number % TANDEM_LEASE_PINGS_MAX] = now_ns;
}

uint64_t tandem_lease_end_ns(const struct tandem_lease *lease, uint64_t number)
{
	if (lease->length_ns == 0 || number == 0 ||
	    lease->numbers[number % TANDEM_LEASE_PINGS_MAX] != number)
		return 0;
	return lease->sent_ns[number % TANDEM_LEASE_PINGS_MAX] + lease->length_ns;
}

uint64_t tandem_lease_left_ns(uint64_t length_ns, uint64_t granted_ns, uint64_t now_ns)
{
	uint64_t end_ns =
	        granted_ns + length_ns + length_ns / 1000 * CLOCK_DRIFT_PER_MILLE + TIMER_LATE_NS;

	if (length_ns == 0 || granted_ns == 0 || now_ns >= end_ns)
		return 0;
	return end_ns - now_ns;
}
