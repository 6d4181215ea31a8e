#include <tandem/control.h>

#include <tandem/assert.h>
#include <tandem/bytes.h>
#include <tandem/error.h>
#include <string.h>

#define CONTROL_MAGIC UINT32_C(0x6c637474) /* "ttcl" */

/* The value of a kind or type field that the message has no use for. */
#define NONE 0u

const char *tandem_control_type_name(enum tandem_control_type type)
{
	switch (type) {
	case TANDEM_CONTROL_ATTACH:
		return "ATTACH";
	case TANDEM_CONTROL_READY:
		return "READY";
	case TANDEM_CONTROL_REPORT:
		return "REPORT";
	case TANDEM_CONTROL_SESSION_UP:
		return "SESSION_UP";
	case TANDEM_CONTROL_SESSION_LOST:
		return "SESSION_LOST";
	case TANDEM_CONTROL_COPIED:
		return "COPIED";
	case TANDEM_CONTROL_FENCED:
		return "FENCED";
	case TANDEM_CONTROL_FAILED:
		return "FAILED";
	case TANDEM_CONTROL_QUIESCED:
		return "QUIESCED";
	case TANDEM_CONTROL_WELCOME:
		return "WELCOME";
	case TANDEM_CONTROL_LEAD:
		return "LEAD";
	case TANDEM_CONTROL_HALT:
		return "HALT";
	case TANDEM_CONTROL_STAND_BY:
		return "STAND_BY";
	case TANDEM_CONTROL_FENCE:
		return "FENCE";
	case TANDEM_CONTROL_ACTIVATE:
		return "ACTIVATE";
	case TANDEM_CONTROL_YANK:
		return "YANK";
	case TANDEM_CONTROL_QUIESCE:
		return "QUIESCE";
	case TANDEM_CONTROL_LEAVE:
		return "LEAVE";
	case TANDEM_CONTROL_RELEASE:
		return "RELEASE";
	case TANDEM_CONTROL_PROTECT:
		return "PROTECT";
	}
	return "unknown";
}

static bool is_type(unsigned value)
{
	return (value >= TANDEM_CONTROL_ATTACH && value <= TANDEM_CONTROL_QUIESCED) ||
	       (value >= TANDEM_CONTROL_WELCOME && value <= TANDEM_CONTROL_PROTECT);
}

static void write_settings(struct tandem_writer *writer,
                           const struct tandem_control_settings *settings)
{
	tandem_write_text(writer, settings->node, sizeof(settings->node));
	tandem_write_text(writer, settings->provider, sizeof(settings->provider));
	tandem_write_text(writer, settings->tracker, sizeof(settings->tracker));
	for (unsigned i = 0; i < TANDEM_CONTROL_RAILS_MAX; i++) {
		const struct tandem_control_rail *rail = &settings->rails[i];
		tandem_write_text(writer, rail->local_address, sizeof(rail->local_address));
		tandem_write_text(writer, rail->peer_address, sizeof(rail->peer_address));
	}
	tandem_write_u16(writer, settings->rail_count);
	tandem_write_u16(writer, settings->peer_port);
	tandem_write_u16(writer, settings->channel_count);
	tandem_write_u16(writer, settings->write_depth);
	tandem_write_u32(writer, settings->merge_bytes_max);
	tandem_write_bytes(writer, settings->key.bytes, sizeof(settings->key.bytes));
	tandem_write_u8(writer, settings->has_key);
	tandem_write_u32(writer, settings->state_bytes_max);
	tandem_write_u64(writer, settings->connect_timeout_ns);
	tandem_write_u64(writer, settings->commit_timeout_ns);
	tandem_write_u64(writer, settings->ping_interval_ns);
	tandem_write_u64(writer, settings->report_interval_ns);
	tandem_write_u64(writer, settings->reconnect_interval_ns);
	tandem_write_u64(writer, settings->reconnect_interval_max_ns);
	tandem_write_u64(writer, settings->poll_ns);
	tandem_write_u32(writer, settings->verify_every);
	tandem_write_u64(writer, settings->lease_ns);
	tandem_write_u64(writer, settings->staging_bytes);
	tandem_write_u64(writer, settings->push_interval_ns);
	tandem_write_u64(writer, settings->push_rate_max);
	tandem_write_u64(writer, settings->pause_budget_ns);
	tandem_write_u64(writer, settings->overload_wait_ns);
	tandem_write_u8(writer, settings->slows_program);
	tandem_write_u8(writer, settings->is_capture_auto);
}

