#include "cluster.h"

#include <tandem/clock.h>

/* The register: one that both nodes ask, or one of each node's own whose records travel in
 * heartbeats. Answers get lost, come late, and a compare-and-set that was given up may still be
 * applied when everybody has forgotten it. */

#define MS      TANDEM_NS_PER_MS
#define HANG_NS (2000 * MS)
#define LATE_NS (3000 * MS)
#define SLOW_NS (1000 * MS)

bool arbiter_registers_are_own(const struct cluster *cluster)
{
	return tandem_record_is_kept_by_node(cluster->nodes[0].config.pair.arbiter_type);
}

const struct tandem_record *cluster_record(const struct cluster *cluster, unsigned node)
{
	return &cluster->nodes[node].record;
}

static void write_record(struct cluster *cluster, unsigned node, const struct tandem_record *record)
{
	cluster->nodes[node].record = *record;
	if (!arbiter_registers_are_own(cluster))
		cluster->nodes[1 - node].record = *record;
}

/* ---- questions ---- */

/* A register of the node's own is asked by one thread, question by question. */
static uint64_t delay(struct cluster *cluster, unsigned node, bool must_hang)
{
	bool hangs = must_hang || cluster_happens(cluster, cluster->chaos.hang);
	uint64_t delay_ns = hangs ? cluster_draw(cluster, HANG_NS) : cluster_delay(cluster);
	uint64_t *last_ns = &cluster->nodes[node].arbiter_ns;
	if (!arbiter_registers_are_own(cluster))
		return delay_ns;
	if (cluster->now_ns + delay_ns > *last_ns)
		*last_ns = cluster->now_ns + delay_ns;
	return *last_ns - cluster->now_ns;
}

/* The operator saw that the other node is off. */
static void acknowledge(struct cluster *cluster, unsigned node)
{
	for (size_t i = 0; i < cluster->due_count; i++) {
		struct item *item = &cluster->items[cluster->due[i].index];
		if (item->type == ITEM_CAS && item->node == node)
			item->of.question.needs_fence = false;
	}
}

/* Loss of data is accepted, or the word is given that there is none to lose. */
static bool is_forced(const struct cluster *cluster, const struct node *node)
{
	enum tandem_cas_kind kind = node->machine.view.cas_kind;
	return kind == TANDEM_CAS_FORCE || (kind == TANDEM_CAS_CREATE && node->machine.has_word &&
	                                    arbiter_registers_are_own(cluster));
}

void arbiter_ask(struct cluster *cluster, unsigned node, const struct tandem_action *action)
{
	const struct node *where = &cluster->nodes[node];
	bool is_cas = action->type == TANDEM_ACTION_CAS;
	/* A reading that is out when a record is won tells of it before the answer does. */
	bool hangs = !is_cas && cluster_happens(cluster, cluster->chaos.slow);
	if (action->type == TANDEM_ACTION_ACKNOWLEDGE) {
		acknowledge(cluster, node);
		return;
	}
	if (is_cas)
		judge_question(cluster, node);
	struct item *item = cluster_post(cluster, is_cas ? ITEM_CAS : ITEM_READ, node,
	                                 delay(cluster, node, hangs || action->needs_fence));
	item->life = where->filter.local_instance;
	item->of.question = (struct question){.request = action->request,
	                                      .expected = action->expected,
	                                      .desired = action->desired,
	                                      .needs_fence = is_cas && action->needs_fence,
	                                      .is_forced = is_cas && is_forced(cluster, where)};
}

void arbiter_adopt(struct cluster *cluster, unsigned node, const struct tandem_record *record)
{
	if (!tandem_machine_adopts(&cluster->nodes[node].machine, record))
		return;
	struct item *item = cluster_post(cluster, ITEM_ADOPT, node, delay(cluster, node, false));
	item->life = cluster->nodes[node].filter.local_instance;
	item->of.question.desired = *record;
}

/* ---- answers ---- */

/* What a reading shows can be known long before the answer of the question that wrote it. */
static void answer(struct cluster *cluster, const struct item *asked, enum tandem_event_type event)
{
	bool is_late = asked->type == ITEM_CAS && cluster_happens(cluster, cluster->chaos.late);
	uint64_t delay_ns = is_late ? cluster_draw(cluster, SLOW_NS) : cluster_delay(cluster);
	struct item *item = cluster_post(cluster, ITEM_ANSWER, asked->node, delay_ns);
	item->life = asked->life;
	item->event = event;
	item->of.question.request = asked->of.question.request;
	item->of.question.expected = cluster->nodes[asked->node].record;
}

