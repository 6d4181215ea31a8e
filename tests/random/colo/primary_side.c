#include "world.h"

#include <string.h>

#include "shell/digest.h"
#include "shell/push_internal.h"

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

	world->primary.stages = world_chance(world, 2);
	if (world->primary.stages)
		push->staging_bytes = 4096 * (1 + world_pick(world, PAGES));
	push->pushes_beside = world_chance(world, 2);
	if (!tandem_layout_init(&push->layout, world_regions(), CHANNELS, STRIPE_PAGES,
	                        STATE_BYTES) ||
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
	        .stripe_pages = STRIPE_PAGES,
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
	options.has_staging = world->primary.stages;
	options.push_interval_ns = world->primary.push.pushes_beside ? SECOND / 2000 : 0;
	options.slows_program = world_chance(world, 2);
	world->primary.is_overloaded = options.slows_program && world_chance(world, 2);
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
	mail->has_quiesce = false;
	world_trace(world, "controller: %s generation %llu %s", is_halt ? "HALT" : "LEAD",
	            (unsigned long long)generation, is_pair ? "PAIR" : "SOLO");
	mail->generation = generation;
	mail->is_pair = is_pair;
}

void primary_quiesce(struct world *world)
{
	world_trace(world, "controller: QUIESCE");
	world->primary.mail.has_quiesce = true;
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
	primary->is_drain_due = false;
	primary->has_session = false;
	primary->copied_incarnation = 0;
	primary->restore_due = 0;
	primary->swallow = 0;
	primary->control_rail++;
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
			tandem_page_set_add(&push->to_push,
			                    push->layout.first_page[page_region(page)] +
			                            page_index(page));
	}
	world->program.dirty = 0;
}

/* It compares first and arms its tracker then: what was stored in between is not known. */
static void compare_too_early(struct world *world)
{
	struct tandem_push *push = &world->primary.push;

	for (unsigned page = 0; page < PAGES; page++) {
		uint64_t number = push->layout.first_page[page_region(page)] + page_index(page);

		if (tandem_push_is_in_image(push, number, page_live(page)))
			tandem_page_set_remove(&push->to_push, number);
	}
	for (unsigned step = 0; step < 40 && !world->has_failed; step++)
		world_outside(world);
	world->program.dirty = 0;
}

static void do_scan(struct world *world)
{
	struct primary_side *primary = &world->primary;
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SCANNED};

	take_dirty(world);
	if (world->bug == BUG_DIGEST_BEFORE_ARM && primary->push.digest_count > 0 &&
	    primary->core.phase == TANDEM_PRIMARY_COPYING && primary->core.copy_pass == 0)
		compare_too_early(world);
	tandem_push_learn(&primary->push);
	if (primary->core.phase == TANDEM_PRIMARY_SCANNING) {
		check_captured(world, primary->core.captured);
		tandem_push_state(&primary->push, primary->core.captured, world->program.state,
		                  world->program.state_bytes);
	}
	event.is_small = tandem_push_left(&primary->push) <= world_pick(world, PAGES);
	event.left_pages = tandem_push_left(&primary->push);
	primary->core.pace.is_staging = !world_chance(world, 6);
	event.now_ns = world->now_ns;
	step(world, &event);
}

static int push_beside(struct world *world, uint64_t pages_max, bool *ret_is_done)
{
	struct primary_side *primary = &world->primary;
	uint64_t before = tandem_push_left(&primary->push);
	int code =
	        tandem_push_beside(&primary->push, pages_max, primary->slice_hot_max, ret_is_done);

	if (before > tandem_push_left(&primary->push))
		world_met(world, MET_PUSHED_BESIDE);
	if (code == 0 && *ret_is_done && primary->core.is_applied &&
	    tandem_push_left(&primary->push) > 0)
		world_met(world, MET_LEFT_FOR_THE_END);
	return code;
}

