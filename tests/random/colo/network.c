#include "world.h"

#include <string.h>
#include <sys/eventfd.h>

#include <tandem/memory.h>

static struct wire *wire_of(const struct tandem_session *session)
{
	return (struct wire *)(uintptr_t)session;
}

bool wire_send(struct message_queue *queue, const struct tandem_wire_message *message)
{
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
	size_t length = tandem_wire_encode(message, bytes);

	if (queue->count == MESSAGES_MAX || length > MESSAGE_BYTES)
		return false;
	memcpy(queue->items[queue->count].bytes, bytes, length);
	queue->items[queue->count++].length = length;
	return true;
}

struct message message_pop(struct message_queue *queue)
{
	struct message message = queue->items[0];

	memmove(queue->items, queue->items + 1, --queue->count * sizeof *queue->items);
	return message;
}

/* ---- the primary's end, as the push sees it ---- */

static unsigned channel_count(const struct tandem_session *session)
{
	(void)session;
	return CHANNELS;
}

static int always_readable_fd(const struct tandem_session *session)
{
	static int fd = -1;

	(void)session;
	if (fd < 0)
		fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	return fd;
}

/* The push waits: the rest of the world goes on, and a cut is noticed sooner or later. */
static void progress(struct tandem_session *session)
{
	struct wire *wire = wire_of(session);

	world_outside(wire->world);
	if ((wire->is_cut && world_chance(wire->world, 3)) || wire->world->primary.is_dead ||
	    wire->world->has_failed)
		wire_break(wire);
}

static int register_source(struct tandem_session *session, const void *base, size_t length,
                           struct tandem_error *reterr_error)
{
	(void)session;
	(void)base;
	(void)length;
	(void)reterr_error;
	return 0;
}

static uint64_t exposed_bytes(const struct tandem_session *session, unsigned memory_id)
{
	const struct wire *wire = wire_of(session);

	if (memory_id == TANDEM_SLOTS_MEMORY_ID)
		return wire->world->primary.push.slots_bytes;
	return memory_id < REGIONS ? world_regions()->entries[memory_id].page_count * 4096 : 0;
}

static bool post(struct wire *wire, unsigned channel, const struct tandem_write *write,
                 bool is_notify, uint32_t immediate)
{
	if (wire->queued[channel] == QUEUE_MAX)
		return false;
	wire->queue[channel][wire->queued[channel]++] =
	        (struct entry){.write = *write, .is_notify = is_notify, .immediate = immediate};
	return true;
}

/* A blob that is not written again after a repair. */
static bool is_left_behind(const struct wire *wire, const struct tandem_write *write)
{
	const struct primary_side *primary = &wire->world->primary;

	return wire->world->bug == BUG_BLOB_LEFT_BEHIND && primary->is_repaired &&
	       write->memory_id == TANDEM_SLOTS_MEMORY_ID &&
	       write->offset ==
	               tandem_layout_state_offset(&primary->push.layout, primary->core.captured);
}

static bool is_lost(const struct wire *wire, unsigned channel)
{
	return (wire->lost_mask & 1u << channel) != 0;
}

static int write_some(struct tandem_session *session, unsigned channel,
                      const struct tandem_write *writes, unsigned count, unsigned *ret_taken_count)
{
	struct wire *wire = wire_of(session);
	unsigned taken = 0;

	if (wire->is_broken)
		return TANDEM_E_PEER_LOST;
	if (is_lost(wire, channel))
		return TANDEM_E_CHANNEL_LOST;
	while (taken < count && (is_left_behind(wire, &writes[taken]) ||
	                         post(wire, channel, &writes[taken], false, 0)))
		check_posting(wire->world, wire, channel, &writes[taken++]);
	*ret_taken_count = taken;
	return 0;
}

