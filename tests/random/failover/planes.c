#include "cluster.h"

#include <string.h>
#include <tandem/clock.h>

/* Programs and standbys as sections C and L of docs/protocol.md have them, without bytes. */

#define MS                 TANDEM_NS_PER_MS
#define SESSION_SILENCE_NS (300 * MS)
#define REPORT_NS          (20 * MS)
#define REATTACH_NS        (30 * MS)

static bool runs(const struct process *process)
{
	return process->is_alive && !process->is_stopped;
}

static void say(struct cluster *cluster, unsigned node, struct process *process,
                struct tandem_event *event)
{
	if (process->connection == 0)
		return;
	uint64_t delay_ns = cluster_delay_in_order(cluster, &cluster->nodes[node].to_controller_ns);
	struct item *item = cluster_post(cluster, ITEM_TO_CONTROLLER, node, delay_ns);
	event->connection = process->connection;
	item->life = cluster->nodes[node].filter.local_instance;
	item->event = *event;
}

static void tell(struct cluster *cluster, unsigned node, struct process *process,
                 enum tandem_event_type type)
{
	struct tandem_event event = {.type = type};
	event.message.peer_incarnation = process->session_peer;
	say(cluster, node, process, &event);
}

static void tell_copied(struct cluster *cluster, unsigned node, struct program *program)
{
	struct tandem_event event = {.type = TANDEM_EVENT_COPIED};
	event.message.peer_incarnation = program->process.session_peer;
	event.message.generation = program->led_generation;
	say(cluster, node, &program->process, &event);
}

static void attach(struct cluster *cluster, unsigned node, struct process *process,
                   enum tandem_control_kind kind)
{
	struct tandem_event event = {.type = TANDEM_EVENT_ATTACHED};
	process->connection = ++cluster->number_last;
	event.message.kind = kind;
	event.message.incarnation = process->incarnation;
	event.message.process_id = process->process_id;
	say(cluster, node, process, &event);
}

void planes_end(struct cluster *cluster, unsigned node, struct process *process,
                enum tandem_control_kind kind)
{
	if (!process->is_alive)
		return;
	tell(cluster, node, process, TANDEM_EVENT_DETACHED);
	struct item *item = cluster_post(cluster, ITEM_TO_CONTROLLER, node, MS / 5);
	item->life = cluster->nodes[node].filter.local_instance;
	item->event.type = TANDEM_EVENT_ENDED;
	item->event.message.kind = kind;
	item->event.message.incarnation = process->incarnation;
	*process = (struct process){.is_alive = false};
}

static void close_one(struct cluster *cluster, struct process *process, uint64_t connection)
{
	if (process->connection != connection)
		return;
	process->connection = 0;
	process->attach_ns = cluster->now_ns + REATTACH_NS;
}

void planes_close(struct cluster *cluster, unsigned node, uint64_t connection)
{
	struct node *where = &cluster->nodes[node];
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++)
		close_one(cluster, &where->programs[i].process, connection);
	close_one(cluster, &where->standby.process, connection);
}

void planes_controller_ended(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++)
		close_one(cluster, &where->programs[i].process,
		          where->programs[i].process.connection);
	close_one(cluster, &where->standby.process, where->standby.process.connection);
}

/* ---- sessions ---- */

static struct process *other_end(struct cluster *cluster, unsigned node, uint64_t session)
{
	struct node *peer = &cluster->nodes[1 - node];
	if (peer->standby.process.session == session)
		return &peer->standby.process;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		if (peer->programs[i].process.session == session)
			return &peer->programs[i].process;
	}
	return NULL;
}

static void drop_session(struct cluster *cluster, unsigned node, struct process *process)
{
	if (process->session == 0)
		return;
	process->session = 0;
	process->notice_ns = 0;
	tell(cluster, node, process, TANDEM_EVENT_SESSION_LOST);
	process->session_peer = 0;
}

void planes_break_sessions(struct cluster *cluster)
{
	for (unsigned node = 0; node < 2; node++) {
		struct node *where = &cluster->nodes[node];
		for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++)
			drop_session(cluster, node, &where->programs[i].process);
		drop_session(cluster, node, &where->standby.process);
	}
}