static void do_slice(struct world *world)
{
	struct primary_side *primary = &world->primary;
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SLICED};
	uint64_t pages_max = 3 + world_pick(world, 24);
	bool is_blocked;
	int code;

	if (primary->core.phase == TANDEM_PRIMARY_COPYING)
		code = tandem_push_pages(&primary->push, pages_max, &event.is_done, &is_blocked);
	else
		code = push_beside(world, pages_max, &event.is_done);
	if (code == 0)
		code = tandem_push_settle(&primary->push);
	if (world->bug == BUG_CLEAN_AFTER_PUSH)
		world->program.dirty = 0;
	if (code == TANDEM_E_CHANNEL_LOST) {
		world_met(world, MET_REFUSED_IN_PUSH);
		return; /* the event of the loss follows */
	}
	if (code < 0) {
		end_session(world);
		return;
	}
	event.now_ns = world->now_ns;
	event.left_pages = tandem_push_left(&primary->push);
	step(world, &event);
}

static void do_push(struct world *world)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_PUSHED};
	bool is_done, is_blocked = false;
	int code = tandem_push_pages(&world->primary.push, UINT64_MAX, &is_done, &is_blocked);

	if (code == TANDEM_E_CHANNEL_LOST) {
		world_met(world, MET_REFUSED_IN_PUSH);
		return;
	}
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

static int seal_push(struct world *world, const struct tandem_primary_action *action)
{
	struct tandem_push *push = &world->primary.push;
	uint8_t digests[TANDEM_DIGESTS_MAX * TANDEM_DIGEST_BYTES];
	uint32_t kept_count = (uint32_t)push->digest_count;
	int code;

	memcpy(digests, push->digests, kept_count * TANDEM_DIGEST_BYTES);
	code = tandem_push_seal(push, action->epoch, action->base, action->generation);
	if (world->bug == BUG_DIGESTS_KEPT)
		tandem_push_take_digests(push, push->digest_seed, 0, kept_count, digests);
	return code;
}

/* Writes of an attempt that was given up. */
static bool is_in_flight(const struct world *world)
{
	const struct wire *wire = world->primary.session;
	bool is_in_flight = false;

	for (unsigned channel = 0; wire != NULL && channel < CHANNELS; channel++)
		is_in_flight |= wire_is_under_way(wire, channel);
	return is_in_flight;
}

static void do_stage(struct world *world)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_STAGED};
	struct tandem_push *push = &world->primary.push;

	if (is_in_flight(world))
		world_met(world, MET_REFILLED_IN_FLIGHT);
	if (world->bug != BUG_REFILL_BEFORE_SETTLE && tandem_push_settle(push) < 0) {
		end_session(world);
		return;
	}
	event.is_done = tandem_push_stage(push) || world->bug == BUG_SHORT_STAGE_RESUMES;
	event.now_ns = world->now_ns;
	world_met(world, event.is_done ? MET_STAGED : MET_STAGED_SHORT);
	step(world, &event);
}

/* Another look at the program's memory than the one that was captured. */
static void stage_again(struct world *world)
{
	struct tandem_push *push = &world->primary.push;

	for (unsigned page = 0; page < PAGES; page++) {
		uint64_t number = push->layout.first_page[page_region(page)] + page_index(page);
		const uint8_t *staged = tandem_page_set_has(&push->stage.left, number)
		                                ? tandem_stage_page(&push->stage, number)
		                                : NULL;

		if (staged != NULL)
			memcpy((void *)(uintptr_t)staged, page_live(page), 4096);
	}
}

/* A piece of what was staged takes long on one channel, and another one is lost meanwhile. */
static void stall_channel(struct world *world)
{
	struct wire *wire = world->primary.session;
	unsigned channel = world_pick(world, CHANNELS);

	if (world->stalls_left == 0 || wire == NULL || !wire_is_under_way(wire, channel))
		return;
	world->stalls_left--;
	wire_stall_channel(wire, channel);
	if (world_chance(world, 2))
		wire_break_channel(wire, (channel + 1) % CHANNELS);
}

static void do_drain(struct world *world)
{
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_DRAINED};
	int code;

	if (world->bug == BUG_STAGED_FROM_LIVE)
		stage_again(world);
	code = tandem_push_staged(&world->primary.push, 3 + world_pick(world, PAGES),
	                          &event.is_done, &event.is_blocked);
	if (code == TANDEM_E_CHANNEL_LOST) {
		world_met(world, MET_REFUSED_IN_PUSH);
		return;
	}
	if (code < 0) {
		world_met(world, MET_LOST_IN_DRAIN);
		end_session(world);
		return;
	}
	stall_channel(world);
	if (world->bug == BUG_SEAL_BEFORE_DRAINED) {
		event.is_done = true;
		event.is_blocked = false;
	}
	if (event.is_done && event.is_blocked)
		world_met(world, MET_DRAIN_BLOCKED);
	event.now_ns = world->now_ns;
	step(world, &event);
}