/* False when the trailer is not sent at all. */
static bool leave_out(const struct wire *wire, unsigned channel, const struct tandem_write *write)
{
	uint8_t *bytes = wire->world->primary.push.slots + write->offset;
	struct tandem_trailer trailer;
	uint32_t left;

	if (wire->world->bug != BUG_MASK_LEAVES_OUT || tandem_trailer_decode(bytes, &trailer) < 0)
		return true;
	left = trailer.mask & (trailer.mask - 1); /* without the lowest, which has the blob */
	left &= ~(left - 1);
	if (left == 0)
		return true;
	trailer.mask &= ~left;
	tandem_trailer_encode(&trailer, bytes);
	return (left & 1u << channel) == 0;
}

static int notify(struct tandem_session *session, unsigned channel,
                  const struct tandem_write *write, uint32_t immediate)
{
	struct wire *wire = wire_of(session);

	if (wire->is_broken)
		return TANDEM_E_PEER_LOST;
	if (is_lost(wire, channel))
		return TANDEM_E_CHANNEL_LOST;
	if (!leave_out(wire, channel, write))
		return 0;
	if (!post(wire, channel, write, true, immediate))
		return TANDEM_E_AGAIN;
	check_posting(wire->world, wire, channel, write);
	return 0;
}

static unsigned inflight_count(const struct tandem_session *session, unsigned channel)
{
	const struct wire *wire = wire_of(session);

	return wire->is_broken || is_lost(wire, channel)
	               ? 0
	               : wire->queued[channel] - wire->completed[channel];
}

static const struct tandem_session_ops ops = {
        .channel_count = channel_count,
        .fd = always_readable_fd,
        .progress = progress,
        .register_source = register_source,
        .exposed_bytes = exposed_bytes,
        .write = write_some,
        .notify = notify,
        .inflight_count = inflight_count,
};

struct wire *wire_connect(struct world *world)
{
	struct wire *wire;

	if (world->wire_count == WIRES_MAX)
		return NULL;
	wire = tandem_memory_alloc(sizeof *wire);
	if (wire == NULL)
		return NULL;
	wire->head.ops = &ops;
	wire->world = world;
	wire->is_open_primary = true;
	wire->is_open_secondary = true;
	wire->is_cut = world->secondary.is_dead;
	wire->is_up_due = !wire->is_cut;
	if (world->has_faults && world_chance(world, 8)) {
		wire->lost_mask = 1u << world_pick(world, CHANNELS);
		world_met(world, MET_JOINED_IN_PART);
	}
	world->wires[world->wire_count++] = wire;
	return wire;
}

/* ---- faults and ends ---- */

static uint8_t *target(struct world *world, unsigned memory_id)
{
	return memory_id == TANDEM_SLOTS_MEMORY_ID ? world->secondary.inbox.slots
	                                           : world->secondary.image.caches[memory_id];
}

static void land(struct wire *wire, unsigned channel)
{
	const struct entry *entry = &wire->queue[channel][wire->landed[channel]++];
	const struct tandem_write *write = &entry->write;

	world_met(wire->world, MET_LANDED);
	if (!wire->is_fenced && (wire->fenced_mask & 1u << channel) == 0)
		check_landing(wire->world, write->memory_id, write->offset, write->length);
	memcpy(target(wire->world, write->memory_id) + write->offset,
	       entry->copy != NULL ? entry->copy : write->source, write->length);
	if (entry->is_notify && !wire->is_fenced && (wire->fenced_mask & 1u << channel) == 0)
		wire->arrivals[wire->arrival_count++] = (struct arrival){
		        .is_notify = true, .channel = channel, .immediate = entry->immediate};
}

static void drop_tail(struct wire *wire, unsigned channel, unsigned keep)
{
	for (unsigned index = keep; index < wire->queued[channel]; index++)
		tandem_memory_free(wire->queue[channel][index].copy);
	wire->queued[channel] = keep;
	if (wire->landed[channel] > keep)
		wire->landed[channel] = keep;
	if (wire->completed[channel] > keep)
		wire->completed[channel] = keep;
}

