#include "core/event_queue.h"

#include <string.h>

#include <tandem/assert.h>

static void add(struct tandem_event_queue *queue, const struct tandem_notice *notice)
{
	unsigned slot = (queue->notice_first + queue->notice_count) % TANDEM_NOTICE_PLACES;
	queue->notices[slot] = *notice;
	queue->notice_count++;
}

bool tandem_event_queue_add_notice(struct tandem_event_queue *queue, unsigned channel,
                                   uint32_t immediate)
{
	const struct tandem_notice notice = {
	        .type = TANDEM_SESSION_NOTIFIED, .channel = channel, .immediate = immediate};
	if (queue->notice_count - queue->channel_event_count == TANDEM_NOTICES_MAX)
		return false;
	add(queue, &notice);
	return true;
}

static void add_channel_event(struct tandem_event_queue *queue, unsigned channel,
                              enum tandem_session_event_type type)
{
	const struct tandem_notice notice = {.type = type, .channel = channel};
	TANDEM_ASSERT(channel < TANDEM_CHANNELS_MAX);
	TANDEM_ASSERT(queue->channel_event_count < TANDEM_CHANNEL_EVENTS_MAX);
	queue->channel_event_count++;
	add(queue, &notice);
}

void tandem_event_queue_add_channel_up(struct tandem_event_queue *queue, unsigned channel)
{
	if (queue->up_mask >> channel & 1)
		return;
	add_channel_event(queue, channel, TANDEM_SESSION_CHANNEL_UP);
	queue->up_mask |= UINT32_C(1) << channel;
}

void tandem_event_queue_add_channel_lost(struct tandem_event_queue *queue, unsigned channel,
                                         const struct tandem_error *cause)
{
	add_channel_event(queue, channel, TANDEM_SESSION_CHANNEL_LOST);
	queue->lost_mask |= UINT32_C(1) << channel;
	queue->causes[channel] = *cause;
}

bool tandem_event_queue_has_channel_lost(const struct tandem_event_queue *queue, unsigned channel)
{
	return queue->lost_mask >> channel & 1;
}

bool tandem_event_queue_add_message(struct tandem_event_queue *queue, const void *message,
                                    size_t message_bytes)
{
	if (queue->message_count == TANDEM_MESSAGES_MAX || message_bytes > TANDEM_MESSAGE_BYTES_MAX)
		return false;
	unsigned slot = (queue->message_first + queue->message_count) % TANDEM_MESSAGES_MAX;
	memcpy(queue->messages[slot], message, message_bytes);
	queue->message_bytes[slot] = (uint16_t)message_bytes;
	queue->message_count++;
	return true;
}

static void take_notice(struct tandem_event_queue *queue, struct tandem_session_event *ret_event)
{
	const struct tandem_notice *notice = &queue->notices[queue->notice_first];
	ret_event->type = notice->type;
	ret_event->channel = notice->channel;
	ret_event->immediate = notice->immediate;
	if (notice->type == TANDEM_SESSION_CHANNEL_LOST) {
		ret_event->error = queue->causes[notice->channel];
		queue->lost_mask &= ~(UINT32_C(1) << notice->channel);
	}
	if (notice->type == TANDEM_SESSION_CHANNEL_UP)
		queue->up_mask &= ~(UINT32_C(1) << notice->channel);
	queue->channel_event_count -= notice->type != TANDEM_SESSION_NOTIFIED;
	queue->notice_first = (queue->notice_first + 1) % TANDEM_NOTICE_PLACES;
	queue->notice_count--;
}

static void take_message(struct tandem_event_queue *queue, struct tandem_session_event *ret_event)
{
	unsigned slot = queue->message_first;
	ret_event->type = TANDEM_SESSION_MESSAGE;
	ret_event->message_bytes = queue->message_bytes[slot];
	memcpy(ret_event->message, queue->messages[slot], ret_event->message_bytes);
	queue->message_first = (slot + 1) % TANDEM_MESSAGES_MAX;
	queue->message_count--;
}

bool tandem_event_queue_take(struct tandem_event_queue *queue,
                             struct tandem_session_event *ret_event)
{
	if (queue->notice_count > 0)
		take_notice(queue, ret_event);
	else if (queue->message_count > 0)
		take_message(queue, ret_event);
	else
		return false;
	return true;
}

bool tandem_event_queue_is_empty(const struct tandem_event_queue *queue)
{
	return queue->notice_count == 0 && queue->message_count == 0;
}
