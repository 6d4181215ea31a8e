#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/memory.h>
#include <tandem/random.h>

#include "kv_world.h"

static struct kv_world world;
static struct tandem_kv_client clients[3];
static struct tandem_kv_client *all[] = {&clients[0], &clients[1], &clients[2]};

static void setup(void)
{
	kv_world_open(&world, (size_t)4 << 20);
	for (size_t i = 0; i < 3; i++)
		tandem_kv_client_init(&clients[i], i);
}

static void teardown(void)
{
	for (size_t i = 0; i < 3; i++)
		tandem_kv_client_clear(&clients[i]);
	kv_world_close(&world);
}

TestSuite(kv_turn, .init = setup, .fini = teardown);

static void visit_nothing(void *context, struct tandem_kv_client *client)
{
	(void)context;
	(void)client;
}

static void feed(size_t client, const char *text)
{
	kv_world_feed(&clients[client], text, strlen(text));
}

Test(kv_turn, runs_what_all_clients_sent_in_order)
{
	feed(0, "set a 1\r\nincr a\r\nget a\r\n");
	feed(1, "incr a\r\n");
	feed(2, "PING\r\nincr a\r\nget");
	kv_world_turn(&world, all, 3);
	cr_assert(world.has_written);
	cr_assert_str_eq(kv_world_output(&clients[0]), "+OK\r\n:2\r\n$1\r\n2\r\n");
	cr_assert_str_eq(kv_world_output(&clients[1]), ":3\r\n");
	cr_assert_str_eq(kv_world_output(&clients[2]), "+PONG\r\n:4\r\n");
	feed(2, " a\r\n");
	kv_world_turn(&world, all, 3);
	cr_assert_not(world.has_written);
	cr_assert_str_eq(kv_world_output(&clients[2]), "$1\r\n4\r\n");
}

Test(kv_turn, empty_lines_have_no_answer_and_do_not_pile_up)
{
	feed(0, "\r\n\r\n");
	kv_world_turn(&world, all, 1);
	cr_assert_str_eq(kv_world_output(&clients[0]), "");
	cr_assert_eq(tandem_kv_buffer_length(&clients[0].input), 0);
	cr_assert(clients[0].needs_more);
}

Test(kv_turn, a_broken_stream_is_answered_up_to_the_error_and_closes)
{
	feed(0, "PING\r\n*1\r\n$x\r\nPING\r\n");
	kv_world_turn(&world, all, 1);
	cr_assert_str_eq(kv_world_output(&clients[0]),
	                 "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n");
	cr_assert(clients[0].session.is_closing);
}

Test(kv_turn, nothing_runs_behind_quit)
{
	feed(0, "QUIT\r\nset a 1\r\n");
	feed(1, "get a\r\n");
	kv_world_turn(&world, all, 2);
	cr_assert_str_eq(kv_world_output(&clients[0]), "+OK\r\n");
	cr_assert_str_eq(kv_world_output(&clients[1]), "$-1\r\n");
	cr_assert(clients[0].session.is_closing);
}

Test(kv_turn, is_bounded_in_commands)
{
	for (int i = 0; i < TANDEM_KV_TURN_COMMANDS_MAX + 5; i++)
		feed(0, "incr n\r\n");
	feed(1, "PING\r\n");
	kv_world_turn(&world, all, 2);
	cr_assert_str_eq(kv_world_output(&clients[1]), "", "no room was left for it");
	kv_world_output(&clients[0]);
	kv_world_turn(&world, all, 2);
	cr_assert_str_eq(kv_world_output(&clients[0]),
	                 ":10001\r\n:10002\r\n:10003\r\n:10004\r\n:10005\r\n");
	cr_assert_str_eq(kv_world_output(&clients[1]), "+PONG\r\n");
}

