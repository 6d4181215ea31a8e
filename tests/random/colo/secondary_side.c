#include "world.h"

#include <string.h>

#include <tandem/memory.h>

#include "shell/digest.h"

/* standby.c without its threads: the real core, inbox and apply. */

static _Alignas(4096) uint8_t caches[REGIONS][3 * 4096];
static _Alignas(4096) uint8_t images[REGIONS][3 * 4096];

static void step(struct world *world, const struct tandem_secondary_event *event);
static void on_message(struct world *world, const struct message *bytes);
static void take(struct world *world, const struct arrival *arrival);

void secondary_begin(struct world *world, uint64_t incarnation)
{
	struct secondary_side *secondary = &world->secondary;

	memset(secondary, 0, sizeof *secondary);
	secondary->incarnation = incarnation;
	tandem_secondary_init(&secondary->core, "p", incarnation);
}

void secondary_crash(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;

	if (secondary->has_inbox)
		tandem_inbox_done(&secondary->inbox, false);
	secondary->has_inbox = false;
	secondary->is_dead = true;
	secondary->session = NULL;
	secondary->has_order_stand_by = false;
	for (unsigned index = 0; index < world->wire_count; index++) {
		world->wires[index]->is_cut = true;
		world->wires[index]->is_open_secondary = false;
	}
}

static bool has_to_apply(const struct secondary_side *secondary)
{
	return secondary->has_inbox && !secondary->core.is_applied;
}

static void apply_slice(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_APPLIED};
	const struct tandem_run *run;

	run = tandem_inbox_next_run(&secondary->inbox);
	if (run == NULL)
		event.is_done = true;
	else if (run->kind == TANDEM_RUN_DATA || world->bug != BUG_ZERO_RUNS_FORGOTTEN)
		tandem_image_apply(&secondary->image, run);
	if (event.is_done)
		check_applied(world);
	step(world, &event);
}

bool secondary_apply(struct world *world)
{
	if (world->secondary.is_dead || !has_to_apply(&world->secondary))
		return false;
	apply_slice(world);
	return true;
}

static void on_notified(struct world *world, const struct arrival *arrival)
{
	struct secondary_side *secondary = &world->secondary;
	struct tandem_trailer trailer;
	struct tandem_secondary_event event = {
	        .type = TANDEM_SECONDARY_ON_SEAL, .channel = arrival->channel, .trailer = &trailer};
	struct tandem_error error;

	if (tandem_secondary_is_stale(&secondary->core, arrival->immediate)) {
		world_met(world, MET_STALE_SEAL);
		if (world->bug != BUG_STALE_SEAL_BELIEVED)
			return;
	}
	if (tandem_inbox_take(&secondary->inbox, arrival->channel, arrival->immediate, &trailer,
	                      &error) < 0) {
		world_fail(world, "the inbox refuses an honest seal: %s", error.detail);
		return;
	}
	if (world->bug == BUG_COMMIT_ON_FIRST_SEAL)
		trailer.mask = 1u << arrival->channel;
	/* Small as it is, it may stand for one of many pages. */
	event.listed_pages = world_chance(world, 2)
	                             ? secondary->inbox.sealing.page_count[arrival->channel]
	                             : TANDEM_SECONDARY_FEW_PAGES + 1;
	step(world, &event);
}

static struct arrival arrival_pop(struct wire *wire)
{
	struct arrival arrival = wire->arrivals[0];

	memmove(wire->arrivals, wire->arrivals + 1, --wire->arrival_count * sizeof arrival);
	return arrival;
}

static void drain(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;
	uint64_t before = secondary->core.committed;

	while (secondary->session->arrival_count > 0) {
		struct arrival arrival = arrival_pop(secondary->session);

		if (arrival.is_notify || arrival.is_channel_up)
			take(world, &arrival);
	}
	if (secondary->core.committed != before)
		world_met(world, MET_COMMIT_IN_DRAIN);
}

static void finish_apply(struct world *world)
{
	if (has_to_apply(&world->secondary))
		world_met(world, MET_HALF_APPLIED_AT_END);
	while (has_to_apply(&world->secondary) && !world->has_failed)
		apply_slice(world);
}

static void end_session(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_SESSION_LOST};

	if (secondary->session == NULL)
		return;
	wire_fence(secondary->session);
	drain(world);
	if (world->bug != BUG_APPLY_HALF_AT_PROMOTION || !secondary->core.is_fenced)
		finish_apply(world);
	tandem_inbox_forget(&secondary->inbox);
	step(world, &event);
	if (world->bug != BUG_NO_FENCE)
		secondary->session->is_open_secondary = false;
	secondary->session = NULL;
}

