#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tandem/memory.h>
#include <tandem/random.h>

_Alignas(4096) uint8_t world_live[REGIONS][3 * 4096];

static const unsigned first_page[REGIONS + 1] = {0, 3, 5, PAGES};

const struct tandem_region_table *world_regions(void)
{
	static const struct tandem_region_table regions = {
	        .count = REGIONS,
	        .entries = {{.name = "a", .page_count = 3},
	                    {.name = "b", .page_count = 2},
	                    {.name = "c", .page_count = 1}},
	};

	return &regions;
}

unsigned page_region(unsigned page)
{
	unsigned region = 0;

	while (page >= first_page[region + 1])
		region++;
	return region;
}

unsigned page_index(unsigned page)
{
	return page - first_page[page_region(page)];
}

uint8_t *page_live(unsigned page)
{
	return world_live[page_region(page)] + (size_t)page_index(page) * 4096;
}

unsigned world_pick(struct world *world, unsigned count)
{
	return (unsigned)((tandem_random_next(&world->random) >> 33) % count);
}

bool world_chance(struct world *world, unsigned one_in)
{
	return world_pick(world, one_in) == 0;
}

bool world_paces(struct world *world, enum pace pace)
{
	return !world->has_faults || world_chance(world, world->pace[pace]);
}

void world_fail(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (world->has_failed)
		return;
	world->has_failed = true;
	va_start(arguments, format);
	vsnprintf(world->failure, sizeof world->failure, format, arguments);
	va_end(arguments);
}

void world_met(struct world *world, enum met met)
{
	world->counts->met[met]++;
	world_trace(world, "met %s", met_name(met));
}

