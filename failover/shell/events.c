#include "shell/status.h"

#include <string.h>
#include <tandem/clock.h>

static struct json_object *describe_entry(const struct tandem_history_entry *entry)
{
	const struct tandem_note *note = &entry->note;
	struct json_object *object = json_object_new_object();
	struct json_object *evidence = json_object_new_object();
	json_object_object_add(object, "at", tandem_status_time(note->wall_ns));
	json_object_object_add(object, "wall_ns", json_object_new_uint64(note->wall_ns));
	json_object_object_add(object, "monotonic_ns", json_object_new_uint64(note->now_ns));
	json_object_object_add(object, "pair", json_object_new_string(entry->pair));
	json_object_object_add(object, "from",
	                       json_object_new_string(tandem_state_name(note->from)));
	json_object_object_add(object, "to", json_object_new_string(tandem_state_name(note->to)));
	json_object_object_add(object, "reason", json_object_new_string(note->reason));
	json_object_object_add(object, "detail", json_object_new_string(entry->detail));
	json_object_object_add(
	        object, "alarm",
	        note->is_alarm ? json_object_new_string(note->is_raised ? "raised" : "cleared")
	                       : NULL);
	json_object_object_add(evidence, "generation", json_object_new_uint64(note->generation));
	json_object_object_add(evidence, "silent_ms",
	                       tandem_status_number(note->silent_ns, TANDEM_NS_PER_MS));
	json_object_object_add(evidence, "session_silent_ms",
	                       tandem_status_number(note->session_silent_ns, TANDEM_NS_PER_MS));
	if (note->unscheduled_ns != 0)
		json_object_object_add(
		        evidence, "not_scheduled_ms",
		        tandem_status_number(note->unscheduled_ns, TANDEM_NS_PER_MS));
	json_object_object_add(object, "evidence", evidence);
	return object;
}

struct json_object *tandem_status_of_history(const struct tandem_history *history, const char *pair)
{
	struct json_object *list = json_object_new_array();
	size_t count = tandem_history_count(history);
	for (size_t i = 0; i < count; i++) {
		const struct tandem_history_entry *entry = tandem_history_at(history, i);
		if (!pair || strcmp(entry->pair, pair) == 0)
			json_object_array_add(list, describe_entry(entry));
	}
	return list;
}
