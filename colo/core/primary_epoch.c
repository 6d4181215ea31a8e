#include "primary_internal.h"

#include <tandem/error.h>

/* A pass of a copy that leaves less than this part less than the one before is the last. */
#define GAIN_PART 8u

bool tandem_primary_is_capturing(const struct tandem_primary *primary)
{
	return primary->phase >= TANDEM_PRIMARY_SCANNING &&
	       primary->phase <= TANDEM_PRIMARY_SETTLING;
}

/* Find, push, seal. In a copy the gate closes here, until the register says PAIR (R7). */
void tandem_primary_capture(struct tandem_primary *primary, uint64_t now_ns,
                            struct tandem_primary_actions *actions)
{
	bool was_slowing = primary->is_slowing;

	if (primary->phase == TANDEM_PRIMARY_OPEN &&
	    (!tandem_pace_fits(&primary->pace, now_ns) || tandem_pace_is_hopeless(&primary->pace)))
		primary->misfit_count++;
	primary->is_waiting = false;
	primary->is_slowing = false;
	primary->is_beside_pass = false;
	primary->captured_ns = now_ns;
	primary->was_blocked = !primary->is_applied;
	primary->drain_since_ns = 0;
	primary->is_copy_captured = primary->is_copying;
	primary->is_staged = false;
	primary->captured = primary->next_epoch++; /* output from here on belongs to the next one */
	tandem_primary_enter(primary, TANDEM_PRIMARY_SCANNING, UINT64_MAX);
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_SCAN)->was_slowing = was_slowing;
}

static void copy_is_ready(struct tandem_primary *primary, uint64_t now_ns,
                          struct tandem_primary_actions *actions)
{
	primary->is_copy_ready = true;
	if (primary->is_waiting)
		tandem_primary_capture(primary, now_ns, actions);
}

/* The digests come first: the scan re-arms, and only then a page is compared (4.2, [C28]). */
static void continue_copy(struct tandem_primary *primary, uint64_t now_ns,
                          struct tandem_primary_actions *actions)
{
	tandem_primary_enter(primary, TANDEM_PRIMARY_COPYING, UINT64_MAX);
	primary->is_copy_ready = false;
	primary->copy_pass = 0;
	primary->is_outpaced = false;
	if (tandem_primary_learn(primary, now_ns, actions))
		return;
	if (primary->options.copy_passes_max == 0)
		copy_is_ready(primary, now_ns, actions);
	else
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_SCAN);
}

void tandem_primary_go_on(struct tandem_primary *primary, uint64_t now_ns,
                          struct tandem_primary_actions *actions)
{
	if (tandem_repair_is_under_way(&primary->repair)) {
		tandem_primary_ask(primary, now_ns, actions);
		tandem_primary_enter(primary, TANDEM_PRIMARY_REPAIRING, UINT64_MAX);
	} else if (primary->is_copying && !primary->is_copy_captured) {
		continue_copy(primary, now_ns, actions);
	} else {
		tandem_primary_open(primary, now_ns, actions);
	}
}

void tandem_primary_start_copy(struct tandem_primary *primary, uint64_t now_ns, bool is_full,
                               struct tandem_primary_actions *actions)
{
	primary->is_copying = true;
	primary->is_copy_captured = false;
	if (is_full) {
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_MARK_ALL)->is_fresh =
		        primary->is_fresh;
		primary->peer_incarnation = 0;
		if (!primary->is_fresh)
			tandem_resync_begin(&primary->resync, primary->page_count);
	}
	tandem_primary_go_on(primary, now_ns, actions);
}

static void seal(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	struct tandem_primary_action *action = tandem_primary_act(actions, TANDEM_PRIMARY_DO_SEAL);

	action->epoch = primary->captured;
	action->base = primary->base;
	/* A trailer carries the new generation once the secondary knows it. */
	action->generation = primary->peer_generation == primary->generation
	                             ? primary->generation
	                             : primary->session_generation;
	primary->session_generation = action->generation;
	primary->sealed = primary->captured;
	primary->last_sealed = primary->captured;
}

