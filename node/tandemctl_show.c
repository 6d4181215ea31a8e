#include <inttypes.h>
#include <string.h>

#include <tandem/quantity.h>

#include "json_text.h"
#include "tandemctl.h"

/* Answers for people. Every key may be missing or null: an older or newer controller is no reason
 * to crash. */

static struct json_object *get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;
	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, key, &value);
	return value;
}

static uint64_t count_of(struct json_object *object, const char *key)
{
	return json_object_get_uint64(get(object, key));
}

static bool flag_of(struct json_object *object, const char *key)
{
	return json_object_get_boolean(get(object, key));
}

static size_t length_of(struct json_object *object, const char *key)
{
	struct json_object *list = get(object, key);
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

static struct json_object *element(struct json_object *object, const char *key, size_t index)
{
	return json_object_array_get_idx(get(object, key), index);
}

/* "3.0 ms", "12.3 s" or "never" */
static const char *span(struct json_object *object, const char *key, char text[32])
{
	struct json_object *value = get(object, key);
	double milliseconds = json_object_get_double(value);
	if (!value)
		snprintf(text, 32, "never");
	else if (milliseconds < 10000)
		snprintf(text, 32, "%.1f ms", milliseconds);
	else
		snprintf(text, 32, "%.1f s", milliseconds / 1000);
	return text;
}

/* "3.0 ms ago" or "never" */
static const char *ago(struct json_object *object, const char *key, char text[32])
{
	char age[32];
	snprintf(text, 32, "%.24s%s", span(object, key, age), get(object, key) ? " ago" : "");
	return text;
}

static void show_advice(struct json_object *pair)
{
	const char *waiting_for = tandem_json_text(pair, "waiting_for", "");
	const char *unblock = tandem_json_text(pair, "unblock", "");
	char text[32];
	printf("  waiting for: %s (in this state for %s)\n", waiting_for,
	       span(pair, "in_state_ms", text));
	const char *unjudged = tandem_json_text(get(pair, "data_plane"), "unjudged", "");
	if (unjudged[0])
		printf("  not known:   whether this node could go on: %s\n", unjudged);
	if (unblock[0])
		printf("  unblock:     %s\n", unblock);
	for (size_t i = 0; i < length_of(pair, "alarms"); i++)
		printf("  ALARM:       %s\n", json_object_get_string(element(pair, "alarms", i)));
}

static void show_gaps(struct json_object *gaps)
{
	char p99[32], max[32];
	if (count_of(gaps, "count") > 0)
		printf("; gaps p99 %s, max %s", span(gaps, "p99_ms", p99),
		       span(gaps, "max_ms", max));
	putchar('\n');
}

/* "hung: its host answers, its counter has not moved for 61.2 ms" */
static void show_process(struct json_object *object, const char *process_key, const char *age_key)
{
	const char *process = tandem_json_text(object, process_key, "");
	char text[32];
	if (strcmp(process, "hung") == 0)
		printf(", process hung: its host answers, its counter has not moved for %s",
		       span(object, age_key, text));
	else if (strcmp(process, "lives") == 0)
		printf(", process lives");
}

static void show_peer(struct json_object *pair)
{
	struct json_object *peer = get(pair, "peer");
	char text[32];
	printf("  peer:        node %s is %s, heard %s", tandem_json_text(peer, "node", "?"),
	       tandem_json_text(peer, "state", "unknown"), ago(peer, "heard_ms", text));
	show_process(peer, "process", "counter_moved_ms");
	putchar('\n');
	for (size_t i = 0; i < length_of(peer, "links"); i++) {
		struct json_object *link = element(peer, "links", i);
		printf("  link %-7zu %s port %" PRIu64 " %s, heard %s", i,
		       tandem_json_text(link, "address", "?"), count_of(link, "port"),
		       flag_of(link, "up") ? "up" : "DOWN", ago(link, "heard_ms", text));
		show_gaps(get(link, "gaps"));
	}
}

/* Only what is not as it should be. */
static void show_pace(struct json_object *stats)
{
	const char *pace = tandem_json_text(stats, "pace", "free");
	if (strcmp(pace, "free") == 0 || strcmp(pace, "fits") == 0)
		return;
	printf("  pace:        %s: what is left to push does not fit pause_budget_us; %" PRIu64
	       " checkpoints did not\n",
	       pace, count_of(stats, "pauses_misfit"));
}

static void show_data_plane(struct json_object *pair)
{
	struct json_object *plane = get(pair, "data_plane"), *stats = get(pair, "stats");
	struct json_object *pause = get(stats, "pause_us");
	if (!flag_of(plane, "attached")) {
		printf("  data plane:  none is attached\n");
		return;
	}
	const char *lost = tandem_json_text(plane, "session_detail", "");
	const char *misfit = tandem_json_text(plane, "misfit", "");
	printf("  data plane:  %s, process %" PRIu64 ", session %s, epoch %" PRIu64 "%s%s\n",
	       tandem_json_text(plane, "kind", "?"), count_of(plane, "process_id"),
	       flag_of(plane, "session") ? "up" : "down", count_of(plane, "epoch_committed"),
	       lost[0] || misfit[0] ? "; " : "", lost[0] ? lost : misfit);
	if (!stats || strcmp(tandem_json_text(plane, "kind", ""), "program") != 0)
		return;
	const char *detail = tandem_json_text(stats, "transport_detail", "");
	printf("  transport:   %s, %" PRIu64 " channels, tracker %s%s%s\n",
	       tandem_json_text(stats, "transport", "?"), count_of(stats, "channel_count"),
	       tandem_json_text(stats, "tracker", "?"), detail[0] ? "; " : "", detail);
	printf("  pause:       p50 %.0f us, p99 %.0f us, max %.0f us of %" PRIu64 " checkpoints\n",
	       json_object_get_double(get(pause, "p50")), json_object_get_double(get(pause, "p99")),
	       json_object_get_double(get(pause, "max")), count_of(pause, "count"));
	show_pace(stats);
}

/* "1.5 GiB" */
static const char *size(struct json_object *object, const char *key,
                        char text[TANDEM_QUANTITY_BYTES])
{
	tandem_quantity_bytes(count_of(object, key), text);
	return text;
}

/* At most one digit behind the point: these change while they are read. */
static const char *amount(struct json_object *object, const char *key,
                          char text[TANDEM_QUANTITY_BYTES])
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)count_of(object, key);
	size_t unit = 0;
	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(text, TANDEM_QUANTITY_BYTES, "%.*f %s", unit > 0, value, units[unit]);
	return text;
}

