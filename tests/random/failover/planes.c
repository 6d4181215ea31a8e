#include "cluster.h"

#include <tandem/clock.h>

/* What programs and standbys have in common, as section L of docs/protocol.md has it. */

#define MS          TANDEM_NS_PER_MS
#define REPORT_NS   (20 * MS)
#define REATTACH_NS (30 * MS)
#define REPEAT_NS   (2000 * MS)

struct process *planes_by_connection(struct cluster *cluster, unsigned node, uint64_t connection)
{
	for (unsigned i = 0; i < CLUSTER_PROCESSES; i++) {
		struct process *process = cluster_process(&cluster->nodes[node], i);
		if (process->connection == connection)
			return connection != 0 ? process : NULL;
	}
	return NULL;
}

struct program *planes_find_place(struct cluster *cluster, unsigned node)
{
	for (unsigned i = CLUSTER_PROGRAMS; i > 0; i--) {
		struct program *program = &cluster->nodes[node].programs[i - 1];
		if (!program->process.is_alive)
			return program;
	}
	return NULL;
}

/* ---- to the controller ---- */

/* Rules look at facts, so what is said again, late, must change nothing. */
static void repeat(struct cluster *cluster, const struct item *said)
{
	struct item copy = *said;
	struct item *item =
	        cluster_post(cluster, ITEM_TO_CONTROLLER, copy.node,
	                     copy.due_ns - cluster->now_ns + cluster_draw(cluster, REPEAT_NS));
	item->connection = copy.connection;
	item->life = copy.life;
	item->event = copy.event;
	item->of.word = copy.of.word;
}

void planes_say(struct cluster *cluster, struct process *process, enum tandem_event_type event,
                const struct word *word)
{
	if (process->connection == 0)
		return;
	struct item *item = cluster_post(cluster, ITEM_TO_CONTROLLER, process->node,
	                                 cluster_delay_in_order(cluster, &process->said_ns));
	item->connection = process->connection;
	item->life = cluster->nodes[process->node].filter.local_instance;
	item->event = event;
	item->of.word = *word;
	if (event != TANDEM_EVENT_REPORT && event != TANDEM_EVENT_ATTACHED &&
	    event != TANDEM_EVENT_DETACHED && cluster_happens(cluster, cluster->chaos.repeat))
		repeat(cluster, item);
}

void planes_tell_session(struct cluster *cluster, struct process *process,
                         enum tandem_event_type event)
{
	struct word word = {.peer_incarnation = process->session_peer};
	planes_say(cluster, process, event, &word);
}

static void attach(struct cluster *cluster, struct process *process)
{
	struct word word = {.kind = process->kind,
	                    .incarnation = process->incarnation,
	                    .process_id = process->process_id};
	process->connection = ++cluster->number_last;
	process->said_ns = process->told_ns = 0;
	planes_say(cluster, process, TANDEM_EVENT_ATTACHED, &word);
	if (process->kind == TANDEM_CONTROL_KIND_PROGRAM)
		program_repeat(cluster, (struct program *)process);
	else if (process->session != 0)
		planes_tell_session(cluster, process, TANDEM_EVENT_SESSION_UP);
}

/* [T18] As a device reads: a process that is stopped does not move its word, and its host answers
 * all the same. */
static void read_word(struct cluster *cluster, const struct process *process, struct word *word)
{
	bool is_cut = cluster->data_is_cut[0] || cluster->data_is_cut[1];
	const struct process *other = sessions_find(cluster, 1 - process->node, process->session);
	if (cluster->reads == READS_NOTHING || (is_cut && cluster->reads != READS_ALWAYS) ||
	    !other || !other->is_alive || other->session != process->session)
		return;
	bool is_moving = cluster_runs(other);
	word->peer_beat = is_moving ? TANDEM_PEER_BEAT_ADVANCING : TANDEM_PEER_BEAT_STILL;
	word->beat_age_ns = is_moving ? 0 : cluster->now_ns - process->heard_ns;
}

static void report(struct cluster *cluster, struct process *process)
{
	const struct program *program = (const struct program *)process;
	const struct standby *standby = (const struct standby *)process;
	bool is_program = process->kind == TANDEM_CONTROL_KIND_PROGRAM;
	const struct node *where = &cluster->nodes[process->node];
	if (sessions_is_heard(cluster, process))
		process->heard_ns = cluster->now_ns;
	struct word word = {.has_session = process->session != 0,
	                    .peer_incarnation = process->session_peer,
	                    .has_copy = is_program ? program->is_gated : standby->has_copy,
	                    .is_misfit = !is_program && where->is_misfit,
	                    .is_unjudged = !is_program && where->is_unjudged,
	                    .leaves = is_program && program->leaves,
	                    .generation =
	                            is_program ? program->led_generation : standby->told_generation,
	                    .heard_age_ns = cluster->now_ns - process->heard_ns};
	read_word(cluster, process, &word);
	process->report_ns = cluster->now_ns + REPORT_NS;
	planes_say(cluster, process, TANDEM_EVENT_REPORT, &word);
}

