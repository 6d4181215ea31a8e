#include "world.h"

#include <string.h>

/* engine.c without its threads: what the core says is done in order, with the real push. */

#define SECOND UINT64_C(1000000000)

static void step(struct world *world, const struct tandem_primary_event *event);

static void step_simple(struct world *world, enum tandem_primary_event_type type)
{
	struct tandem_primary_event event = {.type = type, .now_ns = world->now_ns};

	step(world, &event);
}

static void keep_alive(void *argument);

static void begin_push(struct world *world)
{
	struct tandem_push *push = &world->primary.push;

	if (!tandem_layout_init(&push->layout, world_regions(), CHANNELS, STATE_BYTES) ||
	    tandem_push_init(push, NULL) < 0) {
		world_fail(world, "the push cannot be made");
		return;
	}
	for (unsigned region = 0; region < REGIONS; region++)
		push->bases[region] = world_live[region];
	push->stall_timeout_ns = 60 * SECOND;
	push->keep_alive = keep_alive;
	push->argument = world;
}

void primary_begin(struct world *world)
{
	struct tandem_primary_options options = {
	        .pair = "p",
	        .incarnation = P_INCARNATION,
	        .channel_count = CHANNELS,
	        .state_bytes_max = STATE_BYTES,
	        .connect_timeout_ns = SECOND / 25,
	        .commit_timeout_ns = SECOND / 16,
	        .ping_interval_ns = SECOND / 100,
	        .reconnect_interval_ns = SECOND / 200,
	        .copy_passes_max = world_chance(world, 4) ? 0 : 3,
	        .first_epoch = 1,
	        .regions = *world_regions(),
	};

	begin_push(world);
	tandem_primary_init(&world->primary.core, &options);
}

void primary_done(struct world *world)
{
	tandem_push_done(&world->primary.push);
}

void primary_crash(struct world *world)
{
	world->counts->crash[world->primary.core.phase]++;
	world->primary.is_dead = true;
	if (world->primary.session != NULL)
		wire_close_primary(world->primary.session);
	world->primary.session = NULL;
}

void primary_order(struct world *world, bool is_halt, uint64_t generation, bool is_pair)
{
	struct primary_mail *mail = &world->primary.mail;

	mail->has_halt = mail->has_halt || is_halt;
	mail->has_lead = !mail->has_halt;
	world_trace(world, "controller: %s generation %llu %s", is_halt ? "HALT" : "LEAD",
	            (unsigned long long)generation, is_pair ? "PAIR" : "SOLO");
	mail->generation = generation;
	mail->is_pair = is_pair;
}

/* The program attached to a new life of the controller. */
void primary_repeat(struct world *world)
{
	struct primary_side *primary = &world->primary;

	if (primary->has_session)
		controller_report(world, REPORT_UP, primary->session_incarnation, 0);
	if (primary->copied_incarnation != 0)
		controller_report(world, REPORT_COPIED, primary->copied_incarnation,
		                  primary->copied_generation);
}

static void end_session(struct world *world)
{
	struct primary_side *primary = &world->primary;

	if (primary->is_dead)
		return;
	if (primary->session != NULL)
		wire_close_primary(primary->session);
	primary->session = NULL;
	primary->is_scan_due = false;
	primary->is_slice_due = false;
	primary->has_session = false;
	primary->copied_incarnation = 0;
	if (!primary->is_copy_told)
		world->is_pairing = false;
	step_simple(world, TANDEM_PRIMARY_ON_SESSION_LOST);
}

/* ---- the memory work ---- */

static void take_dirty(struct world *world)
{
	struct tandem_push *push = &world->primary.push;

	for (unsigned page = 0; page < PAGES; page++) {
		if ((world->program.dirty >> page & 1) != 0)
			tandem_bitmap_set(push->to_push,
			                  push->layout.first_page[page_region(page)] +
			                          page_index(page));
	}
	world->program.dirty = 0;
}

static void do_scan(struct world *world)
{
	struct primary_side *primary = &world->primary;
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SCANNED};

	take_dirty(world);
	if (primary->core.phase == TANDEM_PRIMARY_SCANNING) {
		check_captured(world, primary->core.captured);
		tandem_push_state(&primary->push, primary->core.captured, world->program.state,
		                  world->program.state_bytes);
	}
	event.is_small = tandem_push_left(&primary->push) <= world_pick(world, PAGES);
	event.now_ns = world->now_ns;
	step(world, &event);
}

