#ifndef TANDEM_TESTS_CONTRACT_PAIR_H
#define TANDEM_TESTS_CONTRACT_PAIR_H

#include "contract.h"

/* Two joined sessions in one thread, with what happened to each. */
#define PAIR_MEMORY_BYTES ((size_t)1 << 20)
#define PAIR_NOTICES_MAX  8192
#define PAIR_MESSAGES_MAX 512
/* Far above what anything takes; a story that waits so long has failed. */
#define PAIR_WAIT_NS (UINT64_C(20) * 1000000000)

struct pair_notice {
	unsigned channel;
	uint32_t immediate;
};

struct pair_side {
	struct tandem_session *session;
	bool is_silent; /* nobody here serves it */
	bool is_deaf;   /* it is served, but its events are not taken */
	void (*on_event)(void *context, const struct tandem_session_event *event); /* or NULL */
	void *context;
	bool is_up;
	uint32_t up_mask;
	bool has_early_notice; /* of a channel whose joining was not told */
	unsigned channel_notice_counts[TANDEM_CHANNELS_MAX];
	uint32_t newest_immediates[TANDEM_CHANNELS_MAX];
	unsigned channel_up_counts[TANDEM_CHANNELS_MAX];
	unsigned channel_lost_counts[TANDEM_CHANNELS_MAX];
	unsigned channel_lost_seen[TANDEM_CHANNELS_MAX]; /* of them by the story */
	struct tandem_error channel_lost;                /* the newest one's cause */
	unsigned lost_count;
	struct tandem_error lost;
	unsigned notice_count;
	struct pair_notice notices[PAIR_NOTICES_MAX];
	unsigned reading_count;       /* of the peer's word, ended */
	unsigned empty_reading_count; /* of them without a word */
	uint64_t beat;                /* the newest word that came */
	unsigned message_count;
	size_t message_bytes[PAIR_MESSAGES_MAX];
	uint32_t message_crc[PAIR_MESSAGES_MAX];
};

struct pair {
	struct tandem_contract_bed *bed;
	struct tandem_transport_options options;
	struct tandem_listener *listener; /* accept is called while it is there */
	struct tandem_error refusal;      /* the newest thing that accept has dropped */
	struct pair_side listening;
	struct pair_side connecting;
	uint8_t *memory; /* exposed as 0 when a story asks for it */
	uint8_t *source; /* registered then too */
	unsigned carried_count;
};

typedef bool (*pair_test)(const struct pair *pair, uint64_t argument);

struct tandem_transport_options pair_options(const struct tandem_contract_bed *bed);

/* A listener, and a connecting session that has not joined. Clean up in any case. */
int pair_begin(struct pair *pair, struct tandem_contract_bed *bed,
               const struct tandem_transport_options *options);
int pair_join(struct pair *pair);
/* Exposes and registers PAIR_MEMORY_BYTES, and waits until the other side knows. */
int pair_map(struct pair *pair);
void pair_end(struct pair *pair);

/* Serves both sides whenever their descriptor is readable or their deadline has come, until `test`
 * holds. 0, or -1 when it never does. */
int pair_wait(struct pair *pair, pair_test test, uint64_t argument);
/* Serves once what asks for it, without waiting. */
void pair_turn(struct pair *pair);
/* Takes the events that are there, without progress. */
void pair_take(struct pair *pair);

bool pair_is_lost(const struct pair *pair, uint64_t argument); /* both sides */
bool pair_is_connecting_lost(const struct pair *pair, uint64_t argument);
bool pair_is_listening_lost(const struct pair *pair, uint64_t argument);
bool pair_has_notices(const struct pair *pair, uint64_t argument); /* at least so many */
bool pair_is_complete(const struct pair *pair, uint64_t argument); /* nothing in flight */

/* Runs `story` on a joined pair, with memory where `is_mapped`, and cleans up. */
int pair_run(struct tandem_contract_bed *bed, const struct tandem_transport_options *options,
             bool is_mapped, int (*story)(struct pair *pair));

/* Posts, and serves both sides as long as the queue is full. */
int pair_write(struct pair *pair, unsigned channel, const struct tandem_write *write);
int pair_notify(struct pair *pair, unsigned channel, const struct tandem_write *write,
                uint32_t immediate);

#endif
