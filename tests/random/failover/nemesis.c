#include "nemesis.h"

#include <string.h>
#include <tandem/clock.h>
#include <tandem/random.h>

#include "core/rules.h"

#define MS          TANDEM_NS_PER_MS
#define AIM_NS      (5 * MS)
#define STALL_NS    (1000 * MS)
#define LOOK_NS     (100 * MS) /* how often the operator looks */
#define PATIENCE    15         /* looks without an answer before the operator steps in */
#define SETTLE_MAX  200        /* looks */
#define QUIET       5          /* looks in which the pair must stay one */
#define LEAVE_LOOKS 10
#define VAIN_LOOKS  500

static struct node *pick(struct cluster *cluster)
{
	return &cluster->nodes[cluster_draw(cluster, 2)];
}

static unsigned index_of(const struct cluster *cluster, const struct node *node)
{
	return (unsigned)(node - cluster->nodes);
}

/* ---- faults ---- */

static void stop_programs(struct cluster *cluster, struct node *node)
{
	(void)cluster;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++)
		node->programs[i].process.is_stopped = node->programs[i].process.is_alive;
}

static void kill_node(struct cluster *cluster, struct node *node)
{
	cluster_kill_node(cluster, index_of(cluster, node));
}

static void power_off(struct cluster *cluster, struct node *node)
{
	cluster_power_off(cluster, index_of(cluster, node));
}

static void kill_programs(struct cluster *cluster, struct node *node)
{
	cluster_kill_programs(cluster, index_of(cluster, node));
}

static void kill_standby(struct cluster *cluster, struct node *node)
{
	cluster_kill_standby(cluster, index_of(cluster, node));
}

static void kill_controller(struct cluster *cluster, struct node *node)
{
	cluster_kill_controller(cluster, index_of(cluster, node));
}

static void stop_node(struct cluster *cluster, struct node *node)
{
	cluster_stop_node(cluster, index_of(cluster, node), true);
}

static void stop_controller(struct cluster *cluster, struct node *node)
{
	(void)cluster;
	node->controller_is_stopped = node->controller_is_alive;
}

static void deafen(struct cluster *cluster, struct node *node)
{
	if (node->controller_is_alive)
		cluster_deafen(cluster, index_of(cluster, node), true);
}

static void stop_standby(struct cluster *cluster, struct node *node)
{
	(void)cluster;
	node->standby.process.is_stopped = node->standby.process.is_alive;
}

static void cut_data(struct cluster *cluster, struct node *node)
{
	(void)node;
	cluster_cut_data(cluster, true);
}

static void cut_data_one_way(struct cluster *cluster, struct node *node)
{
	cluster->data_is_cut[index_of(cluster, node)] = true;
}

static void cut_all(struct cluster *cluster, struct node *node)
{
	(void)node;
	cluster_cut_data(cluster, true);
	cluster_cut_beats(cluster, true);
}

static void cut_link(struct cluster *cluster, struct node *node)
{
	cluster->beats_are_cut[index_of(cluster, node)][cluster_draw(cluster, CLUSTER_LINKS)] =
	        true;
}

static void cut_beats_one_way(struct cluster *cluster, struct node *node)
{
	for (unsigned link = 0; link < CLUSTER_LINKS; link++)
		cluster->beats_are_cut[index_of(cluster, node)][link] = true;
}

static void cut_arbiter(struct cluster *cluster, struct node *node)
{
	(void)cluster;
	node->arbiter_is_cut = true;
}

static void exchange_qemu(struct cluster *cluster, struct node *node)
{
	(void)cluster;
	node->is_misfit = true;
}

static void doubt_qemu(struct cluster *cluster, struct node *node)
{
	(void)cluster;
	node->is_unjudged = true;
}

static void break_sessions(struct cluster *cluster, struct node *node)
{
	(void)node;
	sessions_break(cluster);
}

