#include "shell/reader.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <wordexp.h>

#include <tandem/clock.h>

#include "core/form.h"
#include "core/timers.h"

#define PAGE_BYTES        4096
#define GUEST_STATE_BYTES 1048576 /* of a guest's devices, where the file does not say */

/* A pair of the file, as the checks see it. */
struct subject {
	struct tandem_config_reader *reader;
	struct tandem_config_pair *pair;
	const config_setting_t *setting;
	const struct tandem_config_node *nodes[2]; /* NULL when not known */
};

static void check_name(struct subject *subject, size_t index)
{
	const struct tandem_config_pair *pairs = subject->reader->config->pairs;
	for (size_t i = 0; i < index; i++) {
		if (pairs[index].name[0] == '\0' || strcmp(pairs[i].name, pairs[index].name) != 0)
			continue;
		tandem_config_mistake_in(subject->reader, subject->setting, "name",
		                         "\"%s\" is the name of pairs[%zu] already",
		                         pairs[index].name, i);
		return;
	}
}

static const struct tandem_config_node *node_find(struct subject *subject, const char *name)
{
	const struct tandem_config *config = subject->reader->config;
	const char *names[TANDEM_CONFIG_NODES_MAX + 1] = {NULL};
	for (size_t i = 0; i < config->node_count; i++) {
		if (strcmp(config->nodes[i].name, name) == 0)
			return &config->nodes[i];
		names[i] = config->nodes[i].name;
	}
	const char *nearest = tandem_config_nearest(name, names);
	tandem_config_mistake_in(subject->reader, subject->setting, "nodes",
	                         "\"%s\" is not among the nodes of this file%s%s%s", name,
	                         nearest ? "; did you mean \"" : "", nearest ? nearest : "",
	                         nearest ? "\"?" : "");
	return NULL;
}

static void check_nodes(struct subject *subject)
{
	char(*names)[TANDEM_NAME_BYTES] = subject->pair->nodes;
	if (names[0][0] == '\0' || names[1][0] == '\0')
		return;
	if (strcmp(names[0], names[1]) == 0) {
		tandem_config_mistake_in(subject->reader, subject->setting, "nodes",
		                         "\"%s\" is paired with itself, two nodes needed",
		                         names[0]);
		return;
	}
	for (size_t i = 0; i < 2; i++)
		subject->nodes[i] = node_find(subject, names[i]);
}

static void check_addresses(struct subject *subject, const char *what, const char *first,
                            const char *second)
{
	if (first[0] == '\0' || second[0] == '\0')
		return;
	if (tandem_config_is_loopback(first) != tandem_config_is_loopback(second))
		tandem_config_mistake_in(subject->reader, subject->setting, "nodes",
		                         "%s %s and %s cannot reach each other: one is a loopback "
		                         "address",
		                         what, first, second);
	else if (!strchr(first, ':') != !strchr(second, ':'))
		tandem_config_mistake_in(subject->reader, subject->setting, "nodes",
		                         "%s %s and %s cannot reach each other: one is IPv4, one "
		                         "is IPv6",
		                         what, first, second);
}

static void check_rails(struct subject *subject)
{
	const struct tandem_config_node *first = subject->nodes[0], *second = subject->nodes[1];
	size_t count = tandem_config_rail_count(first);
	if (count != tandem_config_rail_count(second)) {
		tandem_config_mistake_in(subject->reader, subject->setting, "nodes",
		                         "node \"%s\" has %zu rails and \"%s\" has %zu, equally "
		                         "many needed",
		                         first->name, first->rail_count, second->name,
		                         second->rail_count);
		return;
	}
	for (size_t i = 0; i < count; i++)
		check_addresses(subject, "the data addresses", tandem_config_rail(first, i),
		                tandem_config_rail(second, i));
}

static void check_links(struct subject *subject)
{
	const struct tandem_config_node *first = subject->nodes[0], *second = subject->nodes[1];
	if (!first || !second)
		return;
	check_rails(subject);
	if (first->heartbeat_count == 0 || second->heartbeat_count == 0)
		return;
	if (first->heartbeat_count != second->heartbeat_count) {
		tandem_config_mistake_in(
		        subject->reader, subject->setting, "nodes",
		        "node \"%s\" has %zu heartbeat links and \"%s\" has %zu, equally many "
		        "needed",
		        first->name, first->heartbeat_count, second->name, second->heartbeat_count);
		return;
	}
	for (size_t i = 0; i < first->heartbeat_count; i++)
		check_addresses(subject, "the heartbeat addresses", first->heartbeats[i].address,
		                second->heartbeats[i].address);
}

