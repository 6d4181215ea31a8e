#include "qemu_note.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>
#include <unistd.h>

#include "qemu_gates.h"

#define INTERVAL_NS TANDEM_NS_PER_S

void tandem_qemu_note_open(struct tandem_qemu_note *note, const struct tandem_qemu_gates *gates,
                           const char *run_directory, const char *pair)
{
	note->gates = gates;
	note->way = "";
	snprintf(note->path, sizeof(note->path), "%s/%s.guest", run_directory, pair);
}

void tandem_qemu_note_gap(struct tandem_qemu_note *note, const char *text)
{
	for (unsigned i = 0; i < note->gap_count; i++) {
		if (strcmp(note->gaps[i], text) == 0)
			return; /* told when the protection began before */
	}
	if (note->gap_count < TANDEM_QEMU_GAPS_MAX)
		snprintf(note->gaps[note->gap_count++], sizeof(note->gaps[0]), "%s", text);
}

void tandem_qemu_note_unstarted(struct tandem_qemu_note *note, const char *text)
{
	const bool is_news = strcmp(note->unstarted, text) != 0;

	snprintf(note->unstarted, sizeof(note->unstarted), "%s", text);
	if (is_news)
		tandem_qemu_note_write(note, note->is_kept);
}

static void add_ms(struct json_object *object, const char *key, uint64_t time_ns)
{
	json_object_object_add(object, key,
	                       json_object_new_double((double)(time_ns / TANDEM_NS_PER_US) / 1e3));
}

static void add_count(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static struct json_object *describe_gates(const struct tandem_qemu_gates *gates)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < gates->count; i++) {
		struct json_object *object = json_object_new_object();
		struct tandem_qemu_gate_state state;

		tandem_qemu_gates_look(gates, i, &state);
		json_object_object_add(object, "way", json_object_new_string(state.way));
		json_object_object_add(object, "outside", json_object_new_string(state.outside));
		if (strcmp(state.way, "user") == 0)
			json_object_object_add(object, "open",
			                       json_object_new_boolean(state.is_open));
		add_count(object, "held_bytes", state.held_bytes);
		add_count(object, "room_bytes", state.room_bytes);
		add_count(object, "dropped_count", state.dropped_count);
		add_count(object, "lost_count", state.lost_count);
		json_object_array_add(list, object);
	}
	return list;
}

static struct json_object *describe(const struct tandem_qemu_note *note, bool is_kept)
{
	struct json_object *object = json_object_new_object();
	struct json_object *stood = json_object_new_object();
	struct json_object *gaps = json_object_new_array();

	for (unsigned i = 0; i < note->gap_count; i++)
		json_object_array_add(gaps, json_object_new_string(note->gaps[i]));
	add_count(stood, "count", note->stood.count);
	add_ms(stood, "p50", tandem_histogram_at(&note->stood, 500));
	add_ms(stood, "p99", tandem_histogram_at(&note->stood, 990));
	add_ms(stood, "max", note->stood.max);
	json_object_object_add(object, "process_id", json_object_new_int(getpid()));
	if (note->forwards_for != 0)
		json_object_object_add(object, "forwards_for",
		                       json_object_new_int(note->forwards_for));
	json_object_object_add(object, "kept", json_object_new_boolean(is_kept));
	json_object_object_add(object, "memory", json_object_new_string(note->way));
	json_object_object_add(object, "why", json_object_new_string(note->why));
	json_object_object_add(object, "unstarted", json_object_new_string(note->unstarted));
	json_object_object_add(object, "stood_ms", stood);
	json_object_object_add(object, "gates", describe_gates(note->gates));
	json_object_object_add(object, "not_copied", gaps);
	return object;
}

void tandem_qemu_note_write(struct tandem_qemu_note *note, bool is_kept)
{
	struct json_object *object = describe(note, is_kept);
	char draft[PATH_MAX + 8];

	snprintf(draft, sizeof(draft), "%s.new", note->path);
	if (json_object_to_file_ext(draft, object, JSON_C_TO_STRING_PLAIN) != 0 ||
	    rename(draft, note->path) != 0)
		(void)unlink(draft);
	json_object_put(object);
	note->written_ns = tandem_clock_now_ns();
	note->is_kept = is_kept;
}

static bool is_old(const struct tandem_qemu_note *note)
{
	return tandem_clock_now_ns() >= note->written_ns + INTERVAL_NS;
}

void tandem_qemu_note_stood(struct tandem_qemu_note *note, uint64_t stood_ns)
{
	tandem_histogram_add(&note->stood, stood_ns);
	if (is_old(note))
		tandem_qemu_note_write(note, true);
}

void tandem_qemu_note_renew(struct tandem_qemu_note *note)
{
	if (note->written_ns != 0 && is_old(note))
		tandem_qemu_note_write(note, note->is_kept);
}

void tandem_qemu_note_close(struct tandem_qemu_note *note)
{
	if (note->path[0])
		(void)unlink(note->path);
	note->path[0] = 0;
}
