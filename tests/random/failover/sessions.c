#include "cluster.h"

#include <tandem/clock.h>

/* Sessions between a program and the standby of the other node, as section C of docs/protocol.md
 * has them, without bytes. */

#define MS TANDEM_NS_PER_MS

struct process *sessions_find(struct cluster *cluster, unsigned node, uint64_t session)
{
	struct node *where = &cluster->nodes[node];
	if (session == 0)
		return NULL;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		struct program *program = &where->programs[i];
		if (program->process.is_alive &&
		    (program->process.session == session || program->proposed == session))
			return &program->process;
	}
	return where->standby.process.session == session ? &where->standby.process : NULL;
}

/* Pings are answered while the other end is there, runs, and can be heard. */
bool sessions_is_heard(struct cluster *cluster, const struct process *process)
{
	unsigned peer = 1 - process->node;
	if (process->session == 0 || cluster->data_is_cut[peer])
		return false;
	const struct process *other = sessions_find(cluster, peer, process->session);
	return other && other->session == process->session && cluster_runs(other);
}

void sessions_touch(struct cluster *cluster)
{
	for (unsigned node = 0; node < 2; node++) {
		for (unsigned i = 0; i < CLUSTER_PROCESSES; i++) {
			struct process *process = cluster_process(&cluster->nodes[node], i);
			if (process->session != 0 && sessions_is_heard(cluster, process))
				process->heard_ns = cluster->now_ns;
		}
	}
}

struct letter *sessions_write(struct cluster *cluster, const struct process *process,
                              enum item_type type)
{
	struct item *item = cluster_post(cluster, type, 1 - process->node, cluster_delay(cluster));
	item->of.letter =
	        (struct letter){.session = process->session, .from = process->incarnation};
	return &item->of.letter;
}

void sessions_drop(struct cluster *cluster, struct process *process)
{
	if (process->session == 0)
		return;
	sessions_touch(cluster);
	sessions_write(cluster, process, ITEM_GOODBYE);
	process->session = 0;
	planes_tell_session(cluster, process, TANDEM_EVENT_SESSION_LOST);
	process->session_peer = 0;
	if (process->kind == TANDEM_CONTROL_KIND_PROGRAM)
		program_lose_session((struct program *)process);
	planes_arm(cluster);
}

void sessions_break(struct cluster *cluster)
{
	for (unsigned node = 0; node < 2; node++) {
		for (unsigned i = 0; i < CLUSTER_PROCESSES; i++)
			sessions_drop(cluster, cluster_process(&cluster->nodes[node], i));
	}
}

void sessions_watch(struct cluster *cluster, struct process *process)
{
	if (process->session == 0)
		return;
	if (sessions_is_heard(cluster, process))
		process->heard_ns = cluster->now_ns;
	else if (cluster->now_ns >= process->heard_ns + SESSION_SILENCE_NS)
		sessions_drop(cluster, process);
}

static void begin(struct cluster *cluster, struct process *process, uint64_t session, uint64_t peer)
{
	process->session = session;
	process->session_peer = peer;
	process->heard_ns = cluster->now_ns;
	planes_tell_session(cluster, process, TANDEM_EVENT_SESSION_UP);
	planes_arm(cluster);
}

void sessions_propose(struct cluster *cluster, struct program *program)
{
	program->connect_ns = cluster->now_ns + 2 * MS + cluster_draw(cluster, 60 * MS);
	program->proposed = ++cluster->number_last;
	struct letter *letter = sessions_write(cluster, &program->process, ITEM_HELLO);
	letter->session = program->proposed;
	letter->generation = program->led_generation;
}

/* [C2] to [C4]: the answer tells whose copy it is and how far it goes. */
static void welcome(struct cluster *cluster, struct standby *standby, const struct letter *hello)
{
	struct process *process = &standby->process;
	if (!cluster_runs(process) || standby->is_fenced || standby->told_owner != hello->from ||
	    standby->told_generation != hello->generation ||
	    !cluster_is_fit(cluster, process->node))
		return;
	sessions_drop(cluster, process);
	if (standby->copy_owner != hello->from) {
		standby->copy_owner = hello->from;
		standby->has_copy = standby->is_torn = false;
		standby->copy = 0;
	}
	begin(cluster, process, hello->session, hello->from);
	struct letter *letter = sessions_write(cluster, process, ITEM_WELCOME);
	letter->generation = hello->generation;
	letter->memory = standby->copy;
	letter->has_copy = standby->has_copy;
}

static void be_welcome(struct cluster *cluster, const struct item *item)
{
	const struct letter *letter = &item->of.letter;
	struct process *process = sessions_find(cluster, item->node, letter->session);
	struct program *program = (struct program *)process;
	if (!process || program->proposed != letter->session || program->is_halted ||
	    program->led_generation != letter->generation)
		return;
	program->proposed = 0;
	begin(cluster, process, letter->session, letter->from);
	program_take(cluster, program, item);
}

void sessions_take(struct cluster *cluster, const struct item *item)
{
	const struct letter *letter = &item->of.letter;
	if (item->type == ITEM_HELLO && !cluster->data_is_cut[1 - item->node])
		welcome(cluster, &cluster->nodes[item->node].standby, letter);
	if (item->type == ITEM_WELCOME && !cluster->data_is_cut[1 - item->node])
		be_welcome(cluster, item);
	if (item->type == ITEM_HELLO || item->type == ITEM_WELCOME)
		return;
	struct process *process = sessions_find(cluster, item->node, letter->session);
	if (!process || process->session != letter->session)
		return;
	if (item->type == ITEM_GOODBYE)
		sessions_drop(cluster, process);
	else if (process->kind == TANDEM_CONTROL_KIND_PROGRAM)
		program_take(cluster, (struct program *)process, item);
	else
		standby_take(cluster, (struct standby *)process, item);
	planes_arm(cluster);
}