static bool do_seal(struct world *world, const struct tandem_primary_action *action)
{
	struct tandem_push *push = &world->primary.push;
	int code;

	if (world->bug == BUG_STATE_FROM_NEXT)
		tandem_push_state(push, action->epoch, world->program.state,
		                  world->program.state_bytes);
	code = seal_push(world, action);
	if (code == TANDEM_E_CHANNEL_LOST)
		world_met(world, MET_REFUSED_IN_SEAL);
	if (code == 0 || code == TANDEM_E_CHANNEL_LOST)
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
	if (world->bug == BUG_STAGED_NOT_MERGED && push->stage.memory != NULL)
		tandem_page_set_empty(&push->stage.left);
	tandem_push_merge(push);
}

static void mark_all(struct world *world, bool is_fresh)
{
	world_met(world, is_fresh ? MET_COPY_FULL_FRESH : MET_COPY_FULL_STALE);
	tandem_push_mark_all(&world->primary.push, is_fresh || world->bug == BUG_FRESH_ALWAYS);
}

static void take_digests(struct world *world, const struct tandem_wire_message *message)
{
	const struct tandem_primary *core = &world->primary.core;

	world_met(world, MET_DIGESTS_TAKEN);
	tandem_push_take_digests(&world->primary.push,
	                         tandem_digest_seed(P_INCARNATION, core->session_incarnation),
	                         message->first_page, message->page_count, message->digests);
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
	} else if (action->type == TANDEM_PRIMARY_DO_REPORT_QUIESCED) {
		check_quiesced(world, action->epoch);
	} else {
		on_committed(world);
	}
}

static void repush(struct world *world, uint32_t channel_mask)
{
	struct primary_side *primary = &world->primary;
	struct tandem_push *push = &primary->push;

	if (world->bug == BUG_NOT_TAKEN_BACK)
		tandem_stripes_fence(&push->stripes, channel_mask);
	else
		tandem_push_repush(push, channel_mask);
	primary->restore_due |= channel_mask;
	primary->is_repaired = true;
}

static void abort_map(struct world *world)
{
	struct tandem_push *push = &world->primary.push;

	if (world->bug == BUG_ABORTED_MAP_FORGOTTEN)
		tandem_page_map_clear(&push->last);
	tandem_push_abort(push);
	world_met(world, MET_FENCED_ABORTED);
}

static void unstage(struct world *world)
{
	struct tandem_push *push = &world->primary.push;

	if (push->stage.memory == NULL)
		return;
	if (tandem_page_set_count(&push->stage.left) > 0)
		world_met(world, MET_GIVEN_UP_IN_DRAIN);
	if (world->bug == BUG_STAGED_NOT_TAKEN_BACK)
		tandem_page_set_empty(&push->stage.left);
	tandem_push_unstage(push);
}

static void execute_map(struct world *world, const struct tandem_primary_action *action)
{
	struct tandem_push *push = &world->primary.push;

	if (action->type == TANDEM_PRIMARY_DO_COMMIT_MAP) {
		tandem_push_commit(push);
		world->primary.is_repaired = false;
	} else if (action->type == TANDEM_PRIMARY_DO_ABORT_MAP) {
		abort_map(world);
	} else if (action->type == TANDEM_PRIMARY_DO_REPUSH) {
		repush(world, action->channel_mask);
	} else if (action->type == TANDEM_PRIMARY_DO_FORGET_MAP) {
		tandem_push_forget(push);
	} else if (action->type == TANDEM_PRIMARY_DO_UNSTAGE) {
		unstage(world);
	} else {
		merge(world);
	}
}

