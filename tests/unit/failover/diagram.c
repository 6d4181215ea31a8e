#include <stdio.h>

#include "core/rules.h"

/* Prints docs/failover-states.md from the table itself. */

static void print_rule(const char *from, const char *event, const struct tandem_rule *rule)
{
	const char *to = rule->next == TANDEM_RULE_STAY ? from : tandem_state_name(rule->next);
	if (!rule->reason || rule->verbs[0] == TANDEM_VERB_REFUSE)
		return;
	printf("| %s | %s | %s |", from, event, rule->reason);
	for (size_t i = 0; i < TANDEM_RULE_VERBS_MAX; i++) {
		if (rule->verbs[i] != TANDEM_VERB_NOTHING)
			printf(" %s", tandem_verb_name(rule->verbs[i]));
	}
	printf(" | %s |\n", to);
}

static void print_list(const char *from, const char *event, const struct tandem_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		print_rule(from, event, &rules->list[i]);
}

static void print_arrows(bool drawn[TANDEM_STATE_COUNT][TANDEM_STATE_COUNT], enum tandem_state from,
                         const struct tandem_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		enum tandem_state to = rules->list[i].next;
		if (to == TANDEM_RULE_STAY || drawn[from][to])
			continue;
		drawn[from][to] = true;
		printf("    %s --> %s\n", tandem_state_name(from), tandem_state_name(to));
	}
}

static void print_diagram(void)
{
	static bool drawn[TANDEM_STATE_COUNT][TANDEM_STATE_COUNT];
	printf("```mermaid\nstateDiagram-v2\n    [*] --> INIT\n");
	for (enum tandem_state state = 0; state < TANDEM_STATE_COUNT; state++) {
		print_arrows(drawn, state, tandem_table_own[state]);
		for (enum tandem_event_type event = 0; event < TANDEM_EVENT_COUNT; event++)
			print_arrows(drawn, state, tandem_table[state][event]);
	}
	printf("```\n\n");
}

int main(void)
{
	printf("# The states of a pair on one node\n\n"
	       "Made from the table in `failover/core/table.c` by `tests/failover_diagram`; a test "
	       "compares. What the states mean is in\n[failover.md](failover.md).\n\n");
	print_diagram();
	printf("Rules are asked from top to bottom whenever something was heard or time has "
	       "passed; the first that holds is taken.\n\n"
	       "| state | on | when | it does | next |\n| --- | --- | --- | --- | --- |\n");
	for (enum tandem_state state = 0; state < TANDEM_STATE_COUNT; state++) {
		const char *name = tandem_state_name(state);
		print_list(name, "anything", tandem_table_own[state]);
		for (enum tandem_event_type event = 0; event < TANDEM_EVENT_COUNT; event++) {
			if (tandem_table[state][event] != tandem_table_own[state])
				print_list(name, tandem_event_name(event),
				           tandem_table[state][event]);
		}
	}
	return 0;
}
