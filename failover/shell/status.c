#include "shell/status.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <tandem/clock.h>
#include <tandem/process.h>
#include <time.h>

#include "core/rules.h"
#include "shell/headline.h"
#include "shell/pulse.h"

static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	add(object, key, json_object_new_string(text));
}

static void add_count(struct json_object *object, const char *key, uint64_t value)
{
	add(object, key, json_object_new_uint64(value));
}

static void add_flag(struct json_object *object, const char *key, bool value)
{
	add(object, key, json_object_new_boolean(value));
}

struct json_object *tandem_status_number(uint64_t value, uint64_t unit)
{
	char text[40];
	snprintf(text, sizeof(text), "%" PRIu64 ".%03" PRIu64, value / unit,
	         value % unit * 1000 / unit);
	return json_object_new_double_s((double)value / (double)unit, text);
}

struct json_object *tandem_status_time(uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / TANDEM_NS_PER_S);
	struct tm parts;
	char text[64];
	char whole[40];
	gmtime_r(&seconds, &parts);
	strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text, sizeof(text), "%s.%03uZ", whole,
	         (unsigned)(wall_ns % TANDEM_NS_PER_S / TANDEM_NS_PER_MS));
	return json_object_new_string(text);
}

struct json_object *tandem_status_name(uint64_t number)
{
	char text[20];
	snprintf(text, sizeof(text), "%016" PRIx64, number);
	return json_object_new_string(text);
}

/* null when it was never. */
static void add_age(struct json_object *object, const char *key, uint64_t at_ns, uint64_t now_ns)
{
	struct json_object *age = NULL;
	if (at_ns != 0)
		age = tandem_status_number(now_ns > at_ns ? now_ns - at_ns : 0, TANDEM_NS_PER_MS);
	add(object, key, age);
}

static void add_span(struct json_object *object, const char *key, uint64_t from_ns, uint64_t to_ns)
{
	bool is_known = from_ns != 0 && to_ns >= from_ns;
	add(object, key, is_known ? tandem_status_number(to_ns - from_ns, TANDEM_NS_PER_MS) : NULL);
}

static void add_headline(struct json_object *object, const struct tandem_pair *pair,
                         uint64_t now_ns)
{
	const struct tandem_machine *machine = &pair->machine;
	enum tandem_headline headline = tandem_headline_of(machine, now_ns);
	struct tandem_headline_facts facts;
	char text[300];
	tandem_status_facts(pair, now_ns, &facts);
	tandem_headline_spell(machine, &facts, now_ns, text, sizeof(text));
	add_text(object, "headline", text);
	add_text(object, "protection", tandem_headline_name(headline));
	add_flag(object, "protected", headline == TANDEM_HEADLINE_PROTECTED);
	add(object, "copy", tandem_status_of_copy(&facts));
}

/* What ends this node's output when it may no longer lead and nobody else can end it. */
static struct json_object *describe_self_fence(const struct tandem_machine *machine)
{
	const char *why = "output is gated, no lease needed";
	bool is_armed = machine->program.connection != 0 && machine->program.has_lease;
	struct json_object *object = json_object_new_object();
	if (machine->config.pair.settings.lease_ns != 0)
		why = is_armed                           ? "the program ends when its lease does"
		      : machine->program.connection != 0 ? "the program leads alone, or has no "
		                                           "lease yet"
		                                         : "no program runs here";
	add_flag(object, "armed", is_armed);
	add_text(object, "why", why);
	add(object, "lease_ms",
	    tandem_status_number(machine->config.pair.settings.lease_ns, TANDEM_NS_PER_MS));
	return object;
}

static void add_advice(struct json_object *object, const struct tandem_machine *machine,
                       uint64_t now_ns)
{
	const char *command = tandem_machine_unblock(machine, now_ns);
	char text[160] = "";
	add_text(object, "waiting_for", tandem_machine_waiting_for(machine, now_ns));
	const char *pair = machine->config.pair.name;
	uint64_t generation = machine->view.record.generation;
	if (strcmp(command, "promote") == 0)
		snprintf(text, sizeof(text), "tandemctl promote %s --generation %" PRIu64, pair,
		         generation);
	else if (strcmp(command, "force-primary") == 0)
		snprintf(text, sizeof(text), "tandemctl force-primary %s --i-accept-data-loss",
		         pair);
	else if (command[0])
		snprintf(text, sizeof(text), "tandemctl %s %s", command, pair);
	add_text(object, "unblock", text);
}

static struct json_object *spell_alarm(const struct tandem_pair *pair, enum tandem_alarm alarm)
{
	char detail[200];
	char text[400];
	tandem_pair_spell_alarm(pair, alarm, detail, sizeof(detail));
	snprintf(text, sizeof(text), "%s%s%s", tandem_alarm_text(alarm), detail[0] ? ": " : "",
	         detail);
	return json_object_new_string(text);
}