static void do_slice(struct world *world)
{
	struct primary_side *primary = &world->primary;
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SLICED};
	bool is_blocked;
	int code = tandem_push_pages(&primary->push, 17 + world_pick(world, 24), &event.is_done,
	                             &is_blocked);

	if (code == 0)
		code = tandem_push_settle(&primary->push);
	if (world->bug == BUG_CLEAN_AFTER_PUSH)
		world->program.dirty = 0;
	if (code < 0) {
		end_session(world);
		return;
	}
	event.now_ns = world->now_ns;
	step(world, &event);
}

static void do_push(struct world *world)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_PUSHED};
	bool is_done, is_blocked = false;
	int code = tandem_push_pages(&world->primary.push, UINT64_MAX, &is_done, &is_blocked);

	if (code < 0) {
		world_met(world, MET_LOST_IN_PUSH);
		end_session(world);
		return;
	}
	if (is_blocked)
		world_met(world, MET_PUSH_BLOCKED);
	event.is_done = !is_blocked;
	event.now_ns = world->now_ns;
	step(world, &event);
}

static bool do_seal(struct world *world, const struct tandem_primary_action *action)
{
	struct tandem_push *push = &world->primary.push;

	if (world->bug == BUG_STATE_FROM_NEXT)
		tandem_push_state(push, action->epoch, world->program.state,
		                  world->program.state_bytes);
	if (tandem_push_seal(push, action->epoch, action->base, action->generation) == 0)
		return true;
	end_session(world);
	return false;
}

static void pretend_committed(struct world *world)
{
	struct tandem_wire_message message = {.type = TANDEM_WIRE_COMMITTED,
	                                      .generation = world->primary.core.generation,
	                                      .epoch = world->primary.core.sealed};
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = world->now_ns, .message = &message};

	if (world->primary.core.phase == TANDEM_PRIMARY_SEALED)
		step(world, &event);
}

static void do_settle(struct world *world)
{
	bool is_early = world->bug == BUG_RESUME_BEFORE_SETTLE;

	if (!is_early && tandem_push_settle(&world->primary.push) < 0) {
		end_session(world);
		return;
	}
	step_simple(world, TANDEM_PRIMARY_ON_SETTLED);
	if (world->bug == BUG_LOCAL_IS_COMMIT)
		pretend_committed(world);
}

static void merge(struct world *world)
{
	struct tandem_push *push = &world->primary.push;

	if (world->bug == BUG_NO_MERGE_ON_LOSS) {
		tandem_page_map_clear(&push->open);
		tandem_page_map_clear(&push->last);
	}
	tandem_push_merge(push);
}

static void mark_all(struct world *world, bool is_fresh)
{
	world_met(world, is_fresh ? MET_COPY_FULL_FRESH : MET_COPY_FULL_STALE);
	tandem_push_mark_all(&world->primary.push, is_fresh || world->bug == BUG_FRESH_ALWAYS);
}

static void report_copied(struct world *world, const struct tandem_primary_action *action)
{
	struct primary_side *primary = &world->primary;

	primary->copied_incarnation = action->peer_incarnation;
	primary->copied_generation = primary->core.generation;
	primary->is_copy_told = true;
	controller_report(world, REPORT_COPIED, action->peer_incarnation,
	                  primary->copied_generation);
}

static void on_committed(struct world *world)
{
	struct primary_side *primary = &world->primary;

	if (world->bug == BUG_NO_WAIT_FOR_APPLIED) {
		tandem_push_forget(&primary->push);
	}
	if (world->bug == BUG_COPIED_AT_COMMIT && primary->core.is_copying) {
		struct tandem_primary_action action = {.peer_incarnation =
		                                               primary->session_incarnation};

		report_copied(world, &action);
	}
}

/* ---- actions ---- */

static void execute_session(struct world *world, const struct tandem_primary_action *action)
{
	struct primary_side *primary = &world->primary;

	if (action->type == TANDEM_PRIMARY_DO_CONNECT) {
		primary->session = wire_connect(world);
		if (primary->session == NULL)
			world_fail(world, "too many sessions: the pair does not come to rest");
	} else if (action->type == TANDEM_PRIMARY_DO_DROP_SESSION) {
		check_drop(world, true, action->code, action->reason);
		end_session(world);
	} else if (primary->session != NULL && !primary->session->is_broken &&
	           !wire_send(&primary->session->to_secondary, &action->message)) {
		wire_cut(primary->session);
	}
}