void tandem_primary_commit(struct tandem_primary *primary, uint64_t now_ns,
                           struct tandem_primary_actions *actions)
{
	primary->committed = primary->sealed;
	primary->base = primary->sealed;
	primary->sealed = 0;
	primary->is_applied = false;
	primary->apply_deadline_ns =
	        now_ns + TANDEM_PRIMARY_APPLY_TIMEOUT_FACTOR * primary->options.commit_timeout_ns;
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_COMMIT_MAP);
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_REPORT_COMMITTED)->epoch = primary->committed;
}

/* Its number is not used again, its pages and channels stay in the map (4.7, 4.8). A copy goes on
 * beside the running program. */
void tandem_primary_abort(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	primary->sealed = 0;
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_ABORT_MAP);
	if (!primary->is_copying)
		return;
	tandem_primary_release_copy(primary);
	tandem_primary_resume(primary, actions);
}

void tandem_primary_on_checkpoint(struct tandem_primary *primary,
                                  const struct tandem_primary_event *event,
                                  struct tandem_primary_actions *actions)
{
	primary->is_held = true;
	if (primary->is_quiescing) {
		tandem_primary_resume(primary, actions);
		return;
	}
	switch (primary->phase) {
	case TANDEM_PRIMARY_OPEN:
		tandem_primary_capture_or_slow(primary, event->now_ns, actions);
		return;
	case TANDEM_PRIMARY_COPYING:
		if (primary->is_copy_ready)
			tandem_primary_capture(primary, event->now_ns, actions);
		else
			tandem_primary_resume(primary, actions);
		return;
	case TANDEM_PRIMARY_REPAIRING:
		primary->is_waiting = !tandem_primary_skips_checkpoint(primary);
		if (!primary->is_waiting)
			tandem_primary_resume(primary, actions);
		return;
	case TANDEM_PRIMARY_DRAINING:
	case TANDEM_PRIMARY_UNSEALED:
	case TANDEM_PRIMARY_SEALED:
		primary->is_waiting = true;
		return;
	case TANDEM_PRIMARY_IDLE:
	case TANDEM_PRIMARY_DOWN:
	case TANDEM_PRIMARY_JOINING:
	case TANDEM_PRIMARY_GREETING:
	case TANDEM_PRIMARY_HELD:
	case TANDEM_PRIMARY_SCANNING:
	case TANDEM_PRIMARY_STAGING:
	case TANDEM_PRIMARY_PUSHING:
	case TANDEM_PRIMARY_BLOCKED:
	case TANDEM_PRIMARY_SETTLING:
	case TANDEM_PRIMARY_HALTED:
		tandem_primary_resume(primary, actions);
		return;
	}
}

/* What is sealed is the secondary's to decide (4.8); what is not may be given up as when a channel
 * is lost (4.7). */
void tandem_primary_on_withdraw(struct tandem_primary *primary,
                                const struct tandem_primary_event *event,
                                struct tandem_primary_actions *actions)
{
	if (!primary->is_held)
		return;
	if (primary->is_waiting) {
		tandem_primary_resume(primary, actions);
	} else if (tandem_primary_is_capturing(primary) && primary->sealed == 0) {
		tandem_primary_give_up(primary, actions);
		tandem_primary_go_on(primary, event->now_ns, actions);
	}
}

static void copy_is_applied(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	struct tandem_primary_action *action =
	        tandem_primary_act(actions, TANDEM_PRIMARY_DO_REPORT_COPIED);

	action->epoch = primary->committed;
	action->peer_incarnation = primary->session_incarnation;
	primary->is_copying = false;
	primary->is_copy_captured = false;
	primary->has_copied = true;
	primary->is_copy_told = true;
	primary->peer_incarnation = primary->session_incarnation;
}