static void show_copy(struct json_object *pair)
{
	struct json_object *copy = get(pair, "copy");
	bool is_comparing = strcmp(tandem_json_text(copy, "stage", ""), "compare") == 0;
	char done[TANDEM_QUANTITY_BYTES], total[TANDEM_QUANTITY_BYTES];
	char rate[TANDEM_QUANTITY_BYTES], equal[TANDEM_QUANTITY_BYTES], left[32];
	if (!copy)
		return;
	printf("  %-12s %" PRIu64 " %%, %s of %s",
	       is_comparing ? "comparing:" : "copy:", count_of(copy, "percent"),
	       amount(copy, "bytes_done", done), amount(copy, "bytes_total", total));
	if (get(copy, "left_ms"))
		printf(" at %s/s, %s left", amount(copy, "bytes_per_s", rate),
		       span(copy, "left_ms", left));
	if (count_of(copy, "bytes_equal") > 0)
		printf("; %s were there already", amount(copy, "bytes_equal", equal));
	putchar('\n');
}

static void show_channel(struct json_object *channel)
{
	const char *first_error = tandem_json_text(channel, "first_error", "");
	uint64_t lost_count = count_of(channel, "times_lost");
	char bytes[TANDEM_QUANTITY_BYTES], age[32];
	printf("  channel %-4" PRIu64 " %s, rail %" PRIu64 ", %s, %" PRIu64 " in flight",
	       count_of(channel, "channel"), tandem_json_text(channel, "state", "unknown"),
	       count_of(channel, "rail"), size(channel, "bytes", bytes),
	       count_of(channel, "in_flight"));
	if (get(channel, "oldest_pending_ms"))
		printf(", the oldest for %s", span(channel, "oldest_pending_ms", age));
	if (lost_count > 0)
		printf(", lost %" PRIu64 " time%s", lost_count, lost_count == 1 ? "" : "s");
	printf("%s%s\n", first_error[0] ? "; first error: " : "", first_error);
}

static void show_channels(struct json_object *pair)
{
	struct json_object *plane = get(pair, "data_plane");
	/* Only the program posts; a page of one that ended says nothing about now. */
	if (strcmp(tandem_json_text(plane, "kind", ""), "program") != 0)
		return;
	for (size_t i = 0; i < length_of(pair, "channels"); i++)
		show_channel(element(pair, "channels", i));
}