static struct json_object *list_alarms(const struct tandem_pair *pair)
{
	struct json_object *list = json_object_new_array();
	for (enum tandem_alarm alarm = 0; alarm < TANDEM_ALARM_COUNT; alarm++) {
		if (pair->machine.alarms & UINT32_C(1) << alarm)
			json_object_array_add(list, spell_alarm(pair, alarm));
	}
	return list;
}

struct json_object *tandem_status_spread(const struct tandem_histogram *spread_ns)
{
	struct json_object *object = json_object_new_object();
	add(object, "p50_ms",
	    tandem_status_number(tandem_histogram_at(spread_ns, 500), TANDEM_NS_PER_MS));
	add(object, "p99_ms",
	    tandem_status_number(tandem_histogram_at(spread_ns, 990), TANDEM_NS_PER_MS));
	add(object, "max_ms", tandem_status_number(spread_ns->max, TANDEM_NS_PER_MS));
	add_count(object, "count", spread_ns->count);
	return object;
}

void tandem_status_add_timing(struct json_object *object, struct tandem_controller *controller)
{
	struct json_object *lateness = json_object_new_object();
	const char *refusal = tandem_controller_real_time_refusal(controller);
	struct tandem_histogram late_ns;
	tandem_pulse_lateness(controller->pulse, &late_ns);
	add(lateness, "heartbeats", tandem_status_spread(&late_ns));
	add(lateness, "loop", tandem_status_spread(&controller->late_ns));
	add_flag(object, "realtime", refusal[0] == 0);
	add_text(object, "realtime_refusal", refusal);
	add_text(object, "watchdog", tandem_watchdog_text(controller->watchdog));
	add_flag(object, "memory_locked", controller->options.is_memory_locked);
	add_text(object, "memory_lock_refusal", controller->options.memory_lock_refusal);
	add(object, "lateness", lateness);
}

static struct json_object *list_links(const struct tandem_pair *pair, uint64_t now_ns)
{
	const struct tandem_machine *machine = &pair->machine;
	struct json_object *list = json_object_new_array();
	struct tandem_histogram gaps_ns;
	for (size_t i = 0; i < machine->config.pair.link_count; i++) {
		const struct tandem_controller_link *link = &machine->config.pair.links[i];
		struct json_object *entry = json_object_new_object();
		add_count(entry, "link", i);
		add_text(entry, "address", link->peer_address);
		add_count(entry, "port", link->peer_port);
		add_age(entry, "heard_ms", machine->detector.heard_ns[i], now_ns);
		add_flag(entry, "up", tandem_detector_link_is_up(&machine->detector, i, now_ns));
		tandem_links_gaps(pair, i, &gaps_ns);
		add(entry, "gaps", tandem_status_spread(&gaps_ns));
		json_object_array_add(list, entry);
	}
	return list;
}

static struct json_object *describe_peer(const struct tandem_pair *pair, uint64_t now_ns)
{
	const struct tandem_machine *machine = &pair->machine;
	struct json_object *peer = json_object_new_object();
	uint64_t heard_ns = tandem_detector_heard_ns(&machine->detector);
	add_text(peer, "node", machine->config.pair.peer_node);
	add_age(peer, "heard_ms", heard_ns, now_ns);
	add_text(peer, "state",
	         heard_ns != 0 ? tandem_state_name((enum tandem_state)machine->peer.state)
	                       : "unknown");
	uint64_t beat_ns;
	enum tandem_peer_beat beat = tandem_machine_peer_beat(machine, now_ns, &beat_ns);
	add_text(peer, "process", tandem_peer_beat_text(beat));
	add_age(peer, "counter_moved_ms", beat_ns, now_ns);
	add_count(peer, "refused_heartbeats", tandem_links_refused_count(pair));
	add(peer, "links", list_links(pair, now_ns));
	return peer;
}

static struct json_object *describe_plane(const struct tandem_pair *pair, uint64_t now_ns)
{
	const struct tandem_machine *machine = &pair->machine;
	bool is_program = machine->program.connection != 0;
	const struct tandem_plane *plane = is_program ? &machine->program : &machine->standby;
	bool is_attached = plane->connection != 0;
	struct json_object *object = json_object_new_object();
	add(object, "kind",
	    is_attached ? json_object_new_string(is_program ? "program" : "standby") : NULL);
	add_flag(object, "attached", is_attached);
	add(object, "incarnation", is_attached ? tandem_status_name(plane->incarnation) : NULL);
	add_count(object, "process_id", plane->process_id);
	add_flag(object, "session", plane->has_session);
	add_text(object, "session_detail",
	         is_program && !plane->has_session ? pair->session_detail : "");
	bool is_misfit = tandem_guard_standby_is_misfit(machine, now_ns);
	add_text(object, "misfit", is_misfit ? pair->fit_detail : "");
	add_text(object, "unjudged", machine->standby.is_unjudged ? pair->fit_detail : "");
	add_count(object, "epoch_committed", plane->epoch);
	add_age(object, "heard_ms", plane->report_ns, now_ns);
	add_age(object, "session_heard_ms", plane->session_heard_ns, now_ns);
	add_flag(object, "standby_attached", machine->standby.connection != 0);
	return object;
}

