#include <stdlib.h>
#include <string.h>

#include <tandem/crc32c.h>

#include "core/wire.h"
#include "fuzz.h"

/* The first byte chooses: bit 0, the checksum is made right, so that the fields behind it are
 * reached. What is accepted must say the same when it is said again. */

static const uint8_t digests[3 * TANDEM_DIGEST_BYTES] = {7, 8, 9};

static bool same_digests(const struct tandem_wire_message *one,
                         const struct tandem_wire_message *other)
{
	size_t digest_bytes = (size_t)one->page_count * TANDEM_DIGEST_BYTES;

	if (one->first_page != other->first_page || one->page_count != other->page_count)
		return false;
	return one->type != TANDEM_WIRE_DIGESTS ||
	       memcmp(one->digests, other->digests, digest_bytes) == 0;
}

size_t fuzz_example(unsigned number, uint8_t *bytes, size_t capacity)
{
	uint8_t encoded[TANDEM_WIRE_BYTES_MAX];
	struct tandem_wire_message message;
	size_t length;

	memset(&message, 0, sizeof message);
	message.type = (enum tandem_wire_type)(TANDEM_WIRE_HELLO + number % 11);
	message.generation = number;
	message.channel_count = 4;
	message.stripe_pages = 1 + number % 300;
	message.channel_mask = number;
	message.first_page = number;
	message.page_count = 1 + number % 3;
	message.digests = digests;
	memcpy(message.pair, "pair", 5);
	memcpy(message.needs, "a QEMU", 7);
	message.regions.count = 1 + number % TANDEM_REGIONS_MAX;
	for (unsigned region = 0; region < message.regions.count; region++) {
		message.regions.entries[region].name[0] = (char)('a' + region % 26);
		message.regions.entries[region].page_count = number;
	}
	length = tandem_wire_encode(&message, encoded);
	if (length + 1 > capacity)
		return 0;
	bytes[0] = (uint8_t)(number % 2);
	memcpy(bytes + 1, encoded, length);
	return length + 1;
}

static void say_again(const struct tandem_wire_message *message)
{
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
	struct tandem_wire_message again;
	size_t length = tandem_wire_encode(message, bytes);

	if (tandem_wire_decode(bytes, length, &again) != 0 || again.type != message->type ||
	    again.epoch != message->epoch || again.number != message->number ||
	    again.channel_mask != message->channel_mask || !same_digests(&again, message) ||
	    !tandem_region_table_equal(&again.regions, &message->regions))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
	struct tandem_wire_message message;
	struct tandem_layout layout;
	uint32_t crc;

	if (size < 1 || size - 1 > sizeof bytes)
		return 0;
	memcpy(bytes, data + 1, size - 1);
	if ((data[0] & 1) != 0 && size >= 5) {
		crc = tandem_crc32c(0, bytes, size - 5);
		for (unsigned byte = 0; byte < 4; byte++)
			bytes[size - 5 + byte] = (uint8_t)(crc >> 8 * byte);
	}
	if (tandem_wire_decode(bytes, size - 1, &message) != 0)
		return 0;
	say_again(&message);
	if (message.type == TANDEM_WIRE_HELLO &&
	    tandem_layout_init(&layout, &message.regions, message.channel_count,
	                       message.stripe_pages, message.state_bytes_max) &&
	    tandem_layout_region(&layout, layout.page_count - 1) >= message.regions.count)
		abort();
	return 0;
}
