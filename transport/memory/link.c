#include <string.h>

#include <tandem/memory.h>

#include "memory/fabric.h"

static void free_link(struct tandem_memory_link *link)
{
	for (unsigned i = 0; i < TANDEM_CHANNELS_MAX; i++) {
		tandem_memory_channel_clear(&link->channels[i]);
		tandem_memory_free(link->channels[i].writes);
	}
	for (unsigned side = 0; side < TANDEM_SIDE_COUNT; side++)
		tandem_memory_free(link->controls[side]);
	tandem_memory_free(link);
}

static bool make_queues(struct tandem_memory_link *link)
{
	for (unsigned i = 0; i < link->options.channel_count; i++) {
		struct tandem_memory_channel *channel = &link->channels[i];
		channel->capacity = link->options.write_depth;
		channel->writes =
		        tandem_memory_alloc_array(channel->capacity, sizeof(*channel->writes));
		if (!channel->writes)
			return false;
	}
	for (unsigned side = 0; side < TANDEM_SIDE_COUNT; side++) {
		link->controls[side] = tandem_memory_alloc(sizeof(*link->controls[side]));
		if (!link->controls[side])
			return false;
	}
	return true;
}

struct tandem_memory_link *tandem_memory_link_new(struct tandem_fabric *fabric,
                                                  const struct tandem_transport_options *options)
{
	struct tandem_memory_link *link = tandem_memory_alloc(sizeof(*link));
	if (!link)
		return NULL;
	link->fabric = fabric;
	link->options = *options;
	link->reference_count = 1;
	if (!make_queues(link)) {
		free_link(link);
		return NULL;
	}
	link->next = fabric->links;
	fabric->links = link;
	return link;
}

void tandem_memory_link_unref(struct tandem_memory_link *link)
{
	if (--link->reference_count > 0)
		return;
	struct tandem_memory_link **place = &link->fabric->links;
	while (*place != link)
		place = &(*place)->next;
	*place = link->next;
	free_link(link);
}

void tandem_memory_link_refresh(struct tandem_memory_link *link)
{
	for (unsigned side = 0; side < TANDEM_SIDE_COUNT; side++) {
		if (link->ends[side])
			tandem_memory_session_refresh(link->ends[side]);
	}
}

/* ---- posting ---- */

static void drop_first(struct tandem_memory_channel *channel)
{
	tandem_memory_free(channel->writes[channel->first].copy);
	channel->first = (channel->first + 1) % channel->capacity;
	channel->count--;
}

void tandem_memory_channel_clear(struct tandem_memory_channel *channel)
{
	while (channel->count > 0)
		drop_first(channel);
}

void tandem_memory_link_clear_writes(struct tandem_memory_link *link)
{
	for (unsigned i = 0; i < link->options.channel_count; i++)
		tandem_memory_channel_clear(&link->channels[i]);
}

bool tandem_memory_link_add_write(struct tandem_memory_link *link, unsigned index,
                                  const struct tandem_memory_write *write, uint64_t now_ns)
{
	struct tandem_memory_channel *channel = &link->channels[index];
	if (channel->count == channel->capacity)
		return false;
	if (channel->count == 0)
		channel->moved_at_ns = now_ns;
	struct tandem_memory_write *item =
	        &channel->writes[(channel->first + channel->count) % channel->capacity];
	*item = *write;
	item->posted_ns = now_ns;
	channel->count++;
	channel->ends[TANDEM_SIDE_CONNECTING].bytes += write->write.length;
	return true;
}

bool tandem_memory_link_add_control(struct tandem_memory_link *link, enum tandem_memory_side to,
                                    const struct tandem_memory_control *control,
                                    const void *message, uint64_t now_ns)
{
	struct tandem_memory_controls *controls = link->controls[to];
	bool is_message = control->message_bytes > 0;
	if (controls->count == TANDEM_CONTROLS_MAX ||
	    (is_message && controls->message_count == TANDEM_MESSAGES_MAX))
		return false;
	if (controls->count == 0)
		controls->moved_at_ns = now_ns;
	struct tandem_memory_control *item =
	        &controls->items[(controls->first + controls->count) % TANDEM_CONTROLS_MAX];
	*item = *control;
	controls->count++;
	if (is_message) {
		item->message_slot = controls->message_slot;
		memcpy(controls->messages[item->message_slot], message, control->message_bytes);
		controls->message_slot = (controls->message_slot + 1) % TANDEM_MESSAGES_MAX;
		controls->message_count++;
	}
	return true;
}