static bool is_given(const struct subject *subject, const char *key)
{
	return config_setting_get_member(subject->setting, key) != NULL;
}

static void check_heartbeat(struct subject *subject)
{
	bool has_interval = is_given(subject, "heartbeat_interval_ms");
	bool has_misses = is_given(subject, "heartbeat_misses");
	if (!has_interval && !has_misses) {
		tandem_config_profile_apply(subject->pair);
		return;
	}
	if (subject->pair->hung_after_ns == 0)
		subject->pair->hung_after_ns = tandem_config_detect_ns(subject->pair);
	if (is_given(subject, "heartbeat_profile"))
		tandem_config_mistake_in(subject->reader, subject->setting, "heartbeat_profile",
		                         "contradicts %s: give the profile or the numbers",
		                         has_interval ? "heartbeat_interval_ms"
		                                      : "heartbeat_misses");
	if (has_interval != has_misses)
		tandem_config_mistake_in(
		        subject->reader, subject->setting,
		        has_interval ? "heartbeat_misses" : "heartbeat_interval_ms",
		        "is missing: it goes together with %s",
		        has_interval ? "heartbeat_interval_ms" : "heartbeat_misses");
}

/* The mistake stands at the timer that the file gives, the left one if both. */
static const char *timer_to_blame(const struct subject *subject,
                                  const struct tandem_config_timer_rule *rule)
{
	const char *left = tandem_config_timer_key(rule->left);
	const char *right = tandem_config_timer_key(rule->right);
	if (is_given(subject, left) || !is_given(subject, right))
		return left;
	return right;
}

static void check_timers(struct subject *subject)
{
	const struct tandem_config_timer_rule *rule;
	for (size_t i = 0; (rule = tandem_config_timer_rule(i)); i++) {
		uint64_t left_ns = tandem_config_timer_ns(subject->pair, rule->left);
		uint64_t right_ns = tandem_config_timer_ns(subject->pair, rule->right);
		if (left_ns == 0 || right_ns == 0 ||
		    tandem_config_timer_rule_holds(rule, subject->pair))
			continue;
		char factor[32] = "";
		if (rule->count > 1)
			snprintf(factor, sizeof(factor), "%" PRIu64 " times ", rule->count);
		tandem_config_mistake_in(
		        subject->reader, subject->setting, timer_to_blame(subject, rule),
		        "%s%s (%" PRIu64 " ms) must not exceed %s (%" PRIu64 " ms): %s", factor,
		        tandem_config_timer_key(rule->left), left_ns / TANDEM_NS_PER_MS,
		        tandem_config_timer_key(rule->right), right_ns / TANDEM_NS_PER_MS,
		        rule->why);
	}
}

/* The first of the pair's addresses that others can reach; NULL when there is none. */
static const char *open_address(const struct subject *subject)
{
	for (size_t i = 0; i < 2; i++) {
		const struct tandem_config_node *node = subject->nodes[i];
		for (size_t j = 0; node && j < tandem_config_rail_count(node); j++) {
			const char *address = tandem_config_rail(node, j);
			if (address[0] != '\0' && !tandem_config_is_loopback(address))
				return address;
		}
		for (size_t j = 0; node && j < node->heartbeat_count; j++) {
			const char *address = node->heartbeats[j].address;
			if (address[0] != '\0' && !tandem_config_is_loopback(address))
				return address;
		}
	}
	return NULL;
}

