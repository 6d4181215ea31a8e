#include "world.h"

#include <string.h>

/* The protected program: stores at any time while it is not held; a turn ends with a checkpoint. */

bool program_store(struct world *world)
{
	unsigned page = world_pick(world, PAGES);
	uint64_t value = world_chance(world, 4) ? 0 : ++world->program.counter;
	uint64_t *words = (uint64_t *)(void *)page_live(page);

	if (world->program.is_held || world->primary.is_dead || world->primary.mail.has_halt)
		return false;
	for (unsigned word = 0; word < 512; word++)
		words[word] = value;
	world->program.dirty |= UINT64_C(1) << page;
	if (world->primary.core.phase == TANDEM_PRIMARY_DRAINING)
		world_met(world, MET_STORED_IN_DRAIN);
	return true;
}

static bool can_call(const struct world *world)
{
	return !world->program.is_held && !world->primary.is_dead &&
	       world->primary.core.phase != TANDEM_PRIMARY_HALTED &&
	       world->primary.core.phase != TANDEM_PRIMARY_IDLE &&
	       world->primary.core.gate.last_ticket + 1 < TICKETS_MAX;
}

static void note_ticket(struct world *world, uint64_t number, uint64_t ping)
{
	world->tickets[number] = (struct ticket){.turn = world->program.turn,
	                                         .sequence = world->sequence,
	                                         .ping = ping,
	                                         .is_read = ping != 0};
}

/* While healing only the checkpoints that the engine asks for are made, so that rest is reached. */
static bool is_wanted(const struct world *world)
{
	return world->has_faults || tandem_primary_wants_checkpoint(&world->primary.core);
}

bool program_checkpoint(struct world *world)
{
	static const uint32_t sizes[] = {0, 8, STATE_BYTES};
	struct program *program = &world->program;
	struct tandem_primary *core = &world->primary.core;

	if (!can_call(world) || !is_wanted(world))
		return false;
	program->turn++;
	program->state_bytes = sizes[world_pick(world, 3)];
	memset(program->state, (int)program->turn, sizeof program->state);
	note_ticket(world, core->gate.last_ticket + 1, 0);
	tandem_primary_checkpoint_ticket(core, 1);
	check_released(world);
	if (tandem_primary_skips_checkpoint(core)) {
		world_met(world, MET_CHECKPOINT_SKIPPED);
		return true;
	}
	if (!tandem_primary_can_checkpoint(core, world->now_ns))
		world_met(world, MET_CHECKPOINT_WAITS);
	if (core->phase == TANDEM_PRIMARY_DRAINING)
		world_met(world, MET_CHECKPOINT_IN_DRAIN);
	program->is_held = true;
	world->primary.mail.has_checkpoint = true;
	return true;
}

/* What the engine has not taken yet is taken back at once, as its mailbox does. */
bool program_withdraw(struct world *world)
{
	struct primary_mail *mail = &world->primary.mail;

	if (!world->program.is_held || world->primary.is_dead || !world->has_faults)
		return false;
	if (mail->has_checkpoint)
		world->program.is_held = false;
	else
		mail->has_withdrawal = true;
	mail->has_checkpoint = false;
	return true;
}

bool program_confirm(struct world *world)
{
	struct tandem_primary *core = &world->primary.core;

	if (!can_call(world) || !world->has_faults)
		return false;
	note_ticket(world, core->gate.last_ticket + 1, core->last_ping + 1);
	if (world->bug == BUG_READS_DO_NOT_WAIT)
		tandem_gate_ticket(&core->gate, core->next_epoch, core->last_ping, 1);
	else
		tandem_primary_confirm_ticket(core, 1);
	check_released(world);
	return true;
}