/* Loss is noticed at once when the other process closed or died, else by silence. */
static void watch_session(struct cluster *cluster, unsigned node, struct process *process)
{
	if (process->session == 0)
		return;
	struct process *other = other_end(cluster, node, process->session);
	if (other && runs(other) && !cluster->data_is_cut)
		process->heard_ns = cluster->now_ns;
	bool is_closed = !other && !cluster->data_is_cut;
	if (is_closed || cluster->now_ns >= process->heard_ns + SESSION_SILENCE_NS)
		drop_session(cluster, node, process);
}

static void connect_session(struct cluster *cluster, unsigned node, struct program *program)
{
	struct standby *standby = &cluster->nodes[1 - node].standby;
	program->connect_ns = cluster->now_ns + 2 * MS + cluster_draw(cluster, 60 * MS);
	bool is_welcome = runs(&standby->process) && !cluster->data_is_cut && !standby->is_fenced &&
	                  standby->told_owner == program->process.incarnation &&
	                  standby->told_generation == program->led_generation;
	if (!is_welcome)
		return;
	drop_session(cluster, 1 - node, &standby->process);
	uint64_t session = ++cluster->number_last;
	program->process.session = standby->process.session = session;
	program->process.session_peer = standby->process.incarnation;
	standby->process.session_peer = program->process.incarnation;
	program->process.heard_ns = standby->process.heard_ns = cluster->now_ns;
	tell(cluster, node, &program->process, TANDEM_EVENT_SESSION_UP);
	tell(cluster, 1 - node, &standby->process, TANDEM_EVENT_SESSION_UP);
	program->copy_ns = 0;
	program->has_said = false;
	if (program->is_pair && program->copy_incarnation == standby->process.incarnation &&
	    program->pending != 0 && standby->copy == program->pending) {
		cluster_publish(cluster, node, program->pending);
		program->pending = 0;
	}
}

/* ---- the program ---- */

bool planes_leads_openly(const struct program *program)
{
	return program->process.is_alive && program->is_led && !program->is_halted &&
	       !program->is_pair && !program->is_gated;
}

static uint32_t next_epoch(struct cluster *cluster, uint32_t parent)
{
	if (cluster->epoch_count + 1 >= CLUSTER_EPOCHS_MAX)
		return parent;
	uint32_t epoch = ++cluster->epoch_count;
	cluster->parents[epoch] = parent;
	cluster->depths[epoch] = (uint16_t)(cluster->depths[parent] + 1);
	return epoch;
}

static void copy_all(struct cluster *cluster, unsigned node, struct program *program)
{
	struct standby *standby = &cluster->nodes[1 - node].standby;
	if (program->copy_ns == 0)
		program->copy_ns = cluster->now_ns + 2 * MS + cluster_draw(cluster, 60 * MS);
	if (cluster->now_ns < program->copy_ns || program->has_said || cluster->data_is_cut ||
	    !runs(&standby->process) || standby->process.session != program->process.session)
		return;
	standby->copy = program->memory;
	standby->has_copy = true;
	program->is_gated = true;
	program->has_said = true;
	program->copy_ns = 0;
	tell_copied(cluster, node, program);
}

static void send_epoch(struct cluster *cluster, unsigned node, struct program *program)
{
	struct item *item = cluster_post(cluster, ITEM_EPOCH, 1 - node, cluster_delay(cluster));
	item->session = program->process.session;
	item->memory = program->pending;
}

static void serve(struct cluster *cluster, unsigned node, struct program *program)
{
	if (!program->is_led || program->is_halted)
		return;
	if (program->process.session == 0 && cluster->now_ns >= program->connect_ns)
		connect_session(cluster, node, program);
	if (!program->is_pair && program->process.session != 0)
		copy_all(cluster, node, program);
	if (cluster_draw(cluster, 8) != 0)
		return;
	if (planes_leads_openly(program)) {
		program->memory = next_epoch(cluster, program->memory);
		cluster_publish(cluster, node, program->memory);
	} else if (program->is_pair && program->process.session != 0 &&
	           program->process.session_peer == program->copy_incarnation) {
		if (program->pending == 0) {
			program->memory = next_epoch(cluster, program->memory);
			program->pending = program->memory;
		}
		send_epoch(cluster, node, program);
	}
}

