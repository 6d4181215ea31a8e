#ifndef TANDEM_FAILOVER_VIEW_H
#define TANDEM_FAILOVER_VIEW_H

#include <string.h>

#include "core/rules.h"

/* What the machine knows, for those of its guards that ask the same. */

#define GUARD(name) bool tandem_guard_##name(const struct tandem_machine *machine, uint64_t now_ns)
#define UNTIMED     (void)now_ns

static inline uint64_t later(uint64_t one, uint64_t other)
{
	return one > other ? one : other;
}

static inline const struct tandem_record *record_of(const struct tandem_machine *machine)
{
	return &machine->view.record;
}

static inline bool owner_is_this_node(const struct tandem_machine *machine)
{
	const struct tandem_record *record = record_of(machine);
	return record->generation > 0 && strcmp(record->owner, machine->config.node) == 0;
}

static inline bool owner_is_peer(const struct tandem_machine *machine)
{
	return record_of(machine)->generation > 0 && !owner_is_this_node(machine);
}

static inline bool program_can_lead(const struct tandem_machine *machine)
{
	const struct tandem_plane *program = &machine->program;
	return program->connection != 0 && program->is_ready && !program->was_halted;
}

static inline bool has_word(const struct tandem_machine *machine)
{
	return machine->has_word && machine->word_generation == record_of(machine)->generation;
}

static inline bool cas_is_out(const struct tandem_machine *machine)
{
	return machine->view.cas_request != 0 || machine->view.in_doubt;
}

/* Nothing asked earlier can still replace the record that is seen. */
static inline bool record_is_settled(const struct tandem_machine *machine)
{
	return !cas_is_out(machine) &&
	       machine->view.contested_generation != record_of(machine)->generation;
}

/* The register was read after the program said that it could lead. */
static inline bool reading_is_fresh(const struct tandem_machine *machine)
{
	return machine->view.is_known && machine->view.asked_ns >= machine->program.ready_ns;
}

#endif
