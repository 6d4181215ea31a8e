#include "coverage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct coverage nowhere;
static struct coverage *current = &nowhere;
static enum bug bug_now;
static bool wants_rare;

void coverage_begin(struct coverage *coverage, enum bug bug)
{
	current = coverage;
	bug_now = bug;
}

bool __real_tandem_guard_take_over_is_due(const struct tandem_machine *machine, uint64_t now_ns);

/* ---- seeded bugs in guards ---- */

static bool owns_by_name(const struct tandem_machine *machine)
{
	const struct tandem_record *record = &machine->view.record;
	return record->generation > 0 && strcmp(record->owner, machine->config.node) == 0;
}

/* Any standby will do. */
static bool stale_standby(const struct tandem_machine *machine, enum guard guard, bool truth,
                          uint64_t now_ns)
{
	const struct tandem_record *record = &machine->view.record;
	bool is_other = record->generation > 0 && !owns_by_name(machine);
	bool is_standby = is_other && record->is_pair && machine->standby.connection != 0;
	if (guard == GUARD_standby_holds_copy)
		return is_standby;
	if (guard == GUARD_standby_lost_copy)
		return !is_standby;
	if (guard == GUARD_take_over_is_due)
		return truth || (is_standby && tandem_machine_cas_is_idle(machine, now_ns) &&
		                 tandem_detector_is_silent(&machine->detector, now_ns));
	return truth;
}

/* The name of the node is enough. */
static bool restarted_owner(const struct tandem_machine *machine, enum guard guard, bool truth)
{
	bool is_ready = machine->program.connection != 0 && machine->program.is_ready &&
	                !machine->program.was_halted;
	if (guard == GUARD_owner_may_lead_solo)
		return truth || (owns_by_name(machine) && is_ready && machine->view.is_known &&
		                 !machine->view.record.is_pair);
	if (guard == GUARD_record_is_foreign)
		return truth && !owns_by_name(machine);
	return truth;
}

/* It is enough that the copy is in sync. */
static bool misfit_takes_over(const struct tandem_machine *machine, enum guard guard, bool truth,
                              uint64_t now_ns)
{
	struct tandem_machine fit = *machine;
	fit.standby.is_misfit = fit.standby.is_unjudged = false;
	if (guard == GUARD_take_over_is_due)
		return __real_tandem_guard_take_over_is_due(&fit, now_ns);
	return truth;
}

/* Whoever leads, the standby that failed has to end. */
static bool waits_for_ever(const struct tandem_machine *machine, enum guard guard, bool truth)
{
	const struct tandem_take_over *take_over = &machine->take_over;
	return truth &&
	       (guard != GUARD_halted_are_gone || !take_over->has_failed ||
	        take_over->connection == 0 || machine->standby.connection != take_over->connection);
}

static bool distort(const struct tandem_machine *machine, enum guard guard, bool truth,
                    uint64_t now_ns)
{
	if (bug_now == BUG_R5_STALE_STANDBY_TAKES_OVER)
		return stale_standby(machine, guard, truth, now_ns);
	if (bug_now == BUG_R5_RESTARTED_OWNER_LEADS)
		return restarted_owner(machine, guard, truth);
	if (bug_now == BUG_MISFIT_TAKES_OVER)
		return misfit_takes_over(machine, guard, truth, now_ns);
	if (bug_now == BUG_LIVENESS_HALTED_FOR_ANOTHERS_RECORD)
		return waits_for_ever(machine, guard, truth);
	if (bug_now == BUG_LIVENESS_NEVER_SOLO && guard == GUARD_may_go_solo)
		return false;
	if (bug_now == BUG_LIVENESS_FORGETS_TAKE_OVER && guard == GUARD_take_over_is_interrupted)
		return false;
	return truth;
}

/* ---- what the linker leads here ---- */

static bool see(enum guard guard, const struct tandem_machine *machine, uint64_t now_ns, bool truth)
{
	if (bug_now != BUG_NONE)
		truth = distort(machine, guard, truth, now_ns);
	current->sides[guard][machine->state][truth]++;
	return truth;
}