static void restart_standby(struct cluster *cluster, struct node *node)
{
	kill_standby(cluster, node);
	cluster_start_standby(cluster, index_of(cluster, node));
}

static void restart_controller(struct cluster *cluster, struct node *node)
{
	kill_controller(cluster, node);
	cluster_start_controller(cluster, index_of(cluster, node));
}

static void restart_program(struct cluster *cluster, struct node *node)
{
	kill_programs(cluster, node);
	cluster_start_program(cluster, index_of(cluster, node));
}

static void hang_up(struct cluster *cluster, struct node *node)
{
	for (unsigned i = 0; i < CLUSTER_PROCESSES; i++) {
		if (cluster_runs(cluster_process(node, i)))
			planes_hang_up(cluster, cluster_process(node, i));
	}
}

struct fault {
	const char *name;
	void (*strike)(struct cluster *cluster, struct node *node);
};

static const struct fault faults[] = {
        {"its processes die", kill_node},
        {"power off", power_off},
        {"its programs die", kill_programs},
        {"its standby dies", kill_standby},
        {"its controller dies", kill_controller},
        {"all of it stops", stop_node},
        {"its controller stops", stop_controller},
        {"its heartbeats' thread does not run", deafen},
        {"its programs stop", stop_programs},
        {"its standby stops", stop_standby},
        {"data cut", cut_data},
        {"what it sends as data is lost", cut_data_one_way},
        {"data and heartbeats cut", cut_all},
        {"one of its heartbeat links loses", cut_link},
        {"its heartbeats are lost", cut_beats_one_way},
        {"its arbiter cut", cut_arbiter},
        {"it has not what the program needs", exchange_qemu},
        {"it does not know whether it has what the program needs", doubt_qemu},
};

/* While a decision is under way, what hurts most is what changes its grounds. */
static const struct fault aimed[] = {
        {"sessions reset", break_sessions},
        {"its standby restarts", restart_standby},
        {"its controller restarts", restart_controller},
        {"its program restarts", restart_program},
        {"its data planes attach anew", hang_up},
        {"its arbiter cut", cut_arbiter},
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* While a program leaves, what the other node may hear of before the record that says so ... */
static const struct fault partings[] = {
        {"its programs die", kill_programs},
        {"its program restarts", restart_program},
        {"data and heartbeats cut", cut_all},
};
/* ... and what lets it hear of nothing, while this node forgets who leads. */
static const struct fault silences[] = {
        {"its heartbeats are lost", cut_beats_one_way},
        {"its data planes attach anew", hang_up},
};

static void inject_at(struct cluster *cluster, struct node *node, const struct fault *fault)
{
	cluster_trace(cluster, TRACE_WORLD, "FAULT %s: %s\n", node->name, fault->name);
	cluster->fault_count++;
	fault->strike(cluster, node);
}

static void inject(struct cluster *cluster, const struct fault *fault)
{
	inject_at(cluster, pick(cluster), fault);
}

static bool is_deciding(const struct cluster *cluster)
{
	for (unsigned node = 0; node < 2; node++) {
		const struct node *where = &cluster->nodes[node];
		const struct tandem_machine *machine = &where->machine;
		if (where->controller_is_alive &&
		    (machine->view.cas_request != 0 || machine->view.in_doubt ||
		     machine->state == TANDEM_STATE_GATED ||
		     machine->state == TANDEM_STATE_HALTED || machine->state == TANDEM_STATE_INIT ||
		     machine->state == TANDEM_STATE_TAKING_OVER))
			return true;
	}
	return false;
}

/* ---- what ends ---- */

static void resume(struct cluster *cluster, unsigned node)
{
	cluster_stop_node(cluster, node, false);
	cluster_deafen(cluster, node, false);
	cluster->nodes[node].arbiter_is_cut = false;
	cluster->nodes[node].is_misfit = cluster->nodes[node].is_unjudged = false;
	cluster_start_controller(cluster, node);
	cluster_start_standby(cluster, node);
}

static void mend_links(struct cluster *cluster)
{
	cluster_cut_data(cluster, false);
	cluster_cut_beats(cluster, false);
}

static bool has_program(struct node *node)
{
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		if (node->programs[i].process.is_alive)
			return true;
	}
	return false;
}

