#include "cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/random.h>

/* Seeded schedules of faults. While they run: nothing published is ever contradicted, and who leads
 * alone is named by the register. When all is healed: who may lead does.
 * Usage: failover_schedules [SCHEDULES [SEED]]; SCHEDULES 1 with a seed prints the trace. */

#define MS          TANDEM_NS_PER_MS
#define FAULTS_MAX  30
#define SCHEDULES   2000
#define SETTLE_NS   (6000 * MS)
#define FAULT_KINDS 14

struct totals {
	unsigned take_over_count, pair_count, solo_count, stuck_count;
	unsigned long publish_count;
};

static void inject(struct cluster *cluster)
{
	unsigned node = (unsigned)cluster_draw(cluster, 2);
	struct node *where = &cluster->nodes[node];
	switch (cluster_draw(cluster, FAULT_KINDS)) {
	case 0:
		cluster_kill_node(cluster, node);
		break;
	case 1:
		cluster_kill_programs(cluster, node);
		break;
	case 2:
		cluster_kill_standby(cluster, node);
		break;
	case 3:
		cluster_kill_controller(cluster, node);
		break;
	case 4:
	case 5:
		cluster_stop_node(cluster, node, true);
		break;
	case 6:
		where->controller_is_stopped = where->controller_is_alive;
		break;
	case 7:
		for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++)
			where->programs[i].process.is_stopped = true;
		break;
	case 8:
		where->standby.process.is_stopped = true;
		break;
	case 9:
		cluster_cut_data(cluster, true);
		break;
	case 10:
		cluster_cut_data(cluster, true);
		cluster_cut_beats(cluster, true);
		break;
	case 11:
		cluster->beats_are_cut[node][cluster_draw(cluster, CLUSTER_LINKS)] = true;
		break;
	case 12:
		for (unsigned link = 0; link < CLUSTER_LINKS; link++)
			cluster->beats_are_cut[node][link] = true;
		break;
	default:
		where->arbiter_is_cut = true;
		break;
	}
}

/* While a decision is under way, what hurts most is what changes its grounds. */
static void aim(struct cluster *cluster)
{
	unsigned node = (unsigned)cluster_draw(cluster, 2);
	switch (cluster_draw(cluster, 6)) {
	case 0:
		planes_break_sessions(cluster);
		break;
	case 1:
		cluster_kill_standby(cluster, node);
		cluster_start_standby(cluster, node);
		break;
	case 2:
		cluster_kill_controller(cluster, node);
		cluster_start_controller(cluster, node);
		break;
	case 3:
		planes_break_sessions(cluster);
		cluster_kill_controller(cluster, node);
		cluster_start_controller(cluster, node);
		break;
	case 4:
		cluster_kill_programs(cluster, node);
		cluster_start_program(cluster, node);
		break;
	default:
		inject(cluster);
		break;
	}
}

static bool is_deciding(const struct cluster *cluster)
{
	for (unsigned node = 0; node < 2; node++) {
		const struct node *where = &cluster->nodes[node];
		if (where->controller_is_alive &&
		    (where->machine.view.cas_request != 0 || where->machine.view.in_doubt ||
		     where->machine.state == TANDEM_STATE_GATED ||
		     where->machine.state == TANDEM_STATE_TAKING_OVER))
			return true;
	}
	return false;
}

static void run_aiming(struct cluster *cluster, uint64_t duration_ns)
{
	uint64_t end_ns = cluster->now_ns + duration_ns;
	while (cluster->now_ns < end_ns && cluster->violation[0] == 0) {
		cluster_run(cluster, 5 * MS);
		if (is_deciding(cluster) && cluster_draw(cluster, 20) == 0)
			aim(cluster);
	}
}

static void resume(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	cluster_stop_node(cluster, node, false);
	where->arbiter_is_cut = false;
	cluster_start_controller(cluster, node);
	cluster_start_standby(cluster, node);
}

static bool has_program(const struct node *node)
{
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		if (node->programs[i].process.is_alive)
			return true;
	}
	return false;
}

static void heal(struct cluster *cluster)
{
	switch (cluster_draw(cluster, 4)) {
	case 0:
		cluster_cut_data(cluster, false);
		cluster_cut_beats(cluster, false);
		break;
	case 1:
		resume(cluster, 0);
		break;
	case 2:
		resume(cluster, 1);
		break;
	default:
		/* An operator who starts the server wherever none runs. */
		for (unsigned node = 0; node < 2; node++) {
			if (!has_program(&cluster->nodes[node]) && cluster_draw(cluster, 2) == 0)
				cluster_start_program(cluster, node);
		}
		break;
	}
}

static const struct program *find_owner(const struct cluster *cluster)
{
	for (unsigned node = 0; node < 2; node++) {
		for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
			const struct program *program = &cluster->nodes[node].programs[i];
			if (program->process.is_alive && !program->is_halted &&
			    program->process.incarnation == cluster->record.owner_incarnation)
				return program;
		}
	}
	return NULL;
}