static void check_key(struct subject *subject)
{
	const char *address = open_address(subject);
	const config_setting_t *flag = config_setting_get_member(subject->setting, "insecure");
	bool is_told = flag && config_setting_type(flag) != CONFIG_TYPE_BOOL;
	if (is_given(subject, "key_file") && subject->pair->is_insecure)
		tandem_config_mistake_in(subject->reader, subject->setting, "insecure",
		                         "contradicts key_file: give one of the two");
	/* A key_file that is given and wrong has been told, too. */
	if (is_given(subject, "key_file") || is_told || subject->pair->is_insecure || !address)
		return;
	tandem_config_mistake_in(subject->reader, subject->setting, "key_file",
	                         "is missing: %s is not a loopback address, whoever reaches it "
	                         "could pose as the other node. tandemctl keygen "
	                         "/etc/tandem/%s.key makes one, to be copied to the other node; "
	                         "or write insecure = true",
	                         address, subject->pair->name);
}

static void check_merge(struct subject *subject)
{
	uint32_t bytes = subject->pair->merge_bytes_max;
	if (bytes % PAGE_BYTES != 0)
		tandem_config_mistake_in(subject->reader, subject->setting, "merge_bytes_max",
		                         "%" PRIu32 " seen, a multiple of %d needed", bytes,
		                         PAGE_BYTES);
}

/* A budget is kept by pushing ahead of the pause. */
static void check_budget(struct subject *subject)
{
	const struct tandem_config_pair *pair = subject->pair;
	if (pair->pause_budget_ns != 0 && pair->push_interval_ns == 0)
		tandem_config_mistake_in(subject->reader, subject->setting, "pause_budget_us",
		                         "%" PRIu64
		                         " seen, but nothing is pushed ahead of a pause: give "
		                         "push_interval_us too, 10000 for instance",
		                         pair->pause_budget_ns / TANDEM_NS_PER_US);
	if (pair->pause_budget_ns == 0 && is_given(subject, "on_overload"))
		tandem_config_mistake_in(subject->reader, subject->setting, "on_overload",
		                         "says what to do when pause_budget_us is not kept, and "
		                         "there is none");
}

static void check_program(struct subject *subject)
{
	const config_setting_t *promote = config_setting_get_member(subject->setting, "promote");
	if (!promote)
		tandem_config_mistake_in(
		        subject->reader, subject->setting, "promote",
		        "is missing: a group: { command = ...; } needed, or protect "
		        "for a virtual machine");
	else if (config_setting_type(promote) == CONFIG_TYPE_GROUP &&
	         !config_setting_get_member(promote, "command"))
		tandem_config_mistake_in(subject->reader, promote, "command",
		                         "is missing: a shell command needed");
}

/* The guest of a node that is cut off, or whose program hangs, has ended before the other node's
 * begins: by fencing, or by its lease. */
static bool ends_the_old(const struct tandem_config_pair *pair)
{
	return strcmp(pair->arbiter.type, "fence") == 0 ||
	       strcmp(pair->arbiter.type, "external") == 0 || pair->lease_ns > 0;
}

/* Two guests that write to one disk tear it. */
static void check_disks(struct subject *subject, const config_setting_t *protect)
{
	const struct tandem_config_pair *pair = subject->pair;
	if (strcmp(pair->protect.disks, "shared") == 0 && !ends_the_old(pair))
		tandem_config_mistake_in(
		        subject->reader, protect, "disks",
		        "\"shared\" seen, but nothing keeps a node that is cut off "
		        "from them: an arbiter of the type \"fence\" or "
		        "\"external\" needed, or lease_ms");
}

/* Nothing holds back what the old guest says while the new one runs. */
static void check_ungated(struct subject *subject, const config_setting_t *protect)
{
	const struct tandem_config_pair *pair = subject->pair;
	if (strcmp(pair->protect.network, "ungated") == 0 && !ends_the_old(pair))
		tandem_config_mistake_in(
		        subject->reader, protect, "network",
		        "\"ungated\" seen, but nothing ends the guest of a node that hangs or is "
		        "cut off, and it would run on beside the one at the other node: lease_ms = "
		        "3000 needed, for instance, or an arbiter of the type \"fence\" or "
		        "\"external\", or a gate for each network card");
}

