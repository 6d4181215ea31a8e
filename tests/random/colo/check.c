#include "world.h"

#include <stdio.h>
#include <string.h>

/* The judges. They know the truth (what the program's memory was at each capture) and what crossed
 * the network, and nothing of the gate's or the cores' own books. */

void check_captured(struct world *world, uint64_t epoch)
{
	struct truth *truth;

	if (epoch >= EPOCHS_MAX) {
		world_fail(world, "epoch %llu: more than a schedule can have",
		           (unsigned long long)epoch);
		return;
	}
	truth = &world->truths[epoch];
	if (truth->is_set)
		world_fail(world, "epoch %llu is captured twice", (unsigned long long)epoch);
	truth->is_set = true;
	truth->turn = world->program.turn;
	truth->sequence = world->sequence;
	truth->state_bytes = world->program.state_bytes;
	memcpy(truth->state, world->program.state, sizeof truth->state);
	for (unsigned page = 0; page < PAGES; page++)
		truth->values[page] = *(const uint64_t *)(const void *)page_live(page);
	if (world->primary.core.is_copying) {
		world->is_pairing = true;
		world->pairing_turn = truth->turn;
	}
}

static const struct truth *truth_of(const struct world *world, uint64_t epoch)
{
	return epoch < EPOCHS_MAX && world->truths[epoch].is_set ? &world->truths[epoch] : NULL;
}

static void check_page(struct world *world, unsigned page, uint64_t value, uint64_t epoch)
{
	const uint64_t *words =
	        (const uint64_t *)(const void *)(world->secondary.image.images[page_region(page)] +
	                                         (size_t)page_index(page) * 4096);

	for (unsigned word = 0; word < 512; word++) {
		if (words[word] == value)
			continue;
		world_fail(world,
		           "the image of epoch %llu is not the program's memory: page %u word %u "
		           "holds %llu, it was %llu",
		           (unsigned long long)epoch, page, word, (unsigned long long)words[word],
		           (unsigned long long)value);
		return;
	}
}

/* After an apply image and blob are exactly epoch K. */
void check_applied(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;
	uint64_t epoch = secondary->core.committed;
	const struct truth *truth = truth_of(world, epoch);

	if (truth == NULL) {
		world_fail(world, "epoch %llu was applied and never captured",
		           (unsigned long long)epoch);
		return;
	}
	for (unsigned page = 0; page < PAGES; page++)
		check_page(world, page, truth->values[page], epoch);
	if (secondary->state_bytes != truth->state_bytes ||
	    memcmp(secondary->state, truth->state, truth->state_bytes) != 0)
		world_fail(world, "the state blob of epoch %llu is another one",
		           (unsigned long long)epoch);
}

/* 4.4: a run of an epoch that was sealed and is not applied stays in the cache as it is. */
static bool is_pending(const struct tandem_inbox_epoch *epoch, uint64_t page)
{
	for (unsigned channel = 0; channel < CHANNELS; channel++) {
		if ((epoch->mask & 1u << channel) == 0)
			continue;
		for (uint32_t index = 0; index < epoch->run_count[channel]; index++) {
			const struct tandem_run *run = &epoch->runs[channel][index];

			if (run->kind == TANDEM_RUN_DATA && page >= run->first_page &&
			    page < run->first_page + run->page_count)
				return true;
		}
	}
	return false;
}

void check_landing(struct world *world, unsigned memory_id, uint64_t offset, uint32_t length)
{
	const struct secondary_side *secondary = &world->secondary;
	uint64_t first;

	if (memory_id == TANDEM_SLOTS_MEMORY_ID || secondary->session == NULL)
		return;
	first = secondary->core.layout.first_page[memory_id] + offset / 4096;
	for (uint64_t page = first; page < first + length / 4096; page++) {
		if (is_pending(&secondary->inbox.sealing, page) ||
		    (!secondary->core.is_applied && is_pending(&secondary->inbox.committed, page)))
			world_fail(world,
			           "page %llu of an epoch that is not applied is overwritten",
			           (unsigned long long)page);
	}
}

static void check_carrier(struct world *world, const struct wire *wire, unsigned channel,
                          struct carrier *carrier)
{
	uint64_t committed = world->secondary.core.committed;

