#include "shell/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>

const struct tandem_history_entry *tandem_history_add(struct tandem_history *history,
                                                      const char *pair,
                                                      const struct tandem_note *note,
                                                      const char *detail)
{
	struct tandem_history_entry *entry =
	        &history->entries[history->total_count++ % TANDEM_HISTORY_MAX];
	memset(entry, 0, sizeof(*entry));
	snprintf(entry->pair, sizeof(entry->pair), "%s", pair);
	snprintf(entry->detail, sizeof(entry->detail), "%s", detail ? detail : "");
	entry->note = *note;
	return entry;
}

size_t tandem_history_count(const struct tandem_history *history)
{
	return history->total_count < TANDEM_HISTORY_MAX ? history->total_count
	                                                 : TANDEM_HISTORY_MAX;
}

const struct tandem_history_entry *tandem_history_at(const struct tandem_history *history,
                                                     size_t index)
{
	size_t first = history->total_count - tandem_history_count(history);
	return &history->entries[(first + index) % TANDEM_HISTORY_MAX];
}

static void spell_subject(const struct tandem_note *note, char *ret_text, size_t size)
{
	if (note->is_alarm)
		snprintf(ret_text, size, "%s", note->is_raised ? "alarm" : "alarm is over");
	else if (note->from == note->to)
		snprintf(ret_text, size, "%s", tandem_state_name(note->from));
	else
		snprintf(ret_text, size, "%s -> %s", tandem_state_name(note->from),
		         tandem_state_name(note->to));
}

void tandem_history_spell(const struct tandem_history_entry *entry, char *ret_line, size_t size)
{
	const struct tandem_note *note = &entry->note;
	char subject[64];
	spell_subject(note, subject, sizeof(subject));
	snprintf(ret_line, size,
	         "pair %s: %s: %s%s%s (generation %" PRIu64 ", heartbeats silent %" PRIu64
	         " ms, session silent %" PRIu64 " ms)",
	         entry->pair, subject, note->reason, entry->detail[0] ? ": " : "", entry->detail,
	         note->generation, note->silent_ns / TANDEM_NS_PER_MS,
	         note->session_silent_ns / TANDEM_NS_PER_MS);
}
