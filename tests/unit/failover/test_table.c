#include <criterion/criterion.h>
#include <string.h>

#include "core/rules.h"

static void check_list(const struct tandem_rules *rules, const char *state, const char *event)
{
	cr_assert(rules != NULL, "no cell for %s, %s", state, event);
	cr_assert(rules->count > 0);
	for (size_t i = 0; i < rules->count; i++) {
		const struct tandem_rule *rule = &rules->list[i];
		bool is_last = i + 1 == rules->count;
		cr_expect((rule->guard == NULL) == is_last,
		          "%s, %s: rule %zu: only the last one is without a guard", state, event,
		          i);
		cr_expect(rule->next <= TANDEM_RULE_STAY);
		if (rule->next != TANDEM_RULE_STAY || rule->verbs[0] == TANDEM_VERB_HALT ||
		    rule->verbs[0] == TANDEM_VERB_REFUSE)
			cr_expect(rule->reason != NULL, "%s, %s: rule %zu: why?", state, event, i);
	}
}

Test(table, every_state_answers_every_event)
{
	for (enum tandem_state state = 0; state < TANDEM_STATE_COUNT; state++) {
		for (enum tandem_event_type event = 0; event < TANDEM_EVENT_COUNT; event++)
			check_list(tandem_table[state][event], tandem_state_name(state),
			           tandem_event_name(event));
		check_list(tandem_table_own[state], tandem_state_name(state), "by itself");
	}
}

/* Marks what can be reached from a state by any list of it. */
static void follow(const struct tandem_rules *rules, bool *reached)
{
	for (size_t i = 0; i < rules->count; i++) {
		if (rules->list[i].next < TANDEM_STATE_COUNT)
			reached[rules->list[i].next] = true;
	}
}

static bool leads_to(enum tandem_state from, enum tandem_state to)
{
	bool reached[TANDEM_STATE_COUNT] = {false};
	reached[from] = true;
	for (unsigned round = 0; round < TANDEM_STATE_COUNT; round++) {
		for (enum tandem_state state = 0; state < TANDEM_STATE_COUNT; state++) {
			for (enum tandem_event_type event = 0;
			     reached[state] && event < TANDEM_EVENT_COUNT; event++)
				follow(tandem_table[state][event], reached);
			if (reached[state])
				follow(tandem_table_own[state], reached);
		}
	}
	return reached[to];
}

Test(table, every_state_can_be_reached_and_left_for_every_other)
{
	for (enum tandem_state from = 0; from < TANDEM_STATE_COUNT; from++) {
		for (enum tandem_state to = 0; to < TANDEM_STATE_COUNT; to++)
			cr_expect(leads_to(from, to), "%s never leads to %s",
			          tandem_state_name(from), tandem_state_name(to));
	}
}

/* DESIGN section 5, as a look at the table: who may be told to lead alone, and after what. */
Test(table, only_these_transitions_open_the_gate)
{
	for (enum tandem_state state = 0; state < TANDEM_STATE_COUNT; state++) {
		const struct tandem_rules *rules = tandem_table_own[state];
		for (size_t i = 0; i < rules->count; i++) {
			const struct tandem_rule *rule = &rules->list[i];
			if (rule->verbs[0] != TANDEM_VERB_LEAD_SOLO)
				continue;
			cr_expect(rule->guard == tandem_guard_owner_may_lead_solo ||
			          rule->guard == tandem_guard_solo_may_reopen ||
			          rule->guard == tandem_guard_take_over_may_lead ||
			          rule->guard == tandem_guard_maintenance_may_reopen);
		}
	}
}

Test(table, names_are_complete)
{
	for (enum tandem_verb verb = 0; verb < TANDEM_VERB_COUNT; verb++)
		cr_expect(tandem_verb_name(verb) != NULL);
	for (enum tandem_alarm alarm = 0; alarm < TANDEM_ALARM_COUNT; alarm++)
		cr_expect(strcmp(tandem_alarm_text(alarm), "") != 0);
	cr_expect(strcmp(tandem_state_name(TANDEM_STATE_COUNT), "unknown") == 0);
	cr_expect(strcmp(tandem_event_name(TANDEM_EVENT_COUNT), "unknown") == 0);
	cr_expect(strcmp(tandem_alarm_text(TANDEM_ALARM_COUNT), "unknown") == 0);
}

Test(table, every_state_says_what_it_waits_for)
{
	struct tandem_machine_config config = {.node = "a", .pair = TANDEM_CONTROLLER_PAIR_DEFAULT};
	struct tandem_machine machine;
	tandem_machine_init(&machine, &config, 1, 1);
	for (enum tandem_state state = 0; state < TANDEM_STATE_COUNT; state++) {
		machine.state = state;
		cr_expect(strlen(tandem_machine_waiting_for(&machine, 2)) > 10, "%s",
		          tandem_state_name(state));
		cr_expect(tandem_machine_unblock(&machine, 2) != NULL);
	}
}
