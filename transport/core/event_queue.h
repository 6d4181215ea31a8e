#ifndef TANDEM_TRANSPORT_EVENT_QUEUE_H
#define TANDEM_TRANSPORT_EVENT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/transport.h>

/* What arrived and was not taken yet, bounded. Notices and messages have a ring each, because a
 * full message ring must not hold back the notices that a fence drains. Pure. */
#define TANDEM_NOTICES_MAX  4096
#define TANDEM_MESSAGES_MAX 64

struct tandem_notice {
	unsigned channel;
	uint32_t immediate;
};

struct tandem_event_queue {
	unsigned notice_first;
	unsigned notice_count;
	unsigned message_first;
	unsigned message_count;
	struct tandem_notice notices[TANDEM_NOTICES_MAX];
	uint16_t message_bytes[TANDEM_MESSAGES_MAX];
	uint8_t messages[TANDEM_MESSAGES_MAX][TANDEM_MESSAGE_BYTES_MAX];
};

/* false when the ring is full. */
bool tandem_event_queue_add_notice(struct tandem_event_queue *queue, unsigned channel,
                                   uint32_t immediate);
bool tandem_event_queue_add_message(struct tandem_event_queue *queue, const void *message,
                                    size_t message_bytes);

/* The next notice, else the next message; false and *ret_event untouched when there is neither. */
bool tandem_event_queue_take(struct tandem_event_queue *queue,
                             struct tandem_session_event *ret_event);
bool tandem_event_queue_is_empty(const struct tandem_event_queue *queue);

#endif