/* ---- actions ---- */

/* [C30]: a later life finds what an earlier one left, an epoch half applied or what a program made
 * of it, or nothing. The cache is its own and holds anything. */
static bool find_old_image(struct world *world)
{
	if (world->secondary.incarnation == 0x2001 || world_chance(world, 3))
		return false;
	memset(caches, 0xee, sizeof caches);
	if (world_chance(world, 3))
		memset(images[world_pick(world, REGIONS)], (int)world_pick(world, 2), 4096);
	return true;
}

static void make_image(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;
	bool is_old = world->bug != BUG_NO_RENEW && find_old_image(world);

	secondary->image.layout = secondary->core.layout;
	for (unsigned region = 0; region < REGIONS; region++) {
		secondary->image.caches[region] = caches[region];
		secondary->image.images[region] = images[region];
	}
	if (!is_old && (world->bug != BUG_NO_RENEW || secondary->incarnation == 0x2001)) {
		memset(caches, 0, sizeof caches);
		memset(images, 0, sizeof images);
	}
	secondary->is_made = true;
	secondary->is_fresh = !is_old;
}

static void do_prepare(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_PREPARED};

	if (!secondary->is_made)
		make_image(world);
	if (!secondary->has_inbox) {
		if (tandem_inbox_init(&secondary->inbox, &secondary->core.layout, NULL) < 0)
			world_fail(world, "the inbox cannot be made");
		secondary->has_inbox = true;
	}
	event.is_fresh = secondary->is_fresh;
	step(world, &event);
}

static void do_commit(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;

	tandem_inbox_commit(&secondary->inbox);
	secondary->is_fresh = false;
	secondary->state_bytes = secondary->inbox.committed.state_bytes;
	memcpy(secondary->state, secondary->inbox.committed.state, secondary->state_bytes);
}

static void do_send(struct world *world, const struct tandem_wire_message *message)
{
	struct wire *wire = world->secondary.session;

	if (wire == NULL || wire->is_fenced || wire->is_cut || !wire->is_open_primary)
		return;
	if (!wire_send(&wire->to_primary, message))
		wire_cut(wire);
}

static void send_digests(struct world *world, const struct tandem_wire_message *blank)
{
	struct secondary_side *secondary = &world->secondary;
	struct tandem_wire_message message = *blank;
	struct tandem_image read = secondary->image;
	uint64_t seed = tandem_digest_seed(P_INCARNATION, secondary->incarnation);
	uint8_t digests[TANDEM_DIGESTS_MAX * TANDEM_DIGEST_BYTES];

	if (world->bug == BUG_DIGEST_OF_CACHE)
		memcpy(read.images, read.caches, sizeof read.images);
	for (uint32_t index = 0; index < message.page_count; index++)
		tandem_image_digest(&read, message.first_page + index, seed,
		                    digests + (size_t)index * TANDEM_DIGEST_BYTES);
	message.digests = digests;
	do_send(world, &message);
	if (world->bug == BUG_IMAGE_SHARED)
		memset(images[world_pick(world, REGIONS)], 0x77, 4096);
}

static void take(struct world *world, const struct arrival *arrival)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_CHANNEL_UP,
	                                       .channel = arrival->channel};

	if (arrival->is_notify)
		on_notified(world, arrival);
	else if (arrival->is_channel_up)
		step(world, &event);
	else
		on_message(world, &arrival->message);
}

static void fence_channels(struct world *world, uint32_t channel_mask)
{
	struct secondary_side *secondary = &world->secondary;
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_CHANNELS_FENCED};
	uint64_t before = secondary->core.committed;

	wire_fence_channels(secondary->session, channel_mask);
	while (secondary->session->arrival_count > 0 && !world->has_failed) {
		struct arrival arrival = arrival_pop(secondary->session);

		take(world, &arrival);
	}
	if (secondary->core.committed != before)
		world_met(world, MET_COMMIT_IN_CHANNEL_FENCE);
	step(world, &event);
}

/* [C15] */
static void apply_at_once(struct world *world)
{
	if (world->bug == BUG_SAID_FIRST_BESIDE)
		return;
	world_met(world, MET_SAID_FIRST);
	while (has_to_apply(&world->secondary) && !world->has_failed)
		apply_slice(world);
}

