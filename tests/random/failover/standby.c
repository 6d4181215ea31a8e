#include "cluster.h"

#include <tandem/clock.h>

/* The standby: holds the newest epoch that it was sent whole, and starts the program from it. */

#define MS TANDEM_NS_PER_MS

static void begin_life(struct cluster *cluster, struct standby *standby)
{
	unsigned node = standby->process.node;
	planes_end(cluster, &standby->process, true);
	cluster_start_standby(cluster, node);
}

/* [C35] What the node has is something else than when it was asked last. */
static bool must_judge_again(const struct cluster *cluster, const struct standby *standby)
{
	const struct node *where = &cluster->nodes[standby->process.node];
	if (where->is_misfit)
		return standby->process.session != 0;
	return !where->is_unjudged && (standby->fence_awaits_fit || standby->activate_awaits_fit);
}

uint64_t standby_due_ns(const struct cluster *cluster, const struct standby *standby)
{
	if (must_judge_again(cluster, standby))
		return cluster->now_ns;
	uint64_t due_ns = standby->renew_ns != 0 ? standby->renew_ns : CLUSTER_NEVER_NS;
	return standby->revoke_ns != 0 && standby->revoke_ns < due_ns ? standby->revoke_ns : due_ns;
}

/* ---- orders ---- */

static void say_failed(struct cluster *cluster, struct standby *standby,
                       enum tandem_control_type order)
{
	planes_say(cluster, &standby->process, TANDEM_EVENT_FAILED,
	           &(struct word){.answers = order});
}

/* The copy turns out to be void; tandemd is started again some time. */
static bool breaks(struct cluster *cluster, struct standby *standby)
{
	if (!cluster_happens(cluster, cluster->chaos.order_failure))
		return false;
	standby->has_copy = false;
	standby->renew_ns = cluster->now_ns + cluster_draw(cluster, 1000 * MS);
	return true;
}

static void say_fenced(struct cluster *cluster, struct standby *standby)
{
	struct word word = {.generation = standby->fenced_generation, .epoch = standby->copy};
	planes_say(cluster, &standby->process, TANDEM_EVENT_FENCED, &word);
}

/* R2, R3: the session ends whatever the answer is. */
static void fence(struct cluster *cluster, struct standby *standby, uint64_t generation)
{
	if (cluster->bug == BUG_R3_EPOCH_READ_BEFORE_FENCE && !standby->is_fenced)
		standby->revoke_ns = cluster->now_ns + 20 * MS;
	else if (cluster->bug != BUG_R2_ACKNOWLEDGES_AFTER_FENCE)
		sessions_drop(cluster, &standby->process);
	standby->is_fenced = true;
	standby->fenced_generation = generation;
	standby->activate_awaits_fit = false;
	/* [L6]: asked again, the answer is the same. */
	bool is_promotable = standby->has_copy || standby->activated_incarnation != 0;
	standby->fence_awaits_fit =
	        is_promotable && !cluster_is_fit(cluster, standby->process.node);
	if (standby->fence_awaits_fit && !cluster->nodes[standby->process.node].is_misfit)
		return; /* it is not known yet */
	if (!is_promotable || standby->fence_awaits_fit || breaks(cluster, standby))
		say_failed(cluster, standby, TANDEM_CONTROL_FENCE);
	else
		say_fenced(cluster, standby);
}

static void start_heir(struct cluster *cluster, struct standby *standby, const struct word *word)
{
	struct program *place = planes_find_place(cluster, standby->process.node);
	if (!place) {
		cluster_fail(cluster, "the simulation has no room for another program");
		return;
	}
	*place = (struct program){.memory = (uint32_t)word->epoch,
	                          .ready_ns = cluster->now_ns + 5 * MS +
	                                      cluster_draw(cluster, 30 * MS)};
	place->process = (struct process){.is_alive = true,
	                                  .kind = TANDEM_CONTROL_KIND_PROGRAM,
	                                  .node = standby->process.node,
	                                  .incarnation = word->incarnation,
	                                  .process_id = (uint32_t)++cluster->number_last};
}