static void execute_report(struct world *world, const struct tandem_primary_action *action)
{
	struct primary_side *primary = &world->primary;

	if (action->type == TANDEM_PRIMARY_DO_REPORT_UP) {
		primary->session_incarnation = action->peer_incarnation;
		primary->has_session = true;
		controller_report(world, REPORT_UP, action->peer_incarnation, 0);
	} else if (action->type == TANDEM_PRIMARY_DO_REPORT_LOST) {
		controller_report(world, REPORT_LOST, 0, 0);
	} else if (action->type == TANDEM_PRIMARY_DO_REPORT_COPIED) {
		report_copied(world, action);
	} else {
		on_committed(world);
	}
}

static void execute_scan(struct world *world)
{
	if (world->primary.core.phase == TANDEM_PRIMARY_COPYING)
		world->primary.is_scan_due = true;
	else
		do_scan(world);
}

static bool execute(struct world *world, const struct tandem_primary_action *action)
{
	world->counts->primary_action[action->type]++;
	world_trace(world, "    %s epoch %llu", primary_action_name(action->type),
	            (unsigned long long)action->epoch);
	switch (action->type) {
	case TANDEM_PRIMARY_DO_CONNECT:
	case TANDEM_PRIMARY_DO_DROP_SESSION:
	case TANDEM_PRIMARY_DO_SEND:
		execute_session(world, action);
		return true;
	case TANDEM_PRIMARY_DO_MARK_ALL:
		mark_all(world, action->is_fresh);
		return true;
	case TANDEM_PRIMARY_DO_SLICE:
		world->primary.is_slice_due = true;
		return true;
	case TANDEM_PRIMARY_DO_SCAN:
		execute_scan(world);
		return true;
	case TANDEM_PRIMARY_DO_PUSH:
		do_push(world);
		return true;
	case TANDEM_PRIMARY_DO_SEAL:
		return do_seal(world, action);
	case TANDEM_PRIMARY_DO_SETTLE:
		do_settle(world);
		return true;
	case TANDEM_PRIMARY_DO_RESUME:
		world->program.is_held = false;
		return true;
	case TANDEM_PRIMARY_DO_FORGET_MAP:
		tandem_push_forget(&world->primary.push);
		return true;
	case TANDEM_PRIMARY_DO_MERGE_MAPS:
		merge(world);
		return true;
	case TANDEM_PRIMARY_DO_REPORT_UP:
	case TANDEM_PRIMARY_DO_REPORT_LOST:
	case TANDEM_PRIMARY_DO_REPORT_COPIED:
	case TANDEM_PRIMARY_DO_REPORT_COMMITTED:
		execute_report(world, action);
		return true;
	}
	return true;
}

static void execute_all(struct world *world, const struct tandem_primary_actions *actions)
{
	for (unsigned index = 0; index < actions->count; index++) {
		if (world->primary.is_dead || world->has_failed)
			return;
		if (!execute(world, &actions->items[index]))
			return;
	}
}

static void note_copy(struct world *world, enum tandem_primary_phase before)
{
	const struct tandem_primary *core = &world->primary.core;

	if (core->phase != TANDEM_PRIMARY_COPYING || before == TANDEM_PRIMARY_COPYING)
		return;
	if (core->peer_incarnation != 0)
		world_met(world, MET_COPY_DELTA);
}

static void step(struct world *world, const struct tandem_primary_event *event)
{
	struct tandem_primary_actions actions;
	struct tandem_primary *core = &world->primary.core;
	enum tandem_primary_phase before = core->phase;

	if (world->primary.is_dead || world->has_failed)
		return;
	tandem_primary_step(core, event, &actions);
	world->counts->phase[core->phase]++;
	if (event->type != TANDEM_PRIMARY_ON_TICK || actions.count > 0)
		world_trace(world, "primary event %d: %s -> %s gate %d", event->type,
		            tandem_primary_phase_name(before),
		            tandem_primary_phase_name(core->phase), core->gate.mode);
	note_copy(world, before);
	if (world->bug == BUG_GATE_OPEN_WHILE_PAIRING && core->gate.mode == TANDEM_GATE_HOLD &&
	    core->is_copying && !core->is_pair)
		tandem_gate_lead(&core->gate, core->generation, TANDEM_GATE_OPEN);
	check_released(world);
	execute_all(world, &actions);
}

