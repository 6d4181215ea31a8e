#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "resp.h"

/* Any bytes, in two cuts: what is understood is the same, and every argument lies in the input or
 * in the scratch area. */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define ARGS_MAX (2 * TANDEM_KV_ARGS_MAX)

static struct tandem_kv_arg list[ARGS_MAX];
static uint8_t scratch[TANDEM_KV_INLINE_MAX];

struct outcome {
	uint64_t digest; /* of all arguments and of the error */
	size_t requests;
};

static void digest_add(struct outcome *outcome, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	outcome->digest = (outcome->digest ^ length) * UINT64_C(1099511628211);
	for (size_t i = 0; i < length; i++)
		outcome->digest = (outcome->digest ^ at[i]) * UINT64_C(1099511628211);
}

static void check(int condition)
{
	if (!condition)
		abort();
}

static void take_request(struct outcome *outcome, const struct tandem_kv_args *args,
                         const uint8_t *bytes, size_t length)
{
	outcome->requests++;
	for (size_t i = 0; i < args->count; i++) {
		const struct tandem_kv_arg *arg = &args->list[i];
		const uint8_t *end = arg->bytes + arg->length;

		check((arg->bytes >= bytes && end <= bytes + length) ||
		      (arg->bytes >= scratch && end <= scratch + sizeof(scratch)));
		digest_add(outcome, arg->bytes, arg->length);
	}
}

static struct outcome read_stream(const uint8_t *bytes, size_t length, size_t piece)
{
	struct outcome outcome = {0};
	struct tandem_kv_resp resp = {0};
	size_t start = 0;

	for (size_t have = 0; have < length;) {
		enum tandem_kv_resp_result result;

		have = length - have < piece ? length : have + piece;
		do {
			struct tandem_kv_args args = {.list = list,
			                              .capacity = ARGS_MAX,
			                              .scratch = scratch,
			                              .scratch_capacity = sizeof(scratch)};
			size_t used = 0;

			result = tandem_kv_resp_next(&resp, bytes + start, have - start, &args,
			                             &used);
			check(result != TANDEM_KV_RESP_FULL);
			if (result == TANDEM_KV_RESP_REQUEST) {
				check(used > 0 && used <= have - start);
				take_request(&outcome, &args, bytes + start, used);
				start += used;
			}
		} while (result == TANDEM_KV_RESP_REQUEST);
		if (result == TANDEM_KV_RESP_ERROR) {
			digest_add(&outcome, resp.error, strlen(resp.error));
			break;
		}
	}
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct outcome whole = read_stream(bytes, length, length);
	struct outcome cut = read_stream(bytes, length, 1 + length % 7);

	check(whole.digest == cut.digest && whole.requests == cut.requests);
	return 0;
}
