#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "turn.h"

/* Any bytes from a client, run against a small store that keeps what earlier inputs left: no crash,
 * the store never fails, and the answers end with a line. */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define FUZZ_MAP_BYTES ((size_t)2 << 20)

static struct tandem_kv_store *store;
static struct tandem_kv_turn *turn;
static const struct tandem_kv_facts facts = {.pair = "fuzz", .map_bytes = FUZZ_MAP_BYTES};

static void open_once(void)
{
	struct tandem_error error = {0};
	char path[64];

	if (store)
		return;
	(void)snprintf(path, sizeof(path), "/dev/shm/tandem-fuzz-kv.%ld", (long)getpid());
	if (tandem_kv_store_open(path, FUZZ_MAP_BYTES, &store, &error) != 0)
		abort();
	unlink(path);
	turn = tandem_kv_turn_new();
	if (!turn)
		abort();
}

static void visit(void *context, struct tandem_kv_client *client)
{
	const uint8_t *output = tandem_kv_buffer_front(&client->output);
	size_t length = tandem_kv_buffer_length(&client->output);

	if (length < 2 || output[length - 2] != '\r' || output[length - 1] != '\n')
		abort();
	tandem_kv_buffer_take(&client->output, length);
	*(bool *)context = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tandem_kv_client client;
	bool has_written;
	bool has_answered;

	open_once();
	tandem_kv_client_init(&client, 1);
	tandem_kv_buffer_append(&client.input, bytes, length);
	do {
		has_answered = false;
		(void)tandem_kv_turn_take(turn, &client);
		if (tandem_kv_turn_run(turn, store, &facts, 1000 + length, &has_written) != 0)
			abort();
		tandem_kv_turn_end(turn, visit, &has_answered);
	} while (has_answered && !client.session.is_closing);
	tandem_kv_client_clear(&client);
	return 0;
}
