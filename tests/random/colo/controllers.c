#include "world.h"

#include <string.h>

/* The register with its compare-and-set, and what a controller does of failover's table that the
 * data plane can see: it speaks only when the register has spoken, or when its program attached
 * anew. */

static bool same_record(const struct record *one, const struct record *other)
{
	return one->generation == other->generation &&
	       one->is_owner_primary == other->is_owner_primary && one->is_pair == other->is_pair &&
	       one->copy_incarnation == other->copy_incarnation;
}

static void lead(struct world *world)
{
	struct primary_controller *controller = &world->controller;

	controller->copied_incarnation = 0;
	controller->is_gated = false;
	controller->is_joining = false;
	controller->is_handing_over = false;
	controller->led_generation = controller->known.generation;
	primary_order(world, false, controller->known.generation, controller->known.is_pair);
}

void controllers_begin(struct world *world)
{
	world->reg = (struct record){.generation = 1, .is_owner_primary = true};
	world->controller.known = world->reg;
	world->controller.is_joining = true;
}

void controller_report(struct world *world, enum report_type type, uint64_t incarnation,
                       uint64_t generation)
{
	struct primary_controller *controller = &world->controller;

	if (controller->report_count == REPORTS_MAX) {
		world_fail(world, "the controller was told more than it can hear");
		return;
	}
	controller->reports[controller->report_count++] =
	        (struct report){.type = type, .incarnation = incarnation, .generation = generation};
}

/* A new life knows nothing; what the old one asked for may still happen. */
void controller_restart(struct world *world)
{
	struct primary_controller *controller = &world->controller;

	if (controller->is_halted)
		return;
	if (controller->cas.state == CAS_SENT)
		controller->orphan = controller->cas;
	controller->cas.state = CAS_NONE;
	controller->report_count = 0;
	controller->has_session = false;
	controller->copied_incarnation = 0;
	controller->is_joining = true;
	controller->is_gated = false;
	world_met(world, MET_CONTROLLER_RESTARTED);
	primary_repeat(world);
}

static void ask(struct world *world, bool is_pair, uint64_t copy_incarnation)
{
	struct primary_controller *controller = &world->controller;

	controller->cas.state = CAS_SENT;
	controller->cas.expected = controller->known;
	controller->cas.wanted = (struct record){.generation = controller->known.generation + 1,
	                                         .is_owner_primary = true,
	                                         .is_pair = is_pair,
	                                         .copy_incarnation = copy_incarnation};
}

static void execute(struct world *world, struct cas *cas)
{
	cas->is_won = same_record(&world->reg, &cas->expected);
	if (cas->is_won)
		world->reg = cas->wanted;
	if (cas->is_won && world->reg.is_pair && world->bug == BUG_STALE_INCARNATION)
		world->reg.copy_incarnation = world->secondary.incarnation;
	cas->state = CAS_DONE;
	check_promotable(world);
}

bool register_execute(struct world *world)
{
	struct primary_controller *controller = &world->controller;

	if (controller->orphan.state == CAS_SENT && world_chance(world, 2)) {
		execute(world, &controller->orphan);
		return true;
	}
	if (controller->cas.state != CAS_SENT)
		return false;
	execute(world, &controller->cas);
	return true;
}

/* A COPIED that was said before the last LEAD was heard is void: that LEAD has opened the gate. */
static void hear(struct world *world)
{
	struct primary_controller *controller = &world->controller;
	struct report report = controller->reports[0];

	memmove(controller->reports, controller->reports + 1,
	        --controller->report_count * sizeof report);
	if (report.type == REPORT_LOST) {
		controller->has_session = false;
		controller->copied_incarnation = 0;
	} else if (report.type == REPORT_UP) {
		controller->has_session = true;
		controller->session_incarnation = report.incarnation;
		controller->copied_incarnation = 0;
	} else if (controller->has_session &&
	           controller->session_incarnation == report.incarnation &&
	           (report.generation == controller->led_generation ||
	            world->bug == BUG_OLD_COPIED_COUNTS)) {
		controller->copied_incarnation = report.incarnation;
	}
}

static void halt(struct world *world)
{
	world->controller.is_halted = true;
	world_met(world, MET_HALTED_BY_CONTROLLER);
	primary_order(world, true, 0, false);
}

