#include "cluster.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/random.h>

#define MS TANDEM_NS_PER_MS

uint64_t cluster_draw(struct cluster *cluster, uint64_t below)
{
	return tandem_random_next(&cluster->random) % below;
}

uint64_t cluster_delay(struct cluster *cluster)
{
	return MS / 10 + (cluster->chaos.delay_max_ns
	                          ? cluster_draw(cluster, cluster->chaos.delay_max_ns)
	                          : 0);
}

uint64_t cluster_delay_in_order(struct cluster *cluster, uint64_t *last_ns)
{
	uint64_t due_ns = cluster->now_ns + cluster_delay(cluster);
	*last_ns = due_ns > *last_ns ? due_ns : *last_ns;
	return *last_ns - cluster->now_ns;
}

static bool happens(struct cluster *cluster, unsigned per_mille)
{
	return per_mille != 0 && cluster_draw(cluster, 1000) < per_mille;
}

void cluster_fail(struct cluster *cluster, const char *format, ...)
{
	va_list arguments;
	if (cluster->violation[0] != 0)
		return;
	int length = snprintf(cluster->violation, sizeof(cluster->violation),
	                      "at %" PRIu64 " us: ", cluster->now_ns / TANDEM_NS_PER_US);
	va_start(arguments, format);
	vsnprintf(cluster->violation + length, sizeof(cluster->violation) - (size_t)length, format,
	          arguments);
	va_end(arguments);
}

struct item *cluster_post(struct cluster *cluster, enum item_type type, unsigned node,
                          uint64_t delay_ns)
{
	static struct item spare;
	struct item *item = &spare;
	if (cluster->item_count < CLUSTER_ITEMS_MAX)
		item = &cluster->items[cluster->item_count++];
	else
		cluster_fail(cluster, "the simulation has too much under way");
	memset(item, 0, sizeof(*item));
	item->type = type;
	item->node = node;
	item->due_ns = cluster->now_ns + delay_ns;
	return item;
}

/* What was published for an epoch number is published for ever: anything else is a lost
 * acknowledgement or a second leader. */
void cluster_publish(struct cluster *cluster, unsigned node, uint32_t memory)
{
	cluster->publish_count++;
	cluster->publish_ns = cluster->now_ns;
	for (uint32_t at = memory; at != 0; at = cluster->parents[at]) {
		uint32_t *published = &cluster->published[cluster->depths[at]];
		if (*published == at)
			return;
		if (*published != 0) {
			cluster_fail(
			        cluster, "node %s published epoch %u anew: %u, it was %u before",
			        cluster->nodes[node].name, cluster->depths[at], at, *published);
			return;
		}
		*published = at;
	}
}

static void trace(struct cluster *cluster, const struct node *node, const struct tandem_note *note)
{
	char *end = cluster->trace + cluster->trace_length;
	size_t room = sizeof(cluster->trace) - cluster->trace_length;
	uint64_t now_ms = cluster->now_ns / MS;
	int length;
	if (note->is_alarm)
		length = snprintf(end, room, "%" PRIu64 " %s %s: %.40s\n", now_ms, node->name,
		                  note->is_raised ? "alarm" : "alarm over", note->reason);
	else if (note->from == note->to)
		length = snprintf(end, room, "%" PRIu64 " %s %s: %s\n", now_ms, node->name,
		                  tandem_state_name(note->from), note->reason);
	else
		length = snprintf(end, room, "%" PRIu64 " %s %s -> %s: %s\n", now_ms, node->name,
		                  tandem_state_name(note->from), tandem_state_name(note->to),
		                  note->reason);
	if (length > 0 && (size_t)length < room)
		cluster->trace_length += (size_t)length;
	if (note->to == TANDEM_STATE_TAKING_OVER && note->from != note->to)
		cluster->take_over_count++;
}

/* ---- heartbeats ---- */

static void beat_once(struct cluster *cluster, unsigned node,
                      const struct tandem_heartbeat *heartbeat)
{
	if (happens(cluster, cluster->chaos.loss))
		return;
	struct item *item = cluster_post(cluster, ITEM_HEARTBEAT, 1 - node, cluster_delay(cluster));
	item->heartbeat = *heartbeat;
}

static void beat(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	struct tandem_heartbeat heartbeat = {.instance = where->filter.local_instance,
	                                     .echo_instance = where->filter.instance,
	                                     .sequence = ++where->sequence};
	tandem_machine_statement(&where->machine, cluster->now_ns, &heartbeat.statement);
	where->beat_ns = cluster->now_ns + where->config.pair.heartbeat_interval_ns;
	for (unsigned link = 0; link < CLUSTER_LINKS; link++) {
		heartbeat.link = (uint8_t)link;
		if (cluster->beats_are_cut[node][link])
			continue;
		beat_once(cluster, node, &heartbeat);
		if (happens(cluster, cluster->chaos.duplicate))
			beat_once(cluster, node, &heartbeat);
	}
}