void tandem_control_encode(const struct tandem_control_message *message, uint8_t *ret_bytes)
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TANDEM_CONTROL_BYTES);
	tandem_write_u32(&writer, CONTROL_MAGIC);
	tandem_write_u16(&writer, TANDEM_CONTROL_VERSION);
	tandem_write_u8(&writer, (uint8_t)message->type);
	tandem_write_u8(&writer, (uint8_t)message->kind);
	tandem_write_u8(&writer, (uint8_t)message->answers);
	tandem_write_u8(&writer, message->is_pair);
	tandem_write_u8(&writer, message->has_session);
	tandem_write_u8(&writer, message->has_copy);
	tandem_write_u8(&writer, message->holds_output);
	tandem_write_u8(&writer, message->has_lease);
	tandem_write_u8(&writer, message->keeps_old);
	tandem_write_u32(&writer, (uint32_t)message->status);
	tandem_write_u32(&writer, message->process_id);
	tandem_write_u64(&writer, message->incarnation);
	tandem_write_u64(&writer, message->peer_incarnation);
	tandem_write_u64(&writer, message->generation);
	tandem_write_u64(&writer, message->epoch);
	tandem_write_u64(&writer, message->heard_age_ns);
	tandem_write_u64(&writer, message->lease_left_ns);
	tandem_write_text(&writer, message->pair, sizeof(message->pair));
	tandem_write_text(&writer, message->text, sizeof(message->text));
	write_settings(&writer, &message->settings);
	tandem_write_u64(&writer, message->drain_ns);
	tandem_write_u64(&writer, message->behind_age_ns);
	tandem_write_u8(&writer, (uint8_t)message->peer_beat);
	tandem_write_u64(&writer, message->beat_age_ns);
	tandem_write_u8(&writer, message->leaves);
	TANDEM_ASSERT(!writer.failed);
	memset(ret_bytes + writer.length, 0, TANDEM_CONTROL_BYTES - writer.length);
}

static bool read_bool(struct tandem_reader *reader)
{
	uint8_t value = tandem_read_u8(reader);
	if (value > 1)
		reader->failed = true;
	return value == 1;
}

static void read_settings(struct tandem_reader *reader, struct tandem_control_settings *settings)
{
	tandem_read_text(reader, settings->node, sizeof(settings->node));
	tandem_read_text(reader, settings->provider, sizeof(settings->provider));
	tandem_read_text(reader, settings->tracker, sizeof(settings->tracker));
	for (unsigned i = 0; i < TANDEM_CONTROL_RAILS_MAX; i++) {
		struct tandem_control_rail *rail = &settings->rails[i];
		tandem_read_text(reader, rail->local_address, sizeof(rail->local_address));
		tandem_read_text(reader, rail->peer_address, sizeof(rail->peer_address));
	}
	settings->rail_count = tandem_read_u16(reader);
	settings->peer_port = tandem_read_u16(reader);
	settings->channel_count = tandem_read_u16(reader);
	settings->write_depth = tandem_read_u16(reader);
	settings->merge_bytes_max = tandem_read_u32(reader);
	tandem_read_bytes(reader, settings->key.bytes, sizeof(settings->key.bytes));
	settings->has_key = read_bool(reader);
	if (settings->rail_count > TANDEM_CONTROL_RAILS_MAX)
		reader->failed = true;
	settings->state_bytes_max = tandem_read_u32(reader);
	settings->connect_timeout_ns = tandem_read_u64(reader);
	settings->commit_timeout_ns = tandem_read_u64(reader);
	settings->ping_interval_ns = tandem_read_u64(reader);
	settings->report_interval_ns = tandem_read_u64(reader);
	settings->reconnect_interval_ns = tandem_read_u64(reader);
	settings->reconnect_interval_max_ns = tandem_read_u64(reader);
	settings->poll_ns = tandem_read_u64(reader);
	settings->verify_every = tandem_read_u32(reader);
	settings->lease_ns = tandem_read_u64(reader);
	settings->staging_bytes = tandem_read_u64(reader);
	settings->push_interval_ns = tandem_read_u64(reader);
	settings->push_rate_max = tandem_read_u64(reader);
	settings->pause_budget_ns = tandem_read_u64(reader);
	settings->overload_wait_ns = tandem_read_u64(reader);
	settings->slows_program = read_bool(reader);
	settings->is_capture_auto = read_bool(reader);
}