static void activate(struct cluster *cluster, struct standby *standby, const struct word *word)
{
	bool is_broken = cluster->bug == BUG_R2_ACKNOWLEDGES_AFTER_FENCE ||
	                 cluster->bug == BUG_R3_EPOCH_READ_BEFORE_FENCE;
	if (standby->activated_incarnation == word->incarnation)
		return;
	if (!cluster_is_fit(cluster, standby->process.node)) {
		standby->activate_awaits_fit = true;
		standby->activate = *word;
		return;
	}
	/* Its copy is a program's already, or was found void since FENCED, as FENCE came again. */
	if (standby->activated_incarnation != 0 || !standby->has_copy || breaks(cluster, standby)) {
		say_failed(cluster, standby, TANDEM_CONTROL_ACTIVATE);
		return;
	}
	if (!standby->is_fenced || (word->epoch != standby->copy && !is_broken))
		cluster_fail(cluster, "ACTIVATE without a fence at that epoch");
	judge_promotion(cluster, standby);
	standby->activated_incarnation = word->incarnation;
	standby->has_copy = false;
	start_heir(cluster, standby, word);
}

static void judge_again(struct cluster *cluster, struct standby *standby)
{
	bool has_fence = standby->fence_awaits_fit, has_activate = standby->activate_awaits_fit;
	if (cluster->nodes[standby->process.node].is_misfit) {
		sessions_drop(cluster, &standby->process);
		return;
	}
	standby->fence_awaits_fit = standby->activate_awaits_fit = false;
	if (has_fence)
		say_fenced(cluster, standby);
	if (has_activate)
		activate(cluster, standby, &standby->activate);
}

void standby_step(struct cluster *cluster, struct standby *standby)
{
	if (standby->revoke_ns != 0 && cluster->now_ns >= standby->revoke_ns) {
		standby->revoke_ns = 0;
		sessions_drop(cluster, &standby->process);
	}
	if (must_judge_again(cluster, standby))
		judge_again(cluster, standby);
	if (standby->renew_ns != 0 && cluster->now_ns >= standby->renew_ns)
		begin_life(cluster, standby);
}

static void stand_by(struct cluster *cluster, struct standby *standby, const struct word *word)
{
	standby->told_generation = word->generation;
	standby->told_owner = word->peer_incarnation;
	/* [L11] */
	if (standby->is_fenced && standby->activated_incarnation == 0 &&
	    word->generation >= standby->fenced_generation)
		standby->renew_ns = cluster->now_ns;
	if (standby->process.session_peer != standby->told_owner)
		sessions_drop(cluster, &standby->process);
}

void standby_obey(struct cluster *cluster, struct standby *standby, const struct word *word)
{
	if (word->type == TANDEM_CONTROL_STAND_BY)
		stand_by(cluster, standby, word);
	if (word->type == TANDEM_CONTROL_YANK)
		sessions_drop(cluster, &standby->process);
	if (word->type == TANDEM_CONTROL_FENCE)
		fence(cluster, standby, word->generation);
	if (word->type == TANDEM_CONTROL_ACTIVATE)
		activate(cluster, standby, word);
	if (word->type == TANDEM_CONTROL_PROTECT)
		cluster_start_program(cluster, standby->process.node);
}

/* ---- the session ---- */

static void take_copy(struct cluster *cluster, struct standby *standby, const struct letter *letter)
{
	standby->copy = letter->memory;
	standby->has_copy = true;
	standby->is_torn = false;
	sessions_write(cluster, &standby->process, ITEM_COPY_APPLIED);
}

static void take_epoch(struct cluster *cluster, struct standby *standby,
                       const struct letter *letter)
{
	/* It cannot tell what an epoch builds on: that the copy came first is the rule's duty. */
	standby->is_torn = standby->is_torn || !standby->has_copy;
	standby->has_copy = true;
	/* Sent again by an impatient program: the newest stays. */
	if (cluster->depths[letter->memory] > cluster->depths[standby->copy])
		standby->copy = letter->memory;
	sessions_write(cluster, &standby->process, ITEM_ACK)->memory = letter->memory;
}

void standby_take(struct cluster *cluster, struct standby *standby, const struct item *item)
{
	if (item->type == ITEM_COPY)
		take_copy(cluster, standby, &item->of.letter);
	if (item->type == ITEM_EPOCH)
		take_epoch(cluster, standby, &item->of.letter);
}
