#include "repair.h"

void tandem_repair_reset(struct tandem_repair *repair)
{
	*repair = (struct tandem_repair){.deadline_ns = UINT64_MAX};
}

bool tandem_repair_is_under_way(const struct tandem_repair *repair)
{
	return repair->lost_mask != 0;
}

bool tandem_repair_is_due(const struct tandem_repair *repair)
{
	return repair->lost_mask != 0 && repair->asked_mask == 0;
}

uint32_t tandem_repair_ask(struct tandem_repair *repair, uint64_t deadline_ns)
{
	repair->asked_mask = repair->lost_mask;
	repair->deadline_ns = deadline_ns;
	return repair->asked_mask;
}

bool tandem_repair_answer(struct tandem_repair *repair, uint32_t channel_mask)
{
	if (repair->asked_mask == 0 || channel_mask != repair->asked_mask)
		return false;
	repair->lost_mask &= ~repair->asked_mask;
	repair->asked_mask = 0;
	repair->deadline_ns = UINT64_MAX;
	return true;
}
