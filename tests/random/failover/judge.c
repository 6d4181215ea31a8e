#include "cluster.h"

#include <inttypes.h>
#include <string.h>

/* What may never be seen, whatever fails. */

static bool is_disowned(const struct cluster *cluster, const struct program *program)
{
	return program->led_generation < cluster->anew_generation;
}

/* The operator accepted that data is lost: what counts is what is published from now on. */
static void rebase(struct cluster *cluster, uint32_t memory)
{
	uint32_t depth = cluster->depths[memory];
	for (uint32_t i = 1; i <= cluster->depth_top; i++)
		cluster->published[i] = 0;
	for (uint32_t at = memory; at != 0; at = cluster->parents[at])
		cluster->published[cluster->depths[at]] = at;
	cluster->depth_top = depth;
	cluster->is_rebasing = false;
}

void judge_force(struct cluster *cluster, uint64_t generation)
{
	cluster->force_count++;
	cluster->anew_generation = generation;
	cluster->is_rebasing = true;
	cluster->has_left = false;
	cluster->publisher_generation = 0;
	if (!arbiter_registers_are_own(cluster))
		return;
	for (uint64_t i = generation; i < CLUSTER_GENERATIONS_MAX; i++)
		cluster->releasers[i] = 0;
}

/* A copy that has ended never leads again (R5). */
static bool copy_lives(const struct cluster *cluster, const struct tandem_record *record)
{
	bool lives = false;
	for (unsigned node = 0; node < 2; node++) {
		const struct process *standby = &cluster->nodes[node].standby.process;
		lives |= standby->is_alive && standby->incarnation == record->copy_incarnation;
	}
	return lives;
}

/* Another one than the program of the record has led since it was the last to do so. */
static bool was_succeeded(const struct cluster *cluster, const struct tandem_record *record)
{
	return cluster->publisher_generation >= record->generation &&
	       cluster->publisher != record->owner_incarnation;
}

/* The next program of the node that led last: what was published is gone with the last one. What a
 * program that led before was allowed to publish, and was stopped meanwhile, counts no more. */
static bool begins_anew(const struct cluster *cluster, const struct question *question)
{
	const struct tandem_record *from = &question->expected, *to = &question->desired;
	return !question->is_forced && from->generation > 0 && !to->is_pair && !to->is_left &&
	       strcmp(from->owner, to->owner) == 0 &&
	       from->owner_incarnation != to->owner_incarnation &&
	       !(from->is_pair && copy_lives(cluster, from)) && !was_succeeded(cluster, from);
}

/* [C35] A node that was told that it could start nothing, or may not be able to, lets the other one
 * go on. */
void judge_question(struct cluster *cluster, unsigned node)
{
	const struct node *where = &cluster->nodes[node];
	if (where->machine.view.cas_kind == TANDEM_CAS_TAKE_OVER && where->is_told_unfit)
		cluster_fail(cluster, "node %s asks to take over and could start nothing",
		             where->name);
}

void judge_record(struct cluster *cluster, const struct question *question)
{
	if (!begins_anew(cluster, question))
		return;
	cluster->anew_generation = question->desired.generation;
	cluster->is_rebasing = true;
	cluster->has_left = false;
}

void judge_release(struct cluster *cluster, const struct program *program)
{
	cluster->has_left = cluster->has_left || !is_disowned(cluster, program);
}

static void judge_releaser(struct cluster *cluster, const struct program *program)
{
	uint64_t *releaser = &cluster->releasers[program->led_generation % CLUSTER_GENERATIONS_MAX];
	if (*releaser != 0 && *releaser != program->process.incarnation)
		cluster_fail(cluster, "two programs released output in generation %" PRIu64,
		             program->led_generation);
	*releaser = program->process.incarnation;
}

/* What was published for an epoch number is published for ever: anything else is a lost
 * acknowledgement or a second leader. */
void judge_publish(struct cluster *cluster, const struct program *program, uint32_t memory)
{
	if (is_disowned(cluster, program))
		return;
	cluster->publish_count++;
	cluster->publish_ns = cluster->now_ns;
	cluster->publisher = program->process.incarnation;
	cluster->publisher_generation = program->led_generation;
	judge_releaser(cluster, program);
	if (cluster->is_rebasing)
		rebase(cluster, memory);
	uint32_t depth = cluster->depths[memory];
	for (uint32_t at = memory; at != 0; at = cluster->parents[at]) {
		uint32_t *published = &cluster->published[cluster->depths[at]];
		if (*published == at)
			break;
		if (*published != 0) {
			cluster_fail(cluster,
			             "node %s published epoch %u anew: %u, it was %u before",
			             cluster->nodes[program->process.node].name,
			             cluster->depths[at], at, *published);
			return;
		}
		*published = at;
	}
	cluster->depth_top = depth > cluster->depth_top ? depth : cluster->depth_top;
}

void judge_promotion(struct cluster *cluster, const struct standby *standby)
{
	const struct node *where = &cluster->nodes[standby->process.node];
	if (!standby->has_copy || standby->is_torn)
		cluster_fail(cluster, "node %s promotes a standby that holds no full copy",
		             where->name);
	if (cluster->has_left && !cluster->is_rebasing)
		cluster_fail(cluster, "node %s promotes the copy of a program that has left",
		             where->name);
	/* A program may start for a record that the operator's word has just replaced; that it does
	 * not lead is seen by judge_open(). */
	if (cluster->is_rebasing || cluster_record(cluster, standby->process.node)->decision !=
	                                    where->machine.take_over.decision)
		return;
	uint32_t at = standby->copy;
	while (cluster->depths[at] > cluster->depth_top)
		at = cluster->parents[at];
	if (cluster->depths[at] < cluster->depth_top ||
	    cluster->published[cluster->depth_top] != at)
		cluster_fail(cluster, "node %s promotes a copy of epoch %u, published was %u",
		             where->name, cluster->depths[standby->copy], cluster->depth_top);
}

/* A program that answers without asking a copy is the one that the register names, alone, and knows
 * all that was ever answered. */
static void judge_open(struct cluster *cluster, const struct program *program)
{
	const struct tandem_record *record = cluster_record(cluster, program->process.node);
	if (record->is_pair || record->owner_incarnation != program->process.incarnation)
		cluster_fail(cluster, "a program leads alone that the register does not name");
	if (!cluster->is_rebasing && cluster->depths[program->memory] < cluster->depth_top)
		cluster_fail(cluster, "a program leads alone at epoch %u, published was %u",
		             cluster->depths[program->memory], cluster->depth_top);
}

void judge_step(struct cluster *cluster)
{
	const struct program *open = NULL;
	for (unsigned node = 0; node < 2; node++) {
		for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
			const struct program *program = &cluster->nodes[node].programs[i];
			if (!program_leads_openly(program) || is_disowned(cluster, program))
				continue;
			if (open)
				cluster_fail(cluster, "two programs lead alone");
			open = program;
			judge_open(cluster, program);
		}
	}
}
