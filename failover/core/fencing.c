#include "core/fencing.h"

uint64_t tandem_fencing_total_ns(const struct tandem_controller_pair *pair)
{
	uint64_t total_ns = 0;
	if (pair->arbiter_type != TANDEM_ARBITER_FENCE)
		return 0;
	for (size_t i = 0; i < pair->fence_agent_count; i++)
		total_ns += pair->fence_agents[i].timeout_ns + TANDEM_FENCING_GRACE_NS;
	return total_ns;
}
