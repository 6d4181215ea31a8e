#ifndef TANDEM_TRANSPORT_EVENT_QUEUE_H
#define TANDEM_TRANSPORT_EVENT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/transport.h>

/* What arrived and was not taken yet, bounded. Notices and messages have a ring each, because a
 * full message ring must not hold back the notices that a fence drains. What becomes of a data
 * channel stands among its notices, in order [T14], [T15]: the ring keeps places for two such
 * events of each channel beside the notices. Pure. */
#define TANDEM_NOTICES_MAX        4096
#define TANDEM_CHANNEL_EVENTS_MAX (2 * TANDEM_CHANNELS_MAX)
#define TANDEM_NOTICE_PLACES      (TANDEM_NOTICES_MAX + TANDEM_CHANNEL_EVENTS_MAX)
#define TANDEM_MESSAGES_MAX       64

struct tandem_notice {
	enum tandem_session_event_type type; /* NOTIFIED, CHANNEL_UP, CHANNEL_LOST */
	unsigned channel;
	uint32_t immediate;
};

struct tandem_event_queue {
	unsigned notice_first;
	unsigned notice_count;        /* channel events included */
	unsigned channel_event_count; /* of them */
	uint32_t up_mask;             /* channels whose CHANNEL_UP has not been taken */
	uint32_t lost_mask;           /* likewise CHANNEL_LOST */
	unsigned message_first;
	unsigned message_count;
	struct tandem_error causes[TANDEM_CHANNELS_MAX]; /* of those */
	struct tandem_notice notices[TANDEM_NOTICE_PLACES];
	uint16_t message_bytes[TANDEM_MESSAGES_MAX];
	uint8_t messages[TANDEM_MESSAGES_MAX][TANDEM_MESSAGE_BYTES_MAX];
};

/* false when the ring is full. */
bool tandem_event_queue_add_notice(struct tandem_event_queue *queue, unsigned channel,
                                   uint32_t immediate);
bool tandem_event_queue_add_message(struct tandem_event_queue *queue, const void *message,
                                    size_t message_bytes);

/* A channel that joins again only when its loss has been taken has room for both events. One that
 * was fenced and is up again before its owner has heard that it was up is not told twice. */
void tandem_event_queue_add_channel_up(struct tandem_event_queue *queue, unsigned channel);
void tandem_event_queue_add_channel_lost(struct tandem_event_queue *queue, unsigned channel,
                                         const struct tandem_error *cause);
bool tandem_event_queue_has_channel_lost(const struct tandem_event_queue *queue, unsigned channel);

/* The next notice or channel event, else the next message; false and *ret_event untouched when
 * there is neither. */
bool tandem_event_queue_take(struct tandem_event_queue *queue,
                             struct tandem_session_event *ret_event);
bool tandem_event_queue_is_empty(const struct tandem_event_queue *queue);

#endif