static void heal(struct cluster *cluster)
{
	struct node *node = pick(cluster);
	switch (cluster_draw(cluster, 3)) {
	case 0:
		cluster_trace(cluster, TRACE_WORLD, "the links are mended\n");
		mend_links(cluster);
		break;
	case 1:
		cluster_trace(cluster, TRACE_WORLD, "%s resumes\n", node->name);
		resume(cluster, index_of(cluster, node));
		break;
	default:
		if (!has_program(node))
			cluster_start_program(cluster, index_of(cluster, node));
		break;
	}
}

/* ---- the operator ---- */

static void say(struct cluster *cluster, struct node *node, enum tandem_event_type word,
                uint64_t generation)
{
	cluster_trace(cluster, TRACE_WORLD, "OPERATOR at %s: %s\n", node->name,
	              tandem_event_name(word));
	cluster->word_count++;
	cluster_say(cluster, index_of(cluster, node), word, generation);
}

/* What a node said before its records were removed is not said any more. */
static void forget_record(struct cluster *cluster, unsigned node)
{
	cluster->nodes[node].record = (struct tandem_record){.generation = 0};
	for (size_t i = 0; i < cluster->due_count; i++) {
		struct item *item = &cluster->items[cluster->due[i].index];
		if (item->node == node)
			continue;
		if (item->type == ITEM_HEARTBEAT)
			item->of.heartbeat.statement.record.generation = 0;
		if (item->type == ITEM_ADOPT)
			item->of.question.desired.generation = 0;
	}
}

/* With registers of each node's own a word is a promise: the other one is switched off first. Where
 * the word goes beyond what this node has seen, what the other one wrote is removed. */
static void keep_promise(struct cluster *cluster, const struct node *node, bool is_blind)
{
	unsigned other = 1 - index_of(cluster, node);
	bool is_heard = node->controller_is_alive && !node->controller_is_stopped;
	if (!arbiter_registers_are_own(cluster) || !is_heard)
		return;
	cluster_power_off(cluster, other);
	if (!is_blind || node->machine.led_generation != 0)
		return;
	forget_record(cluster, other);
	judge_force(cluster, node->record.generation);
}

static void promote(struct cluster *cluster, struct node *node)
{
	bool is_first = node->machine.view.record.generation == 0;
	if (!is_first || node->machine.state == TANDEM_STATE_JOINING)
		keep_promise(cluster, node, is_first);
	say(cluster, node, TANDEM_EVENT_PROMOTE, node->machine.view.record.generation);
}

static void acknowledge(struct cluster *cluster, struct node *node)
{
	keep_promise(cluster, node, false);
	say(cluster, node, TANDEM_EVENT_FENCE_ACK, 0);
}

static void allow_resync(struct cluster *cluster, struct node *node)
{
	say(cluster, node, TANDEM_EVENT_RESYNC, 0);
}

static void force(struct cluster *cluster, struct node *node)
{
	const struct tandem_machine *machine = &node->machine;
	const struct tandem_rules *rules = tandem_table[machine->state][TANDEM_EVENT_FORCE];
	bool is_obeyed = false;
	for (size_t i = 0; i + 1 < rules->count; i++)
		is_obeyed = is_obeyed || rules->list[i].guard(machine, cluster->now_ns);
	if (is_obeyed)
		keep_promise(cluster, node, true);
	say(cluster, node, TANDEM_EVENT_FORCE, 0);
}

/* What is to be protected has one who does at a time. */
static void protect(struct cluster *cluster, struct node *node)
{
	if (!has_program(node) || node->machine.program.connection != 0)
		say(cluster, node, TANDEM_EVENT_PROTECT, 0);
}