	if (world->secondary.session != wire)
		return; /* the other end is gone: nothing lands any more */
	if (carrier->wire == wire && carrier->committed == committed &&
	    carrier->channel != channel &&
	    carrier->fence_count == wire->fence_count[carrier->channel])
		world_fail(world, "channels %u and %u write the same page since epoch %llu",
		           carrier->channel, channel, (unsigned long long)committed);
	*carrier = (struct carrier){.wire = wire,
	                            .committed = committed,
	                            .channel = channel,
	                            .fence_count = wire->fence_count[channel]};
}

void check_posting(struct world *world, const struct wire *wire, unsigned channel,
                   const struct tandem_write *write)
{
	unsigned row = write->memory_id == TANDEM_SLOTS_MEMORY_ID ? REGIONS : write->memory_id;
	uint64_t first = write->offset / 4096;

	for (uint64_t page = first; page <= (write->offset + write->length - 1) / 4096; page++) {
		if (page >= SLOT_PAGES)
			world_fail(world, "a write outside the world");
		else
			check_carrier(world, wire, channel, &world->carriers[row][page]);
	}
}

/* ---- output ---- */

void check_heard(struct world *world, const struct tandem_wire_message *message)
{
	const struct tandem_primary *core = &world->primary.core;
	struct heard *heard = &world->heard;
	const struct truth *truth;
	bool is_resumed = message->secondary_incarnation == core->peer_incarnation &&
	                  message->primary_incarnation == P_INCARNATION;

	if (message->generation != core->generation || message->generation != heard->generation ||
	    (message->type == TANDEM_WIRE_APPLIED && message->epoch != core->sealed) ||
	    message->type == TANDEM_WIRE_REFUSED)
		return;
	if (message->type == TANDEM_WIRE_WELCOME && !is_resumed)
		return;
	truth = truth_of(world, message->epoch);
	if (truth != NULL && truth->turn >= heard->turn) {
		heard->turn = truth->turn;
		heard->sequence = truth->sequence;
	}
	if (message->type == TANDEM_WIRE_PONG && message->number > heard->ping)
		heard->ping = message->number;
}

static void check_in_pair(struct world *world, uint64_t number, const struct ticket *ticket)
{
	const struct heard *heard = &world->heard;
	bool by_commit = heard->turn >= ticket->turn &&
	                 (!ticket->is_read || heard->sequence > ticket->sequence);
	bool by_ping = ticket->is_read && heard->ping >= ticket->ping;

	world_met(world, by_commit ? MET_RELEASED_BY_COMMIT : MET_RELEASED_BY_PING);
	if (!by_commit && !by_ping)
		world_fail(world,
		           "ticket %llu (%s of turn %llu) left without an acknowledgement of "
		           "generation %llu",
		           (unsigned long long)number, ticket->is_read ? "read" : "write",
		           (unsigned long long)ticket->turn,
		           (unsigned long long)world->primary.core.generation);
}

static void check_after_activation(struct world *world, uint64_t number,
                                   const struct ticket *ticket)
{
	if (!world->is_activated)
		return;
	if (ticket->turn > world->activated_turn)
		world_fail(world, "ticket %llu left and the promoted copy does not have its turn",
		           (unsigned long long)number);
	else if (ticket->is_read && ticket->sequence > world->activated_sequence)
		world_fail(world, "a read of a superseded node left (ticket %llu)",
		           (unsigned long long)number);
}

void check_released(struct world *world)
{
	const struct tandem_primary *core = &world->primary.core;

	if (!core->is_quiet)
		world->primary.quiet_ticket = 0;
	if (world->primary.quiet_ticket != 0 &&
	    core->gate.released_ticket > world->primary.quiet_ticket)
		world_fail(world, "ticket %llu left after QUIESCED (R9)",
		           (unsigned long long)core->gate.released_ticket);
	while (world->checked_ticket < core->gate.released_ticket && !world->has_failed) {
		uint64_t number = ++world->checked_ticket;
		const struct ticket *ticket = &world->tickets[number];

		world_trace(world, "ticket %llu of turn %llu left", (unsigned long long)number,
		            (unsigned long long)ticket->turn);
		if (ticket->turn > world->released_turn)
			world->released_turn = ticket->turn;
		check_promotable(world);
		check_after_activation(world, number, ticket);
		if (core->is_pair) {
			check_in_pair(world, number, ticket);
		} else {
			world_met(world, MET_RELEASED_SOLO);
			if (world->is_pairing && ticket->turn > world->pairing_turn)
				world_fail(world,
				           "ticket %llu left between the copy and the register "
				           "(R7)",
				           (unsigned long long)number);
		}
	}
}

