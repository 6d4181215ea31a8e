#include <stddef.h>
#include <stdint.h>

#include <tandem/assert.h>
#include <tandem/bytes.h>

#include "core/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What has to hold whatever comes in whatever order. */
struct judge {
	uint64_t captured_epoch; /* the last one that was told to be captured, or kept */
	uint64_t kept_epoch;     /* the last one that was told to be kept */
	uint64_t handed_epoch;   /* the last one that was handed over */
	uint64_t told_bytes;     /* of the epoch's device state */
	uint64_t came_bytes;
	bool has_ended;
};

static void judge_action(struct judge *judge, const struct tandem_qemu_action *action)
{
	uint8_t answer[TANDEM_QEMU_ANSWER_BYTES_MAX];

	TANDEM_ASSERT(!judge->has_ended);
	TANDEM_ASSERT(tandem_qemu_answer_write(action, answer) <= sizeof(answer));
	if (action->type == TANDEM_QEMU_ANSWER_READY || action->type == TANDEM_QEMU_ANSWER_LOADED)
		TANDEM_ASSERT(judge->captured_epoch == judge->handed_epoch);
	else if (action->type == TANDEM_QEMU_ANSWER_REPLY)
		TANDEM_ASSERT(judge->kept_epoch == judge->handed_epoch);
	else if (action->type == TANDEM_QEMU_ANSWER_RECEIVED)
		TANDEM_ASSERT(judge->told_bytes == judge->came_bytes);
	else if (action->type == TANDEM_QEMU_KEEP || action->type == TANDEM_QEMU_DROP)
		TANDEM_ASSERT(action->value == judge->handed_epoch + 1);
	if (action->type == TANDEM_QEMU_KEEP)
		judge->handed_epoch = action->value;
	judge->has_ended = action->type == TANDEM_QEMU_RELEASE;
}

static void note(struct judge *judge, const struct tandem_qemu_event *event)
{
	if (event->type == TANDEM_QEMU_EVENT_KEPT)
		judge->kept_epoch = event->value;
	if (event->type == TANDEM_QEMU_EVENT_KEPT || event->type == TANDEM_QEMU_EVENT_CAPTURED)
		judge->captured_epoch = event->value;
	if (event->type != TANDEM_QEMU_EVENT_ITEM)
		return;
	if (event->item->type == TANDEM_QEMU_SIZE) {
		judge->told_bytes = event->item->value;
		judge->came_bytes = 0;
	} else if (event->item->type == TANDEM_QEMU_DEVICES ||
	           event->item->type == TANDEM_QEMU_DEVICES_END) {
		judge->came_bytes += event->item->byte_count;
	}
}

static void check(const struct tandem_qemu_peer *peer, const struct judge *judge)
{
	const bool is_running =
	        peer->stage == TANDEM_QEMU_PEER_OPENING || peer->stage == TANDEM_QEMU_PEER_IDLE ||
	        peer->stage == TANDEM_QEMU_PEER_KEPT || peer->stage == TANDEM_QEMU_PEER_ENDED;

	TANDEM_ASSERT(is_running == (peer->deadline_ns == 0));
	TANDEM_ASSERT(judge->has_ended == (peer->stage == TANDEM_QEMU_PEER_ENDED));
	TANDEM_ASSERT(judge->has_ended == (peer->end.cause != TANDEM_QEMU_CAUSE_NONE));
}

/* The input is a list of events: kind, item, value, time that passes. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	struct tandem_qemu_peer peer;
	struct judge judge = {0};
	uint64_t now_ns = 1;
	const struct tandem_qemu_peer_options options = {
	        .has_return_path = (tandem_read_u8(&reader) & 1) != 0,
	        .state_bytes_max = 200,
	        .pause_timeout_ns = 100,
	};

	tandem_qemu_peer_init(&peer, &options);
	while (tandem_reader_left(&reader) >= 4) {
		struct tandem_qemu_step step;
		struct tandem_qemu_item item = {0};
		struct tandem_qemu_event event = {.item = &item};

		event.type = (enum tandem_qemu_event_type)(tandem_read_u8(&reader) %
		                                           (TANDEM_QEMU_EVENT_EXITED + 1));
		item.type = (enum tandem_qemu_item_type)(tandem_read_u8(&reader) %
		                                         TANDEM_QEMU_ITEM_TYPE_COUNT);
		event.value = tandem_read_u8(&reader);
		item.value = event.value;
		item.byte_count = (size_t)event.value;
		now_ns += tandem_read_u8(&reader);
		event.now_ns = now_ns;
		note(&judge, &event);
		tandem_qemu_peer_step(&peer, &event, &step);
		TANDEM_ASSERT(step.action_count <= TANDEM_QEMU_PEER_ACTIONS_MAX);
		for (unsigned i = 0; i < step.action_count; i++)
			judge_action(&judge, &step.actions[i]);
		check(&peer, &judge);
	}
	return 0;
}
