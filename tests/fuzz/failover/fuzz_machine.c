#include "seeds.h"

#include <stdlib.h>
#include <string.h>
#include <tandem/bytes.h>

#include "core/machine.h"

/* Bytes become events in any order, from known and unknown connections, with answers to questions
 * that were and were not asked: the machine never asserts, and what it sends encodes. */
#define CONNECTIONS 4

static struct tandem_machine machine;
static struct tandem_actions actions;

static void fill_message(struct tandem_reader *reader, struct tandem_event *event)
{
	struct tandem_control_message *message = &event->message;
	unsigned bits = tandem_read_u8(reader);
	event->connection = bits % CONNECTIONS;
	message->kind = bits & 0x10 ? TANDEM_CONTROL_KIND_PROGRAM : TANDEM_CONTROL_KIND_STANDBY;
	message->has_session = bits & 0x20;
	message->has_copy = bits & 0x40;
	message->answers = bits & 0x80 ? TANDEM_CONTROL_FENCE : TANDEM_CONTROL_YANK;
	message->incarnation = tandem_read_u8(reader) % 4;
	message->process_id = (uint32_t)message->incarnation + 10;
	message->peer_incarnation = tandem_read_u8(reader) % 4;
	message->generation = machine.view.record.generation + tandem_read_u8(reader) % 2;
	message->heard_age_ns = (uint64_t)tandem_read_u8(reader) << 24;
}

static void fill_record(struct tandem_reader *reader, struct tandem_record *record)
{
	unsigned bits = tandem_read_u8(reader);
	*record = (struct tandem_record){.generation = machine.view.record.generation + bits % 3,
	                                 .owner_incarnation = 1 + bits / 4 % 4,
	                                 .decision = 1 + bits / 16,
	                                 .is_pair = bits & 0x80,
	                                 .pair = "kv",
	                                 .owner = {bits & 0x40 ? 'a' : 'b', 0}};
	record->copy_incarnation = record->is_pair ? 1 + tandem_read_u8(reader) % 4 : 0;
}

static void fill_event(struct tandem_reader *reader, struct tandem_event *event)
{
	event->type = tandem_read_u8(reader) % TANDEM_EVENT_COUNT;
	event->now_ns = machine.detector.tick_ns + ((uint64_t)tandem_read_u8(reader) << 20);
	event->request =
	        tandem_read_u8(reader) % 2 ? machine.view.cas_request : machine.view.read_request;
	event->link = event->type % 2;
	event->has_news = tandem_read_u8(reader) % 2;
	event->generation = machine.view.record.generation;
	event->statement.agreement = machine.agreement;
	event->statement.agreement.values[tandem_read_u8(reader) % TANDEM_AGREEMENT_COUNT] ^=
	        tandem_read_u8(reader) % 4;
	event->statement.program.status = tandem_read_u8(reader) % 3;
	event->statement.program.dead_incarnation = tandem_read_u8(reader) % 4;
	fill_message(reader, event);
	fill_record(reader, &event->record);
	fill_record(reader, &event->statement.record);
}

static void check(void)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	uint8_t record[TANDEM_RECORD_BYTES];
	for (size_t i = 0; i < actions.count; i++) {
		if (actions.list[i].type == TANDEM_ACTION_SEND)
			tandem_control_encode(&actions.list[i].message, bytes);
		if (actions.list[i].type == TANDEM_ACTION_CAS)
			tandem_record_encode(&actions.list[i].desired, record);
	}
	if (!tandem_machine_waiting_for(&machine, machine.detector.tick_ns) ||
	    tandem_machine_deadline_ns(&machine, machine.detector.tick_ns) <=
	            machine.detector.tick_ns)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tandem_machine_config config = {.node = "a", .pair = TANDEM_CONTROLLER_PAIR_DEFAULT};
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	memcpy(config.pair.name, "kv", 3);
	memcpy(config.pair.peer_node, "b", 2);
	memcpy(config.pair.first_owner, "a", 2);
	config.pair.link_count = 2;
	if (tandem_read_u8(&reader) % 4 == 0)
		config.pair.arbiter_type = TANDEM_ARBITER_MANUAL;
	tandem_machine_init(&machine, &config, 1, 1000);
	while (tandem_reader_left(&reader) > 0) {
		struct tandem_event event = {.wall_ns = 1};
		fill_event(&reader, &event);
		tandem_machine_step(&machine, &event, &actions);
		check();
	}
	return 0;
}

/* Noise is as good a seed as any: what matters is how far a run of events gets. */
size_t fuzz_seed(unsigned index, uint8_t *ret_bytes)
{
	uint32_t state = index + 1;
	if (index > 7)
		return 0;
	for (size_t i = 0; i < 600; i++) {
		state = state * 1664525 + 1013904223;
		ret_bytes[i] = (uint8_t)(state >> 24);
	}
	return 600;
}
