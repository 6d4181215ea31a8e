#include "seeds.h"

#include <stdlib.h>
#include <string.h>
#include <tandem/bytes.h>

#include "core/heartbeat.h"
#include "core/siphash.h"

static const uint8_t key[TANDEM_CONTROLLER_KEY_BYTES] = "a key of sixteen";

/* What decodes encodes to the same meaning. The tag is made right, so that the fields behind it
 * are reached. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tandem_heartbeat heartbeat, back;
	struct tandem_heartbeat_filter filter = {.local_instance = 5, .instance = 1};
	uint8_t copy[TANDEM_HEARTBEAT_BYTES] = {0};
	char pair[TANDEM_NAME_BYTES];
	tandem_heartbeat_peek(bytes, length, pair);
	if (tandem_heartbeat_decode(bytes, length, key, &heartbeat) == 0)
		tandem_heartbeat_filter_judge(&filter, &heartbeat);
	memcpy(copy, bytes, length < sizeof(copy) ? length : sizeof(copy));
	struct tandem_writer tag = tandem_writer_over(copy + sizeof(copy) - 8, 8);
	tandem_write_u64(&tag, tandem_siphash(key, copy, sizeof(copy) - 8));
	if (tandem_heartbeat_decode(copy, sizeof(copy), key, &heartbeat) != 0)
		return 0;
	tandem_heartbeat_filter_judge(&filter, &heartbeat);
	tandem_heartbeat_encode(&heartbeat, key, copy);
	if (tandem_heartbeat_decode(copy, sizeof(copy), key, &back) != 0 ||
	    back.sequence != heartbeat.sequence ||
	    back.statement.record.generation != heartbeat.statement.record.generation ||
	    memcmp(&back.statement.agreement, &heartbeat.statement.agreement,
	           sizeof(back.statement.agreement)) != 0)
		abort();
	/* Whatever they are, they are compared and named. */
	struct tandem_agreement known = {.values = {1}};
	enum tandem_agreement_item item =
	        tandem_agreement_difference(&known, &heartbeat.statement.agreement);
	if (!tandem_agreement_key(item) ||
	    !tandem_agreement_arbiter(
	            heartbeat.statement.agreement.values[item % TANDEM_AGREEMENT_COUNT]))
		abort();
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *ret_bytes)
{
	struct tandem_heartbeat heartbeat = {
	        .pair = "kv",
	        .node = "a",
	        .instance = 1,
	        .echo_instance = 5,
	        .sequence = 2,
	        .link = 1,
	        .statement = {.agreement = {.values = {1, 2, 3, 4, 5, 6, 0, 1}}}};
	if (index > 1)
		return 0;
	if (index == 1)
		heartbeat.statement.record = (struct tandem_record){.generation = 1,
		                                                    .owner_incarnation = 1,
		                                                    .decision = 1,
		                                                    .pair = "kv",
		                                                    .owner = "a"};
	tandem_heartbeat_encode(&heartbeat, key, ret_bytes);
	return TANDEM_HEARTBEAT_BYTES;
}