void world_trace(const struct world *world, const char *format, ...)
{
	va_list arguments;

	if (!world->is_tracing)
		return;
	printf("%6llu ", (unsigned long long)world->sequence);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

void world_reset(struct world *world, uint64_t seed, enum bug bug, struct counts *counts)
{
	bool is_tracing = world->is_tracing;

	memset(world, 0, sizeof *world);
	world->is_tracing = is_tracing;
	memset(world_live, 0, sizeof world_live);
	world->random = seed;
	world->bug = bug;
	world->counts = counts;
	world->now_ns = 1000000000;
	world->has_faults = true;
	world->cuts_left = world_pick(world, 5);
	world->breaks_left = world_chance(world, 3) ? 0 : world_pick(world, 8);
	world->stalls_left = world_chance(world, 2) ? 0 : world_pick(world, 4);
	world->crashes_left = world_chance(world, 3) ? 1 : 0;
	world->restarts_left = world_pick(world, 3);
	world->may_suspect = world_chance(world, 2);
	world->may_crash = world_chance(world, 2);
	world->is_buffered = world_chance(world, 2);
	for (unsigned pace = 0; pace < PACE_COUNT; pace++)
		world->pace[pace] = world_chance(world, 3) ? 1 + world_pick(world, 12) : 1;
	controllers_begin(world);
	primary_begin(world);
	secondary_begin(world, 0x2001);
}

void world_done(struct world *world)
{
	primary_done(world);
	secondary_crash(world);
	for (unsigned index = 0; index < world->wire_count; index++) {
		wire_drop(world->wires[index]);
		tandem_memory_free(world->wires[index]);
	}
}

/* Where words cross, faults are likelier: between COPIED and the controller's answer. */
static bool is_copy_in_question(const struct world *world)
{
	return world->primary.is_copy_told && !world->primary.core.is_pair;
}

static bool cut_one(struct world *world)
{
	unsigned one_in = is_copy_in_question(world) ? 3 : 12;

	if (world->cuts_left == 0 || world->primary.session == NULL || !world_chance(world, one_in))
		return false;
	world->cuts_left--;
	world_met(world, MET_CUT);
	wire_cut(world->primary.session);
	return true;
}

/* Likelier where an epoch is under way. */
static bool break_channel(struct world *world)
{
	enum tandem_primary_phase phase = world->primary.core.phase;
	bool is_under_way = phase >= TANDEM_PRIMARY_REPAIRING && phase <= TANDEM_PRIMARY_SEALED;
	struct wire *wire = world->primary.session;

	if (world->breaks_left == 0 || wire == NULL || wire->is_up_due || wire->is_cut ||
	    !world_chance(world, is_under_way ? 2 : 6))
		return false;
	world->breaks_left--;
	if (world_chance(world, 5))
		wire_lose_rail(wire, world_pick(world, RAILS));
	else
		wire_break_channel(wire, world_pick(world, CHANNELS));
	return true;
}

static bool crash_secondary(struct world *world)
{
	if (world->crashes_left == 0 || world->is_taken_over ||
	    !world_chance(world, world->controller.cas.state == CAS_SENT ? 3 : 20))
		return false;
	world->crashes_left--;
	world_met(world, MET_SECONDARY_CRASHED);
	secondary_crash(world);
	return true;
}

static bool restart_secondary(struct world *world)
{
	if (!world->secondary.is_dead || !world_chance(world, 4))
		return false;
	secondary_begin(world, world->secondary.incarnation + 1);
	return true;
}

static bool crash_primary(struct world *world)
{
	if (!world->may_crash || world->primary.is_dead || !world_chance(world, 40))
		return false;
	primary_crash(world);
	return true;
}

static bool restart_controller(struct world *world)
{
	if (world->restarts_left == 0 || world->primary.is_dead ||
	    !world_chance(world, is_copy_in_question(world) ? 2 : 8))
		return false;
	world->restarts_left--;
	controller_restart(world);
	return true;
}

static bool take_over(struct world *world)
{
	if (!world->primary.is_dead && !(world->may_suspect && world_chance(world, 12)))
		return false;
	return register_take_over(world);
}

static bool fault(struct world *world)
{
	switch (world_pick(world, 8)) {
	case 0:
		return cut_one(world);
	case 5:
	case 6:
	case 7:
		return break_channel(world);
	case 1:
		return crash_secondary(world);
	case 2:
		return crash_primary(world);
	case 3:
		return restart_controller(world);
	default:
		return take_over(world);
	}
}

static bool work(struct world *world)
{
	switch (world_pick(world, 8)) {
	case 0:
	case 1:
	case 2:
		return world_paces(world, PACE_STORE) && program_store(world);
	case 3:
	case 4:
		return world_paces(world, PACE_CHECKPOINT) && program_checkpoint(world);
	case 5:
		return world_paces(world, PACE_CONFIRM) && program_confirm(world);
	case 6:
		return world_chance(world, 4) && program_withdraw(world);
	default:
		return false;
	}
}

static bool secondary_turn(struct world *world)
{
	switch (world_pick(world, 5)) {
	case 0:
	case 1:
		return world_paces(world, PACE_READ) && secondary_read(world);
	case 2:
	case 3:
		return world_paces(world, PACE_APPLY) && secondary_apply(world);
	default:
		return world_paces(world, PACE_OBEY) && secondary_obey(world);
	}
}

static bool controllers(struct world *world)
{
	switch (world_pick(world, 3)) {
	case 0:
		return world_paces(world, PACE_CONTROLLER) && controller_primary(world);
	case 1:
		return controller_secondary(world);
	default:
		return world_paces(world, PACE_REGISTER) && register_execute(world);
	}
}

static bool network(struct world *world)
{
	switch (world_pick(world, 5)) {
	case 4:
		return world_paces(world, PACE_ARRIVE) && wire_join(world);
	case 0:
		return world_paces(world, PACE_ARRIVE) && wire_arrive(world);
	case 1:
		return world_paces(world, PACE_COMPLETE) && wire_complete(world);
	default:
		return world_paces(world, PACE_LAND) && wire_land(world);
	}
}

void world_outside(struct world *world)
{
	unsigned choice = world_pick(world, 20);

	world->sequence++;
	world->counts->steps++;
	world->now_ns += world->has_faults ? 200000 : 20000;
	if (world->has_faults && world_chance(world, 300))
		world->now_ns += 30000000;
	if (choice < 6)
		network(world);
	else if (choice < 11)
		secondary_turn(world);
	else if (choice < 15)
		work(world);
	else if (choice < 18)
		controllers(world);
	else if (!world->has_faults || choice < 19)
		restart_secondary(world);
	else
		fault(world);
	if (!world->has_faults && world->primary.is_dead)
		register_take_over(world);
	check_knowledge(world);
}

static bool is_promotion_due(const struct world *world)
{
	return world->is_taken_over ||
	       (world->reg.is_pair && !world->secondary.is_dead &&
	        world->reg.copy_incarnation == world->secondary.incarnation);
}

/* One that joined again waits for the next commit where pages are pushed before it. */
static bool are_all_channels_up(const struct world *world)
{
	const struct wire *wire = world->primary.session;
	const struct tandem_stripes *stripes = &world->primary.push.stripes;
	uint32_t waiting_mask = world->primary.push.pushes_beside ? stripes->waiting_mask : 0;

	return wire != NULL && wire->lost_mask == 0 && wire->lost_due == 0 && wire->up_due == 0 &&
	       (stripes->up_mask | waiting_mask) == CHANNELS_ALL;
}

/* Nothing is left that a fair scheduler would still have to bring about. */
bool world_is_at_rest(const struct world *world)
{
	const struct tandem_primary *core = &world->primary.core;

	if (world->primary.is_dead)
		return !is_promotion_due(world) || world->is_activated;
	if (world->is_taken_over)
		return world->is_activated && core->phase == TANDEM_PRIMARY_HALTED;
	return world->reg.is_pair && core->is_pair && core->generation == world->reg.generation &&
	       world->reg.copy_incarnation == world->secondary.incarnation &&
	       are_all_channels_up(world) && core->phase == TANDEM_PRIMARY_OPEN &&
	       core->is_applied && !world->program.is_held && world->secondary.core.is_applied &&
	       world->secondary.core.committed == core->committed &&
	       core->gate.released_ticket == core->gate.last_ticket;
}
