#include "kv_world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void kv_world_open(struct kv_world *world, size_t map_bytes)
{
	struct tandem_error error = {0};

	memset(world, 0, sizeof(*world));
	world->now_ms = 1000000;
	world->facts = (struct tandem_kv_facts){
	        .pair = "kv", .port = 6379, .map_bytes = map_bytes, .clients_max = 10};
	snprintf(world->path, sizeof(world->path), "/dev/shm/tandem-test-kv.%d", getpid());
	cr_assert_eq(tandem_kv_store_open(world->path, map_bytes, &world->store, &error), 0, "%s",
	             error.detail);
	world->turn = tandem_kv_turn_new();
	cr_assert(world->turn);
}

void kv_world_close(struct kv_world *world)
{
	tandem_kv_turn_free(world->turn);
	tandem_kv_store_close(world->store);
	unlink(world->path);
}

void kv_world_feed(struct tandem_kv_client *client, const void *bytes, size_t length)
{
	tandem_kv_buffer_append(&client->input, bytes, length);
	cr_assert_not(client->input.is_failed);
}

static void world_visit(void *context, struct tandem_kv_client *client)
{
	(void)client;
	(*(size_t *)context)++;
}

void kv_world_turn(struct kv_world *world, struct tandem_kv_client **clients, size_t count)
{
	size_t visited = 0;
	size_t taking = 0;

	for (size_t i = 0; i < count; i++)
		taking += tandem_kv_turn_take(world->turn, clients[i]) > 0;
	cr_assert_eq(tandem_kv_turn_run(world->turn, world->store, &world->facts, world->now_ms,
	                                &world->has_written),
	             0, "%s", tandem_kv_store_error(world->store));
	tandem_kv_turn_end(world->turn, world_visit, &visited);
	cr_assert_eq(visited, taking);
}

const char *kv_world_output(struct tandem_kv_client *client)
{
	static char text[1 << 20];
	size_t length = tandem_kv_buffer_length(&client->output);

	cr_assert_lt(length, sizeof(text));
	if (length > 0)
		memcpy(text, tandem_kv_buffer_front(&client->output), length);
	text[length] = '\0';
	tandem_kv_buffer_take(&client->output, length);
	return text;
}

const char *kv_world_ask(struct kv_world *world, struct tandem_kv_client *client,
                         const char *format, ...)
{
	char line[4096];
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(line, sizeof(line) - 2, format, arguments);
	va_end(arguments);
	cr_assert_lt(length, (int)sizeof(line) - 2);
	memcpy(line + length, "\r\n", 2);
	kv_world_feed(client, line, (size_t)length + 2);
	kv_world_turn(world, &client, 1);
	return kv_world_output(client);
}
