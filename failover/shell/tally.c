#include "shell/tally.h"

const char *tandem_tally_cause_text(enum tandem_tally_cause cause)
{
	static const char *const texts[TANDEM_TALLY_CAUSE_COUNT] = {
#define X(name, text) [TANDEM_TALLY_CAUSE_##name] = (text),
	        TANDEM_TALLY_CAUSE_TABLE(X)
#undef X
	};
	return texts[cause];
}

static enum tandem_tally_cause cause_of(const struct tandem_take_over *take_over)
{
	if (take_over->is_forced)
		return TANDEM_TALLY_CAUSE_FORCE;
	if (take_over->is_resumed)
		return TANDEM_TALLY_CAUSE_RESUMED;
	return take_over->is_automatic ? TANDEM_TALLY_CAUSE_AUTOMATIC : TANDEM_TALLY_CAUSE_PROMOTE;
}

void tandem_tally_look(struct tandem_tally *tally, const struct tandem_machine *machine)
{
	const struct tandem_take_over *take_over = &machine->take_over;
	if (take_over->is_begun && take_over->decision != tally->decision) {
		tally->decision = take_over->decision;
		tally->take_overs[cause_of(take_over)]++;
	}
	if (machine->unscheduled_ns > tally->unscheduled_max_ns)
		tally->unscheduled_max_ns = machine->unscheduled_ns;
}