static bool swap(struct cluster *cluster, const struct item *item)
{
	const struct tandem_record *record = &cluster->nodes[item->node].record;
	const struct question *question = &item->of.question;
	if (tandem_record_is_same(record, &question->desired))
		return true;
	if (!tandem_record_is_same(record, &question->expected) &&
	    cluster->bug != BUG_R4_REGISTER_COMPARES_NOTHING)
		return false;
	write_record(cluster, item->node, &question->desired);
	cluster_trace(cluster, TRACE_WORLD, "register: generation %u, %s, %s\n",
	              (unsigned)question->desired.generation, question->desired.owner,
	              tandem_record_mode(&question->desired));
	cluster->hand_over_count += question->desired.is_handed_over;
	judge_record(cluster, question);
	if (question->is_forced)
		judge_force(cluster, question->desired.generation);
	return true;
}

static void apply_late(struct cluster *cluster, const struct item *asked)
{
	struct question question = asked->of.question;
	uint64_t life = asked->life;
	struct item *item =
	        cluster_post(cluster, ITEM_LATE_CAS, asked->node, cluster_draw(cluster, LATE_NS));
	item->life = life;
	item->of.question = question;
}

/* A register of the node's own ends with the controller that keeps it. */
static bool is_kept(const struct cluster *cluster, const struct item *item)
{
	const struct node *where = &cluster->nodes[item->node];
	return !arbiter_registers_are_own(cluster) ||
	       (where->controller_is_alive && where->filter.local_instance == item->life);
}

static void fence(struct cluster *cluster, unsigned node)
{
	cluster->fence_count++;
	cluster_trace(cluster, TRACE_WORLD, "fencing: %s is switched off\n",
	              cluster->nodes[1 - node].name);
	cluster_power_off(cluster, 1 - node);
}

static void do_cas(struct cluster *cluster, const struct item *item)
{
	bool is_cut = cluster->nodes[item->node].arbiter_is_cut;
	if (is_cut || cluster_happens(cluster, cluster->chaos.fail)) {
		answer(cluster, item, TANDEM_EVENT_CAS_FAILED);
		return;
	}
	/* A command on its way works even if who gave it is off by now. */
	if (item->of.question.needs_fence &&
	    (is_kept(cluster, item) || cluster_draw(cluster, 4) == 0))
		fence(cluster, item->node);
	if (!is_kept(cluster, item))
		return;
	if (!cluster_happens(cluster, cluster->chaos.doubt)) {
		bool is_won = swap(cluster, item);
		answer(cluster, item, is_won ? TANDEM_EVENT_CAS_WON : TANDEM_EVENT_CAS_LOST);
		return;
	}
	uint64_t fate = cluster_draw(cluster, 3);
	if (fate == 0)
		swap(cluster, item);
	answer(cluster, item, TANDEM_EVENT_CAS_DOUBT);
	if (fate == 1)
		apply_late(cluster, item);
}

static void do_read(struct cluster *cluster, const struct item *item)
{
	bool fails = cluster->nodes[item->node].arbiter_is_cut ||
	             cluster_happens(cluster, cluster->chaos.fail);
	answer(cluster, item, fails ? TANDEM_EVENT_READ_FAILED : TANDEM_EVENT_RECORD);
}

static void adopt(struct cluster *cluster, const struct item *item)
{
	const struct tandem_record *record = &item->of.question.desired;
	if (!cluster->nodes[item->node].arbiter_is_cut &&
	    tandem_record_is_newer(record, &cluster->nodes[item->node].record))
		write_record(cluster, item->node, record);
}

void arbiter_take(struct cluster *cluster, const struct item *item)
{
	if (item->type == ITEM_READ)
		do_read(cluster, item);
	if (item->type == ITEM_CAS)
		do_cas(cluster, item);
	if (item->type == ITEM_LATE_CAS && is_kept(cluster, item))
		swap(cluster, item);
	if (item->type == ITEM_ADOPT && is_kept(cluster, item))
		adopt(cluster, item);
}