/* The standby's word, which cannot be more than all of it. */
static uint64_t drain_of(const struct tandem_failover_times *times)
{
	uint64_t both_ns =
	        times->fenced_ns >= times->decided_ns ? times->fenced_ns - times->decided_ns : 0;
	return times->drain_ns < both_ns ? times->drain_ns : both_ns;
}

static struct json_object *describe_failover(const struct tandem_failover_times *times)
{
	if (times->decided_ns == 0)
		return NULL;
	struct json_object *object = json_object_new_object();
	uint64_t drain_ns = drain_of(times);
	add(object, "at", tandem_status_time(times->decided_wall_ns));
	add_span(object, "detect_ms", times->life_ns, times->suspected_ns);
	add_span(object, "decide_ms", times->suspected_ns, times->decided_ns);
	add_span(object, "fence_ms", times->decided_ns, times->fenced_ns - drain_ns);
	add_span(object, "drain_ms", times->fenced_ns - drain_ns, times->fenced_ns);
	add_span(object, "activate_ms", times->fenced_ns, times->activated_ns);
	add_count(object, "suspected_monotonic_ns", times->suspected_ns);
	add_count(object, "suspected_wall_ns", times->suspected_wall_ns);
	add_count(object, "decided_wall_ns", times->decided_wall_ns);
	add_count(object, "fenced_wall_ns", times->fenced_wall_ns);
	add_count(object, "activated_wall_ns", times->activated_wall_ns);
	return object;
}

/* The program that is attached, or one that has the network of a guest that was let go. */
static bool is_alive(const struct tandem_plane *program, struct json_object *guest)
{
	const int64_t process = json_object_get_int64(json_object_object_get(guest, "process_id"));
	char name[TANDEM_PROCESS_NAME_BYTES];
	if (program->connection != 0)
		return process == (int64_t)program->process_id;
	tandem_process_name((pid_t)process, name);
	return json_object_object_get(guest, "forwards_for") &&
	       strcmp(name, TANDEM_PROCESS_FORWARDER) == 0;
}

/* Of what has one: a killed process left its words. */
static struct json_object *describe_guest(const struct tandem_pair *pair)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s.guest", pair->controller->options.run_directory,
	         pair->machine.config.pair.name);
	if (access(path, R_OK) != 0)
		return NULL;
	struct json_object *object = json_object_from_file(path);
	if (json_object_is_type(object, json_type_object) &&
	    is_alive(&pair->machine.program, object))
		return object;
	json_object_put(object);
	return NULL;
}

struct json_object *tandem_status_of_pair(const struct tandem_pair *pair)
{
	const struct tandem_machine *machine = &pair->machine;
	const struct tandem_record *record = &machine->view.record;
	uint64_t now_ns = tandem_clock_now_ns();
	struct json_object *object = json_object_new_object();
	bool has_record = record->generation > 0;
	add_headline(object, pair, now_ns);
	add_text(object, "pair", machine->config.pair.name);
	add_text(object, "node", machine->config.node);
	add_text(object, "state", tandem_state_name(machine->state));
	add_count(object, "generation", record->generation);
	add(object, "owner", has_record ? json_object_new_string(record->owner) : NULL);
	add(object, "mode", has_record ? json_object_new_string(tandem_record_mode(record)) : NULL);
	add_advice(object, machine, now_ns);
	add_age(object, "in_state_ms", machine->state_ns, now_ns);
	add(object, "alarms", list_alarms(pair));
	add(object, "peer", describe_peer(pair, now_ns));
	add(object, "data_plane", describe_plane(pair, now_ns));
	add(object, "guest", describe_guest(pair));
	add(object, "arbiter", tandem_status_of_arbiter(pair));
	add(object, "self_fence", describe_self_fence(machine));
	add(object, "stats",
	    tandem_status_of_stats(pair->controller->options.run_directory,
	                           machine->config.pair.name));
	add(object, "channels",
	    tandem_status_of_channels(pair->controller->options.run_directory,
	                              machine->config.pair.name));
	add(object, "last_failover", describe_failover(&machine->times));
	return object;
}