/* What the node's status asks for. */
static void heed(struct cluster *cluster, struct node *node)
{
	static const struct {
		const char *command;
		void (*act)(struct cluster *cluster, struct node *node);
	} answers[] = {{"promote", promote},
	               {"fence-ack", acknowledge},
	               {"force-primary", force},
	               {"resync", allow_resync}};
	const char *wanted = tandem_machine_unblock(&node->machine, cluster->now_ns);
	for (size_t i = 0; i < COUNT(answers); i++) {
		if (node->controller_is_alive && strcmp(wanted, answers[i].command) == 0)
			answers[i].act(cluster, node);
	}
}

static void say_anything(struct cluster *cluster, struct node *node)
{
	static const enum tandem_event_type words[] = {
	        TANDEM_EVENT_FORCE,          TANDEM_EVENT_PROMOTE,    TANDEM_EVENT_YANK,
	        TANDEM_EVENT_SWITCHOVER,     TANDEM_EVENT_RESYNC,     TANDEM_EVENT_FENCE_ACK,
	        TANDEM_EVENT_MAINTENANCE_ON, TANDEM_EVENT_SWITCHOVER, TANDEM_EVENT_PROTECT,
	        TANDEM_EVENT_UNPROTECT,      TANDEM_EVENT_UNPROTECT};
	enum tandem_event_type word = words[cluster_draw(cluster, COUNT(words))];
	if (word == TANDEM_EVENT_FORCE)
		force(cluster, node);
	else if (word == TANDEM_EVENT_PROMOTE)
		promote(cluster, node);
	else if (word == TANDEM_EVENT_FENCE_ACK)
		acknowledge(cluster, node);
	else if (word == TANDEM_EVENT_PROTECT)
		protect(cluster, node);
	else
		say(cluster, node, word, 0);
	/* Of another generation, it is refused. */
	if (word == TANDEM_EVENT_PROMOTE)
		say(cluster, node, word, node->machine.view.record.generation + 1);
	if (cluster_draw(cluster, 4) == 0)
		say(cluster, node, TANDEM_EVENT_MAINTENANCE_OFF, 0);
}

/* The operator is impatient: while the other node asks the register, and about a program that does
 * not end. */
static bool is_tempting(const struct cluster *cluster, const struct node *node)
{
	const struct node *other = &cluster->nodes[1 - index_of(cluster, node)];
	return (other->controller_is_alive && other->machine.view.cas_request != 0) ||
	       (node->controller_is_alive && node->machine.state == TANDEM_STATE_HALTED);
}

static void speak(struct cluster *cluster)
{
	struct node *node = pick(cluster);
	uint64_t mood = cluster_draw(cluster, 4);
	if (mood == 0)
		heed(cluster, node);
	else if (mood == 1 && is_tempting(cluster, node))
		force(cluster, node);
	else
		say_anything(cluster, node);
}

void nemesis_run(struct cluster *cluster, uint64_t duration_ns)
{
	uint64_t end_ns = cluster->now_ns + duration_ns;
	while (cluster->now_ns < end_ns && cluster->violation[0] == 0) {
		cluster_run(cluster, AIM_NS);
		if (!is_deciding(cluster) || cluster_draw(cluster, 20) != 0)
			continue;
		if (cluster_happens(cluster, cluster->chaos.words))
			speak(cluster);
		else if (cluster_draw(cluster, 2) == 0)
			inject(cluster, &aimed[cluster_draw(cluster, COUNT(aimed))]);
		else
			inject(cluster, &faults[cluster_draw(cluster, COUNT(faults))]);
	}
}

/* ---- a schedule ---- */

enum tandem_arbiter_type nemesis_draw_arbiter(uint64_t seed)
{
	static const enum tandem_arbiter_type types[] = {
	        TANDEM_ARBITER_FILE,  TANDEM_ARBITER_FILE,   TANDEM_ARBITER_ETCD,
	        TANDEM_ARBITER_FENCE, TANDEM_ARBITER_MANUAL, TANDEM_ARBITER_EXTERNAL};
	return types[tandem_random_next(&seed) % COUNT(types)];
}

