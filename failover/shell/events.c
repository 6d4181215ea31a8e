#include "shell/status.h"

#include <string.h>
#include <tandem/clock.h>

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

static void add_span(struct json_object *object, const char *key, uint64_t span_ns)
{
	add(object, key, tandem_status_number(span_ns, TANDEM_NS_PER_MS));
}

/* Milliseconds since each was heard; null: never. */
static struct json_object *list_links(const struct tandem_note *note)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < note->link_count; i++) {
		uint64_t heard_ns = note->link_heard_ns[i];
		uint64_t age_ns = note->now_ns > heard_ns ? note->now_ns - heard_ns : 0;
		json_object_array_add(
		        list,
		        heard_ns == 0 ? NULL : tandem_status_number(age_ns, TANDEM_NS_PER_MS));
	}
	return list;
}

static struct json_object *describe_record(const struct tandem_record *record)
{
	if (record->generation == 0)
		return NULL;
	struct json_object *object = json_object_new_object();
	add_count(object, "generation", record->generation);
	add_text(object, "owner", record->owner);
	add_text(object, "mode", tandem_record_mode(record));
	add(object, "owner_incarnation", tandem_status_name(record->owner_incarnation));
	add(object, "copy_incarnation", tandem_status_name(record->copy_incarnation));
	add(object, "decision", tandem_status_name(record->decision));
	return object;
}

static const char *plane_status(enum tandem_plane_status status)
{
	static const char *const names[] = {[TANDEM_PLANE_ABSENT] = "absent",
	                                    [TANDEM_PLANE_ALIVE] = "alive",
	                                    [TANDEM_PLANE_SILENT] = "silent"};
	return status <= TANDEM_PLANE_SILENT ? names[status] : "unknown";
}

static struct json_object *describe_peer(const struct tandem_note *note)
{
	const struct tandem_statement *peer = &note->peer;
	if (!note->peer_was_heard)
		return NULL;
	struct json_object *object = json_object_new_object();
	add_text(object, "state", tandem_state_name((enum tandem_state)peer->state));
	add_text(object, "program", plane_status(peer->program.status));
	add_text(object, "standby", plane_status(peer->standby.status));
	add_flag(object, "maintenance", peer->in_maintenance);
	add_count(object, "generation", peer->record.generation);
	return object;
}

static struct json_object *describe_evidence(const struct tandem_note *note)
{
	struct json_object *object = json_object_new_object();
	add_count(object, "generation", note->generation);
	add_span(object, "silent_ms", note->silent_ns);
	add_span(object, "suspect_after_ms", note->window_ns);
	add(object, "links_silent_ms", list_links(note));
	add_flag(object, "session", note->has_session);
	add_span(object, "session_silent_ms", note->session_silent_ns);
	add_text(object, "peer_process", tandem_peer_beat_text(note->peer_beat));
	add(object, "peer_counter_moved_ms",
	    note->peer_beat != TANDEM_PEER_BEAT_UNKNOWN
	            ? tandem_status_number(note->beat_age_ns, TANDEM_NS_PER_MS)
	            : NULL);
	add_span(object, "in_state_ms", note->in_state_ns);
	add(object, "register", describe_record(&note->record));
	add(object, "peer", describe_peer(note));
	if (note->unscheduled_ns != 0)
		add_span(object, "not_scheduled_ms", note->unscheduled_ns);
	return object;
}

static const char *alarm_word(const struct tandem_note *note)
{
	return note->is_raised ? "raised" : "cleared";
}

static struct json_object *describe_entry(const struct tandem_history_entry *entry, size_t number)
{
	const struct tandem_note *note = &entry->note;
	struct json_object *object = json_object_new_object();
	add_count(object, "number", number);
	add(object, "at", tandem_status_time(note->wall_ns));
	add_count(object, "wall_ns", note->wall_ns);
	add_count(object, "monotonic_ns", note->now_ns);
	add_text(object, "pair", entry->pair);
	add_text(object, "from", tandem_state_name(note->from));
	add_text(object, "to", tandem_state_name(note->to));
	add_text(object, "reason", note->reason);
	add_text(object, "detail", entry->detail);
	add(object, "alarm", note->is_alarm ? json_object_new_string(alarm_word(note)) : NULL);
	add(object, "alarm_name",
	    note->is_alarm ? json_object_new_string(tandem_alarm_name(note->alarm)) : NULL);
	add(object, "evidence", describe_evidence(note));
	return object;
}

struct json_object *tandem_status_of_history(const struct tandem_history *history, const char *pair)
{
	struct json_object *list = json_object_new_array();
	size_t count = tandem_history_count(history);
	for (size_t i = 0; i < count; i++) {
		const struct tandem_history_entry *entry = tandem_history_at(history, i);
		size_t number = history->total_count - count + i + 1;
		if (!pair || strcmp(entry->pair, pair) == 0)
			json_object_array_add(list, describe_entry(entry, number));
	}
	return list;
}