static void execute_scan(struct world *world, bool was_slowing)
{
	struct primary_side *primary = &world->primary;

	if (was_slowing)
		world_met(world, MET_SLOWED);
	primary->is_scan_due = primary->core.phase != TANDEM_PRIMARY_SCANNING;
	if (primary->is_scan_due)
		return;
	primary->is_slice_due = false;
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
		world->primary.slice_hot_max = action->hot_max;
		return true;
	case TANDEM_PRIMARY_DO_SCAN:
		execute_scan(world, action->was_slowing);
		return true;
	case TANDEM_PRIMARY_DO_STAGE:
		do_stage(world);
		return true;
	case TANDEM_PRIMARY_DO_DRAIN:
		world->primary.is_drain_due = true;
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
	case TANDEM_PRIMARY_DO_COMMIT_MAP:
	case TANDEM_PRIMARY_DO_ABORT_MAP:
	case TANDEM_PRIMARY_DO_REPUSH:
	case TANDEM_PRIMARY_DO_FORGET_MAP:
	case TANDEM_PRIMARY_DO_UNSTAGE:
	case TANDEM_PRIMARY_DO_MERGE_MAPS:
		execute_map(world, action);
		return true;
	case TANDEM_PRIMARY_DO_TAKE_DIGESTS:
		take_digests(world, &action->message);
		return true;
	case TANDEM_PRIMARY_DO_REPORT_UP:
	case TANDEM_PRIMARY_DO_REPORT_LOST:
	case TANDEM_PRIMARY_DO_REPORT_COPIED:
	case TANDEM_PRIMARY_DO_REPORT_COMMITTED:
	case TANDEM_PRIMARY_DO_REPORT_QUIESCED:
	case TANDEM_PRIMARY_DO_RENEW_LEASE:
	case TANDEM_PRIMARY_DO_END_LEASE:
		execute_report(world, action);
		return true;
	}
	return true;
}

static void execute_all(struct world *world, const struct tandem_primary_actions *actions)
{
	if (world->primary.push.equal_pages > world->primary.equal_pages)
		world_met(world, MET_PAGE_IN_IMAGE);
	world->primary.equal_pages = world->primary.push.equal_pages;
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

/* A capture that is given up or aborted is no copy: nobody was told of it, nobody will be. */
static void note_given_up(struct world *world, bool was_captured,
                          const struct tandem_primary_actions *actions)
{
	if (!was_captured || world->primary.core.is_copy_captured || world->primary.is_copy_told)
		return;
	for (unsigned index = 0; index < actions->count; index++) {
		if (actions->items[index].type == TANDEM_PRIMARY_DO_REPORT_COPIED)
			return;
	}
	world->is_pairing = false;
}

static void step(struct world *world, const struct tandem_primary_event *event)
{
	struct tandem_primary_actions actions;
	struct tandem_primary *core = &world->primary.core;
	enum tandem_primary_phase before = core->phase;
	bool was_captured = core->is_copy_captured;

	if (world->primary.is_dead || world->has_failed)
		return;
	if (event->type == TANDEM_PRIMARY_ON_CHECKPOINT && world->primary.is_overloaded)
		core->pace.is_fitting = false;
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
	if (world->bug == BUG_OUTPUT_WHEN_QUIET && core->is_quiet)
		tandem_gate_lead(&core->gate, core->generation, TANDEM_GATE_PAIR);
	note_given_up(world, was_captured, &actions);
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

static void withdraw(struct world *world)
{
	bool was_held = world->program.is_held;

	step_simple(world, TANDEM_PRIMARY_ON_WITHDRAW);
	if (was_held && !world->program.is_held)
		world_met(world, MET_CHECKPOINT_WITHDRAWN);
}

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
	if (mail.has_quiesce)
		step_simple(world, TANDEM_PRIMARY_ON_QUIESCE);
	if (mail.has_checkpoint)
		step_simple(world, TANDEM_PRIMARY_ON_CHECKPOINT);
	if (mail.has_withdrawal)
		withdraw(world);
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
	if (message.type == TANDEM_WIRE_FENCED && world->primary.swallow > 0) {
		world->primary.swallow--;
		return;
	}
	check_heard(world, &message);
	note_welcome(world, &message);
	if (message.type == TANDEM_WIRE_APPLIED && message.epoch == world->primary.core.sealed)
		world_met(world, MET_SAID_ONCE);
	if (world->bug == BUG_OLD_GENERATION_COUNTS && message.type != TANDEM_WIRE_WELCOME)
		message.generation = world->primary.core.generation;
	step(world, &event);
}

static void on_up(struct world *world)
{
	struct primary_side *primary = &world->primary;
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_SESSION_UP,
	                                     .now_ns = world->now_ns,
	                                     .channel_mask =
	                                             CHANNELS_ALL & ~primary->session->lost_mask};

	if (tandem_push_begin(&primary->push, &primary->session->head, event.channel_mask, NULL) <
	    0)
		world_fail(world, "the push does not begin");
	step(world, &event);
}