static void feed_set(size_t client, const char *key, size_t value_length)
{
	char head[128];
	char *value = malloc(value_length);

	memset(value, 'v', value_length);
	kv_world_feed(&clients[client], head,
	              (size_t)snprintf(head, sizeof(head),
	                               "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(key),
	                               key, value_length));
	kv_world_feed(&clients[client], value, value_length);
	kv_world_feed(&clients[client], "\r\n", 2);
	free(value);
}

/* A client with a long pipeline of long replies is served piece by piece, each command once. */
Test(kv_turn, a_client_with_much_output_goes_on_in_the_next_turn)
{
	size_t answered = 0;
	int turns = 0;

	feed_set(0, "big", 200000);
	kv_world_turn(&world, all, 1);
	kv_world_output(&clients[0]);
	for (int i = 0; i < 40; i++)
		feed(0, "GET \"big\"\r\nINCR n\r\n");
	feed(0, "*2\r\n$3\r\nGET\r\n");
	do {
		size_t length;

		kv_world_turn(&world, all, 1);
		length = tandem_kv_buffer_length(&clients[0].output);
		cr_assert_lt(length, TANDEM_KV_OUTPUT_PAUSE + 300000);
		answered += length;
		tandem_kv_buffer_take(&clients[0].output, length);
		turns++;
	} while (!clients[0].needs_more);
	cr_assert_gt(turns, 5);
	cr_assert_eq(answered, 40 * (9 + 200000 + 2) + 9 * 4 + 31 * 5);
	feed(0, "$1\r\nn\r\n");
	kv_world_turn(&world, all, 1);
	cr_assert_str_eq(kv_world_output(&clients[0]), "$2\r\n40\r\n");
}

Test(kv_turn, a_reply_beyond_the_limit_ends_the_connection)
{
	feed_set(0, "big", 900000);
	kv_world_turn(&world, all, 1);
	kv_world_output(&clients[0]);
	feed(0, "MGET");
	for (int i = 0; i < 40; i++)
		feed(0, " big");
	feed(0, "\r\nPING\r\n");
	feed(1, "PING\r\n");
	kv_world_turn(&world, all, 2);
	cr_assert_str_eq(kv_world_output(&clients[0]), "-ERR the reply is longer than 32 MiB\r\n");
	cr_assert(clients[0].session.is_closing);
	cr_assert_str_eq(kv_world_output(&clients[1]), "+PONG\r\n");
}

/* More arguments, or more unquoted bytes, than a turn has room for: the rest comes in the next one.
 */
static void fill_turn(const char *word, size_t words, size_t requests)
{
	size_t answered = 0;
	size_t turns = 0;
	size_t head = (size_t)snprintf(NULL, 0, "*%zu\r\n", words);

	for (size_t i = 0; i < requests; i++) {
		feed(0, "MGET");
		for (size_t k = 0; k < words; k++)
			feed(0, word);
		feed(0, "\r\n");
	}
	do {
		size_t length;

		kv_world_turn(&world, all, 1);
		length = tandem_kv_buffer_length(&clients[0].output);
		tandem_kv_buffer_take(&clients[0].output, length);
		answered += length;
		turns++;
	} while (!clients[0].needs_more);
	cr_assert_gt(turns, 1);
	cr_assert_lt(turns, requests);
	cr_assert_eq(answered, requests * (words * strlen("$-1\r\n") + head));
}

Test(kv_turn, is_bounded_in_arguments)
{
	fill_turn(" k", 20000, 10);
}

Test(kv_turn, is_bounded_in_unquoted_bytes)
{
	fill_turn(" \"k\\x41\"", 6000, 20);
}

