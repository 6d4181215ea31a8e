#include "shell/headline.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tandem/progress.h>

#include "core/rules.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

struct line {
	const struct tandem_machine *machine;
	const struct tandem_headline_facts *facts;
	uint64_t now_ns;
	const char *own;
	const char *owner; /* of the record */
	const char *other;
	char *text;
	size_t size;
};

static bool has_alarm(const struct tandem_machine *machine, enum tandem_alarm alarm)
{
	return (machine->alarms & UINT32_C(1) << alarm) != 0;
}

/* The primary is gone as far as this secondary can tell, or has no session with the copy. */
static bool is_primary_missing(const struct tandem_machine *machine, uint64_t now_ns)
{
	return !tandem_machine_session_is_fresh(machine, &machine->standby, now_ns) &&
	       (tandem_detector_is_silent(&machine->detector, now_ns) ||
	        !machine->standby.has_session);
}

const char *tandem_headline_name(enum tandem_headline headline)
{
	static const char *const names[] = {
#define X(name) [TANDEM_HEADLINE_##name] = #name,
	        TANDEM_HEADLINE_TABLE(X)
#undef X
	};
	return names[headline];
}

enum tandem_headline tandem_headline_of(const struct tandem_machine *machine, uint64_t now_ns)
{
	bool is_blind = has_alarm(machine, TANDEM_ALARM_ARBITER_UNREACHABLE);
	switch (machine->state) {
	case TANDEM_STATE_SECONDARY:
		if (tandem_guard_standby_is_misfit(machine, now_ns))
			return TANDEM_HEADLINE_UNPROTECTED;
		if (is_primary_missing(machine, now_ns))
			return TANDEM_HEADLINE_DECIDING;
		return is_blind ? TANDEM_HEADLINE_UNPROTECTED : TANDEM_HEADLINE_PROTECTED;
	case TANDEM_STATE_PRIMARY_PAIR:
		return is_blind ? TANDEM_HEADLINE_UNPROTECTED : TANDEM_HEADLINE_PROTECTED;
	case TANDEM_STATE_PRIMARY_SOLO:
		return TANDEM_HEADLINE_UNPROTECTED;
	case TANDEM_STATE_GATED:
	case TANDEM_STATE_TAKING_OVER:
		return TANDEM_HEADLINE_DECIDING;
	case TANDEM_STATE_HALTED:
		return TANDEM_HEADLINE_HALTED;
	case TANDEM_STATE_MAINTENANCE:
		return TANDEM_HEADLINE_MAINTENANCE;
	case TANDEM_STATE_INIT:
	case TANDEM_STATE_JOINING:
	case TANDEM_STATE_COUNT:
		break;
	}
	return TANDEM_HEADLINE_WAITING;
}

static void TANDEM_PRINTF(2, 3) say(struct line *line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line->text, line->size, format, arguments);
	va_end(arguments);
	size_t used = length > 0 ? (size_t)length : 0;
	used = used < line->size ? used : line->size - 1;
	line->text += used;
	line->size -= used;
}

static void say_primary(struct line *line, const char *how)
{
	say(line, "%s primary%s (generation %" PRIu64 ")", line->owner, how,
	    line->machine->view.record.generation);
}

/* The primary knows what its copy lacks; the secondary only when it last heard of the primary. */
static void say_in_sync(struct line *line)
{
	const struct tandem_machine *machine = line->machine;
	uint64_t heard_ns = machine->standby.session_heard_ns;
	say_primary(line, "");
	say(line, ", %s in sync", line->other);
	if (machine->state == TANDEM_STATE_SECONDARY) {
		if (heard_ns != 0 && heard_ns <= line->now_ns)
			say(line, ", %s heard %" PRIu64 " ms ago", line->owner,
			    (line->now_ns - heard_ns) / NS_PER_MS);
	} else if (line->facts->has_page) {
		say(line, ", %" PRIu64 " ms behind", line->facts->behind_ns / NS_PER_MS);
	}
	if (has_alarm(machine, TANDEM_ALARM_ARBITER_UNREACHABLE))
		say(line, ", but the arbiter does not answer: no failover until it does");
}

static void say_misfit(struct line *line)
{
	say_primary(line, "");
	say(line, ", %s holds the copy and has not what the program needs to go on", line->other);
}