static void show_held(struct json_object *gate)
{
	uint64_t room_bytes = count_of(gate, "room_bytes");
	char held[TANDEM_QUANTITY_BYTES], room[TANDEM_QUANTITY_BYTES];
	printf(" holds %s, %" PRIu64 " %% of %s", amount(gate, "held_bytes", held),
	       room_bytes > 0 ? count_of(gate, "held_bytes") * 100 / room_bytes : 0,
	       amount(gate, "room_bytes", room));
}

static void show_gate(struct json_object *gate)
{
	uint64_t lost_count = count_of(gate, "lost_count");
	printf("               gate %s:%s", tandem_json_text(gate, "way", "?"),
	       tandem_json_text(gate, "outside", "?"));
	if (flag_of(gate, "open"))
		printf(" is open and holds nothing back");
	else
		show_held(gate);
	printf("; %" PRIu64 " frames were dropped because it was full",
	       count_of(gate, "dropped_count"));
	if (lost_count > 0)
		printf(", and the network did not take %" PRIu64, lost_count);
	putchar('\n');
}

static void show_gates(struct json_object *guest)
{
	for (size_t i = 0; i < length_of(guest, "gates"); i++)
		show_gate(element(guest, "gates", i));
}

static void show_guest(struct json_object *pair)
{
	struct json_object *guest = get(pair, "guest"), *stood = get(guest, "stood_ms");
	char median[32], late[32], longest[32];
	const char *why = tandem_json_text(guest, "why", ""),
	           *unstarted = tandem_json_text(guest, "unstarted", "");
	if (!guest)
		return;
	if (unstarted[0]) {
		printf("  guest:       DOES NOT RUN YET, QEMU is told to again and again: %s\n",
		       unstarted);
		return;
	}
	if (get(guest, "forwards_for")) {
		printf("  guest:       NOT PROTECTED: QEMU, process %" PRIu64
		       "; its network goes through process %" PRIu64 ", which ends with it\n",
		       count_of(guest, "forwards_for"), count_of(guest, "process_id"));
		show_gates(guest);
		return;
	}
	printf("  guest:       %s, memory %s%s%s\n",
	       flag_of(guest, "kept") ? "its epochs are kept"
	                              : "not protected yet, or not any more",
	       tandem_json_text(guest, "memory", "?"), why[0] ? ": " : "", why);
	printf("               stood still for %" PRIu64
	       " checkpoints: p50 %s, p99 %s, longest %s\n",
	       count_of(stood, "count"), span(stood, "p50", median), span(stood, "p99", late),
	       span(stood, "max", longest));
	show_gates(guest);
	for (size_t i = 0; i < length_of(guest, "not_copied"); i++)
		printf("               not copied: %s\n",
		       json_object_get_string(element(guest, "not_copied", i)));
}

static void show_arbiter(struct json_object *pair)
{
	struct json_object *arbiter = get(pair, "arbiter");
	const char *detail = tandem_json_text(arbiter, "detail", "");
	const char *place = tandem_json_text(arbiter, "path",
	                                     tandem_json_text(arbiter, "endpoint", "no endpoint"));
	printf("  arbiter:     %s, %s, %s%s%s\n", tandem_json_text(arbiter, "type", "?"), place,
	       flag_of(arbiter, "reachable") ? "reachable" : "NOT REACHABLE", detail[0] ? ": " : "",
	       detail);
}

static void show_right(struct json_object *answer, const char *title, const char *key,
                       const char *refusal_key)
{
	const char *refusal = tandem_json_text(answer, refusal_key, "");
	printf("  %-12s %s%s%s\n", title, flag_of(answer, key) ? "yes" : "NO",
	       refusal[0] ? ": " : "", refusal);
}

static void show_guards(struct json_object *answer, struct json_object *pair)
{
	struct json_object *fence = get(pair, "self_fence");
	if (fence)
		printf("  self-fence:  %s: %s\n", flag_of(fence, "armed") ? "armed" : "not armed",
		       tandem_json_text(fence, "why", "?"));
	if (get(answer, "realtime"))
		show_right(answer, "real-time:", "realtime", "realtime_refusal");
	if (tandem_json_text(answer, "watchdog", "")[0])
		printf("  watchdog:    %s\n", tandem_json_text(answer, "watchdog", ""));
	if (get(answer, "memory_locked"))
		show_right(answer, "locked:", "memory_locked", "memory_lock_refusal");
}

static void show_last_failover(struct json_object *pair)
{
	struct json_object *last = get(pair, "last_failover");
	char detect[32], decide[32], fence[32], drain[32], activate[32];
	if (!last)
		return;
	printf("  take-over:   at %s: detect %s, decide %s, fence %s, drain %s, "
	       "activate %s\n",
	       tandem_json_text(last, "at", "?"), span(last, "detect_ms", detect),
	       span(last, "decide_ms", decide), span(last, "fence_ms", fence),
	       span(last, "drain_ms", drain), span(last, "activate_ms", activate));
}