static unsigned lowest(uint32_t mask)
{
	unsigned channel = 0;

	while ((mask & 1u << channel) == 0)
		channel++;
	return channel;
}

/* It goes on as if the secondary had answered. */
static void pretend_fenced(struct world *world)
{
	struct tandem_primary *core = &world->primary.core;
	struct tandem_wire_message message = {.type = TANDEM_WIRE_FENCED,
	                                      .generation = core->peer_generation,
	                                      .epoch = core->base,
	                                      .channel_mask = core->repair.asked_mask};
	struct tandem_primary_event event = {
	        .type = TANDEM_PRIMARY_ON_MESSAGE, .now_ns = world->now_ns, .message = &message};

	if (message.channel_mask == 0)
		return;
	world->primary.swallow++;
	step(world, &event);
}

static void on_channel_lost(struct world *world)
{
	struct primary_side *primary = &world->primary;
	unsigned channel = lowest(primary->session->lost_due);
	struct tandem_primary_event event = {.type = TANDEM_PRIMARY_ON_CHANNEL_LOST,
	                                     .now_ns = world->now_ns,
	                                     .channel_mask = 1u << channel};

	primary->session->lost_due &= ~(1u << channel);
	if (tandem_repair_is_under_way(&primary->core.repair))
		world_met(world, MET_LOST_WHILE_REPAIRING);
	if (tandem_resync_is_under_way(&primary->core.resync))
		world_met(world, MET_LOST_WHILE_LEARNING);
	event.is_unused = !tandem_push_lose(&primary->push, channel);
	step(world, &event);
	if (primary->core.phase == TANDEM_PRIMARY_REPAIRING) {
		primary->is_scan_due = false;
		primary->is_slice_due = false;
		primary->is_drain_due = false;
	}
	if (world->bug == BUG_WRITE_BEFORE_FENCED)
		pretend_fenced(world);
}

static void on_channel_up(struct world *world)
{
	struct primary_side *primary = &world->primary;
	struct tandem_stripes *stripes = &primary->push.stripes;
	unsigned channel = lowest(primary->session->up_due);
	uint32_t posted_mask = stripes->posted_mask;

	primary->session->up_due &= ~(1u << channel);
	tandem_push_restore(&primary->push, channel);
	if (world->bug == BUG_REUSE_BEFORE_COMMIT) {
		tandem_stripes_commit(stripes);
		stripes->posted_mask = posted_mask;
	}
}

/* The pause of a fenced channel is over. */
static void restore(struct world *world)
{
	struct primary_side *primary = &world->primary;
	unsigned channel = world_pick(world, CHANNELS);

	if (primary->session == NULL || (primary->restore_due & 1u << channel) == 0)
		return;
	primary->restore_due &= ~(1u << channel);
	primary->session->joining_mask |= 1u << channel;
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
		on_up(world);
	} else if (wire->lost_due != 0 && world_chance(world, 2)) {
		on_channel_lost(world);
	} else if (wire->up_due != 0 && world_chance(world, 2)) {
		on_channel_up(world);
	} else if (wire->to_primary.count > 0) {
		read_message(world);
	}
}

static void work_beside(struct world *world)
{
	struct primary_side *primary = &world->primary;

	if (primary->is_drain_due) {
		primary->is_drain_due = false;
		do_drain(world);
	} else if (primary->is_scan_due) {
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
	switch (world_pick(world, 5)) {
	case 0:
		if (world_paces(world, PACE_SESSION))
			read_session(world);
		return;
	case 1:
		if (world_paces(world, PACE_MAIL))
			read_mail(world);
		return;
	case 2:
		restore(world);
		return;
	case 3:
		if (world_paces(world, PACE_COPY))
			work_beside(world);
		return;
	default:
		if (world_paces(world, PACE_TICK))
			tick(world);
		return;
	}
}
