#include "primary_internal.h"

/* How long one slice is to take: a checkpoint waits for the one under way. */
#define SLICE_NS UINT64_C(200000)
/* How long nothing is begun that a checkpoint would wait for, once the program was told that it can
 * make one, and when it is to be told. */
#define GRANT_NS UINT64_C(300000)
#define OFFER_NS UINT64_C(2000000)

static bool pushes_beside(const struct tandem_primary *primary)
{
	return primary->options.push_interval_ns != 0 && primary->options.copy_passes_max != 0;
}

static bool must_slow(const struct tandem_primary *primary)
{
	return primary->options.slows_program && pushes_beside(primary) &&
	       !primary->pace.is_fitting;
}

static bool is_busy(const struct tandem_primary *primary)
{
	return pushes_beside(primary) && primary->beside_at_ns == UINT64_MAX;
}

bool tandem_primary_has_room(const struct tandem_primary *primary, uint64_t now_ns)
{
	if (primary->options.pace.budget_ns == 0 || tandem_pace_is_overdue(&primary->pace, now_ns))
		return true;
	return !is_busy(primary) && primary->is_applied && tandem_pace_fits(&primary->pace, now_ns);
}

bool tandem_primary_puts_off(const struct tandem_primary *primary, uint64_t now_ns)
{
	return primary->phase == TANDEM_PRIMARY_OPEN && !primary->is_quiescing &&
	       !tandem_primary_has_room(primary, now_ns);
}

bool tandem_primary_ask_checkpoint(struct tandem_primary *primary, uint64_t now_ns,
                                   uint64_t *ret_hold_ns)
{
	bool puts_off = tandem_primary_puts_off(primary, now_ns);

	*ret_hold_ns = 0;
	if (puts_off) {
		primary->is_asked = true;
		if (primary->options.slows_program && pushes_beside(primary))
			*ret_hold_ns = tandem_pace_hold_ns(&primary->pace, now_ns);
		return false;
	}
	if (primary->phase == TANDEM_PRIMARY_OPEN && !primary->is_granted &&
	    primary->beside_at_ns < now_ns + GRANT_NS) {
		primary->beside_at_ns = now_ns + GRANT_NS;
		primary->is_granted = true;
	}
	return tandem_primary_can_checkpoint(primary, now_ns);
}

void tandem_primary_hold(struct tandem_primary *primary, uint64_t now_ns, bool is_held)
{
	if (is_held)
		tandem_pace_hold(&primary->pace, now_ns);
	else
		tandem_pace_let_go(&primary->pace, now_ns);
}

void tandem_primary_offer(struct tandem_primary *primary, uint64_t now_ns)
{
	uint64_t until_ns = tandem_pace_misfit_ns(&primary->pace, now_ns);

	if (!primary->is_asked || primary->is_slowing || !tandem_primary_has_room(primary, now_ns))
		return;
	primary->is_asked = false;
	if (until_ns > now_ns + OFFER_NS)
		until_ns = now_ns + OFFER_NS;
	if (until_ns > primary->beside_at_ns)
		primary->beside_at_ns = until_ns;
}

void tandem_primary_capture_or_slow(struct tandem_primary *primary, uint64_t now_ns,
                                    struct tandem_primary_actions *actions)
{
	if (!must_slow(primary)) {
		tandem_primary_capture(primary, now_ns, actions);
		return;
	}
	primary->is_waiting = true;
	primary->is_slowing = true;
	primary->is_slow_scanned = false;
	if (!primary->is_beside_pass)
		primary->beside_at_ns = now_ns;
}

void tandem_primary_open(struct tandem_primary *primary, uint64_t now_ns,
                         struct tandem_primary_actions *actions)
{
	tandem_primary_enter(primary, TANDEM_PRIMARY_OPEN, UINT64_MAX);
	tandem_pace_open(&primary->pace, now_ns, primary->captured_ns);
	primary->is_beside_pass = false;
	primary->is_slowing = false;
	primary->is_asked = false;
	primary->is_granted = false;
	primary->beside_at_ns =
	        pushes_beside(primary) ? now_ns + primary->options.push_interval_ns : UINT64_MAX;
	if (primary->is_waiting)
		tandem_primary_capture_or_slow(primary, now_ns, actions);
}

