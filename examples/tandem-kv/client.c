#include "client.h"

#include <string.h>

void tandem_kv_client_init(struct tandem_kv_client *client, uint64_t id)
{
	memset(client, 0, sizeof(*client));
	client->input.limit = TANDEM_KV_INPUT_MAX;
	client->output.limit = TANDEM_KV_OUTPUT_MAX;
	client->session.id = id;
	client->needs_more = true;
}

void tandem_kv_client_clear(struct tandem_kv_client *client)
{
	tandem_kv_buffer_free(&client->input);
	tandem_kv_buffer_free(&client->output);
}

void tandem_kv_client_mark(struct tandem_kv_client *client)
{
	client->before.session = client->session;
	client->before.output_bytes = tandem_kv_buffer_length(&client->output);
	client->before.run_bytes = client->run_bytes;
	client->before.is_deferred = client->is_deferred;
}

void tandem_kv_client_restore(struct tandem_kv_client *client)
{
	client->session = client->before.session;
	tandem_kv_buffer_cut(&client->output, client->before.output_bytes);
	client->run_bytes = client->before.run_bytes;
	client->is_deferred = client->before.is_deferred;
}