static void say_copy(struct line *line)
{
	const struct tandem_headline_facts *facts = line->facts;
	uint64_t left_ns = tandem_progress_left_ns(facts->copy_bytes_done, facts->copy_bytes_total,
	                                           facts->copy_bytes_per_s);
	say(line, ", %s %s, %u %%", line->other,
	    facts->is_comparing ? "is compared before it takes a copy" : "takes a copy",
	    tandem_progress_percent(facts->copy_bytes_done, facts->copy_bytes_total));
	if (left_ns != UINT64_MAX)
		say(line, ", %" PRIu64 " s left", (left_ns + NS_PER_S - 1) / NS_PER_S);
}

static void say_solo(struct line *line)
{
	say_primary(line, " alone");
	if (line->machine->program.has_session && line->facts->is_copying)
		say_copy(line);
	else
		say(line, ", %s has no copy", line->other);
}

static const char *how_silent(const struct line *line)
{
	uint64_t beat_ns;
	enum tandem_peer_beat beat =
	        tandem_machine_peer_beat(line->machine, line->now_ns, &beat_ns);
	return beat == TANDEM_PEER_BEAT_STILL ? " (its host answers, its process hangs)" : "";
}

static void say_deciding(struct line *line)
{
	const struct tandem_machine *machine = line->machine;
	if (machine->state == TANDEM_STATE_TAKING_OVER) {
		say(line, "%s takes over (generation %" PRIu64 ")", line->own,
		    machine->view.record.generation);
		return;
	}
	say_primary(line, "");
	if (machine->state == TANDEM_STATE_GATED)
		say(line, " holds its output, %s %s", line->other,
		    machine->view.record.is_pair ? "is missing" : "has a copy to be recorded");
	else if (tandem_detector_is_silent(&machine->detector, line->now_ns))
		say(line, " is silent%s, %s holds the copy", how_silent(line), line->other);
	else
		say(line, " has no session with %s, which holds the copy", line->other);
}

static void say_owner(struct line *line)
{
	const struct tandem_record *record = &line->machine->view.record;
	if (!line->machine->view.is_known)
		say(line, "%s has not read the register yet", line->own);
	else if (record->generation == 0)
		say(line, "no node has led yet");
	else if (record->is_left)
		say(line, "no node leads: the program of %s has left (generation %" PRIu64 ")",
		    line->owner, record->generation);
	else
		say(line, "%s is %s, the register names %s%s (generation %" PRIu64 ")", line->own,
		    tandem_state_name(line->machine->state), line->owner,
		    record->is_pair ? "" : " alone", record->generation);
}

static bool takes_copy(const struct line *line)
{
	const struct tandem_machine *machine = line->machine;
	return machine->state == TANDEM_STATE_JOINING && machine->standby.has_session &&
	       machine->view.record.generation > 0 && strcmp(line->owner, line->own) != 0;
}

static void say_rest(struct line *line, enum tandem_headline headline)
{
	if (headline == TANDEM_HEADLINE_WAITING && takes_copy(line)) {
		say(line, "%s takes a copy, ", line->own);
		say_primary(line, " alone");
	} else if (headline == TANDEM_HEADLINE_MAINTENANCE) {
		say_owner(line);
		say(line, ", nothing is decided until it ends");
	} else {
		say_owner(line);
	}
}

void tandem_headline_spell(const struct tandem_machine *machine,
                           const struct tandem_headline_facts *facts, uint64_t now_ns,
                           char *ret_text, size_t size)
{
	const char *own = machine->config.node, *peer = machine->config.pair.peer_node;
	const char *owner = machine->view.record.owner;
	enum tandem_headline headline = tandem_headline_of(machine, now_ns);
	struct line line = {.machine = machine,
	                    .facts = facts,
	                    .now_ns = now_ns,
	                    .own = own,
	                    .owner = owner,
	                    .other = strcmp(owner, own) == 0 ? peer : own,
	                    .text = ret_text,
	                    .size = size};
	say(&line, "%s: ", tandem_headline_name(headline));
	if (headline == TANDEM_HEADLINE_DECIDING)
		say_deciding(&line);
	else if (machine->state == TANDEM_STATE_PRIMARY_SOLO)
		say_solo(&line);
	else if (machine->state == TANDEM_STATE_SECONDARY &&
	         tandem_guard_standby_is_misfit(machine, now_ns))
		say_misfit(&line);
	else if (headline == TANDEM_HEADLINE_PROTECTED || headline == TANDEM_HEADLINE_UNPROTECTED)
		say_in_sync(&line);
	else
		say_rest(&line, headline);
}