static void step_program(struct cluster *cluster, unsigned node, struct program *program)
{
	struct process *process = &program->process;
	if (!runs(process))
		return;
	watch_session(cluster, node, process);
	if (program->exit_ns != 0 && cluster->now_ns >= program->exit_ns) {
		planes_end(cluster, node, process, TANDEM_CONTROL_KIND_PROGRAM);
		memset(program, 0, sizeof(*program));
		return;
	}
	if (process->connection == 0 && cluster->now_ns >= process->attach_ns &&
	    cluster->nodes[node].controller_is_alive) {
		attach(cluster, node, process, TANDEM_CONTROL_KIND_PROGRAM);
		if (program->is_ready)
			tell(cluster, node, process, TANDEM_EVENT_READY);
		if (process->session != 0)
			tell(cluster, node, process, TANDEM_EVENT_SESSION_UP);
		if (process->session != 0 && program->has_said)
			tell_copied(cluster, node, program);
	}
	if (!program->is_ready && cluster->now_ns >= program->ready_ns) {
		program->is_ready = true;
		tell(cluster, node, process, TANDEM_EVENT_READY);
	}
	serve(cluster, node, program);
}

static void order_program(struct cluster *cluster, unsigned node, struct program *program,
                          const struct tandem_control_message *message)
{
	if (message->type == TANDEM_CONTROL_HALT) {
		program->is_halted = true;
		program->exit_ns = cluster->now_ns + 50 * MS + cluster_draw(cluster, 300 * MS);
	}
	if (message->type == TANDEM_CONTROL_YANK)
		drop_session(cluster, node, &program->process);
	if (message->type != TANDEM_CONTROL_LEAD || program->is_halted)
		return;
	/* The copy of an earlier generation counts no more. */
	if (!message->is_pair && (program->is_pair || program->is_gated))
		drop_session(cluster, node, &program->process);
	program->is_led = true;
	program->is_gated = false;
	program->led_generation = message->generation;
	program->copy_incarnation = message->peer_incarnation;
	/* What was not acknowledged goes out with the next publication of a later epoch. */
	if (!message->is_pair)
		program->pending = 0;
	if (message->is_pair && !program->is_pair)
		cluster->pair_count++;
	if (!message->is_pair && program->is_pair)
		cluster->solo_count++;
	program->is_pair = message->is_pair;
}

/* ---- the standby ---- */

static void begin_life(struct cluster *cluster, unsigned node, struct standby *standby)
{
	planes_end(cluster, node, &standby->process, TANDEM_CONTROL_KIND_STANDBY);
	memset(standby, 0, sizeof(*standby));
	cluster_start_standby(cluster, node);
}

static void step_standby(struct cluster *cluster, unsigned node, struct standby *standby)
{
	struct process *process = &standby->process;
	if (!runs(process))
		return;
	if (standby->renew_ns != 0 && cluster->now_ns >= standby->renew_ns) {
		begin_life(cluster, node, standby);
		return;
	}
	watch_session(cluster, node, process);
	if (process->connection == 0 && cluster->now_ns >= process->attach_ns &&
	    cluster->nodes[node].controller_is_alive) {
		attach(cluster, node, process, TANDEM_CONTROL_KIND_STANDBY);
		if (process->session != 0)
			tell(cluster, node, process, TANDEM_EVENT_SESSION_UP);
	}
}

static void fence(struct cluster *cluster, unsigned node, struct standby *standby,
                  uint64_t generation)
{
	/* Even without a copy, as no real one does: that it is never asked then is the machine's
	 * duty. */
	struct tandem_event event = {.type = TANDEM_EVENT_FENCED};
	drop_session(cluster, node, &standby->process);
	standby->is_fenced = true;
	event.message.generation = generation;
	event.message.epoch = standby->copy;
	say(cluster, node, &standby->process, &event);
}

