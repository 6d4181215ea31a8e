#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tandem/assert.h>

#include "core/probe_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What decodes has texts that end, and encodes to the same bytes but for what lies behind an end.
 */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tandem_probe_message message, again;
	uint8_t encoded[TANDEM_PROBE_BYTES];
	if (tandem_probe_decode(bytes, length, &message) != 0)
		return 0;
	TANDEM_ASSERT(memchr(message.pair, 0, sizeof(message.pair)));
	TANDEM_ASSERT(memchr(message.text, 0, sizeof(message.text)));
	tandem_probe_encode(&message, encoded);
	TANDEM_ASSERT(tandem_probe_decode(encoded, sizeof(encoded), &again) == 0);
	TANDEM_ASSERT(again.type == message.type && again.number == message.number);
	TANDEM_ASSERT(strcmp(again.pair, message.pair) == 0);
	TANDEM_ASSERT(strcmp(again.text, message.text) == 0);
	return 0;
}