static void draw_settings(struct cluster *cluster)
{
	struct tandem_controller_pair pair = cluster->nodes[0].config.pair;
	pair.solo_after_ns = (50 + cluster_draw(cluster, 400)) * MS;
	pair.arbiter_poll_ns = (100 + cluster_draw(cluster, 500)) * MS;
	pair.fence_timeout_ns = (50 + cluster_draw(cluster, 1500)) * MS;
	pair.activate_timeout_ns = (50 + cluster_draw(cluster, 1500)) * MS;
	pair.fence_delay_ns = cluster_draw(cluster, 500) * MS;
	pair.arbiter_timeout_ns = (200 + cluster_draw(cluster, 800)) * MS;
	pair.is_strict = cluster_draw(cluster, 6) == 0;
	pair.rejoin = cluster_draw(cluster, 4) == 0 ? TANDEM_REJOIN_MANUAL : pair.rejoin;
	if (cluster_draw(cluster, 4) == 0) {
		pair.damper_take_over_count = 1;
		pair.damper_window_ns = 2000 * MS;
	}
	for (unsigned node = 0; node < 2; node++) {
		memcpy(pair.peer_node, cluster->nodes[node].config.pair.peer_node,
		       sizeof(pair.peer_node));
		cluster->nodes[node].config.pair = pair;
	}
}

void nemesis_init(struct cluster *cluster)
{
	draw_settings(cluster);
	cluster->chaos = (struct chaos){
	        .loss = (unsigned)cluster_draw(cluster, 200),
	        .duplicate = (unsigned)cluster_draw(cluster, 100),
	        .doubt = (unsigned)cluster_draw(cluster, 300),
	        .fail = (unsigned)cluster_draw(cluster, 100),
	        .hang = (unsigned)cluster_draw(cluster, 300),
	        .order_failure = cluster_draw(cluster, 4) == 0 ? 200 : 0,
	        .spike = cluster_draw(cluster, 2) == 0 ? 5 : 0,
	        .repeat = cluster_draw(cluster, 2) == 0 ? 200 : 0,
	        .slow = cluster_draw(cluster, 2) == 0 ? 800 : 50,
	        .late = cluster_draw(cluster, 2) == 0 ? 300 : 5,
	        .words = cluster_draw(cluster, 4) == 0 ? 500 : 100,
	        .delay_max_ns = (1 + cluster_draw(cluster, 30)) * MS,
	};
}

void nemesis_end(struct cluster *cluster)
{
	cluster_trace(cluster, TRACE_WORLD, "all is healed\n");
	cluster->chaos = (struct chaos){.loss = 0};
	mend_links(cluster);
	for (unsigned node = 0; node < 2; node++) {
		resume(cluster, node);
		if (cluster->nodes[node].machine.state == TANDEM_STATE_MAINTENANCE)
			say(cluster, &cluster->nodes[node], TANDEM_EVENT_MAINTENANCE_OFF, 0);
	}
}

/* ---- after it ---- */

static bool is_one_pair(const struct cluster *cluster)
{
	enum tandem_state one = cluster->nodes[0].machine.state;
	enum tandem_state other = cluster->nodes[1].machine.state;
	return cluster->now_ns < cluster->publish_ns + LOOK_NS &&
	       ((one == TANDEM_STATE_PRIMARY_PAIR && other == TANDEM_STATE_SECONDARY) ||
	        (one == TANDEM_STATE_SECONDARY && other == TANDEM_STATE_PRIMARY_PAIR));
}

static const struct tandem_record *newest_record(const struct cluster *cluster)
{
	const struct tandem_record *one = cluster_record(cluster, 0);
	const struct tandem_record *other = cluster_record(cluster, 1);
	return tandem_record_is_newer(one, other) ? one : other;
}