void wire_cut(struct wire *wire)
{
	wire->is_cut = true;
}

void wire_drop(struct wire *wire)
{
	for (unsigned channel = 0; channel < CHANNELS; channel++)
		drop_tail(wire, channel, 0);
}

static void keep_bytes(struct entry *entry)
{
	if (entry->copy != NULL)
		return;
	entry->copy = tandem_memory_alloc(entry->write.length);
	memcpy(entry->copy, entry->write.source, entry->write.length);
}

/* What was not sent never is; what is on its way carries the bytes of now. */
static void end_channel(struct wire *wire, unsigned channel)
{
	unsigned landed = wire->landed[channel];
	unsigned flying = wire->queued[channel] - landed;

	drop_tail(wire, channel, landed + world_pick(wire->world, flying + 1));
	for (unsigned index = landed; index < wire->queued[channel]; index++) {
		keep_bytes(&wire->queue[channel][index]);
	}
}

/* The queue pairs are in error: what was not sent never is; what is on its way carries the bytes of
 * now. */
void wire_break(struct wire *wire)
{
	if (wire->is_broken)
		return;
	wire->is_broken = true;
	for (unsigned channel = 0; channel < CHANNELS; channel++) {
		if (!is_lost(wire, channel))
			end_channel(wire, channel);
	}
}

void wire_break_channel(struct wire *wire, unsigned channel)
{
	if (wire->is_broken || is_lost(wire, channel))
		return;
	world_met(wire->world, MET_CHANNEL_BROKEN);
	end_channel(wire, channel);
	wire->lost_mask |= 1u << channel;
	wire->lost_due |= 1u << channel;
	wire->up_due &= ~(1u << channel);
	if (wire->lost_mask == CHANNELS_ALL)
		wire_cut(wire);
}

/* A write of the primary has not landed. */
bool wire_is_under_way(const struct wire *wire, unsigned channel)
{
	return !wire->is_broken && !is_lost(wire, channel) &&
	       wire->landed[channel] < wire->queued[channel];
}

void wire_stall_channel(struct wire *wire, unsigned channel)
{
	world_met(wire->world, MET_CHANNEL_STALLED);
	wire->stalled_mask |= 1u << channel;
}

void wire_lose_rail(struct wire *wire, unsigned rail)
{
	world_met(wire->world, MET_RAIL_LOST);
	for (unsigned channel = 0; channel < CHANNELS; channel++) {
		if (channel % RAILS == rail)
			wire_break_channel(wire, channel);
	}
	if (wire->world->primary.control_rail % RAILS == rail)
		wire_cut(wire);
}

/* What is on its way gets there before the fence or never. */
void wire_fence_channels(struct wire *wire, uint32_t channel_mask)
{
	for (unsigned channel = 0; channel < CHANNELS; channel++) {
		if ((channel_mask & 1u << channel) == 0)
			continue;
		while (wire->landed[channel] < wire->queued[channel] &&
		       wire->arrival_count < MESSAGES_MAX && world_chance(wire->world, 2))
			land(wire, channel);
		wire->fence_count[channel]++;
		wire->fenced_mask |= 1u << channel;
		if (wire->world->bug != BUG_CHANNEL_NOT_FENCED)
			drop_tail(wire, channel, 0);
	}
}

static void refuse_join(struct wire *wire, unsigned channel)
{
	bool is_half = world_chance(wire->world, 2);

	world_met(wire->world, is_half ? MET_HALF_JOINED : MET_REJOIN_REFUSED);
	if (is_half) /* only the listening side takes it for joined */
		wire->arrivals[wire->arrival_count++] =
		        (struct arrival){.is_channel_up = true, .channel = channel};
	wire->lost_due |= 1u << channel;
}

