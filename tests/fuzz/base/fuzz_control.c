#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tandem/assert.h>
#include <tandem/control.h>
#include <tandem/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What a process on the local socket can say. What is accepted says the same when it is said again,
 * and every text in it ends. */

#define CHECK_TEXT(field) TANDEM_ASSERT(memchr(field, 0, sizeof(field)))

static void check_settings(const struct tandem_control_settings *settings)
{
	TANDEM_ASSERT(settings->rail_count <= TANDEM_CONTROL_RAILS_MAX);
	CHECK_TEXT(settings->node);
	CHECK_TEXT(settings->provider);
	CHECK_TEXT(settings->tracker);
	for (unsigned i = 0; i < TANDEM_CONTROL_RAILS_MAX; i++) {
		CHECK_TEXT(settings->rails[i].local_address);
		CHECK_TEXT(settings->rails[i].peer_address);
	}
}

static void say_again(const struct tandem_control_message *message)
{
	static uint8_t bytes[TANDEM_CONTROL_BYTES], again[TANDEM_CONTROL_BYTES];
	struct tandem_control_message heard;
	tandem_control_encode(message, bytes);
	TANDEM_ASSERT(tandem_control_decode(bytes, sizeof(bytes), &heard) == 0);
	tandem_control_encode(&heard, again);
	TANDEM_ASSERT(memcmp(bytes, again, sizeof(bytes)) == 0);
	TANDEM_ASSERT(heard.type == message->type && heard.status == message->status);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tandem_control_message message;
	if (tandem_control_decode(bytes, length, &message) != 0)
		return 0;
	TANDEM_ASSERT(strcmp(tandem_control_type_name(message.type), "unknown") != 0);
	TANDEM_ASSERT(strcmp(tandem_error_text(message.status), "unknown error") != 0);
	CHECK_TEXT(message.pair);
	CHECK_TEXT(message.text);
	check_settings(&message.settings);
	say_again(&message);
	return 0;
}