void tandemctl_show_headline(struct json_object *pair)
{
	printf("%s on node %s: %s\n", tandem_json_text(pair, "pair", "?"),
	       tandem_json_text(pair, "node", "?"), tandem_json_text(pair, "headline", "unknown"));
}

static void show_pair(struct json_object *answer, struct json_object *pair)
{
	printf("%s\n", tandem_json_text(pair, "headline", "unknown"));
	printf("  pair:        %s on node %s: %s\n", tandem_json_text(pair, "pair", "?"),
	       tandem_json_text(pair, "node", "?"), tandem_json_text(pair, "state", "?"));
	show_advice(pair);
	show_peer(pair);
	show_data_plane(pair);
	show_copy(pair);
	show_channels(pair);
	show_guest(pair);
	show_arbiter(pair);
	show_guards(answer, pair);
	show_last_failover(pair);
}

void tandemctl_show_status(struct json_object *answer)
{
	for (size_t i = 0; i < length_of(answer, "pairs"); i++) {
		if (i > 0)
			putchar('\n');
		show_pair(answer, element(answer, "pairs", i));
	}
}

/* "SECONDARY -> TAKING_OVER", "JOINING" or "ALARM raised" */
static void show_change(struct json_object *event)
{
	const char *alarm = tandem_json_text(event, "alarm", "");
	const char *from = tandem_json_text(event, "from", "?"),
	           *to = tandem_json_text(event, "to", "?");
	if (alarm[0])
		printf("ALARM %s: ", alarm);
	else if (strcmp(from, to) == 0)
		printf("%s: ", to);
	else
		printf("%s -> %s: ", from, to);
}

static void show_links_silent(struct json_object *evidence)
{
	char text[32];
	printf("    links:    ");
	for (size_t i = 0; i < length_of(evidence, "links_silent_ms"); i++) {
		struct json_object *link = element(evidence, "links_silent_ms", i);
		snprintf(text, sizeof(text), "%.1f ms ago", json_object_get_double(link));
		printf("%s%zu heard %s", i > 0 ? ", " : "", i, link ? text : "never");
	}
	printf("; suspect after %s\n", span(evidence, "suspect_after_ms", text));
}

static void show_register(struct json_object *evidence)
{
	struct json_object *record = get(evidence, "register");
	if (!record)
		printf("    register: nothing seen\n");
	else
		printf("    register: %s %s, generation %" PRIu64 "\n",
		       tandem_json_text(record, "owner", "?"),
		       tandem_json_text(record, "mode", "?"), count_of(record, "generation"));
}

static void show_said(struct json_object *evidence)
{
	struct json_object *peer = get(evidence, "peer");
	if (!peer)
		printf("    peer:     never heard\n");
	else
		printf("    peer:     said %s, program %s, standby %s, generation %" PRIu64 "%s\n",
		       tandem_json_text(peer, "state", "?"), tandem_json_text(peer, "program", "?"),
		       tandem_json_text(peer, "standby", "?"), count_of(peer, "generation"),
		       flag_of(peer, "maintenance") ? ", in maintenance" : "");
}

static void show_evidence(struct json_object *evidence)
{
	char text[32];
	if (length_of(evidence, "links_silent_ms") == 0)
		return; /* an older controller */
	show_links_silent(evidence);
	printf("    session:  %s", flag_of(evidence, "session") ? "up" : "down");
	if (json_object_get_double(get(evidence, "session_silent_ms")) > 0)
		printf(", peer heard by it %s ago", span(evidence, "session_silent_ms", text));
	show_process(evidence, "peer_process", "peer_counter_moved_ms");
	printf("; %s in the state before\n", span(evidence, "in_state_ms", text));
	show_register(evidence);
	show_said(evidence);
}

void tandemctl_show_event(struct json_object *event)
{
	struct json_object *evidence = get(event, "evidence");
	const char *detail = tandem_json_text(event, "detail", "");
	char silent[32];
	printf("%s %s ", tandem_json_text(event, "at", "?"), tandem_json_text(event, "pair", "?"));
	show_change(event);
	printf("%s%s%s%s; generation %" PRIu64 ", heartbeats silent for %s\n",
	       tandem_json_text(event, "reason", "?"), detail[0] ? " (" : "", detail,
	       detail[0] ? ")" : "", count_of(evidence, "generation"),
	       span(evidence, "silent_ms", silent));
	show_evidence(evidence);
}
