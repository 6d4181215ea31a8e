#include "standby_internal.h"

#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/memory.h>
#include <tandem/stats_page.h>

#include "digest.h"

static int expose(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	const struct tandem_region_table *regions = &standby->core.layout.regions;
	int code = tandem_session_expose(standby->session, TANDEM_SLOTS_MEMORY_ID,
	                                 standby->inbox.slots, standby->inbox.slots_bytes,
	                                 reterr_error);

	for (unsigned region = 0; code == 0 && region < regions->count; region++) {
		code = tandem_session_expose(
		        standby->session, region, standby->image.caches[region],
		        regions->entries[region].page_count * TANDEM_PAGE_BYTES, reterr_error);
		if (code < 0)
			tandem_error_wrap(reterr_error, code, "region %s",
			                  regions->entries[region].name);
	}
	return code;
}

static int reserve_state(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	uint32_t state_bytes_max = standby->core.layout.state_bytes_max;
	uint8_t *state;

	if (standby->state != NULL && standby->state_bytes_max >= state_bytes_max)
		return 0;
	state = tandem_memory_alloc((size_t)state_bytes_max + 1);
	if (state == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "state",
		                        "no memory for a state blob of %u bytes", state_bytes_max);
	if (standby->state != NULL)
		memcpy(state, standby->state, standby->state_bytes);
	tandem_memory_free(standby->state);
	standby->state = state;
	standby->state_bytes_max = state_bytes_max;
	return 0;
}

static int prepare(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	const struct tandem_layout *layout = &standby->core.layout;
	int code = reserve_state(standby, reterr_error);

	if (code == 0 && TANDEM_FAILPOINT_FIRES("standby_prepare"))
		code = tandem_error_set(reterr_error, TANDEM_E_MEMORY, "cache",
		                        "the failpoint leaves no memory");
	if (code == 0 && !standby->image.is_made)
		code = tandem_stats_reserve(standby->run_directory, standby->pair, reterr_error);
	if (code == 0 && !standby->image.is_made) {
		code = tandem_image_make(&standby->image, layout, reterr_error);
		standby->is_fresh = code == 0 && !standby->image.has_content;
	}
	if (code == 0)
		code = tandem_standby_restore_room(standby, reterr_error);
	if (standby->has_inbox && memcmp(&standby->inbox.layout, layout, sizeof *layout) != 0) {
		tandem_inbox_done(&standby->inbox, false);
		standby->has_inbox = false;
	}
	if (code == 0 && !standby->has_inbox) {
		code = tandem_inbox_init(&standby->inbox, layout, reterr_error);
		standby->has_inbox = code == 0;
	}
	return code < 0 ? code : expose(standby, reterr_error);
}

static void do_prepare(struct tandem_standby *standby)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_PREPARED};
	struct tandem_session *session = standby->session;
	struct tandem_error error;

	if (prepare(standby, &error) == 0) {
		TANDEM_FAILPOINT("standby_prepared");
		event.is_fresh = standby->is_fresh;
		tandem_standby_step(standby, &event);
		return;
	}
	tandem_standby_say_refusal(standby, session, error.detail);
	if (tandem_session_fence(session, tandem_clock_now_ns() + TANDEM_STANDBY_FENCE_TIMEOUT_NS,
	                         &error) < 0)
		tandem_standby_make_void(standby, &error);
	tandem_standby_set_session(standby, NULL);
	event.type = TANDEM_SECONDARY_ON_SESSION_LOST;
	tandem_standby_step(standby, &event);
	tandem_standby_refuse_session(standby, session, TANDEM_E_REFUSED, standby->last_refusal);
}

static void do_commit(struct tandem_standby *standby)
{
	const struct tandem_inbox_epoch *epoch = &standby->inbox.committed;

	TANDEM_FAILPOINT("standby_commit");
	tandem_inbox_commit(&standby->inbox);
	standby->applies_since_ns = tandem_clock_now_ns();
	standby->is_fresh = false;
	standby->state_bytes = epoch->state_bytes;
	memcpy(standby->state, epoch->state, epoch->state_bytes);
	if (!standby->is_copy_taken && standby->options.take_copy != NULL)
		standby->options.take_copy(standby->options.argument, standby->image.directory,
		                           standby->state, standby->state_bytes);
	standby->is_copy_taken = true;
	tandem_standby_publish(standby);
	TANDEM_FAILPOINT("standby_committed");
}

