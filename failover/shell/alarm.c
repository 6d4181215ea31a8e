#include "shell/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <tandem/clock.h>

static void spell_value(enum tandem_agreement_item item, uint32_t value, char *ret_text,
                        size_t size)
{
	if (tandem_agreement_unit(item) == TANDEM_AGREEMENT_UNIT_TIME)
		snprintf(ret_text, size, "%.10g", (double)value / 1000);
	else if (tandem_agreement_unit(item) == TANDEM_AGREEMENT_UNIT_MODE)
		snprintf(ret_text, size, "%s", value != 0 ? "strict" : "available");
	else if (tandem_agreement_unit(item) == TANDEM_AGREEMENT_UNIT_ARBITER)
		snprintf(ret_text, size, "%s", tandem_agreement_arbiter(value));
	else
		snprintf(ret_text, size, "%" PRIu32, value);
}

static void spell_difference(const struct tandem_machine *machine, char *ret_text, size_t size)
{
	enum tandem_agreement_item item = tandem_machine_difference(machine);
	char own[32], peer[32];
	ret_text[0] = 0;
	if (item == TANDEM_AGREEMENT_COUNT)
		return;
	spell_value(item, machine->agreement.values[item], own, sizeof(own));
	spell_value(item, machine->peer.agreement.values[item], peer, sizeof(peer));
	snprintf(ret_text, size, "%s is %s here and %s on node %s", tandem_agreement_key(item), own,
	         peer, machine->config.pair.peer_node);
}

void tandem_pair_spell_alarm(const struct tandem_pair *pair, enum tandem_alarm alarm,
                             char *ret_detail, size_t size)
{
	ret_detail[0] = 0;
	if (alarm == TANDEM_ALARM_ARBITER_UNREACHABLE)
		snprintf(ret_detail, size, "%s", pair->arbiter_detail);
	if (alarm == TANDEM_ALARM_FENCING_FAILED)
		snprintf(ret_detail, size, "%s", tandem_arbiter_report(pair->arbiter)->fence_last);
	if (alarm == TANDEM_ALARM_TIMERS_DIFFER)
		spell_difference(&pair->machine, ret_detail, size);
	if (alarm == TANDEM_ALARM_COMMIT_STALE)
		snprintf(ret_detail, size, "for %" PRIu64 " ms",
		         (tandem_clock_now_ns() - pair->machine.program.behind_since_ns) /
		                 TANDEM_NS_PER_MS);
	if (alarm == TANDEM_ALARM_UNPROTECTED)
		snprintf(ret_detail, size, "%s", pair->session_detail);
	if (alarm == TANDEM_ALARM_STANDBY_MISFIT)
		snprintf(ret_detail, size, "%s", pair->fit_detail);
	if (alarm == TANDEM_ALARM_NOT_SCHEDULED)
		snprintf(ret_detail, size, "for %" PRIu64 " ms",
		         pair->machine.unscheduled_ns / TANDEM_NS_PER_MS);
}