static void keep_alive(void *argument)
{
	struct world *world = argument;
	struct tandem_primary_actions actions;

	if (world->primary.is_dead)
		return;
	tandem_primary_keep_alive(&world->primary.core, world->now_ns, &actions);
	execute_all(world, &actions);
}

/* ---- the thread ---- */

static void read_mail(struct world *world)
{
	struct primary_mail mail = world->primary.mail;
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_LEAD,
	                                     .now_ns = world->now_ns,
	                                     .generation = mail.generation,
	                                     .is_pair = mail.is_pair};

	memset(&world->primary.mail, 0, sizeof mail);
	world->primary.mail.has_halt = mail.has_halt;
	if (mail.has_lead && !mail.has_halt) {
		if (world->primary.has_session && mail.generation > world->primary.core.generation)
			world_met(world, MET_NEW_GENERATION_IN_SESSION);
		if (mail.is_pair || world->primary.is_copy_told)
			world->is_pairing = false;
		world->primary.is_copy_told = false;
		if (mail.generation != world->heard.generation)
			world->heard = (struct heard){.generation = mail.generation};
		step(world, &event);
	}
	if (mail.has_halt)
		step_simple(world, TANDEM_PRIMARY_ON_HALT);
	if (mail.has_checkpoint)
		step_simple(world, TANDEM_PRIMARY_ON_CHECKPOINT);
}

static void note_welcome(struct world *world, const struct tandem_wire_message *message)
{
	const struct tandem_primary *core = &world->primary.core;

	if (message->type == TANDEM_WIRE_REFUSED)
		world_met(world, MET_REFUSED);
	if (message->type == TANDEM_WIRE_WELCOME && core->sealed != 0 &&
	    core->peer_incarnation == message->secondary_incarnation)
		world_met(world,
		          message->epoch == core->sealed ? MET_DOUBT_COMMITTED : MET_DOUBT_ABORTED);
}

static void read_message(struct world *world)
{
	struct message bytes = message_pop(&world->primary.session->to_primary);
	struct tandem_wire_message message;
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = world->now_ns, .message = &message};

	if (tandem_wire_decode(bytes.bytes, bytes.length, &message) < 0) {
		world_fail(world, "a message of the secondary cannot be read");
		return;
	}
	check_heard(world, &message);
	note_welcome(world, &message);
	if (world->bug == BUG_OLD_GENERATION_COUNTS && message.type != TANDEM_WIRE_WELCOME)
		message.generation = world->primary.core.generation;
	step(world, &event);
}

static void read_session(struct world *world)
{
	struct primary_side *primary = &world->primary;
	struct wire *wire = primary->session;

	if (wire == NULL)
		return;
	if (wire->is_broken || (wire->is_cut && world_chance(world, 4))) {
		end_session(world);
	} else if (wire->is_up_due) {
		wire->is_up_due = false;
		if (tandem_push_begin(&primary->push, &wire->head, NULL) < 0)
			world_fail(world, "the push does not begin");
		step_simple(world, TANDEM_PRIMARY_ON_SESSION_UP);
	} else if (wire->to_primary.count > 0) {
		read_message(world);
	}
}

static void work_on_copy(struct world *world)
{
	struct primary_side *primary = &world->primary;

	if (primary->is_scan_due) {
		primary->is_scan_due = false;
		do_scan(world);
	} else if (primary->is_slice_due) {
		primary->is_slice_due = false;
		do_slice(world);
	}
}

static void tick(struct world *world)
{
	enum tandem_primary_phase before = world->primary.core.phase;

	step_simple(world, TANDEM_PRIMARY_ON_TICK);
	if (before > TANDEM_PRIMARY_JOINING && before <= TANDEM_PRIMARY_SEALED &&
	    world->primary.core.phase == TANDEM_PRIMARY_DOWN)
		world_met(world, MET_TIMED_OUT);
}

void primary_turn(struct world *world)
{
	if (world->primary.is_dead)
		return;
	switch (world_pick(world, 4)) {
	case 0:
		if (world_paces(world, PACE_SESSION))
			read_session(world);
		return;
	case 1:
		if (world_paces(world, PACE_MAIL))
			read_mail(world);
		return;
	case 2:
		if (world_paces(world, PACE_COPY))
			work_on_copy(world);
		return;
	default:
		if (world_paces(world, PACE_TICK))
			tick(world);
		return;
	}
}