static void activate(struct cluster *cluster, unsigned node, struct standby *standby,
                     const struct tandem_control_message *message)
{
	struct node *where = &cluster->nodes[node];
	if (!standby->is_fenced || message->epoch != standby->copy)
		cluster_fail(cluster, "ACTIVATE without a fence at that epoch");
	if (standby->activated_incarnation == message->incarnation)
		return;
	standby->activated_incarnation = message->incarnation;
	standby->has_copy = false;
	standby->renew_ns = cluster->now_ns + 100 * MS;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		struct program *program = &where->programs[i];
		if (program->process.is_alive)
			continue;
		*program = (struct program){.memory = standby->copy, .is_activated = true};
		program->process.is_alive = true;
		program->process.is_stopped = standby->process.is_stopped;
		program->process.incarnation = message->incarnation;
		program->process.process_id = (uint32_t)++cluster->number_last;
		program->ready_ns = cluster->now_ns + 5 * MS + cluster_draw(cluster, 30 * MS);
		return;
	}
	cluster_fail(cluster, "the simulation has no room for another program");
}

static void order_standby(struct cluster *cluster, unsigned node, struct standby *standby,
                          const struct tandem_control_message *message)
{
	if (message->type == TANDEM_CONTROL_STAND_BY) {
		standby->told_generation = message->generation;
		standby->told_owner = message->peer_incarnation;
		if (standby->process.session != 0 &&
		    standby->process.session_peer != standby->told_owner)
			drop_session(cluster, node, &standby->process);
	}
	if (message->type == TANDEM_CONTROL_YANK)
		drop_session(cluster, node, &standby->process);
	if (message->type == TANDEM_CONTROL_FENCE)
		fence(cluster, node, standby, message->generation);
	if (message->type == TANDEM_CONTROL_ACTIVATE)
		activate(cluster, node, standby, message);
}

/* ---- both ---- */

static void report(struct cluster *cluster, unsigned node, struct process *process, bool has_copy,
                   uint64_t generation)
{
	if (!runs(process) || cluster->now_ns < process->report_ns)
		return;
	struct tandem_event event = {.type = TANDEM_EVENT_REPORT};
	process->report_ns = cluster->now_ns + REPORT_NS;
	event.message.has_session = process->session != 0;
	event.message.peer_incarnation = process->session_peer;
	event.message.has_copy = has_copy;
	event.message.generation = generation;
	event.message.heard_age_ns = cluster->now_ns - process->heard_ns;
	say(cluster, node, process, &event);
}

void planes_step(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		step_program(cluster, node, &where->programs[i]);
		report(cluster, node, &where->programs[i].process, where->programs[i].is_gated,
		       where->programs[i].led_generation);
	}
	step_standby(cluster, node, &where->standby);
	report(cluster, node, &where->standby.process, where->standby.has_copy,
	       where->standby.told_generation);
}

static void take_epoch(struct cluster *cluster, const struct item *item)
{
	struct standby *standby = &cluster->nodes[item->node].standby;
	if (item->session == 0 || standby->process.session != item->session)
		return;
	/* Sent again by an impatient program: the newest stays. */
	if (cluster->depths[item->memory] > cluster->depths[standby->copy])
		standby->copy = item->memory;
	struct item *ack = cluster_post(cluster, ITEM_ACK, 1 - item->node, cluster_delay(cluster));
	ack->session = item->session;
	ack->memory = item->memory;
}

static void take_ack(struct cluster *cluster, const struct item *item)
{
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		struct program *program = &cluster->nodes[item->node].programs[i];
		if (program->process.session != item->session || item->session == 0 ||
		    program->pending != item->memory || program->is_halted)
			continue;
		cluster_publish(cluster, item->node, program->pending);
		program->pending = 0;
	}
}

void planes_take(struct cluster *cluster, const struct item *item)
{
	struct node *where = &cluster->nodes[item->node];
	if (item->type == ITEM_EPOCH)
		take_epoch(cluster, item);
	if (item->type == ITEM_ACK)
		take_ack(cluster, item);
	if (item->type != ITEM_TO_PLANE)
		return;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		if (where->programs[i].process.connection == item->event.connection)
			order_program(cluster, item->node, &where->programs[i],
			              &item->event.message);
	}
	if (where->standby.process.connection == item->event.connection)
		order_standby(cluster, item->node, &where->standby, &item->event.message);
}