static void drain(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	primary->is_drain_blocked = false;
	tandem_primary_enter(primary, TANDEM_PRIMARY_DRAINING, UINT64_MAX);
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_DRAIN);
}

/* [C15]: of a sealed epoch it is COMMITTED, too. */
void tandem_primary_on_applied(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions)
{
	bool is_committing =
	        primary->phase == TANDEM_PRIMARY_SEALED && event->message->epoch == primary->sealed;

	if (is_committing)
		tandem_primary_commit(primary, event->now_ns, actions);
	if (primary->is_applied || event->message->epoch != primary->committed) {
		tandem_primary_drop(primary, actions, TANDEM_E_PROTOCOL,
		                    "APPLIED of an epoch that is neither sealed nor the last "
		                    "committed one");
		return;
	}
	primary->is_applied = true;
	primary->apply_deadline_ns = UINT64_MAX;
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_FORGET_MAP);
	if (primary->is_copying)
		copy_is_applied(primary, actions);
	if (is_committing) {
		tandem_primary_acknowledge(primary, event->message);
		tandem_primary_go_on(primary, event->now_ns, actions);
	} else if (primary->phase == TANDEM_PRIMARY_BLOCKED) {
		tandem_primary_enter(primary, TANDEM_PRIMARY_PUSHING, UINT64_MAX);
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_PUSH);
	} else if (primary->phase == TANDEM_PRIMARY_DRAINING && primary->is_drain_blocked) {
		drain(primary, actions);
	} else if (primary->phase == TANDEM_PRIMARY_UNSEALED) {
		seal(primary, actions);
		tandem_primary_enter(primary, TANDEM_PRIMARY_SEALED,
		                     event->now_ns + primary->options.commit_timeout_ns);
	} else if (primary->phase == TANDEM_PRIMARY_OPEN) {
		tandem_primary_offer(primary, event->now_ns);
	}
}

static void push_or_stage(struct tandem_primary *primary, bool is_staging,
                          struct tandem_primary_actions *actions)
{
	tandem_primary_enter(primary, is_staging ? TANDEM_PRIMARY_STAGING : TANDEM_PRIMARY_PUSHING,
	                     UINT64_MAX);
	tandem_primary_act(actions, is_staging ? TANDEM_PRIMARY_DO_STAGE : TANDEM_PRIMARY_DO_PUSH);
}

/* More passes would move the same pages again and again. */
static bool is_outpaced(const struct tandem_primary *primary, uint64_t left_pages)
{
	return primary->copy_pass >= primary->options.copy_passes_max ||
	       (primary->copy_pass > 0 &&
	        left_pages > primary->pass_pages - primary->pass_pages / GAIN_PART);
}

static void scanned_for_copy(struct tandem_primary *primary,
                             const struct tandem_primary_event *event,
                             struct tandem_primary_actions *actions)
{
	primary->is_outpaced = !event->is_small && is_outpaced(primary, event->left_pages);
	primary->pass_pages = event->left_pages;
	if (event->is_small || primary->is_outpaced)
		copy_is_ready(primary, event->now_ns, actions);
	else
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_SLICE);
}

void tandem_primary_on_scanned(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions)
{
	if (primary->phase == TANDEM_PRIMARY_SCANNING) {
		if (primary->is_copying)
			tandem_gate_hold(&primary->gate); /* [C20] */
		primary->captured_pages = event->left_pages;
		primary->captured_rest_ns = event->now_ns - primary->captured_ns;
		push_or_stage(primary,
		              primary->options.has_staging &&
		                      tandem_pace_stages(&primary->pace, event->left_pages),
		              actions);
	} else if (primary->phase == TANDEM_PRIMARY_OPEN) {
		tandem_primary_scanned_beside(primary, event, actions);
	} else if (primary->phase == TANDEM_PRIMARY_COPYING && !primary->is_copy_ready) {
		scanned_for_copy(primary, event, actions);
	}
}