static void hear(struct cluster *cluster, const struct item *item)
{
	struct node *where = &cluster->nodes[item->node];
	enum tandem_heartbeat_verdict verdict =
	        tandem_heartbeat_filter_judge(&where->filter, &item->heartbeat);
	struct tandem_event event = {.type = TANDEM_EVENT_HEARTBEAT,
	                             .link = item->heartbeat.link,
	                             .has_news = verdict == TANDEM_HEARTBEAT_NEWS,
	                             .statement = item->heartbeat.statement};
	if (verdict != TANDEM_HEARTBEAT_OLD)
		cluster_feed(cluster, item->node, &event);
}

/* ---- the register ---- */

static void answer(struct cluster *cluster, const struct item *request, enum tandem_event_type type)
{
	struct item *item =
	        cluster_post(cluster, ITEM_TO_CONTROLLER, request->node, cluster_delay(cluster));
	item->life = request->life;
	item->event.type = type;
	item->event.request = request->event.request;
	item->event.record = cluster->record;
}

static bool swap(struct cluster *cluster, const struct item *item)
{
	if (tandem_record_is_same(&cluster->record, &item->desired))
		return true;
	if (!tandem_record_is_same(&cluster->record, &item->expected))
		return false;
	cluster->record = item->desired;
	return true;
}

static void do_cas(struct cluster *cluster, const struct item *item)
{
	bool is_cut = cluster->nodes[item->node].arbiter_is_cut;
	if (is_cut || happens(cluster, cluster->chaos.fail)) {
		answer(cluster, item, TANDEM_EVENT_CAS_FAILED);
		return;
	}
	if (!happens(cluster, cluster->chaos.doubt)) {
		bool is_won = swap(cluster, item);
		answer(cluster, item, is_won ? TANDEM_EVENT_CAS_WON : TANDEM_EVENT_CAS_LOST);
		return;
	}
	unsigned fate = (unsigned)cluster_draw(cluster, 3);
	if (fate == 0)
		swap(cluster, item);
	answer(cluster, item, TANDEM_EVENT_CAS_DOUBT);
	if (fate != 1)
		return;
	struct item late = *item;
	struct item *again =
	        cluster_post(cluster, ITEM_LATE_CAS, item->node, cluster_draw(cluster, 3000 * MS));
	again->expected = late.expected;
	again->desired = late.desired;
}

static void do_read(struct cluster *cluster, const struct item *item)
{
	bool fails =
	        cluster->nodes[item->node].arbiter_is_cut || happens(cluster, cluster->chaos.fail);
	answer(cluster, item, fails ? TANDEM_EVENT_READ_FAILED : TANDEM_EVENT_RECORD);
}

/* ---- controllers ---- */

static void send_to_plane(struct cluster *cluster, unsigned node, uint64_t connection,
                          const struct tandem_control_message *message)
{
	uint64_t delay_ns = cluster_delay_in_order(cluster, &cluster->nodes[node].to_planes_ns);
	struct item *item = cluster_post(cluster, ITEM_TO_PLANE, node, delay_ns);
	item->event.connection = connection;
	item->event.message = *message;
}

static void carry_out(struct cluster *cluster, unsigned node, const struct tandem_action *action)
{
	struct node *where = &cluster->nodes[node];
	struct tandem_control_message halt = {.type = TANDEM_CONTROL_HALT};
	struct item *item;
	switch (action->type) {
	case TANDEM_ACTION_SEND:
		send_to_plane(cluster, node, action->connection, &action->message);
		return;
	case TANDEM_ACTION_REFUSE:
		send_to_plane(cluster, node, action->connection, &halt);
		return;
	case TANDEM_ACTION_CLOSE:
		planes_close(cluster, node, action->connection);
		return;
	case TANDEM_ACTION_READ:
		item = cluster_post(cluster, ITEM_READ, node, cluster_delay(cluster));
		item->event.request = action->request;
		item->life = where->filter.local_instance;
		return;
	case TANDEM_ACTION_CAS:
		item = cluster_post(cluster, ITEM_CAS, node,
		                    happens(cluster, cluster->chaos.hang)
		                            ? cluster_draw(cluster, 2000 * MS)
		                            : cluster_delay(cluster));
		item->event.request = action->request;
		item->life = where->filter.local_instance;
		item->expected = action->expected;
		item->desired = action->desired;
		return;
	case TANDEM_ACTION_BEAT:
		beat(cluster, node);
		return;
	case TANDEM_ACTION_ACKNOWLEDGE:
	case TANDEM_ACTION_REPLY:
		return;
	case TANDEM_ACTION_NOTE:
		trace(cluster, where, &action->note);
		return;
	}
}