bool wire_join(struct world *world)
{
	struct wire *wire = world->primary.session;
	unsigned channel = world_pick(world, CHANNELS);
	uint32_t bit = 1u << channel;

	if (wire == NULL || wire->is_cut || wire->is_fenced || (wire->joining_mask & bit) == 0 ||
	    wire->arrival_count == MESSAGES_MAX)
		return false;
	wire->joining_mask &= ~bit;
	if (world->has_faults && world_chance(world, 3)) {
		refuse_join(wire, channel);
		return true;
	}
	world_met(world, MET_REJOINED);
	drop_tail(wire, channel, 0);
	wire->lost_mask &= ~bit;
	wire->fenced_mask &= ~bit;
	wire->up_due |= bit;
	wire->arrivals[wire->arrival_count++] =
	        (struct arrival){.is_channel_up = true, .channel = channel};
	return true;
}

void wire_close_primary(struct wire *wire)
{
	wire_break(wire);
	wire->is_open_primary = false;
	wire->to_primary.count = 0;
}

void wire_fence(struct wire *wire)
{
	wire->is_cut = true;
	wire->is_fenced = true;
}

/* ---- movement ---- */

static bool can_move(const struct wire *wire)
{
	if (wire->world->secondary.is_dead || !wire->is_open_secondary)
		return false;
	if (wire->is_fenced)
		return wire->world->bug == BUG_NO_FENCE && wire->world->secondary.is_made;
	return !wire->is_cut || wire->is_broken;
}

static struct wire *choose(struct world *world)
{
	unsigned recent = world->wire_count < 3 ? world->wire_count : 3;

	if (recent == 0)
		return NULL;
	return world->wires[world->wire_count - 1 - world_pick(world, recent)];
}

/* The device sends again and again, until it gets through. */
static bool end_stall(struct wire *wire, unsigned channel)
{
	if (wire->world->has_faults && !world_chance(wire->world, 20))
		return false;
	wire->stalled_mask &= ~(1u << channel);
	return true;
}

bool wire_land(struct world *world)
{
	struct wire *wire = choose(world);
	unsigned channel = world_pick(world, CHANNELS);

	if (wire == NULL || !can_move(wire) || !world->secondary.has_inbox ||
	    wire->landed[channel] == wire->queued[channel] || wire->arrival_count == MESSAGES_MAX)
		return false;
	if ((wire->stalled_mask & 1u << channel) != 0)
		return end_stall(wire, channel);
	if (is_lost(wire, channel) && !world_chance(world, 12))
		return false; /* what was on its way when the channel ended may take long */
	land(wire, channel);
	return true;
}

static void forget_front(struct wire *wire, unsigned channel)
{
	tandem_memory_free(wire->queue[channel][0].copy);
	memmove(wire->queue[channel], wire->queue[channel] + 1,
	        (wire->queued[channel] - 1) * sizeof **wire->queue);
	wire->queued[channel]--;
	wire->landed[channel]--;
	wire->completed[channel]--;
}

bool wire_complete(struct world *world)
{
	struct wire *wire = world->primary.session;
	unsigned channel = world_pick(world, CHANNELS), next;

	if (wire == NULL || wire->is_broken || is_lost(wire, channel))
		return false;
	while (wire->landed[channel] > 0 && wire->completed[channel] > 0)
		forget_front(wire, channel);
	next = wire->completed[channel];
	if (next == wire->queued[channel] || (next >= wire->landed[channel] && !world->is_buffered))
		return false;
	keep_bytes(&wire->queue[channel][next]);
	wire->completed[channel]++;
	return true;
}

bool wire_arrive(struct world *world)
{
	struct wire *wire = choose(world);

	if (wire == NULL || wire->to_secondary.count == 0 || wire->is_fenced || !can_move(wire) ||
	    wire->arrival_count == MESSAGES_MAX)
		return false;
	wire->arrivals[wire->arrival_count++].message = message_pop(&wire->to_secondary);
	wire->arrivals[wire->arrival_count - 1].is_notify = false;
	return true;
}
