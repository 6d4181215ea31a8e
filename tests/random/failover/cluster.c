#include "cluster.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/error.h>
#include <tandem/random.h>

#define MS               TANDEM_NS_PER_MS
#define SPIKE_NS         (1000 * MS)
#define BACKLOG_MAX      100 /* datagrams for a process that does not read */
#define EVENTS_MAX       2000000
#define DELAY_MINIMUM_NS (MS / 10)

/* ---- chance ---- */

uint64_t cluster_draw(struct cluster *cluster, uint64_t below)
{
	return tandem_random_next(&cluster->random) % below;
}

bool cluster_happens(struct cluster *cluster, unsigned per_mille)
{
	return per_mille != 0 && cluster_draw(cluster, 1000) < per_mille;
}

uint64_t cluster_delay(struct cluster *cluster)
{
	if (cluster->chaos.delay_max_ns == 0)
		return DELAY_MINIMUM_NS;
	uint64_t below_ns = cluster_happens(cluster, cluster->chaos.spike)
	                            ? SPIKE_NS
	                            : cluster->chaos.delay_max_ns;
	return DELAY_MINIMUM_NS + cluster_draw(cluster, below_ns);
}

uint64_t cluster_delay_in_order(struct cluster *cluster, uint64_t *last_ns)
{
	uint64_t due_ns = cluster->now_ns + cluster_delay(cluster);
	*last_ns = due_ns > *last_ns ? due_ns : *last_ns;
	return *last_ns - cluster->now_ns;
}

/* ---- what is told ---- */

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

void cluster_trace(struct cluster *cluster, enum trace_level level, const char *format, ...)
{
	va_list arguments;
	if (cluster->trace_level < level)
		return;
	char *end = cluster->trace + cluster->trace_length;
	size_t room = sizeof(cluster->trace) - cluster->trace_length;
	int prefix = snprintf(end, room, "%" PRIu64 " ", cluster->now_ns / MS);
	if (prefix < 0 || (size_t)prefix >= room)
		return;
	va_start(arguments, format);
	int length = vsnprintf(end + prefix, room - (size_t)prefix, format, arguments);
	va_end(arguments);
	if (length >= 0 && (size_t)(prefix + length) < room)
		cluster->trace_length += (size_t)(prefix + length);
	else
		*end = 0;
}

static void trace_note(struct cluster *cluster, const char *node, const struct tandem_note *note)
{
	if (note->to == TANDEM_STATE_TAKING_OVER && note->from != note->to)
		cluster->take_over_count++;
	if (note->is_alarm)
		cluster_trace(cluster, TRACE_DECISIONS, "%s %s: %.40s\n", node,
		              note->is_raised ? "alarm" : "alarm over", note->reason);
	else if (note->from == note->to)
		cluster_trace(cluster, TRACE_DECISIONS, "%s %s: %s\n", node,
		              tandem_state_name(note->from), note->reason);
	else
		cluster_trace(cluster, TRACE_DECISIONS, "%s %s -> %s: %s\n", node,
		              tandem_state_name(note->from), tandem_state_name(note->to),
		              note->reason);
}

/* ---- what is under way: a heap by time, then by order ---- */

static bool is_before(const struct due *one, const struct due *other)
{
	return one->due_ns < other->due_ns ||
	       (one->due_ns == other->due_ns && one->order < other->order);
}

