#include "core/event_queue.h"

#include <string.h>

bool tandem_event_queue_add_notice(struct tandem_event_queue *queue, unsigned channel,
                                   uint32_t immediate)
{
	if (queue->notice_count == TANDEM_NOTICES_MAX)
		return false;
	unsigned slot = (queue->notice_first + queue->notice_count) % TANDEM_NOTICES_MAX;
	queue->notices[slot] = (struct tandem_notice){.channel = channel, .immediate = immediate};
	queue->notice_count++;
	return true;
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
	ret_event->type = TANDEM_SESSION_NOTIFIED;
	ret_event->channel = notice->channel;
	ret_event->immediate = notice->immediate;
	queue->notice_first = (queue->notice_first + 1) % TANDEM_NOTICES_MAX;
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