/* ---- ends ---- */

void planes_end(struct cluster *cluster, struct process *process, bool is_told)
{
	struct node *where = &cluster->nodes[process->node];
	if (!process->is_alive)
		return;
	if (where->standby.activated_incarnation == process->incarnation)
		where->standby.renew_ns = cluster->now_ns;
	planes_say(cluster, process, TANDEM_EVENT_DETACHED, &(struct word){.epoch = 0});
	struct item *item =
	        cluster_post(cluster, ITEM_TO_CONTROLLER, process->node, cluster_delay(cluster));
	item->life = where->filter.local_instance;
	item->event = TANDEM_EVENT_ENDED;
	item->of.word = (struct word){.kind = process->kind, .incarnation = process->incarnation};
	sessions_touch(cluster);
	if (process->session != 0 && is_told)
		sessions_write(cluster, process, ITEM_GOODBYE);
	*process = (struct process){.is_alive = false};
	cluster_wake(cluster);
}

static void close_one(struct cluster *cluster, struct process *process)
{
	if (process->connection == 0)
		return;
	struct item *item = cluster_post(cluster, ITEM_HANG_UP, process->node,
	                                 cluster_delay_in_order(cluster, &process->told_ns));
	item->connection = process->connection;
}

void planes_close(struct cluster *cluster, unsigned node, uint64_t connection)
{
	struct process *process = planes_by_connection(cluster, node, connection);
	if (process)
		close_one(cluster, process);
}

/* The data plane's end of its connection. */
void planes_hang_up(struct cluster *cluster, struct process *process)
{
	planes_say(cluster, process, TANDEM_EVENT_DETACHED, &(struct word){.epoch = 0});
	process->connection = 0;
	process->attach_ns = cluster->now_ns + REATTACH_NS;
}

void planes_controller_ended(struct cluster *cluster, unsigned node)
{
	for (unsigned i = 0; i < CLUSTER_PROCESSES; i++)
		close_one(cluster, cluster_process(&cluster->nodes[node], i));
}

void planes_take(struct cluster *cluster, const struct item *item)
{
	struct process *process = planes_by_connection(cluster, item->node, item->connection);
	if (!process)
		return;
	if (item->type == ITEM_HANG_UP) {
		process->connection = 0;
		process->attach_ns = cluster->now_ns + REATTACH_NS;
	} else if (process->kind == TANDEM_CONTROL_KIND_PROGRAM) {
		program_obey(cluster, (struct program *)process, &item->of.word);
	} else {
		standby_obey(cluster, (struct standby *)process, &item->of.word);
	}
	planes_arm(cluster);
}

/* ---- time ---- */

static void sooner(uint64_t *due_ns, uint64_t at_ns)
{
	if (at_ns < *due_ns)
		*due_ns = at_ns;
}

static void arm(struct cluster *cluster, struct process *process)
{
	bool is_program = process->kind == TANDEM_CONTROL_KIND_PROGRAM;
	process->due_ns = CLUSTER_NEVER_NS;
	if (!cluster_runs(process))
		return;
	process->due_ns = is_program ? program_due_ns(cluster, (const struct program *)process)
	                             : standby_due_ns(cluster, (const struct standby *)process);
	if (process->connection != 0)
		sooner(&process->due_ns, process->report_ns);
	else if (cluster->nodes[process->node].controller_is_alive)
		sooner(&process->due_ns, process->attach_ns);
	if (process->session != 0 && !sessions_is_heard(cluster, process))
		sooner(&process->due_ns, process->heard_ns + SESSION_SILENCE_NS);
}

void planes_arm(struct cluster *cluster)
{
	for (unsigned node = 0; node < 2; node++) {
		struct node *where = &cluster->nodes[node];
		where->planes_due_ns = CLUSTER_NEVER_NS;
		for (unsigned i = 0; i < CLUSTER_PROCESSES; i++) {
			struct process *process = cluster_process(where, i);
			arm(cluster, process);
			sooner(&where->planes_due_ns, process->due_ns);
		}
	}
}

static void step_one(struct cluster *cluster, struct process *process)
{
	sessions_watch(cluster, process);
	if (process->connection == 0 && cluster->now_ns >= process->attach_ns &&
	    cluster->nodes[process->node].controller_is_alive)
		attach(cluster, process);
	if (process->connection != 0 && cluster->now_ns >= process->report_ns)
		report(cluster, process);
	if (process->kind == TANDEM_CONTROL_KIND_PROGRAM)
		program_step(cluster, (struct program *)process);
	else
		standby_step(cluster, (struct standby *)process);
}

void planes_step(struct cluster *cluster, unsigned node)
{
	for (unsigned i = 0; i < CLUSTER_PROCESSES; i++) {
		struct process *process = cluster_process(&cluster->nodes[node], i);
		if (cluster_runs(process) && process->due_ns <= cluster->now_ns)
			step_one(cluster, process);
	}
	planes_arm(cluster);
}