#define X(name)                                                                                    \
	bool __real_tandem_guard_##name(const struct tandem_machine *machine, uint64_t now_ns);    \
	bool __wrap_tandem_guard_##name(const struct tandem_machine *machine, uint64_t now_ns);    \
	bool __wrap_tandem_guard_##name(const struct tandem_machine *machine, uint64_t now_ns)     \
	{                                                                                          \
		return see(GUARD_##name, machine, now_ns,                                          \
		           __real_tandem_guard_##name(machine, now_ns));                           \
	}
TANDEM_GUARD_TABLE(X)
#undef X

bool __real_tandem_record_is_newer(const struct tandem_record *one,
                                   const struct tandem_record *other);
bool __wrap_tandem_record_is_newer(const struct tandem_record *one,
                                   const struct tandem_record *other);

bool __wrap_tandem_record_is_newer(const struct tandem_record *one,
                                   const struct tandem_record *other)
{
	if (bug_now == BUG_LEFT_OUTRANKS_TAKE_OVER && one->generation == other->generation &&
	    one->is_left != other->is_left)
		return one->is_left;
	return __real_tandem_record_is_newer(one, other);
}

bool __real_tandem_facts_absorb(struct tandem_machine *machine, const struct tandem_event *event);
bool __wrap_tandem_facts_absorb(struct tandem_machine *machine, const struct tandem_event *event);

bool __wrap_tandem_facts_absorb(struct tandem_machine *machine, const struct tandem_event *event)
{
	bool is_asked = __real_tandem_facts_absorb(machine, event);
	current->cells[machine->state][event->type] += is_asked;
	return is_asked;
}

/* ---- the report ---- */

void coverage_add(struct coverage *sum, const struct coverage *more)
{
	const uint64_t *from = &more->cells[0][0];
	uint64_t *to = &sum->cells[0][0];
	_Static_assert(sizeof(*sum) % sizeof(*to) == 0, "counters only");
	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

static const struct {
	const char *name;
	bool (*guard)(const struct tandem_machine *machine, uint64_t now_ns);
} guards[] = {
#define X(name) {#name, tandem_guard_##name},
        TANDEM_GUARD_TABLE(X)
#undef X
};

/* What cannot be met, and why; what is so rare that only the nightly run must meet it. */
struct exception {
	enum tandem_state state;
	int event; /* a cell, -1: a row */
	int guard;
	bool side;
	bool is_rare;
	const char *why;
};

#define CELL(state, event, why)                                                                    \
	{                                                                                          \
		TANDEM_STATE_##state, TANDEM_EVENT_##event, -1, false, false, why                  \
	}
#define SIDE(state, guard, side, why)                                                              \
	{                                                                                          \
		TANDEM_STATE_##state, -1, GUARD_##guard, side, false, why                          \
	}
#define RARE_CELL(state, event)                                                                    \
	{                                                                                          \
		TANDEM_STATE_##state, TANDEM_EVENT_##event, -1, false, true, NULL                  \
	}
#define RARE_SIDE(state, guard, side)                                                              \
	{                                                                                          \
		TANDEM_STATE_##state, -1, GUARD_##guard, side, true, NULL                          \
	}

#define NO_QUESTION "no question is out when it is entered, and none is asked in it"
#define FENCED_LIFE "a standby that was asked to fence is never copied to again in that life"
#define NOT_LED                                                                                    \
	"a program that this life does not lead is halted, and what it says counts for nothing"
#define STORY "told as a story: another must win the register within one take-over"
#define KNOWN "told as a story: the record is known to have been won before an answer comes"
#define WORD  "told as a story: a word that is given while a program that was halted does not end"

static const struct exception exceptions[] = {
        CELL(SECONDARY, FENCED, FENCED_LIFE),
        CELL(SECONDARY, FAILED, FENCED_LIFE),
        CELL(SECONDARY, COPIED, NOT_LED),
        CELL(SECONDARY, QUIESCED, NOT_LED),
        CELL(TAKING_OVER, COPIED, NOT_LED),
        CELL(TAKING_OVER, QUIESCED, NOT_LED),
        CELL(PRIMARY_PAIR, CAS_WON, NO_QUESTION),
        CELL(PRIMARY_PAIR, CAS_LOST, NO_QUESTION),
        CELL(PRIMARY_PAIR, CAS_FAILED, NO_QUESTION),
        CELL(PRIMARY_PAIR, CAS_DOUBT, NO_QUESTION),
        SIDE(PRIMARY_PAIR, may_maintain, false, NO_QUESTION),
        SIDE(PRIMARY_PAIR, plane_has_session, false,
             "without a session it is left in the same step"),
        SIDE(PRIMARY_SOLO, record_is_pair, true,
             "it is entered only when no PAIR asked for earlier can be applied any more"),
        SIDE(TAKING_OVER, take_over_is_superseded, true, STORY),
        CELL(TAKING_OVER, CAS_FAILED, KNOWN),
        CELL(PRIMARY_SOLO, CAS_FAILED, KNOWN),
        CELL(PRIMARY_SOLO, CAS_LOST, KNOWN),
        CELL(PRIMARY_SOLO, CAS_DOUBT, KNOWN),
        SIDE(HALTED, take_over_is_won, true, WORD),
        RARE_SIDE(PRIMARY_PAIR, may_ask_to_leave, false),
        RARE_CELL(PRIMARY_SOLO, CAS_WON),
        RARE_SIDE(PRIMARY_SOLO, may_maintain, false),
        RARE_SIDE(PRIMARY_SOLO, record_is_foreign, true),
        RARE_SIDE(PRIMARY_SOLO, copy_was_missed, true),
        RARE_SIDE(PRIMARY_SOLO, plane_has_session, true),
        RARE_SIDE(PRIMARY_PAIR, record_is_solo, true),
        RARE_CELL(INIT, FENCED),
        RARE_CELL(INIT, FAILED),
        RARE_CELL(INIT, QUIESCED),
        RARE_CELL(INIT, CAS_WON),
        RARE_CELL(INIT, CAS_FAILED),
        RARE_CELL(INIT, CAS_DOUBT),
        RARE_CELL(TAKING_OVER, CAS_WON),
        RARE_CELL(TAKING_OVER, CAS_LOST),
        RARE_CELL(TAKING_OVER, CAS_DOUBT),
        RARE_SIDE(TAKING_OVER, plane_has_session, true),
        RARE_CELL(HALTED, CAS_WON),
        RARE_CELL(HALTED, CAS_FAILED),
        RARE_CELL(HALTED, CAS_DOUBT),
        RARE_SIDE(HALTED, may_maintain, false),
        RARE_SIDE(HALTED, may_force, true),
        RARE_SIDE(SECONDARY, may_force_next, true),
        RARE_SIDE(HALTED, plane_has_session, true),
        CELL(MAINTENANCE, CAS_LOST,
             "told as a story: the other node is made to lead at that moment"),
        RARE_CELL(MAINTENANCE, FENCED),
        RARE_CELL(MAINTENANCE, FAILED),
        RARE_CELL(MAINTENANCE, QUIESCED),
        RARE_SIDE(MAINTENANCE, maintenance_is_superseded, true),
};

static const struct exception *find_exception(enum tandem_state state, int event, int guard,
                                              bool side)
{
	for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
		const struct exception *exception = &exceptions[i];
		if (exception->state == state && exception->event == event &&
		    exception->guard == guard && exception->side == side)
			return exception;
	}
	return NULL;
}

/* Returns 1 when it should have been met. */
static unsigned miss(const char *what, enum tandem_state state, int event, int guard, bool side)
{
	const struct exception *exception = find_exception(state, event, guard, side);
	bool is_excused = exception && (!exception->is_rare || !wants_rare);
	const char *why = exception && !exception->is_rare ? exception->why
	                                                   : "so rare that only a nightly run must";
	printf("NEVER MET: %s%s%s\n", what, is_excused ? ": " : "", is_excused ? why : "");
	return !is_excused;
}

static unsigned print_cells(const struct coverage *coverage, enum tandem_state state)
{
	unsigned missing_count = 0;
	char what[128];
	printf("cells of %s:", tandem_state_name(state));
	for (unsigned event = 0; event < TANDEM_EVENT_COUNT; event++)
		printf(" %s %" PRIu64, tandem_event_name((enum tandem_event_type)event),
		       coverage->cells[state][event]);
	printf("\n");
	for (unsigned event = 0; event < TANDEM_EVENT_COUNT; event++) {
		snprintf(what, sizeof(what), "cell {%s, %s}", tandem_state_name(state),
		         tandem_event_name((enum tandem_event_type)event));
		if (coverage->cells[state][event] == 0)
			missing_count += miss(what, state, (int)event, -1, false);
	}
	return missing_count;
}

static int guard_of(const struct tandem_rule *rule)
{
	for (int i = 0; i < GUARD_COUNT; i++) {
		if (rule->guard == guards[i].guard)
			return i;
	}
	return -1;
}

static unsigned print_list(const struct coverage *coverage, enum tandem_state state,
                           const struct tandem_rules *rules)
{
	unsigned missing_count = 0;
	char what[128];
	for (size_t i = 0; i < rules->count; i++) {
		int guard = guard_of(&rules->list[i]);
		if (guard < 0)
			continue;
		const uint64_t *sides = coverage->sides[guard][state];
		printf("  %s, %s: true %" PRIu64 ", false %" PRIu64 "\n", tandem_state_name(state),
		       guards[guard].name, sides[true], sides[false]);
		for (unsigned side = 0; side < 2; side++) {
			snprintf(what, sizeof(what), "row {%s, %s} %s", tandem_state_name(state),
			         guards[guard].name, side ? "true" : "false");
			if (sides[side] == 0)
				missing_count += miss(what, state, -1, guard, side != 0);
		}
	}
	return missing_count;
}

/* Guards of a state's own list and of its operator's lists are different ones, so the guard and the
 * state name the row. */
static unsigned print_rows(const struct coverage *coverage, enum tandem_state state)
{
	unsigned missing_count = print_list(coverage, state, tandem_table_own[state]);
	for (unsigned event = 0; event < TANDEM_EVENT_COUNT; event++) {
		const struct tandem_rules *rules = tandem_table[state][event];
		if (rules != tandem_table_own[state])
			missing_count += print_list(coverage, state, rules);
	}
	return missing_count;
}

unsigned coverage_print(const struct coverage *coverage, bool is_rare_wanted)
{
	wants_rare = is_rare_wanted;
	unsigned missing_count = 0;
	for (unsigned state = 0; state < TANDEM_STATE_COUNT; state++) {
		missing_count += print_cells(coverage, (enum tandem_state)state);
		missing_count += print_rows(coverage, (enum tandem_state)state);
	}
	return missing_count;
}