static void take_answer(struct world *world)
{
	struct primary_controller *controller = &world->controller;

	controller->cas.state = CAS_NONE;
	controller->known = world->reg;
	if (!controller->cas.is_won)
		world_met(world, MET_CAS_LOST);
	if (!world->reg.is_owner_primary) {
		halt(world);
	} else if (controller->cas.is_won) {
		world_met(world, world->reg.is_pair ? MET_CAS_PAIR : MET_CAS_SOLO);
		lead(world);
	}
}

static bool is_renewed(const struct primary_controller *controller)
{
	return controller->has_session &&
	       controller->session_incarnation != controller->known.copy_incarnation;
}

static bool decide_joining(struct world *world)
{
	struct primary_controller *controller = &world->controller;

	controller->known = world->reg;
	if (!world->reg.is_owner_primary)
		halt(world);
	else if (world->reg.is_pair || controller->led_generation == 0 ||
	         (world->bug == BUG_LEAD_TWICE && controller->orphan.state != CAS_SENT))
		lead(world);
	else
		ask(world, false, 0);
	return true;
}

static bool decide_gated(struct world *world)
{
	struct primary_controller *controller = &world->controller;

	if (controller->known.is_pair && controller->has_session && !is_renewed(controller))
		lead(world);
	else if (controller->known.is_pair)
		ask(world, false, 0);
	else if (controller->copied_incarnation != 0)
		ask(world, true, controller->copied_incarnation);
	else if (world->bug == BUG_LEAD_TWICE)
		lead(world);
	else
		ask(world, false, 0);
	return true;
}

static bool decide(struct world *world)
{
	struct primary_controller *controller = &world->controller;

	if (controller->is_joining)
		return decide_joining(world);
	if (controller->is_gated)
		return decide_gated(world);
	controller->is_gated = controller->known.is_pair
	                               ? !controller->has_session || is_renewed(controller)
	                               : controller->copied_incarnation != 0;
	if (controller->is_gated && controller->known.is_pair && world->has_faults &&
	    world_chance(world, 2))
		controller->is_gated = false; /* patience: the session may come back */
	return controller->is_gated;
}

/* The register is read now and then: another owner, or what an earlier life asked for. */
static void read_register(struct world *world)
{
	struct primary_controller *controller = &world->controller;

	controller->known = world->reg;
	controller->is_gated = true;
	if (!world->reg.is_owner_primary)
		halt(world);
	else if (world->reg.is_pair)
		lead(world);
}

/* R9, and the change of mind when the other node does not take over: LEAD again. */
static bool hand_over(struct world *world)
{
	struct primary_controller *controller = &world->controller;

	if (controller->is_joining || controller->is_gated || !controller->known.is_pair)
		return false;
	if (controller->is_handing_over && (!world->has_faults || world_chance(world, 40))) {
		lead(world);
		return true;
	}
	if (controller->is_handing_over || !world->has_faults || !world_chance(world, 60))
		return false;
	controller->is_handing_over = true;
	primary_quiesce(world);
	return true;
}

bool controller_primary(struct world *world)
{
	struct primary_controller *controller = &world->controller;

	if (controller->is_halted || world->primary.is_dead)
		return false;
	if (controller->report_count > 0 && world_chance(world, 2)) {
		hear(world);
		return true;
	}
	if (controller->cas.state == CAS_DONE) {
		take_answer(world);
		return true;
	}
	if (controller->cas.state == CAS_SENT || controller->report_count > 0)
		return false;
	if (!controller->is_joining && world->reg.generation != controller->known.generation &&
	    world_chance(world, 3)) {
		read_register(world);
		return true;
	}
	return hand_over(world) || decide(world);
}

bool controller_secondary(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;

	if (secondary->is_dead || world->is_taken_over ||
	    secondary->told_generation == world->reg.generation)
		return false;
	secondary->told_generation = world->reg.generation;
	secondary->order = world->reg;
	secondary->has_order_stand_by = true;
	return true;
}

/* R5: only PAIR, and only the copy that the register names. */
bool register_take_over(struct world *world)
{
	if (world->is_taken_over || world->secondary.is_dead || !world->reg.is_owner_primary ||
	    !world->reg.is_pair || world->reg.copy_incarnation != world->secondary.incarnation)
		return false;
	world->reg = (struct record){.generation = world->reg.generation + 1};
	world->is_taken_over = true;
	world->secondary.has_order_fence = true;
	return true;
}