/* ---- landing ---- */

static bool may_land(const struct tandem_memory_channel *channel)
{
	const struct tandem_memory_channel_end *end = &channel->ends[TANDEM_SIDE_LISTENING];
	return channel->count > 0 &&
	       (end->state == TANDEM_CHANNEL_UP || end->state == TANDEM_CHANNEL_LOST);
}

bool tandem_memory_link_has_work(const struct tandem_memory_link *link,
                                 enum tandem_memory_side side)
{
	if (link->controls[side]->count > 0)
		return true;
	for (unsigned i = 0; side == TANDEM_SIDE_LISTENING && i < link->options.channel_count;
	     i++) {
		if (may_land(&link->channels[i]))
			return true;
	}
	return false;
}

static bool land_control(struct tandem_memory_controls *controls,
                         struct tandem_memory_session *session, uint64_t now_ns)
{
	const struct tandem_memory_control *item = &controls->items[controls->first];
	if (item->message_bytes == 0)
		session->targets[item->memory_id].bytes = item->exposed_bytes;
	else if (!tandem_event_queue_add_message(&session->queue,
	                                         controls->messages[item->message_slot],
	                                         item->message_bytes))
		return false;
	controls->message_count -= item->message_bytes > 0;
	controls->first = (controls->first + 1) % TANDEM_CONTROLS_MAX;
	controls->count--;
	controls->moved_at_ns = now_ns;
	return true;
}

void tandem_memory_link_land_controls(struct tandem_memory_link *link,
                                      struct tandem_memory_session *session, uint64_t now_ns)
{
	struct tandem_memory_controls *controls = link->controls[session->side];
	while (!tandem_fabric_is_held(link->fabric) && controls->count > 0) {
		if (!land_control(controls, session, now_ns))
			return;
	}
}

static bool land_write(struct tandem_memory_link *link, unsigned index,
                       struct tandem_memory_session *session, uint64_t now_ns)
{
	struct tandem_memory_channel *channel = &link->channels[index];
	const struct tandem_memory_write *item = &channel->writes[channel->first];
	const struct tandem_memory_target *target = &session->targets[item->write.memory_id];
	const struct tandem_event_queue *queue = &session->queue;
	if (item->notifies &&
	    queue->notice_count - queue->channel_event_count == TANDEM_NOTICES_MAX)
		return false;
	memcpy(target->base + item->write.offset, item->write.source, item->write.length);
	if (item->notifies)
		tandem_event_queue_add_notice(&session->queue, index, item->immediate);
	channel->ends[TANDEM_SIDE_LISTENING].bytes += item->write.length;
	drop_first(channel);
	channel->moved_at_ns = now_ns;
	if (link->fabric->operations_left != UINT64_MAX)
		link->fabric->operations_left--;
	return true;
}

static bool has_ended(const struct tandem_memory_channel *channel)
{
	return channel->ends[TANDEM_SIDE_CONNECTING].has_ended ||
	       channel->ends[TANDEM_SIDE_LISTENING].has_ended;
}

/* One more of each channel in turn, as far as that channel may. */
static bool land_round(struct tandem_memory_link *link, struct tandem_memory_session *session,
                       uint64_t now_ns, bool wants_ended)
{
	bool has_landed = false;
	for (unsigned i = 0; i < link->options.channel_count; i++) {
		const struct tandem_memory_channel *channel = &link->channels[i];
		if (!tandem_fabric_is_held(link->fabric) && may_land(channel) &&
		    has_ended(channel) == wants_ended)
			has_landed = land_write(link, i, session, now_ns) || has_landed;
	}
	return has_landed;
}

/* [T5]. One write a channel in turn: the worst order between channels that is still fair. Those of
 * a channel that ended come late, and one at a time [T15]. */
void tandem_memory_link_land_writes(struct tandem_memory_link *link,
                                    struct tandem_memory_session *session, uint64_t now_ns)
{
	while (land_round(link, session, now_ns, false))
		;
}

void tandem_memory_link_land_late(struct tandem_memory_link *link,
                                  struct tandem_memory_session *session, uint64_t now_ns)
{
	land_round(link, session, now_ns, true);
}