/* A server short of memory loses the client, never the store. */
Test(kv_turn, no_memory_for_a_reply_ends_the_connection)
{
	feed_set(0, "big", 500000);
	kv_world_turn(&world, all, 1);
	kv_world_output(&clients[0]);
	feed(0, "get big\r\nset a 1\r\n");
	feed(1, "set b 1\r\n");
	tandem_kv_buffer_free(&clients[1].output);
	(void)tandem_kv_turn_take(world.turn, &clients[0]);
	(void)tandem_kv_turn_take(world.turn, &clients[1]);
	tandem_memory_fail_from(1);
	int result = tandem_kv_turn_run(world.turn, world.store, &world.facts, world.now_ms,
	                                &world.has_written);
	tandem_memory_fail_from(0);
	cr_assert_eq(result, 0);
	tandem_kv_turn_end(world.turn, visit_nothing, NULL);
	cr_assert(clients[0].session.is_closing);
	cr_assert(clients[1].session.is_closing);
	cr_assert_str_eq(kv_world_ask(&world, &clients[2], "exists a b"), ":1\r\n");
}

static size_t count_of(const char *text, const char *word)
{
	size_t count = 0;

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		count++;
	return count;
}

static bool begins(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0;
}

/* Fills the map with values of this length, many in a turn; returns how many were taken. */
static size_t fill(size_t value_length, size_t in_a_turn)
{
	size_t taken = 0;
	size_t next = 0;

	for (;;) {
		size_t ok;
		const char *output;

		for (size_t i = 0; i < in_a_turn; i++) {
			char key[32];
			snprintf(key, sizeof(key), "k%zu", next++);
			feed_set(0, key, value_length);
		}
		feed(1, "incr turns\r\n");
		kv_world_turn(&world, all, 2);
		output = kv_world_output(&clients[0]);
		ok = count_of(output, "+OK");
		cr_assert_eq(ok + count_of(output, "-OOM the map of 4 MiB is full"), in_a_turn);
		taken += ok;
		output = kv_world_output(&clients[1]);
		cr_assert(begins(output, ":") || begins(output, "-OOM"), "%s", output);
		if (ok < in_a_turn)
			return taken;
	}
}

static size_t count_stored(void)
{
	const char *output = kv_world_ask(&world, &clients[2], "dbsize");

	return strtoul(output + 1, NULL, 10) -
	       !begins(kv_world_ask(&world, &clients[2], "exists turns"), ":0");
}

/* What was acknowledged is there, what was refused is not, and nothing is in between; deleting and
 * flushing still work. */
static void check_full(size_t value_length, size_t in_a_turn)
{
	size_t taken = fill(value_length, in_a_turn);

	cr_assert_gt(taken, 0);
	cr_assert_eq(count_stored(), taken);
	cr_assert_str_eq(kv_world_ask(&world, &clients[2], "get nothing"), "$-1\r\n");
	for (size_t i = 0; i < taken; i++)
		cr_assert_eq(
		        strtoul(kv_world_ask(&world, &clients[2], "strlen k%zu", i) + 1, NULL, 10),
		        value_length);
	for (size_t i = 0; i < taken; i++)
		cr_assert_str_eq(kv_world_ask(&world, &clients[2], "del k%zu", i), ":1\r\n",
		                 "del %zu of %zu", i, taken);
	kv_world_ask(&world, &clients[2], "del turns");
	cr_assert_eq(count_stored(), 0);
	size_t again = fill(value_length, in_a_turn);
	cr_assert_geq(again * 10, taken * 9, "%zu, then %zu", taken, again);
	cr_assert_str_eq(kv_world_ask(&world, &clients[2], "flushall"), "+OK\r\n");
	cr_assert_eq(count_stored(), 0);
}

Test(kv_turn, a_full_map_refuses_small_values_one_by_one)
{
	check_full(100, 1);
}

Test(kv_turn, a_full_map_refuses_small_values_in_pipelines)
{
	check_full(100, 3000);
}

Test(kv_turn, a_full_map_refuses_values_of_a_page)
{
	check_full(4000, 40);
}

Test(kv_turn, a_full_map_refuses_long_values)
{
	check_full(150000, 4);
}