static bool may_lead(struct node *node, const struct tandem_record *record)
{
	const struct standby *standby = &node->standby;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		const struct program *program = &node->programs[i];
		if (program->process.is_alive && !program->is_halted &&
		    program->process.incarnation == record->owner_incarnation)
			return true;
	}
	if (!standby->process.is_alive)
		return false;
	/* The copy that the record names, or that its take-over was won with and is not started. */
	if (record->is_pair)
		return standby->process.incarnation == record->copy_incarnation;
	return standby->has_copy &&
	       tandem_record_heir(standby->process.incarnation, record->decision) ==
	               record->owner_incarnation;
}

/* The owner is gone, and there was no copy or it is gone too. */
static bool is_stuck_for_good(struct cluster *cluster)
{
	const struct tandem_record *record = newest_record(cluster);
	return record->generation == 0 ||
	       (!may_lead(&cluster->nodes[0], record) && !may_lead(&cluster->nodes[1], record));
}

/* Nobody answers: the operator does what one of the nodes says. */
static void obey(struct cluster *cluster, const char *wanted,
                 void (*act)(struct cluster *cluster, struct node *node))
{
	for (unsigned i = 0; i < 2; i++) {
		struct node *node = &cluster->nodes[i];
		const char *command = tandem_machine_unblock(&node->machine, cluster->now_ns);
		if (!node->controller_is_alive || strcmp(command, wanted) != 0)
			continue;
		act(cluster, node);
		resume(cluster, 1 - i);
		return;
	}
}

/* Loss of data is accepted only where nobody is left who may lead. */
static void step_in(struct cluster *cluster)
{
	bool is_stuck = is_stuck_for_good(cluster);
	for (unsigned node = 0; is_stuck && node < 2; node++) {
		if (!has_program(&cluster->nodes[node]))
			cluster_start_program(cluster, node);
	}
	obey(cluster, "promote", promote);
	obey(cluster, "fence-ack", acknowledge);
	if (is_stuck)
		obey(cluster, "force-primary", force);
}

/* Nobody is left who may lead, and the operator does not wait for all to be healed. */
static void despair(struct cluster *cluster)
{
	if (cluster->now_ns >= cluster->publish_ns + 1000 * MS && is_stuck_for_good(cluster))
		step_in(cluster);
}

/* Under load, whoever leads. */
static void hand_over(struct cluster *cluster)
{
	for (unsigned i = 0; i < 2; i++) {
		if (cluster->nodes[i].machine.state == TANDEM_STATE_PRIMARY_PAIR)
			say(cluster, &cluster->nodes[i], TANDEM_EVENT_SWITCHOVER, 0);
	}
}

static bool asks_to_leave(const struct node *node)
{
	return node->machine.view.cas_request != 0 &&
	       node->machine.view.cas_kind == TANDEM_CAS_LEAVE;
}

/* Where each node keeps records of its own, a program that leaves and ends before its own node has
 * written that it did is taken over for in the same generation. So the writing takes its time, and
 * the other node has some, too. */
static void leave_in_trouble(struct cluster *cluster, struct node *node)
{
	bool is_unheard = cluster_draw(cluster, 4) == 0;
	node->arbiter_ns = cluster->now_ns + STALL_NS / 4 + cluster_draw(cluster, STALL_NS);
	say(cluster, node, TANDEM_EVENT_UNPROTECT, 0);
	for (unsigned i = 0; i < LEAVE_LOOKS && !asks_to_leave(node); i++)
		cluster_run(cluster, AIM_NS);
	if (!is_unheard)
		inject_at(cluster, node, &partings[cluster_draw(cluster, COUNT(partings))]);
	for (size_t i = 0; is_unheard && i < COUNT(silences); i++)
		inject_at(cluster, node, &silences[i]);
	if (arbiter_registers_are_own(cluster))
		cluster_run(cluster, cluster_draw(cluster, STALL_NS));
	if (is_unheard)
		heed(cluster, node);
}