static void read_enums(struct tandem_reader *reader, struct tandem_control_message *message)
{
	unsigned type = tandem_read_u8(reader);
	unsigned kind = tandem_read_u8(reader);
	unsigned answers = tandem_read_u8(reader);
	bool is_kind = kind == TANDEM_CONTROL_KIND_PROGRAM || kind == TANDEM_CONTROL_KIND_STANDBY;
	if (!is_type(type) || (!is_kind && (kind != NONE || type == TANDEM_CONTROL_ATTACH)) ||
	    (!is_type(answers) && (answers != NONE || type == TANDEM_CONTROL_FAILED)))
		reader->failed = true;
	message->type = (enum tandem_control_type)type;
	message->kind = (enum tandem_control_kind)kind;
	message->answers = (enum tandem_control_type)answers;
}

/* [L13] What is unknown has no age. */
static void read_beat(struct tandem_reader *reader, struct tandem_control_message *message)
{
	unsigned beat = tandem_read_u8(reader);
	message->beat_age_ns = tandem_read_u64(reader);
	if (beat >= TANDEM_PEER_BEAT_COUNT ||
	    (beat == TANDEM_PEER_BEAT_UNKNOWN && message->beat_age_ns != 0) ||
	    (beat != TANDEM_PEER_BEAT_UNKNOWN && message->type != TANDEM_CONTROL_REPORT))
		reader->failed = true;
	message->peer_beat = (enum tandem_peer_beat)beat;
}

static void read_body(struct tandem_reader *reader, struct tandem_control_message *message)
{
	read_enums(reader, message);
	message->is_pair = read_bool(reader);
	message->has_session = read_bool(reader);
	message->has_copy = read_bool(reader);
	message->holds_output = read_bool(reader);
	message->has_lease = read_bool(reader);
	message->keeps_old = read_bool(reader);
	message->status = (int32_t)tandem_read_u32(reader);
	message->process_id = tandem_read_u32(reader);
	message->incarnation = tandem_read_u64(reader);
	message->peer_incarnation = tandem_read_u64(reader);
	message->generation = tandem_read_u64(reader);
	message->epoch = tandem_read_u64(reader);
	message->heard_age_ns = tandem_read_u64(reader);
	message->lease_left_ns = tandem_read_u64(reader);
	tandem_read_text(reader, message->pair, sizeof(message->pair));
	tandem_read_text(reader, message->text, sizeof(message->text));
	read_settings(reader, &message->settings);
	message->drain_ns = tandem_read_u64(reader);
	message->behind_age_ns = tandem_read_u64(reader);
	read_beat(reader, message);
	message->leaves = read_bool(reader);
	if (message->status > 0 || message->status <= -TANDEM_ERROR_NUMBER_END)
		reader->failed = true;
}

int tandem_control_decode(const uint8_t *bytes, size_t length,
                          struct tandem_control_message *ret_message)
{
	struct tandem_control_message message = {0};
	struct tandem_reader reader = tandem_reader_over(bytes, length);
	if (length != TANDEM_CONTROL_BYTES || tandem_read_u32(&reader) != CONTROL_MAGIC)
		return TANDEM_E_PROTOCOL;
	if (tandem_read_u16(&reader) != TANDEM_CONTROL_VERSION)
		return TANDEM_E_VERSION;
	read_body(&reader, &message);
	while (tandem_reader_left(&reader) > 0) {
		if (tandem_read_u8(&reader) != 0)
			return TANDEM_E_PROTOCOL;
	}
	if (!tandem_reader_done(&reader))
		return TANDEM_E_PROTOCOL;
	*ret_message = message;
	return 0;
}