/* LMDB gives freed pages back a transaction late: that is no reason to refuse. */
Test(kv_turn, what_was_deleted_makes_room_at_once)
{
	size_t taken = fill(3000, 1);

	for (size_t i = 0; i < taken / 2; i++) {
		char text[32];
		snprintf(text, sizeof(text), "del k%zu\r\n", i);
		feed(0, text);
	}
	kv_world_turn(&world, all, 1);
	kv_world_output(&clients[0]);
	feed_set(0, "again", 3000);
	kv_world_turn(&world, all, 1);
	cr_assert_str_eq(kv_world_output(&clients[0]), "+OK\r\n");
	cr_assert_eq(count_stored(), taken - taken / 2 + 1);
}

Test(kv_turn, a_full_map_still_serves_the_others)
{
	fill(1000, 100);
	feed_set(0, "large", 500000);
	feed(1, "client getname\r\nclient setname x\r\nclient getname\r\n");
	feed(2, "del k1\r\nget k2\r\n");
	kv_world_turn(&world, all, 3);
	cr_assert(begins(kv_world_output(&clients[0]), "-OOM"));
	cr_assert_str_eq(kv_world_output(&clients[1]), "$0\r\n\r\n+OK\r\n$1\r\nx\r\n");
	cr_assert(begins(kv_world_output(&clients[2]), ":1\r\n$1000\r\n"));
}

/* Random commands near the limit against a model: what is acknowledged is what is there. */
enum { MODEL_KEYS = 120, MODEL_COMMANDS = 50 };

struct model_command {
	size_t key;
	size_t length; /* of the value to set; 0: delete */
};

static struct model_command model_feed(uint64_t *seed)
{
	struct model_command command = {.key = tandem_random_next(seed) % MODEL_KEYS};
	char key[32];

	if (tandem_random_next(seed) % 4 > 0)
		command.length = 1 + tandem_random_next(seed) % 120000;
	if (tandem_random_next(seed) % 2)
		command.length = (command.length + 99) / 100;
	snprintf(key, sizeof(key), "m%zu", command.key);
	if (command.length > 0) {
		feed_set(0, key, command.length);
	} else {
		feed(0, "del ");
		feed(0, key);
		feed(0, "\r\n");
	}
	return command;
}

/* `model`: value length of each key, 0 when it is absent. Returns whether it was refused. */
static bool model_check(size_t *model, struct model_command command, const char *reply)
{
	if (command.length == 0) {
		cr_assert(begins(reply, model[command.key] ? ":1\r\n" : ":0\r\n"), "%.40s", reply);
		model[command.key] = 0;
		return false;
	}
	if (begins(reply, "-OOM"))
		return true;
	cr_assert(begins(reply, "+OK\r\n"), "%.40s", reply);
	model[command.key] = command.length;
	return false;
}

Test(kv_turn, a_map_at_its_limit_agrees_with_a_model)
{
	size_t model[MODEL_KEYS] = {0};
	uint64_t seed = 99;
	size_t refused = 0;

	for (int turn = 0; turn < 300; turn++) {
		struct model_command commands[MODEL_COMMANDS];
		size_t count = 1 + tandem_random_next(&seed) % MODEL_COMMANDS;

		for (size_t i = 0; i < count; i++)
			commands[i] = model_feed(&seed);
		kv_world_turn(&world, all, 1);
		const char *reply = kv_world_output(&clients[0]);
		for (size_t i = 0; i < count; i++) {
			refused += model_check(model, commands[i], reply);
			reply = strchr(reply, '\n') + 1;
		}
		cr_assert_eq(*reply, '\0');
		for (size_t i = 0; i < MODEL_KEYS; i++) {
			reply = kv_world_ask(&world, &clients[2], "strlen m%zu", i);
			cr_assert_eq(strtoul(reply + 1, NULL, 10), model[i], "turn %d key %zu",
			             turn, i);
		}
	}
	cr_assert_gt(refused, 0, "the limit was never met");
}