/* Only a pair that both nodes know can be left. */
static struct node *await_pair(struct cluster *cluster)
{
	mend_links(cluster);
	resume(cluster, 0);
	resume(cluster, 1);
	for (unsigned look = 0; look < LEAVE_LOOKS && cluster->violation[0] == 0; look++) {
		for (unsigned i = 0; i < 2; i++) {
			if (cluster->nodes[i].machine.state == TANDEM_STATE_PRIMARY_PAIR &&
			    cluster->nodes[1 - i].machine.state == TANDEM_STATE_SECONDARY)
				return &cluster->nodes[i];
		}
		cluster_run(cluster, LOOK_NS / 2);
	}
	return NULL;
}

static void leave(struct cluster *cluster)
{
	struct node *node = await_pair(cluster);
	if (node)
		leave_in_trouble(cluster, node);
}

/* A take-over is won and starts nothing, for its node has not what the program needs by now. The
 * operator has the other one lead, of which that node hears nothing but what the register says. */
static void win_in_vain(struct cluster *cluster)
{
	struct node *node = await_pair(cluster);
	if (!node)
		return;
	struct node *winner = &cluster->nodes[1 - index_of(cluster, node)];
	inject_at(cluster, node, &(struct fault){"power off", power_off});
	for (unsigned i = 0; i < VAIN_LOOKS && winner->machine.state != TANDEM_STATE_TAKING_OVER;
	     i++)
		cluster_run(cluster, MS);
	inject_at(cluster, winner, &(struct fault){"it has not what is needed", exchange_qemu});
	cluster_cut_beats(cluster, true);
	cluster_run(cluster, LOOK_NS);
	resume(cluster, index_of(cluster, node));
	cluster_run(cluster, STALL_NS);
	force(cluster, node);
	cluster_start_program(cluster, index_of(cluster, node));
}

void nemesis_strike(struct cluster *cluster)
{
	uint64_t kind = cluster_draw(cluster, 22);
	if (kind < 6)
		inject(cluster, &faults[cluster_draw(cluster, COUNT(faults))]);
	else if (kind < 15)
		heal(cluster);
	else if (kind < 16)
		despair(cluster);
	else if (kind < 18)
		hand_over(cluster);
	else if (kind < 19)
		leave(cluster);
	else if (kind < 20)
		win_in_vain(cluster);
	else if (cluster_happens(cluster, 2 * cluster->chaos.words))
		speak(cluster);
}

static void complain(struct cluster *cluster)
{
	const struct tandem_machine *one = &cluster->nodes[0].machine;
	const struct tandem_machine *other = &cluster->nodes[1].machine;
	cluster_fail(cluster,
	             "all is healed and there is no pair: a is %s and waits for '%s', "
	             "b is %s and waits for '%s'",
	             tandem_state_name(one->state),
	             tandem_machine_waiting_for(one, cluster->now_ns),
	             tandem_state_name(other->state),
	             tandem_machine_waiting_for(other, cluster->now_ns));
}

/* What was switched off is switched on again. */
static void look_after(struct cluster *cluster)
{
	resume(cluster, 0);
	resume(cluster, 1);
	obey(cluster, "resync", allow_resync);
}

void nemesis_settle(struct cluster *cluster)
{
	unsigned quiet_count = 0, silent_count = 0;
	for (unsigned look = 0; look < SETTLE_MAX && cluster->violation[0] == 0; look++) {
		cluster_run(cluster, LOOK_NS);
		quiet_count = is_one_pair(cluster) ? quiet_count + 1 : 0;
		if (quiet_count == QUIET)
			return;
		if (look % PATIENCE == 0)
			look_after(cluster);
		bool is_answered = cluster->now_ns < cluster->publish_ns + LOOK_NS;
		silent_count = is_answered ? 0 : silent_count + 1;
		if (silent_count >= PATIENCE && silent_count % PATIENCE == 0)
			step_in(cluster);
	}
	if (cluster->violation[0] == 0)
		complain(cluster);
}
