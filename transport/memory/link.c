#include <string.h>

#include <tandem/memory.h>

#include "memory/fabric.h"

static void free_link(struct tandem_memory_link *link)
{
	for (unsigned i = 0; i < TANDEM_CHANNELS_MAX; i++)
		tandem_memory_free(link->channels[i].writes);
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

void tandem_memory_link_clear_writes(struct tandem_memory_link *link)
{
	for (unsigned i = 0; i < link->options.channel_count; i++)
		link->channels[i].count = 0;
}

bool tandem_memory_link_add_write(struct tandem_memory_link *link, unsigned index,
                                  const struct tandem_memory_write *write, uint64_t now_ns)
{
	struct tandem_memory_channel *channel = &link->channels[index];
	if (channel->count == channel->capacity)
		return false;
	if (channel->count == 0)
		channel->moved_at_ns = now_ns;
	channel->writes[(channel->first + channel->count) % channel->capacity] = *write;
	channel->count++;
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

bool tandem_memory_link_has_work(const struct tandem_memory_link *link,
                                 enum tandem_memory_side side)
{
	if (link->controls[side]->count > 0)
		return true;
	for (unsigned i = 0; side == TANDEM_SIDE_LISTENING && i < link->options.channel_count;
	     i++) {
		if (link->channels[i].count > 0)
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
	if (item->notifies && session->queue.notice_count == TANDEM_NOTICES_MAX)
		return false;
	memcpy(target->base + item->write.offset, item->write.source, item->write.length);
	if (item->notifies)
		tandem_event_queue_add_notice(&session->queue, index, item->immediate);
	channel->first = (channel->first + 1) % channel->capacity;
	channel->count--;
	channel->moved_at_ns = now_ns;
	if (link->fabric->operations_left != UINT64_MAX)
		link->fabric->operations_left--;
	return true;
}

/* T5. One write a channel in turn: the worst order between channels that is still fair. */
void tandem_memory_link_land_writes(struct tandem_memory_link *link,
                                    struct tandem_memory_session *session, uint64_t now_ns)
{
	bool has_landed = true;
	while (has_landed) {
		has_landed = false;
		for (unsigned i = 0; i < link->options.channel_count; i++) {
			if (tandem_fabric_is_held(link->fabric))
				return;
			if (link->channels[i].count > 0)
				has_landed = land_write(link, i, session, now_ns) || has_landed;
		}
	}
}