void cluster_feed(struct cluster *cluster, unsigned node, struct tandem_event *event)
{
	struct node *where = &cluster->nodes[node];
	event->now_ns = cluster->now_ns;
	event->wall_ns = cluster->now_ns;
	where->tick_ns = cluster->now_ns + where->config.pair.heartbeat_interval_ns;
	tandem_machine_step(&where->machine, event, &cluster->actions);
	for (size_t i = 0; i < cluster->actions.count; i++)
		carry_out(cluster, node, &cluster->actions.list[i]);
	uint64_t deadline_ns = tandem_machine_deadline_ns(&where->machine, cluster->now_ns);
	if (deadline_ns < where->tick_ns)
		where->tick_ns = deadline_ns;
}

void cluster_start_controller(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	if (where->controller_is_alive)
		return;
	where->controller_is_alive = true;
	where->start_controller_ns = 0;
	where->tick_ns = where->beat_ns = cluster->now_ns;
	where->sequence = 0;
	where->filter = (struct tandem_heartbeat_filter){
	        .local_instance = tandem_random_next(&cluster->random) | 1};
	tandem_machine_init(&where->machine, &where->config, tandem_random_next(&cluster->random),
	                    cluster->now_ns);
}

void cluster_kill_controller(struct cluster *cluster, unsigned node)
{
	cluster->nodes[node].controller_is_alive = false;
	cluster->nodes[node].controller_is_stopped = false;
	planes_controller_ended(cluster, node);
}

void cluster_start_standby(struct cluster *cluster, unsigned node)
{
	struct standby *standby = &cluster->nodes[node].standby;
	if (standby->process.is_alive)
		return;
	memset(standby, 0, sizeof(*standby));
	standby->process.is_alive = true;
	standby->process.incarnation = tandem_random_next(&cluster->random) | 1;
	standby->process.process_id = (uint32_t)++cluster->number_last;
}

void cluster_kill_standby(struct cluster *cluster, unsigned node)
{
	planes_end(cluster, node, &cluster->nodes[node].standby.process,
	           TANDEM_CONTROL_KIND_STANDBY);
}

void cluster_start_program(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	struct program *place = NULL;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		if (!where->programs[i].process.is_alive)
			place = &where->programs[i];
	}
	if (!place)
		return;
	memset(place, 0, sizeof(*place));
	place->process.is_alive = true;
	place->process.incarnation = tandem_random_next(&cluster->random) | 1;
	place->process.process_id = (uint32_t)++cluster->number_last;
	place->ready_ns = cluster->now_ns + 10 * MS;
}

void cluster_kill_programs(struct cluster *cluster, unsigned node)
{
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++)
		planes_end(cluster, node, &cluster->nodes[node].programs[i].process,
		           TANDEM_CONTROL_KIND_PROGRAM);
}

void cluster_kill_node(struct cluster *cluster, unsigned node)
{
	cluster_kill_controller(cluster, node);
	cluster_kill_programs(cluster, node);
	cluster_kill_standby(cluster, node);
}

void cluster_stop_node(struct cluster *cluster, unsigned node, bool is_stopped)
{
	struct node *where = &cluster->nodes[node];
	where->controller_is_stopped = is_stopped && where->controller_is_alive;
	where->standby.process.is_stopped = is_stopped;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++)
		where->programs[i].process.is_stopped = is_stopped;
}

void cluster_cut_data(struct cluster *cluster, bool is_cut)
{
	cluster->data_is_cut = is_cut;
}

void cluster_cut_beats(struct cluster *cluster, bool is_cut)
{
	for (unsigned node = 0; node < 2; node++) {
		for (unsigned link = 0; link < CLUSTER_LINKS; link++)
			cluster->beats_are_cut[node][link] = is_cut;
	}
}

/* ---- time ---- */

