#include <stdio.h>
#include <string.h>

#include "core/rules.h"
#include "core/waits.h"

/* failover_diagram FILE: prints the page FILE with its parts that are made from the table made
 * anew. failover_diagram --dot: the picture, for dot(1). */

#define PART_BEGINS "<!-- from the table: "
#define PART_ENDS   "<!-- end -->"

typedef bool drawn_arrows[TANDEM_STATE_COUNT][TANDEM_STATE_COUNT];

/* ---- rules ---- */

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

static void print_rules(void)
{
	printf("| state | on | when | it does | next |\n| --- | --- | --- | --- | --- |\n");
	for (enum tandem_state state = 0; state < TANDEM_STATE_COUNT; state++) {
		const char *name = tandem_state_name(state);
		print_list(name, "anything", tandem_table_own[state]);
		for (enum tandem_event_type event = 0; event < TANDEM_EVENT_COUNT; event++) {
			if (tandem_table[state][event] != tandem_table_own[state])
				print_list(name, tandem_event_name(event),
				           tandem_table[state][event]);
		}
	}
}

static void print_waits(void)
{
	printf("| state | waits for | the command that ends the wait |\n| --- | --- | --- |\n");
	for (size_t i = 0; i < tandem_wait_count; i++) {
		const struct tandem_wait *wait = &tandem_waits[i];
		bool has_command = wait->unblock[0] != 0;
		printf("| %s | %s | %s%s%s |\n", tandem_state_name(wait->state), wait->waiting_for,
		       has_command ? "`" : "", wait->unblock, has_command ? "`" : "");
	}
}

/* ---- the picture ---- */

static void print_arrows(drawn_arrows drawn, enum tandem_state from,
                         const struct tandem_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		enum tandem_state to = rules->list[i].next;
		if (to == TANDEM_RULE_STAY || drawn[from][to])
			continue;
		drawn[from][to] = true;
		printf("\t%s -> %s;\n", tandem_state_name(from), tandem_state_name(to));
	}
}

static const char *colour_of(enum tandem_state state)
{
	if (state == TANDEM_STATE_PRIMARY_PAIR || state == TANDEM_STATE_SECONDARY)
		return "#d5ecd4";
	if (state == TANDEM_STATE_PRIMARY_SOLO)
		return "#fbe3b5";
	return state == TANDEM_STATE_HALTED ? "#f4cccc" : "#eeeeee";
}

static void print_picture(void)
{
	drawn_arrows drawn = {{false}};
	printf("digraph failover {\n"
	       "\trankdir=TB; nodesep=0.5; ranksep=0.6; bgcolor=white;\n"
	       "\tnode [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\"];\n"
	       "\tedge [color=\"#555555\"];\n");
	for (enum tandem_state state = 0; state < TANDEM_STATE_COUNT; state++)
		printf("\t%s [fillcolor=\"%s\"];\n", tandem_state_name(state), colour_of(state));
	for (enum tandem_state state = 0; state < TANDEM_STATE_COUNT; state++) {
		print_arrows(drawn, state, tandem_table_own[state]);
		for (enum tandem_event_type event = 0; event < TANDEM_EVENT_COUNT; event++)
			print_arrows(drawn, state, tandem_table[state][event]);
	}
	printf("}\n");
}

/* ---- the page ---- */

static bool print_part(const char *line)
{
	const char *name = line + strlen(PART_BEGINS);
	if (strncmp(name, "rules ", 6) == 0)
		print_rules();
	else if (strncmp(name, "waits ", 6) == 0)
		print_waits();
	else
		return false;
	return true;
}

static int print_page(FILE *page)
{
	char line[4096];
	bool is_inside = false;
	while (fgets(line, sizeof(line), page)) {
		if (is_inside && strncmp(line, PART_ENDS, strlen(PART_ENDS)) != 0)
			continue;
		is_inside = false;
		fputs(line, stdout);
		if (strncmp(line, PART_BEGINS, strlen(PART_BEGINS)) != 0)
			continue;
		is_inside = true;
		if (!print_part(line)) {
			fprintf(stderr, "no such part: %s", line);
			return 1;
		}
	}
	return is_inside;
}

int main(int argument_count, char **arguments)
{
	if (argument_count == 2 && strcmp(arguments[1], "--dot") == 0) {
		print_picture();
		return 0;
	}
	FILE *page = argument_count == 2 ? fopen(arguments[1], "r") : NULL;
	if (!page) {
		fprintf(stderr, "usage: failover_diagram FILE | --dot\n");
		return 2;
	}
	int status = print_page(page);
	fclose(page);
	return status;
}