/* The copy that the register names, or that its take-over was won with and has not started yet. */
static bool holds_copy(const struct cluster *cluster, const struct standby *standby)
{
	const struct tandem_record *record = &cluster->record;
	if (record->is_pair)
		return standby->process.incarnation == record->copy_incarnation;
	return standby->has_copy &&
	       tandem_record_heir(standby->process.incarnation, record->decision) ==
	               record->owner_incarnation;
}

/* Nobody is left who may lead: the owner is gone, and there was no copy or it is gone too. */
static bool is_stuck_for_good(const struct cluster *cluster)
{
	bool has_copy = false;
	for (unsigned node = 0; node < 2; node++)
		has_copy |= holds_copy(cluster, &cluster->nodes[node].standby);
	return cluster->record.generation == 0 || (!find_owner(cluster) && !has_copy);
}

static void check_settled(struct cluster *cluster, struct totals *totals)
{
	if (is_stuck_for_good(cluster)) {
		totals->stuck_count++;
		return;
	}
	if (cluster->now_ns > cluster->publish_ns + 1000 * MS)
		cluster_fail(cluster, "all is healed and nobody answers: a is %s, b is %s",
		             tandem_state_name(cluster->nodes[0].machine.state),
		             tandem_state_name(cluster->nodes[1].machine.state));
	else if (!cluster->record.is_pair)
		cluster_fail(cluster, "all is healed and there is no pair: a is %s, b is %s",
		             tandem_state_name(cluster->nodes[0].machine.state),
		             tandem_state_name(cluster->nodes[1].machine.state));
}

static void set_chaos(struct cluster *cluster)
{
	cluster->chaos = (struct chaos){
	        .loss = (unsigned)cluster_draw(cluster, 200),
	        .duplicate = (unsigned)cluster_draw(cluster, 100),
	        .doubt = (unsigned)cluster_draw(cluster, 300),
	        .fail = (unsigned)cluster_draw(cluster, 100),
	        .hang = (unsigned)cluster_draw(cluster, 300),
	        .delay_max_ns = (1 + cluster_draw(cluster, 30)) * MS,
	};
}

static bool run_schedule(struct cluster *cluster, uint64_t seed, struct totals *totals)
{
	cluster_init(cluster, seed, TANDEM_ARBITER_FILE);
	set_chaos(cluster);
	cluster_start(cluster);
	cluster_run(cluster, 300 * MS + cluster_draw(cluster, 1000 * MS));
	uint64_t fault_count = 1 + cluster_draw(cluster, FAULTS_MAX);
	for (uint64_t i = 0; i < fault_count && cluster->violation[0] == 0; i++) {
		if (cluster_draw(cluster, 3) == 0)
			inject(cluster);
		else
			heal(cluster);
		run_aiming(cluster, cluster_draw(cluster, 500 * MS));
	}
	cluster->chaos = (struct chaos){0};
	cluster_cut_data(cluster, false);
	cluster_cut_beats(cluster, false);
	resume(cluster, 0);
	resume(cluster, 1);
	cluster_run(cluster, SETTLE_NS);
	if (cluster->violation[0] == 0)
		check_settled(cluster, totals);
	totals->take_over_count += cluster->take_over_count;
	totals->pair_count += cluster->pair_count;
	totals->solo_count += cluster->solo_count;
	totals->publish_count += cluster->publish_count;
	return cluster->violation[0] == 0;
}

int main(int argument_count, char **arguments)
{
	static struct cluster cluster;
	struct totals totals = {0};
	unsigned long count = argument_count > 1 ? strtoul(arguments[1], NULL, 0) : SCHEDULES;
	uint64_t seed =
	        argument_count > 2 ? strtoull(arguments[2], NULL, 0) : tandem_random_unique();
	uint64_t state = seed;
	printf("%lu schedules, first seed 0x%" PRIx64 "\n", count, seed);
	for (unsigned long i = 0; i < count; i++) {
		uint64_t each = i == 0 ? seed : tandem_random_next(&state);
		bool is_well = run_schedule(&cluster, each, &totals);
		if (!is_well || count == 1)
			printf("%s", cluster.trace);
		if (!is_well) {
			printf("seed 0x%" PRIx64 ": %s\nreplay: failover_schedules 1 0x%" PRIx64
			       "\n",
			       each, cluster.violation, each);
			return EXIT_FAILURE;
		}
	}
	printf("%u take-overs, %u pairings, %u times SOLO, %lu epochs published; %u ended with "
	       "nobody left who may lead\n",
	       totals.take_over_count, totals.pair_count, totals.solo_count, totals.publish_count,
	       totals.stuck_count);
	bool is_covered = count < 100 || (totals.take_over_count > count / 10 &&
	                                  totals.pair_count > count / 2 && totals.solo_count > 0);
	return is_covered ? EXIT_SUCCESS : EXIT_FAILURE;
}