uint64_t tandem_primary_beside_deadline_ns(const struct tandem_primary *primary)
{
	return primary->phase == TANDEM_PRIMARY_OPEN && !primary->is_quiescing
	               ? primary->beside_at_ns
	               : UINT64_MAX;
}

/* Hot pages stay for the end while they leave room for what comes unforeseen. */
static void slice(struct tandem_primary *primary, struct tandem_primary_actions *actions)
{
	struct tandem_primary_action *action = tandem_primary_act(actions, TANDEM_PRIMARY_DO_SLICE);

	action->pages_max = tandem_pace_pages_in(&primary->pace, SLICE_NS);
	action->hot_max = primary->is_slowing ? 0 : tandem_pace_pages_max(&primary->pace) / 2;
}

void tandem_primary_tick_beside(struct tandem_primary *primary, uint64_t now_ns,
                                struct tandem_primary_actions *actions)
{
	if (now_ns < tandem_primary_beside_deadline_ns(primary))
		return;
	primary->beside_at_ns = UINT64_MAX;
	primary->is_granted = false;
	if (primary->is_beside_pass) {
		slice(primary, actions);
		return;
	}
	primary->is_beside_pass = true;
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_SCAN);
}

/* The next pass: at once while what is left does not fit. */
static void end_pass(struct tandem_primary *primary, uint64_t now_ns, uint64_t pushed_pages,
                     struct tandem_primary_actions *actions)
{
	uint64_t misfit_ns = tandem_pace_misfit_ns(&primary->pace, now_ns);

	primary->is_beside_pass = false;
	if (primary->beside_at_ns == UINT64_MAX)
		primary->beside_at_ns = now_ns;
	if (!primary->is_slowing && (primary->pace.is_fitting || pushed_pages == 0))
		primary->beside_at_ns += primary->options.push_interval_ns;
	if (primary->pace.is_fitting && misfit_ns < primary->beside_at_ns && misfit_ns > now_ns)
		primary->beside_at_ns = misfit_ns;
	if (primary->is_slowing && primary->is_slow_scanned && primary->pace.is_fitting)
		tandem_primary_capture(primary, now_ns, actions);
	else
		tandem_primary_offer(primary, now_ns);
}

void tandem_primary_scanned_beside(struct tandem_primary *primary,
                                   const struct tandem_primary_event *event,
                                   struct tandem_primary_actions *actions)
{
	if (!primary->is_beside_pass)
		return;
	tandem_pace_note_scan(&primary->pace, event->now_ns, event->elapsed_ns, event->left_pages);
	if (primary->is_slowing) {
		primary->is_slow_scanned = true;
		tandem_pace_stand(&primary->pace);
	}
	if (event->left_pages > 0 && primary->is_asked && primary->pace.is_fitting) {
		primary->beside_at_ns = event->now_ns;
		tandem_primary_offer(primary, event->now_ns);
	} else if (event->left_pages > 0) {
		slice(primary, actions);
	} else {
		end_pass(primary, event->now_ns, 0, actions);
	}
}

void tandem_primary_sliced_beside(struct tandem_primary *primary,
                                  const struct tandem_primary_event *event,
                                  struct tandem_primary_actions *actions)
{
	uint64_t rate_max = primary->options.push_rate_max;

	if (!primary->is_beside_pass)
		return;
	tandem_pace_note_push(&primary->pace, event->pages, event->elapsed_ns);
	tandem_pace_look(&primary->pace, event->now_ns, event->left_pages);
	primary->beside_at_ns = event->now_ns;
	if (rate_max != 0 && !primary->is_slowing)
		primary->beside_at_ns +=
		        event->pages * TANDEM_PAGE_BYTES * UINT64_C(1000000000) / rate_max;
	if (event->is_done)
		end_pass(primary, event->now_ns, event->pages, actions);
	else
		tandem_primary_offer(primary, event->now_ns);
}