/* A word for each reason: wordexp(3) says no more. */
static void check_words(struct subject *subject, const config_setting_t *protect)
{
	const char *command = subject->pair->protect.command;
	wordexp_t words = {.we_wordc = 0};
	int failure = command[0] != '\0' ? wordexp(command, &words, WRDE_NOCMD) : 0;
	if (failure == WRDE_BADCHAR || failure == WRDE_SYNTAX)
		tandem_config_mistake_in(
		        subject->reader, protect, "command",
		        "%s seen: QEMU's words needed, with quotes and variables as "
		        "in a shell",
		        failure == WRDE_BADCHAR ? "one of | & ; < > ( ) { } outside quotes"
		                                : "a quote without its end");
	else if (failure == WRDE_CMDSUB)
		tandem_config_mistake_in(
		        subject->reader, protect, "command",
		        "a command in it seen: no shell runs it, plain words needed");
	wordfree(&words);
}

/* What is given has the form, and the QEMU that takes over has no way past its gates. */
static void check_network(struct subject *subject, const config_setting_t *protect)
{
	static const char *const options[] = {" -netdev ", " -nic ", " -net "};
	const struct tandem_config_protect *guest = &subject->pair->protect;
	if (guest->network[0] != '\0' && !tandem_config_is_network(guest->network))
		tandem_config_mistake_in(subject->reader, protect, "network",
		                         "\"%.80s\" seen, \"ungated\" needed, or one to %d of "
		                         "user:TAP, plug:TAP and user:/PATH with blanks between",
		                         guest->network, TANDEM_CONFIG_GATES_MAX);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strcmp(guest->network, "ungated") != 0 && strstr(guest->command, options[i]))
			tandem_config_mistake_in(subject->reader, protect, "command",
			                         "%s seen, but the network is gates: its netdevs "
			                         "are tandem0, tandem1 and so on, which are put "
			                         "behind the command",
			                         options[i]);
	}
}

/* A virtual machine: what cannot be guessed has to be there. */
static void check_guest(struct subject *subject, const config_setting_t *protect)
{
	static const struct {
		const char *name;
		const char *why;
	} needed[] = {
	        {"type", "is missing: \"qemu\" needed"},
	        {"network",
	         "is missing: a gate for each network card needed, such as \"plug:TAP\", or "
	         "\"ungated\", which says that what the guest sends leaves at once and others may "
	         "have seen what it has yet to do after a take-over"},
	        {"command", "is missing: what starts QEMU on the node that takes over; tandemctl "
	                    "qemu-args makes it"},
	};
	const config_setting_t *promote = config_setting_get_member(subject->setting, "promote");
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (!config_setting_get_member(protect, needed[i].name))
			tandem_config_mistake_in(subject->reader, protect, needed[i].name, "%s",
			                         needed[i].why);
	}
	if (promote && config_setting_get_member(promote, "command"))
		tandem_config_mistake_in(subject->reader, promote, "command",
		                         "contradicts protect, which starts the virtual machine");
	check_disks(subject, protect);
	check_words(subject, protect);
	check_network(subject, protect);
	check_ungated(subject, protect);
	snprintf(subject->pair->promote.command, sizeof(subject->pair->promote.command), "%s",
	         TANDEM_CONFIG_GUEST_COMMAND);
	if (!is_given(subject, "state_bytes_max"))
		subject->pair->state_bytes_max = GUEST_STATE_BYTES;
}

static void check_kind(struct subject *subject)
{
	const config_setting_t *protect = config_setting_get_member(subject->setting, "protect");
	if (protect && config_setting_type(protect) == CONFIG_TYPE_GROUP &&
	    config_setting_length(protect) > 0)
		check_guest(subject, protect);
	else
		check_program(subject);
}

void tandem_config_check_pair(struct tandem_config_reader *reader, size_t index)
{
	const config_setting_t *list = config_lookup(reader->tree, "pairs");
	struct subject subject = {
	        .reader = reader,
	        .pair = &reader->config->pairs[index],
	        .setting = config_setting_get_elem(list, (unsigned)index),
	};
	if (config_setting_type(subject.setting) != CONFIG_TYPE_GROUP)
		return;
	check_name(&subject, index);
	check_nodes(&subject);
	check_links(&subject);
	check_heartbeat(&subject);
	check_timers(&subject);
	check_key(&subject);
	check_merge(&subject);
	check_budget(&subject);
	check_kind(&subject);
	tandem_config_check_arbiter(reader, subject.pair, subject.setting, subject.nodes);
}