/* The loop applies slice after slice while the core says that it is not applied. */
static void do_apply(struct tandem_standby *standby, bool is_at_once)
{
	if (!is_at_once)
		return;
	standby->applies_since_ns = tandem_clock_now_ns(); /* the word was sent in between */
	tandem_standby_finish_apply(standby);
}

static void do_report_up(struct tandem_standby *standby, uint64_t incarnation)
{
	struct tandem_control_message message = {.type = TANDEM_CONTROL_SESSION_UP};

	atomic_store(&standby->session_incarnation, incarnation);
	tandem_beats_begin(&standby->beats, standby->beat_interval_ns);
	tandem_standby_say(
	        standby, false,
	        "pair %s: session with %s up, %u channels, generation %llu, copy of epoch %llu",
	        standby->pair, tandem_session_peer_address(standby->session),
	        standby->core.layout.channel_count,
	        (unsigned long long)standby->core.session_generation,
	        (unsigned long long)standby->core.committed);
	tandem_standby_report(standby, &message);
}

void tandem_standby_drop_image(struct tandem_standby *standby, bool is_unlinking)
{
	if (standby->is_copy_taken && standby->options.drop_copy != NULL)
		standby->options.drop_copy(standby->options.argument);
	standby->is_copy_taken = false;
	tandem_image_done(&standby->image, is_unlinking);
}

static void send_digests(struct tandem_standby *standby, const struct tandem_wire_message *blank)
{
	struct tandem_wire_message message = *blank;
	uint8_t digests[TANDEM_DIGESTS_MAX * TANDEM_DIGEST_BYTES];
	uint64_t seed =
	        tandem_digest_seed(standby->core.session_incarnation, standby->core.incarnation);

	for (uint32_t index = 0; index < message.page_count; index++)
		tandem_image_digest(&standby->image, message.first_page + index, seed,
		                    digests + (size_t)index * TANDEM_DIGEST_BYTES);
	message.digests = digests;
	tandem_standby_send(standby, &message);
}

static void execute(struct tandem_standby *standby, const struct tandem_secondary_action *action)
{
	switch (action->type) {
	case TANDEM_SECONDARY_DO_SEND:
		tandem_standby_send(standby, &action->message);
		return;
	case TANDEM_SECONDARY_DO_DROP:
		tandem_error_set(&standby->lost, action->code, "session", "%s", action->reason);
		if (standby->session != NULL)
			tandem_session_yank(standby->session);
		return;
	case TANDEM_SECONDARY_DO_RENEW:
		tandem_standby_drop_image(standby, true);
		return;
	case TANDEM_SECONDARY_DO_PREPARE:
		do_prepare(standby);
		return;
	case TANDEM_SECONDARY_DO_COMMIT:
		do_commit(standby);
		return;
	case TANDEM_SECONDARY_DO_FENCE_CHANNELS:
		if (standby->session != NULL)
			tandem_standby_fence_channels(standby, action->channel_mask);
		return;
	case TANDEM_SECONDARY_DO_DISCARD:
		tandem_inbox_discard(&standby->inbox);
		return;
	case TANDEM_SECONDARY_DO_SEND_DIGESTS:
		send_digests(standby, &action->message);
		return;
	case TANDEM_SECONDARY_DO_APPLY:
		do_apply(standby, action->is_at_once);
		return;
	case TANDEM_SECONDARY_DO_REPORT_UP:
		do_report_up(standby, action->incarnation);
		return;
	}
}

void tandem_standby_step(struct tandem_standby *standby, const struct tandem_secondary_event *event)
{
	struct tandem_secondary_actions actions;

	tandem_secondary_step(&standby->core, event, &actions);
	for (unsigned index = 0; index < actions.count; index++)
		execute(standby, &actions.items[index]);
	tandem_standby_publish(standby);
}