static void push(struct cluster *cluster, uint32_t index)
{
	struct due due = {.due_ns = cluster->items[index].due_ns,
	                  .order = cluster->items[index].order,
	                  .index = index};
	size_t at = cluster->due_count++;
	while (at > 0 && is_before(&due, &cluster->due[(at - 1) / 2])) {
		cluster->due[at] = cluster->due[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	cluster->due[at] = due;
}

static uint32_t pop(struct cluster *cluster)
{
	uint32_t index = cluster->due[0].index;
	struct due last = cluster->due[--cluster->due_count];
	size_t at = 0;
	for (size_t child = 1; child < cluster->due_count; child = 2 * at + 1) {
		if (child + 1 < cluster->due_count &&
		    is_before(&cluster->due[child + 1], &cluster->due[child]))
			child++;
		if (!is_before(&cluster->due[child], &last))
			break;
		cluster->due[at] = cluster->due[child];
		at = child;
	}
	cluster->due[at] = last;
	return index;
}

static bool take_place(struct cluster *cluster, uint32_t *ret_index)
{
	if (cluster->free_count > 0)
		*ret_index = cluster->free[--cluster->free_count];
	else if (cluster->used_count < CLUSTER_ITEMS_MAX)
		*ret_index = (uint32_t)cluster->used_count++;
	else
		return false;
	return true;
}

struct item *cluster_post(struct cluster *cluster, enum item_type type, unsigned node,
                          uint64_t delay_ns)
{
	static struct item spare;
	uint32_t index;
	if (!take_place(cluster, &index)) {
		cluster_fail(cluster, "the simulation has too much under way");
		return &spare;
	}
	struct item *item = &cluster->items[index];
	*item = (struct item){.type = type,
	                      .node = node,
	                      .due_ns = cluster->now_ns + delay_ns,
	                      .order = ++cluster->order_last};
	push(cluster, index);
	return item;
}

/* ---- heartbeats ---- */

static void beat_once(struct cluster *cluster, unsigned node,
                      const struct tandem_heartbeat *heartbeat)
{
	if (cluster_happens(cluster, cluster->chaos.loss))
		return;
	struct item *item = cluster_post(cluster, ITEM_HEARTBEAT, 1 - node, cluster_delay(cluster));
	item->of.heartbeat = *heartbeat;
}

static void beat(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	where->beat_ns = cluster->now_ns + where->config.pair.heartbeat_interval_ns;
	if (where->deaf_since_ns != 0)
		return;
	struct tandem_heartbeat heartbeat = {.instance = where->filter.local_instance,
	                                     .echo_instance = where->filter.instance,
	                                     .echo_sequence = where->filter.statement_sequence,
	                                     .sequence = ++where->sequence};
	tandem_machine_statement(&where->machine, cluster->now_ns, &heartbeat.statement);
	for (unsigned link = 0; link < CLUSTER_LINKS; link++) {
		heartbeat.link = (uint8_t)link;
		if (cluster->beats_are_cut[node][link])
			continue;
		beat_once(cluster, node, &heartbeat);
		if (cluster_happens(cluster, cluster->chaos.duplicate))
			beat_once(cluster, node, &heartbeat);
	}
}

static void hear(struct cluster *cluster, const struct item *item)
{
	struct node *where = &cluster->nodes[item->node];
	enum tandem_heartbeat_verdict verdict =
	        tandem_heartbeat_filter_judge(&where->filter, &item->of.heartbeat);
	if (verdict == TANDEM_HEARTBEAT_OLD)
		return;
	struct tandem_event event = {
	        .type = TANDEM_EVENT_HEARTBEAT,
	        .link = item->of.heartbeat.link,
	        .has_news = verdict == TANDEM_HEARTBEAT_NEWS,
	        .statement = tandem_heartbeat_filter_hear(&where->filter, &item->of.heartbeat)};
	if (event.has_news && event.statement.record.generation > 0)
		arbiter_adopt(cluster, item->node, &event.statement.record);
	cluster_feed(cluster, item->node, &event);
}

/* ---- controllers ---- */

static void send_to_plane(struct cluster *cluster, unsigned node, uint64_t connection,
                          const struct tandem_control_message *message)
{
	struct process *process = planes_by_connection(cluster, node, connection);
	if (!process)
		return;
	struct item *item = cluster_post(cluster, ITEM_TO_PLANE, node,
	                                 cluster_delay_in_order(cluster, &process->told_ns));
	item->connection = connection;
	item->of.word = (struct word){.type = message->type,
	                              .is_pair = message->is_pair,
	                              .holds_output = message->holds_output,
	                              .incarnation = message->incarnation,
	                              .peer_incarnation = message->peer_incarnation,
	                              .generation = message->generation,
	                              .epoch = message->epoch};
}

static void carry_out(struct cluster *cluster, unsigned node, const struct tandem_action *action)
{
	struct node *where = &cluster->nodes[node];
	struct tandem_control_message halt = {.type = TANDEM_CONTROL_HALT};
	switch (action->type) {
	case TANDEM_ACTION_SEND:
		send_to_plane(cluster, node, action->connection, &action->message);
		return;
	case TANDEM_ACTION_REFUSE:
		send_to_plane(cluster, node, action->connection, &halt);
		planes_close(cluster, node, action->connection);
		return;
	case TANDEM_ACTION_CLOSE:
		planes_close(cluster, node, action->connection);
		return;
	case TANDEM_ACTION_READ:
	case TANDEM_ACTION_CAS:
	case TANDEM_ACTION_ACKNOWLEDGE:
		arbiter_ask(cluster, node, action);
		return;
	case TANDEM_ACTION_BEAT:
		beat(cluster, node);
		return;
	case TANDEM_ACTION_REPLY:
		return;
	case TANDEM_ACTION_NOTE:
		trace_note(cluster, where->name, &action->note);
		return;
	}
}

void cluster_feed(struct cluster *cluster, unsigned node, struct tandem_event *event)
{
	struct node *where = &cluster->nodes[node];
	event->now_ns = cluster->now_ns;
	event->wall_ns = cluster->now_ns;
	event->deaf_ns = where->deaf_since_ns != 0 ? cluster->now_ns - where->deaf_since_ns
	                                           : where->deaf_ended_ns;
	where->deaf_ended_ns = 0;
	if (cluster->trace_level >= TRACE_EVENTS)
		cluster_trace(cluster, TRACE_EVENTS, "%s %s hears %s\n", where->name,
		              tandem_state_name(where->machine.state),
		              tandem_event_name(event->type));
	tandem_machine_step(&where->machine, event, &cluster->actions);
	for (size_t i = 0; i < cluster->actions.count; i++)
		carry_out(cluster, node, &cluster->actions.list[i]);
	where->tick_ns = tandem_machine_deadline_ns(&where->machine, cluster->now_ns);
}

void cluster_say(struct cluster *cluster, unsigned node, enum tandem_event_type type,
                 uint64_t generation)
{
	struct tandem_event event = {.type = type, .generation = generation};
	const struct node *where = &cluster->nodes[node];
	if (where->controller_is_alive && !where->controller_is_stopped)
		cluster_feed(cluster, node, &event);
}

static void hear_fit(struct node *where, const struct item *item)
{
	bool is_report = item->event == TANDEM_EVENT_REPORT &&
	                 item->connection == where->machine.standby.connection;
	bool is_attached = item->event == TANDEM_EVENT_ATTACHED &&
	                   item->of.word.kind == TANDEM_CONTROL_KIND_STANDBY;
	if (is_report || is_attached)
		where->is_told_unfit = item->of.word.is_misfit || item->of.word.is_unjudged;
}

static int fit_status(const struct word *word)
{
	if (word->is_misfit)
		return TANDEM_E_UNSUPPORTED;
	return word->is_unjudged ? TANDEM_E_AGAIN : 0;
}

static void hear_plane(struct cluster *cluster, const struct item *item)
{
	const struct word *word = &item->of.word;
	struct tandem_event event = {.type = item->event,
	                             .connection = item->connection,
	                             .message = {.kind = word->kind,
	                                         .answers = word->answers,
	                                         .has_session = word->has_session,
	                                         .has_copy = word->has_copy,
	                                         .status = fit_status(word),
	                                         .leaves = word->leaves,
	                                         .process_id = word->process_id,
	                                         .incarnation = word->incarnation,
	                                         .peer_incarnation = word->peer_incarnation,
	                                         .generation = word->generation,
	                                         .epoch = word->epoch,
	                                         .heard_age_ns = word->heard_age_ns,
	                                         .peer_beat = word->peer_beat,
	                                         .beat_age_ns = word->beat_age_ns}};
	hear_fit(&cluster->nodes[item->node], item);
	cluster_feed(cluster, item->node, &event);
}

static void hear_answer(struct cluster *cluster, const struct item *item)
{
	struct tandem_event event = {.type = item->event,
	                             .request = item->of.question.request,
	                             .record = item->of.question.expected};
	cluster_feed(cluster, item->node, &event);
}

/* ---- what may be done to it ---- */

void cluster_start_controller(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	if (where->controller_is_alive)
		return;
	where->controller_is_alive = true;
	where->tick_ns = where->beat_ns = cluster->now_ns;
	where->sequence = 0;
	where->deaf_since_ns = where->deaf_ended_ns = 0;
	where->waiting_count = 0;
	where->is_told_unfit = false;
	where->filter = (struct tandem_heartbeat_filter){
	        .local_instance = tandem_random_next(&cluster->random) | 1};
	tandem_machine_init(&where->machine, &where->config, tandem_random_next(&cluster->random),
	                    cluster->now_ns);
}

void cluster_kill_controller(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	if (!where->controller_is_alive)
		return;
	where->controller_is_alive = false;
	where->controller_is_stopped = false;
	planes_controller_ended(cluster, node);
}

static void begin_process(struct cluster *cluster, unsigned node, struct process *process,
                          enum tandem_control_kind kind)
{
	*process = (struct process){.is_alive = true,
	                            .kind = kind,
	                            .node = node,
	                            .incarnation = tandem_random_next(&cluster->random) | 1,
	                            .process_id = (uint32_t)++cluster->number_last};
}

void cluster_start_standby(struct cluster *cluster, unsigned node)
{
	struct standby *standby = &cluster->nodes[node].standby;
	if (standby->process.is_alive)
		return;
	*standby = (struct standby){.has_copy = false};
	begin_process(cluster, node, &standby->process, TANDEM_CONTROL_KIND_STANDBY);
}

void cluster_kill_standby(struct cluster *cluster, unsigned node)
{
	planes_end(cluster, &cluster->nodes[node].standby.process, true);
}

void cluster_start_program(struct cluster *cluster, unsigned node)
{
	struct program *place = planes_find_place(cluster, node);
	if (!place)
		return;
	*place = (struct program){.ready_ns = cluster->now_ns + 10 * MS};
	begin_process(cluster, node, &place->process, TANDEM_CONTROL_KIND_PROGRAM);
}

void cluster_kill_programs(struct cluster *cluster, unsigned node)
{
	for (unsigned i = 0; i < CLUSTER_PROGRAMS; i++)
		planes_end(cluster, &cluster->nodes[node].programs[i].process, true);
}

void cluster_kill_node(struct cluster *cluster, unsigned node)
{
	cluster_kill_controller(cluster, node);
	cluster_kill_programs(cluster, node);
	cluster_kill_standby(cluster, node);
}

void cluster_power_off(struct cluster *cluster, unsigned node)
{
	for (unsigned i = 0; i < CLUSTER_PROCESSES; i++)
		planes_end(cluster, cluster_process(&cluster->nodes[node], i), false);
	cluster_kill_controller(cluster, node);
}

void cluster_stop_node(struct cluster *cluster, unsigned node, bool is_stopped)
{
	struct node *where = &cluster->nodes[node];
	where->controller_is_stopped = is_stopped && where->controller_is_alive;
	for (unsigned i = 0; i < CLUSTER_PROCESSES; i++) {
		struct process *process = cluster_process(where, i);
		process->is_stopped = is_stopped && process->is_alive;
	}
}

void cluster_deafen(struct cluster *cluster, unsigned node, bool is_deaf)
{
	struct node *where = &cluster->nodes[node];
	if (!is_deaf && where->deaf_since_ns != 0)
		where->deaf_ended_ns = cluster->now_ns - where->deaf_since_ns;
	where->deaf_since_ns = is_deaf ? cluster->now_ns : 0;
}

void cluster_cut_data(struct cluster *cluster, bool is_cut)
{
	cluster->data_is_cut[0] = cluster->data_is_cut[1] = is_cut;
}

void cluster_cut_beats(struct cluster *cluster, bool is_cut)
{
	for (unsigned node = 0; node < 2; node++) {
		for (unsigned link = 0; link < CLUSTER_LINKS; link++)
			cluster->beats_are_cut[node][link] = is_cut;
	}
}

struct process *cluster_process(struct node *node, unsigned index)
{
	return index < CLUSTER_PROGRAMS ? &node->programs[index].process : &node->standby.process;
}

bool cluster_runs(const struct process *process)
{
	return process->is_alive && !process->is_stopped;
}

bool cluster_is_fit(const struct cluster *cluster, unsigned node)
{
	return !cluster->nodes[node].is_misfit && !cluster->nodes[node].is_unjudged;
}

/* ---- time ---- */

static bool is_between_planes(enum item_type type)
{
	return type >= ITEM_HELLO;
}

/* Of a stopped process the messages wait; of one that is gone nobody takes them. */
static bool must_wait(struct cluster *cluster, const struct item *item)
{
	const struct node *where = &cluster->nodes[item->node];
	const struct process *process = NULL;
	if (item->type == ITEM_HEARTBEAT && where->controller_is_alive && where->deaf_since_ns != 0)
		return true;
	if (item->type == ITEM_TO_CONTROLLER || item->type == ITEM_HEARTBEAT ||
	    item->type == ITEM_ANSWER)
		return where->controller_is_alive && where->controller_is_stopped;
	if (item->type == ITEM_CAS || item->type == ITEM_LATE_CAS || item->type == ITEM_ADOPT)
		return arbiter_registers_are_own(cluster) && where->controller_is_stopped;
	if (item->type == ITEM_TO_PLANE || item->type == ITEM_HANG_UP)
		process = planes_by_connection(cluster, item->node, item->connection);
	if (is_between_planes(item->type) && cluster->data_is_cut[1 - item->node])
		return item->type != ITEM_HELLO && item->type != ITEM_WELCOME;
	if (item->type == ITEM_HELLO)
		process = &where->standby.process;
	else if (is_between_planes(item->type))
		process = sessions_find(cluster, item->node, item->of.letter.session);
	return process && process->is_stopped;
}

static void deliver(struct cluster *cluster, const struct item *item)
{
	const struct node *where = &cluster->nodes[item->node];
	bool is_heard = where->controller_is_alive &&
	                (item->life == 0 || item->life == where->filter.local_instance);
	switch (item->type) {
	case ITEM_TO_CONTROLLER:
		if (is_heard)
			hear_plane(cluster, item);
		return;
	case ITEM_ANSWER:
		if (is_heard)
			hear_answer(cluster, item);
		return;
	case ITEM_HEARTBEAT:
		if (is_heard)
			hear(cluster, item);
		return;
	case ITEM_READ:
	case ITEM_CAS:
	case ITEM_LATE_CAS:
	case ITEM_ADOPT:
		arbiter_take(cluster, item);
		return;
	case ITEM_TO_PLANE:
	case ITEM_HANG_UP:
		planes_take(cluster, item);
		return;
	case ITEM_HELLO:
	case ITEM_WELCOME:
	case ITEM_GOODBYE:
	case ITEM_COPY:
	case ITEM_COPY_APPLIED:
	case ITEM_EPOCH:
	case ITEM_ACK:
		sessions_take(cluster, item);
		return;
	}
}

static void give_back(struct cluster *cluster, uint32_t index)
{
	cluster->free[cluster->free_count++] = index;
}

/* Who leads openly depends on programs and registers alone. */
static bool may_open(enum item_type type)
{
	return type != ITEM_TO_CONTROLLER && type != ITEM_ANSWER && type != ITEM_HEARTBEAT &&
	       type != ITEM_READ;
}

static void take_next(struct cluster *cluster)
{
	uint32_t index = pop(cluster);
	struct item *item = &cluster->items[index];
	struct node *where = &cluster->nodes[item->node];
	if (!must_wait(cluster, item)) {
		/* Its place may be used again while it is delivered. */
		struct item copy = *item;
		give_back(cluster, index);
		cluster->event_count++;
		deliver(cluster, &copy);
		if (may_open(copy.type))
			judge_step(cluster);
	} else if (item->type == ITEM_HEARTBEAT && where->waiting_count >= BACKLOG_MAX) {
		give_back(cluster, index);
	} else {
		/* What a socket holds ends with it. */
		if (item->type == ITEM_HEARTBEAT) {
			where->waiting_count++;
			item->life = where->filter.local_instance;
		}
		cluster->waiting[cluster->waiting_count++] = index;
	}
}

static uint32_t look_for_obstacles(struct cluster *cluster)
{
	uint32_t obstacles = 0;
	for (unsigned node = 0; node < 2; node++) {
		struct node *where = &cluster->nodes[node];
		obstacles = obstacles << 3 | (uint32_t)where->controller_is_stopped << 2 |
		            (uint32_t)(where->deaf_since_ns != 0) << 1 |
		            (uint32_t)cluster->data_is_cut[node];
		for (unsigned i = 0; i < CLUSTER_PROCESSES; i++)
			obstacles =
			        obstacles << 1 | (uint32_t)cluster_process(where, i)->is_stopped;
	}
	return obstacles;
}

void cluster_wake(struct cluster *cluster)
{
	cluster->obstacles = look_for_obstacles(cluster);
	for (size_t i = 0; i < cluster->waiting_count; i++)
		push(cluster, cluster->waiting[i]);
	cluster->waiting_count = 0;
	cluster->nodes[0].waiting_count = cluster->nodes[1].waiting_count = 0;
	planes_arm(cluster);
}

static uint64_t controller_due_ns(const struct node *where)
{
	if (!where->controller_is_alive || where->controller_is_stopped)
		return CLUSTER_NEVER_NS;
	return where->tick_ns < where->beat_ns ? where->tick_ns : where->beat_ns;
}

static void step_controller(struct cluster *cluster, unsigned node)
{
	struct node *where = &cluster->nodes[node];
	if (cluster->now_ns >= where->tick_ns) {
		struct tandem_event event = {.type = TANDEM_EVENT_TICK};
		cluster_feed(cluster, node, &event);
	}
	if (cluster->now_ns >= where->beat_ns)
		beat(cluster, node);
}

static uint64_t sooner(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

static uint64_t next_due_ns(const struct cluster *cluster)
{
	uint64_t due_ns = cluster->due_count > 0 ? cluster->due[0].due_ns : CLUSTER_NEVER_NS;
	for (unsigned node = 0; node < 2; node++) {
		due_ns = sooner(due_ns, controller_due_ns(&cluster->nodes[node]));
		due_ns = sooner(due_ns, cluster->nodes[node].planes_due_ns);
	}
	return due_ns;
}

static void step(struct cluster *cluster)
{
	if (cluster->due_count > 0 && cluster->due[0].due_ns <= cluster->now_ns) {
		take_next(cluster);
		return;
	}
	for (unsigned node = 0; node < 2; node++) {
		if (controller_due_ns(&cluster->nodes[node]) <= cluster->now_ns) {
			cluster->event_count++;
			step_controller(cluster, node);
		}
		if (cluster->nodes[node].planes_due_ns <= cluster->now_ns) {
			cluster->event_count++;
			planes_step(cluster, node);
			judge_step(cluster);
		}
	}
}

void cluster_run(struct cluster *cluster, uint64_t duration_ns)
{
	uint64_t end_ns = cluster->now_ns + duration_ns;
	if (look_for_obstacles(cluster) != cluster->obstacles)
		cluster_wake(cluster);
	planes_arm(cluster);
	while (cluster->violation[0] == 0) {
		uint64_t due_ns = next_due_ns(cluster);
		if (due_ns > end_ns)
			break;
		cluster->now_ns = due_ns > cluster->now_ns ? due_ns : cluster->now_ns;
		step(cluster);
		if (cluster->event_count > EVENTS_MAX)
			cluster_fail(cluster, "the simulation does not come to rest");
	}
	cluster->now_ns = end_ns;
	sessions_touch(cluster);
}

static void name(char *ret_name, const char *text)
{
	snprintf(ret_name, TANDEM_NAME_BYTES, "%s", text);
}

void cluster_init(struct cluster *cluster, uint64_t seed, enum tandem_arbiter_type arbiter)
{
	memset(cluster->published, 0, (cluster->epoch_count + 1) * sizeof(cluster->published[0]));
	memset(cluster->releasers, 0, sizeof(cluster->releasers));
	memset(cluster, 0, offsetof(struct cluster, trace));
	cluster->trace[0] = 0;
	cluster->random = seed;
	cluster->trace_level = TRACE_DECISIONS;
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