void tandem_primary_on_sliced(struct tandem_primary *primary,
                              const struct tandem_primary_event *event,
                              struct tandem_primary_actions *actions)
{
	if (primary->phase == TANDEM_PRIMARY_OPEN)
		tandem_primary_sliced_beside(primary, event, actions);
	if (primary->phase != TANDEM_PRIMARY_COPYING || primary->is_copy_ready)
		return;
	if (!event->is_done) {
		tandem_primary_act(actions, TANDEM_PRIMARY_DO_SLICE);
		return;
	}
	primary->copy_pass++;
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_SCAN);
}

static void note_pause(struct tandem_primary *primary, uint64_t now_ns, bool is_staged)
{
	const struct tandem_pace_pause pause = {
	        .rest_ns = primary->captured_rest_ns,
	        .pages_ns = now_ns - primary->captured_ns - primary->captured_rest_ns,
	        .pages = primary->captured_pages,
	        .is_staged = is_staged,
	};

	tandem_pace_note_pause(&primary->pace, &pause);
}

/* What found no room is pushed while the program is held, as in mode `stop`. */
void tandem_primary_on_staged(struct tandem_primary *primary,
                              const struct tandem_primary_event *event,
                              struct tandem_primary_actions *actions)
{
	if (primary->phase != TANDEM_PRIMARY_STAGING)
		return;
	primary->is_staged = true;
	if (!event->is_done) {
		push_or_stage(primary, false, actions);
		return;
	}
	note_pause(primary, event->now_ns, true);
	primary->drain_since_ns = event->now_ns;
	tandem_primary_resume(primary, actions);
	drain(primary, actions);
}

/* [C31] */
static void finish_push(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	if (primary->is_applied && !primary->is_staged)
		seal(primary, actions);
	tandem_primary_enter(primary, TANDEM_PRIMARY_SETTLING, UINT64_MAX);
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_SETTLE);
}

void tandem_primary_on_drained(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions)
{
	if (primary->phase != TANDEM_PRIMARY_DRAINING)
		return;
	if (!event->is_done) {
		drain(primary, actions);
	} else if (event->is_blocked) {
		primary->is_drain_blocked = true;
		primary->drain_since_ns = 0;
	} else {
		primary->is_staged = false;
		finish_push(primary, actions);
	}
}

void tandem_primary_on_pushed(struct tandem_primary *primary,
                              const struct tandem_primary_event *event,
                              struct tandem_primary_actions *actions)
{
	if (primary->phase != TANDEM_PRIMARY_PUSHING)
		return;
	if (!event->is_done) {
		tandem_primary_enter(primary, TANDEM_PRIMARY_BLOCKED, UINT64_MAX);
		return;
	}
	finish_push(primary, actions);
}

/* The pages of the captured epoch are all pushed, unless the rest is staged. */
static void note_push(struct tandem_primary *primary, uint64_t now_ns)
{
	if (primary->drain_since_ns != 0)
		tandem_pace_note_push(&primary->pace, primary->captured_pages,
		                      now_ns - primary->drain_since_ns);
	else if (!primary->is_staged && !primary->was_blocked && primary->is_held &&
	         !primary->is_waiting)
		note_pause(primary, now_ns, false);
	primary->drain_since_ns = 0;
}

void tandem_primary_on_settled(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions)
{
	if (primary->phase != TANDEM_PRIMARY_SETTLING)
		return;
	primary->heard_ns = event->now_ns; /* completions are the peer's life sign too */
	note_push(primary, event->now_ns);
	if (!primary->is_waiting) /* for the next capture, beside a drain */
		tandem_primary_resume(primary, actions);
	if (primary->is_staged)
		drain(primary, actions);
	else if (primary->sealed != 0)
		tandem_primary_enter(primary, TANDEM_PRIMARY_SEALED,
		                     event->now_ns + primary->options.commit_timeout_ns);
	else
		tandem_primary_enter(primary, TANDEM_PRIMARY_UNSEALED, UINT64_MAX);
}