/* Of a stopped process the messages wait; of one that is gone nobody takes them. */
static bool must_wait(const struct cluster *cluster, const struct item *item)
{
	const struct node *where = &cluster->nodes[item->node];
	if (item->type == ITEM_TO_CONTROLLER || item->type == ITEM_HEARTBEAT)
		return where->controller_is_alive && where->controller_is_stopped;
	if (item->type == ITEM_EPOCH)
		return cluster->data_is_cut || where->standby.process.is_stopped;
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
		const struct process *process = &where->programs[i].process;
		if (item->type == ITEM_ACK && process->session == item->session &&
		    process->is_stopped)
			return true;
		if (item->type == ITEM_TO_PLANE && process->connection == item->event.connection &&
		    process->is_stopped)
			return true;
	}
	if (item->type == ITEM_ACK)
		return cluster->data_is_cut;
	return item->type == ITEM_TO_PLANE && where->standby.process.is_stopped &&
	       where->standby.process.connection == item->event.connection;
}

static void deliver(struct cluster *cluster, struct item *item)
{
	const struct node *where = &cluster->nodes[item->node];
	bool is_heard = where->controller_is_alive &&
	                (item->life == 0 || item->life == where->filter.local_instance);
	if (item->type == ITEM_TO_CONTROLLER && is_heard)
		cluster_feed(cluster, item->node, &item->event);
	if (item->type == ITEM_HEARTBEAT && is_heard)
		hear(cluster, item);
	if (item->type == ITEM_READ)
		do_read(cluster, item);
	if (item->type == ITEM_CAS)
		do_cas(cluster, item);
	if (item->type == ITEM_LATE_CAS)
		swap(cluster, item);
	planes_take(cluster, item);
}

static void deliver_due(struct cluster *cluster)
{
	for (size_t i = 0; i < cluster->item_count;) {
		struct item item = cluster->items[i];
		if (item.due_ns > cluster->now_ns || must_wait(cluster, &item)) {
			i++;
			continue;
		}
		cluster->item_count--;
		memmove(&cluster->items[i], &cluster->items[i + 1],
		        (cluster->item_count - i) * sizeof(cluster->items[0]));
		deliver(cluster, &item);
	}
}

static void step_controller(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	if (!where->controller_is_alive || where->controller_is_stopped)
		return;
	if (cluster->now_ns >= where->tick_ns) {
		struct tandem_event event = {.type = TANDEM_EVENT_TICK};
		cluster_feed(cluster, node, &event);
	}
	if (cluster->now_ns >= where->beat_ns)
		beat(cluster, node);
}

/* A program that answers without asking a copy is the one that the register names, alone. */
static void check(struct cluster *cluster)
{
	const struct program *open = NULL;
	for (unsigned node = 0; node < 2; node++) {
		for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++) {
			const struct program *program = &cluster->nodes[node].programs[i];
			if (!planes_leads_openly(program))
				continue;
			if (open)
				cluster_fail(cluster, "two programs lead alone");
			open = program;
		}
	}
	if (open && (cluster->record.is_pair ||
	             cluster->record.owner_incarnation != open->process.incarnation))
		cluster_fail(cluster, "a program leads alone that the register does not name");
}

void cluster_run(struct cluster *cluster, uint64_t duration_ns)
{
	uint64_t end_ns = cluster->now_ns + duration_ns;
	while (cluster->now_ns < end_ns && cluster->violation[0] == 0) {
		cluster->now_ns += CLUSTER_STEP_NS;
		deliver_due(cluster);
		for (unsigned node = 0; node < 2; node++) {
			step_controller(cluster, node);
			planes_step(cluster, node);
		}
		check(cluster);
	}
}

static void name(char *ret_name, const char *text)
{
	snprintf(ret_name, TANDEM_NAME_BYTES, "%s", text);
}

void cluster_init(struct cluster *cluster, uint64_t seed, enum tandem_arbiter_type arbiter)
{
	memset(cluster, 0, sizeof(*cluster));
	cluster->random = seed;
	cluster->now_ns = 1000 * MS;
	for (unsigned i = 0; i < 2; i++) {
		struct node *node = &cluster->nodes[i];
		struct tandem_controller_pair *pair = &node->config.pair;
		*pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
		name(node->name, i == 0 ? "a" : "b");
		name(node->config.node, i == 0 ? "a" : "b");
		name(pair->name, "kv");
		name(pair->peer_node, i == 0 ? "b" : "a");
		name(pair->first_owner, "a");
		pair->link_count = CLUSTER_LINKS;
		pair->arbiter_type = arbiter;
		pair->damper_take_over_count = TANDEM_DAMPER_MAX;
		pair->damper_window_ns = 1;
	}
}

void cluster_start(struct cluster *cluster)
{
	for (unsigned node = 0; node < 2; node++) {
		cluster_start_controller(cluster, node);
		cluster_start_standby(cluster, node);
	}
	cluster_start_program(cluster, 0);
}