/* R9: what has left is in an epoch that the secondary holds, and nothing more leaves. */
void check_quiesced(struct world *world, uint64_t epoch)
{
	const struct tandem_primary *core = &world->primary.core;
	const struct secondary_side *secondary = &world->secondary;
	bool is_same = !secondary->is_dead && secondary->incarnation == core->peer_incarnation;

	world_met(world, MET_QUIESCED);
	if (core->committed > 1)
		world_met(world, MET_QUIESCED_AFTER_EPOCH);
	world->primary.quiet_ticket = core->gate.released_ticket;
	if (core->sealed != 0 || core->committed != epoch || !core->is_applied ||
	    (is_same && secondary->core.committed != epoch))
		world_fail(world, "QUIESCED at epoch %llu with one under way",
		           (unsigned long long)epoch);
}

/* ---- promotion ---- */

/* From the moment the register says PAIR the copy that it names may be promoted at any time, and it
 * goes on from what it holds: everything that has left must be in it. */
void check_promotable(struct world *world)
{
	const struct secondary_side *secondary = &world->secondary;
	const struct truth *truth = truth_of(world, secondary->core.committed);

	if (!world->reg.is_pair || secondary->is_dead ||
	    world->reg.copy_incarnation != secondary->incarnation)
		return;
	if (truth == NULL)
		world_fail(world, "the register names a copy of no epoch");
	else if (world->released_turn > truth->turn)
		world_fail(world,
		           "output of turn %llu has left, the copy that may be promoted is of "
		           "turn %llu",
		           (unsigned long long)world->released_turn,
		           (unsigned long long)truth->turn);
}

void check_activated(struct world *world)
{
	const struct secondary_side *secondary = &world->secondary;
	const struct truth *truth = truth_of(world, secondary->core.committed);
	uint64_t turn = world->released_turn;

	world->is_activated = true;
	world_met(world, world->primary.is_dead ? MET_PROMOTED_AFTER_CRASH : MET_PROMOTED_FALSELY);
	if (!tandem_secondary_is_promotable(&secondary->core) && world->bug == BUG_NONE)
		world_fail(world, "the register names a copy that is not promotable");
	if (truth == NULL) {
		world_fail(world, "the promoted copy is of no epoch");
		return;
	}
	check_applied(world);
	world->activated_turn = truth->turn;
	world->activated_sequence = world->sequence;
	if (turn > truth->turn)
		world_fail(world, "the promoted copy is of turn %llu, output of turn %llu has left",
		           (unsigned long long)truth->turn, (unsigned long long)turn);
}

/* The primary never knows an epoch committed that the holder of its copy does not have. */
void check_knowledge(struct world *world)
{
	const struct tandem_primary *primary = &world->primary.core;
	const struct tandem_secondary *secondary = &world->secondary.core;

	if (world->secondary.is_dead || primary->peer_incarnation != secondary->incarnation)
		return;
	if (primary->committed > secondary->committed)
		world_fail(world, "the primary takes epoch %llu for committed, the copy is of %llu",
		           (unsigned long long)primary->committed,
		           (unsigned long long)secondary->committed);
}

/* Between honest sides nobody breaks the protocol, but a generation can change under a HELLO. */
void check_drop(struct world *world, bool is_primary, int code, const char *reason)
{
	if (code == TANDEM_E_PROTOCOL &&
	    !(is_primary && strcmp(reason, "the answer to HELLO is of another generation") == 0))
		world_fail(world, "the %s says of an honest peer: %s",
		           is_primary ? "primary" : "secondary", reason);
}