static void execute(struct world *world, const struct tandem_secondary_action *action)
{
	struct secondary_side *secondary = &world->secondary;

	world->counts->secondary_action[action->type]++;
	switch (action->type) {
	case TANDEM_SECONDARY_DO_SEND:
		do_send(world, &action->message);
		return;
	case TANDEM_SECONDARY_DO_DROP:
		check_drop(world, false, action->code, action->reason);
		if (secondary->session != NULL)
			wire_cut(secondary->session);
		return;
	case TANDEM_SECONDARY_DO_RENEW:
		secondary->is_made = false;
		return;
	case TANDEM_SECONDARY_DO_PREPARE:
		do_prepare(world);
		return;
	case TANDEM_SECONDARY_DO_COMMIT:
		do_commit(world);
		return;
	case TANDEM_SECONDARY_DO_FENCE_CHANNELS:
		fence_channels(world, action->channel_mask);
		return;
	case TANDEM_SECONDARY_DO_DISCARD:
		tandem_inbox_discard(&secondary->inbox);
		return;
	case TANDEM_SECONDARY_DO_SEND_DIGESTS:
		send_digests(world, &action->message);
		return;
	case TANDEM_SECONDARY_DO_APPLY:
		if (action->is_at_once)
			apply_at_once(world);
		return;
	case TANDEM_SECONDARY_DO_REPORT_UP:
		return;
	}
}

static void step(struct world *world, const struct tandem_secondary_event *event)
{
	struct tandem_secondary_actions actions;

	tandem_secondary_step(&world->secondary.core, event, &actions);
	for (unsigned index = 0; index < actions.count && !world->has_failed; index++)
		execute(world, &actions.items[index]);
}

/* ---- the thread ---- */

static void greet(struct world *world, struct wire *wire)
{
	struct secondary_side *secondary = &world->secondary;
	struct arrival arrival = arrival_pop(wire);
	struct tandem_wire_message message;
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_HELLO,
	                                       .message = &message};
	const char *reason;
	int code;

	if (tandem_wire_decode(arrival.message.bytes, arrival.message.length, &message) < 0 ||
	    message.type != TANDEM_WIRE_HELLO) {
		world_fail(world, "the first message is no HELLO");
		return;
	}
	reason = tandem_secondary_objection(&secondary->core, &message, &code);
	if (reason != NULL) {
		struct tandem_wire_message refused = {.type = TANDEM_WIRE_REFUSED,
		                                      .generation = secondary->core.generation,
		                                      .code = code};

		if (!wire->is_cut && wire->is_open_primary)
			wire_send(&wire->to_primary, &refused);
		wire_fence(wire);
		wire->is_open_secondary = false;
		return;
	}
	end_session(world);
	secondary->session = wire;
	event.lands_in_calls = world_chance(world, 2);
	step(world, &event);
}

static void on_message(struct world *world, const struct message *bytes)
{
	struct tandem_wire_message message;
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_MESSAGE,
	                                       .message = &message};

	if (tandem_wire_decode(bytes->bytes, bytes->length, &message) < 0)
		world_fail(world, "a message of the primary cannot be read");
	else
		step(world, &event);
}

static bool read_own(struct world *world)
{
	struct wire *wire = world->secondary.session;
	struct arrival arrival;

	if (wire->arrival_count == 0) {
		if ((!wire->is_cut && wire->is_open_primary) || !world_chance(world, 6))
			return false;
		end_session(world);
		return true;
	}
	arrival = arrival_pop(wire);
	take(world, &arrival);
	return true;
}

bool secondary_read(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;

	if (secondary->is_dead)
		return false;
	for (unsigned back = 1; back <= world->wire_count && back <= 3; back++) {
		struct wire *wire = world->wires[world->wire_count - back];

		if (wire != secondary->session && wire->is_open_secondary && !wire->is_fenced &&
		    wire->arrival_count > 0 && world_chance(world, 2)) {
			greet(world, wire);
			return true;
		}
	}
	return secondary->session != NULL && read_own(world);
}

static void do_fence(struct world *world)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_FENCE};

	if (world->bug != BUG_ACK_WHEN_FENCED) {
		step(world, &event);
		end_session(world);
	}
	if (world->bug != BUG_APPLY_HALF_AT_PROMOTION)
		finish_apply(world);
	check_activated(world);
}

bool secondary_obey(struct world *world)
{
	struct secondary_side *secondary = &world->secondary;
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_STAND_BY};

	if (secondary->is_dead)
		return false;
	if (secondary->has_order_stand_by) {
		secondary->has_order_stand_by = false;
		event.generation = secondary->order.generation;
		event.incarnation = secondary->order.is_owner_primary ? P_INCARNATION : 0;
		step(world, &event);
		return true;
	}
	if (!secondary->has_order_fence)
		return false;
	secondary->has_order_fence = false;
	do_fence(world);
	return true;
}
