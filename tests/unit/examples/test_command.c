#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv_world.h"

static struct kv_world world;
static struct tandem_kv_client client;

static void setup(void)
{
	kv_world_open(&world, (size_t)8 << 20);
	tandem_kv_client_init(&client, 7);
}

static void teardown(void)
{
	tandem_kv_client_clear(&client);
	kv_world_close(&world);
}

TestSuite(kv_command, .init = setup, .fini = teardown);

#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define SYNTAX      "-ERR syntax error\r\n"

struct step {
	char request[64];
	char reply[112];
};

static void follow(const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cr_expect_str_eq(kv_world_ask(&world, &client, "%s", steps[i].request),
		                 steps[i].reply, "step %zu: %s", i, steps[i].request);
}
#define FOLLOW(steps) follow(steps, sizeof(steps) / sizeof(steps[0]))

Test(kv_command, strings)
{
	static const struct step steps[] = {
	        {"get a", "$-1\r\n"},
	        {"set a 1", "+OK\r\n"},
	        {"GET a", "$1\r\n1\r\n"},
	        {"strlen a", ":1\r\n"},
	        {"set a 2 nx", "$-1\r\n"},
	        {"set a 2 xx", "+OK\r\n"},
	        {"set b 2 xx", "$-1\r\n"},
	        {"set b 2 nx", "+OK\r\n"},
	        {"set b 3 get", "$1\r\n2\r\n"},
	        {"set c 3 nx get", "$-1\r\n"},
	        {"set c 4 nx get", "$1\r\n3\r\n"},
	        {"get c", "$1\r\n3\r\n"},
	        {"set a 2 nx xx", SYNTAX},
	        {"set a 2 ex", SYNTAX},
	        {"set a 2 what", SYNTAX},
	        {"set a 2 ex 10 keepttl", SYNTAX},
	        {"set a 2 ex 10 px 10", SYNTAX},
	        {"set a 2 ex x", NOT_INTEGER},
	        {"set a 2 ex 0", "-ERR invalid expire time in 'set' command\r\n"},
	        {"set a 2 px -1", "-ERR invalid expire time in 'set' command\r\n"},
	        {"set a 2 ex 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"},
	        {"get a", "$1\r\n2\r\n"},
	        {"getset a 5", "$1\r\n2\r\n"},
	        {"setnx a 6", ":0\r\n"},
	        {"setnx d 6", ":1\r\n"},
	        {"set e \"\"", "+OK\r\n"},
	        {"get e", "$0\r\n\r\n"},
	        {"mset a 1 b 2 a 3", "+OK\r\n"},
	        {"mget a b nothing", "*3\r\n$1\r\n3\r\n$1\r\n2\r\n$-1\r\n"},
	        {"mset a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"},
	        {"type a", "+string\r\n"},
	        {"type nothing", "+none\r\n"},
	        {"exists a a nothing", ":2\r\n"},
	        {"del a b nothing a", ":2\r\n"},
	        {"dbsize", ":3\r\n"},
	        {"flushall", "+OK\r\n"},
	        {"dbsize", ":0\r\n"},
	        {"flushdb async", "+OK\r\n"},
	        {"flushall what", SYNTAX},
	};

	FOLLOW(steps);
}

Test(kv_command, numbers)
{
	static const struct step steps[] = {
	        {"incr n", ":1\r\n"},
	        {"incrby n 41", ":42\r\n"},
	        {"decr n", ":41\r\n"},
	        {"decrby n 50", ":-9\r\n"},
	        {"incrby n x", NOT_INTEGER},
	        {"set n 9223372036854775807", "+OK\r\n"},
	        {"incr n", "-ERR increment or decrement would overflow\r\n"},
	        {"get n", "$19\r\n9223372036854775807\r\n"},
	        {"decrby n -9223372036854775808", "-ERR decrement would overflow\r\n"},
	        {"set n abc", "+OK\r\n"},
	        {"incr n", NOT_INTEGER},
	        {"set n 1 ex 100", "+OK\r\n"},
	        {"incr n", ":2\r\n"},
	        {"ttl n", ":100\r\n"},
	};

	FOLLOW(steps);
}

Test(kv_command, expiry_is_a_point_in_time)
{
	static const struct step before[] = {
	        {"set a 1 ex 10", "+OK\r\n"},
	        {"setex b 10 2", "+OK\r\n"},
	        {"psetex c 10001 3", "+OK\r\n"},
	        {"set d 4", "+OK\r\n"},
	        {"expire d 20", ":1\r\n"},
	        {"expire nothing 20", ":0\r\n"},
	        {"expire d x", NOT_INTEGER},
	        {"expire d 9223372036854775807",
	         "-ERR invalid expire time in 'expire' command\r\n"},
	        {"pexpire d 20400", ":1\r\n"},
	        {"setex d 0 x", "-ERR invalid expire time in 'setex' command\r\n"},
	        {"set e 5 pxat 1010000", "+OK\r\n"},
	        {"set f 6 exat 1010", "+OK\r\n"},
	        {"set g 7 ex 10", "+OK\r\n"},
	        {"set g 8 keepttl", "+OK\r\n"},
	        {"set h 9 ex 10", "+OK\r\n"},
	        {"persist h", ":1\r\n"},
	        {"persist h", ":0\r\n"},
	        {"ttl a", ":10\r\n"},
	        {"pttl c", ":10001\r\n"},
	        {"ttl d", ":20\r\n"},
	        {"ttl nothing", ":-2\r\n"},
	        {"ttl h", ":-1\r\n"},
	};
	static const struct step after[] = {
	        {"mget a b c d e f g h", "*8\r\n$-1\r\n$-1\r\n$1\r\n3\r\n$1\r\n4\r\n$-1\r\n$-1\r\n"
	                                 "$-1\r\n$1\r\n9\r\n"},
	        {"exists a b c", ":1\r\n"},
	        {"del a", ":0\r\n"},
	        {"set b x xx", "$-1\r\n"},
	        {"incr b", ":1\r\n"},
	        {"ttl b", ":-1\r\n"},
	        {"expire d -1", ":1\r\n"},
	        {"get d", "$-1\r\n"},
	};

	FOLLOW(before);
	world.now_ms += 10000;
	FOLLOW(after);
}

/* Records that nobody asks for go, too. */
Test(kv_command, expired_records_are_swept_by_write_turns)
{
	for (int i = 0; i < 100; i++)
		kv_world_ask(&world, &client, "set k%d v ex 1", i);
	world.now_ms += 1000;
	cr_assert_str_eq(kv_world_ask(&world, &client, "dbsize"), ":100\r\n");
	for (int i = 0; i < 20; i++)
		kv_world_ask(&world, &client, "set other v");
	cr_assert_str_eq(kv_world_ask(&world, &client, "dbsize"), ":1\r\n");
}

Test(kv_command, server_side)
{
	static const struct step steps[] = {
	        {"ping", "+PONG\r\n"},
	        {"ping hello", "$5\r\nhello\r\n"},
	        {"ping a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
	        {"echo hello", "$5\r\nhello\r\n"},
	        {"select 0", "+OK\r\n"},
	        {"select 1", "-ERR DB index is out of range\r\n"},
	        {"select x", NOT_INTEGER},
	        {"auth x", "-ERR AUTH called without any password configured\r\n"},
	        {"hello 2 auth a b", "-ERR AUTH called without any password configured\r\n"},
	        {"hello 2 setname", SYNTAX},
	        {"hello 2 setname \"a b\"", "-ERR Client names cannot contain spaces, newlines or "
	                                    "special characters.\r\n"},
	        {"hello 3", "-NOPROTO unsupported protocol version\r\n"},
	        {"client getname", "$0\r\n\r\n"},
	        {"client setname me", "+OK\r\n"},
	        {"client getname", "$2\r\nme\r\n"},
	        {"client id", ":7\r\n"},
	        {"client setname \"a b\"", "-ERR Client names cannot contain spaces, newlines or "
	                                   "special characters.\r\n"},
	        {"client setinfo lib-ver 12345678901234567890123456789012",
	         "-ERR names have at most 31 bytes here\r\n"},
	        {"client setinfo what x", SYNTAX},
	        {"command what", "-ERR unknown subcommand 'what' or wrong number of arguments for "
	                         "it\r\n"},
	        {"client setinfo lib-name x", "+OK\r\n"},
	        {"client what", "-ERR unknown subcommand 'what' or wrong number of arguments for "
	                        "it\r\n"},
	        {"command", "*0\r\n"},
	        {"command docs", "*0\r\n"},
	        {"command count", ":36\r\n"},
	        {"config get save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
	        {"config get append*", "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n"},
	        {"config get nothing", "*0\r\n"},
	        {"config set save x", "-ERR unknown subcommand 'set' or wrong number of arguments "
	                              "for it\r\n"},
	        {"nosuch a b", "-ERR unknown command 'nosuch'\r\n"},
	        {"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
	        {"get a b", "-ERR wrong number of arguments for 'get' command\r\n"},
	        {"get \"\"", "-ERR keys have 1 to 511 bytes here\r\n"},
	        {"scan x", "-ERR invalid cursor\r\n"},
	        {"scan 0 count 0", SYNTAX},
	        {"scan 0 count", SYNTAX},
	        {"scan 0 count x", NOT_INTEGER},
	        {"scan 0 what x", SYNTAX},
	};

	FOLLOW(steps);
}

Test(kv_command, hello_answers_in_version_2)
{
	const char *reply = kv_world_ask(&world, &client, "hello 2 setname me");

	cr_assert(strstr(reply, "*14\r\n") == reply, "%s", reply);
	cr_assert(strstr(reply, "$5\r\nproto\r\n:2\r\n"), "%s", reply);
	cr_assert_str_eq(client.session.name, "me");
}

Test(kv_command, info_has_a_tandem_section)
{
	world.facts.news =
	        (struct tandem_news){.generation = 4, .epoch_committed = 77, .is_pair = true};
	const char *reply = kv_world_ask(&world, &client, "info tandem");

	cr_assert(strstr(reply, "# Tandem\r\npair:kv\r\ntandem_role:primary_pair\r\n"), "%s",
	          reply);
	cr_assert(strstr(reply, "generation:4\r\nepoch_committed:77\r\nis_pair:1\r\n"), "%s",
	          reply);
	cr_assert_not(strstr(reply, "# Server"));
}

Test(kv_command, keys_are_bounded)
{
	char key[513];

	memset(key, 'k', sizeof(key));
	key[511] = '\0';
	cr_assert_str_eq(kv_world_ask(&world, &client, "set %s v", key), "+OK\r\n");
	cr_assert_str_eq(kv_world_ask(&world, &client, "get %s", key), "$1\r\nv\r\n");
	key[511] = 'k';
	key[512] = '\0';
	cr_assert_str_eq(kv_world_ask(&world, &client, "set %s v", key),
	                 "-ERR keys have 1 to 511 bytes here\r\n");
	cr_assert_str_eq(kv_world_ask(&world, &client, "mset a v %s v", key),
	                 "-ERR keys have 1 to 511 bytes here\r\n");
	cr_assert_str_eq(kv_world_ask(&world, &client, "exists a"), ":0\r\n");
}

static void feed_set(const char *key, size_t key_length, const void *value, size_t value_length)
{
	char head[64];

	kv_world_feed(
	        &client, head,
	        (size_t)snprintf(head, sizeof(head), "*3\r\n$3\r\nset\r\n$%zu\r\n", key_length));
	kv_world_feed(&client, key, key_length);
	kv_world_feed(&client, head,
	              (size_t)snprintf(head, sizeof(head), "\r\n$%zu\r\n", value_length));
	kv_world_feed(&client, value, value_length);
	kv_world_feed(&client, "\r\n", 2);
}

Test(kv_command, keys_and_values_are_binary)
{
	static const char key[] = {'\0', '\r', '\n', (char)0xff};
	static char value[700000];
	struct tandem_kv_client *clients[] = {&client};

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (char)(i * 7 + i / 251);
	feed_set(key, sizeof(key), value, sizeof(value));
	kv_world_feed(&client, "*2\r\n$3\r\nget\r\n$4\r\n", 17);
	kv_world_feed(&client, key, sizeof(key));
	kv_world_feed(&client, "\r\n", 2);
	kv_world_turn(&world, clients, 1);
	const char *output = kv_world_output(&client);
	cr_assert_eq(memcmp(output, "+OK\r\n$700000\r\n", 14), 0);
	cr_assert_eq(memcmp(output + 14, value, sizeof(value)), 0);
}

/* Long values move between pages and the tree when their expiry changes. */
Test(kv_command, expire_keeps_a_long_value)
{
	static char value[300000];
	struct tandem_kv_client *clients[] = {&client};

	memset(value, 'v', sizeof(value));
	feed_set("k", 1, value, sizeof(value));
	kv_world_turn(&world, clients, 1);
	kv_world_output(&client);
	cr_assert_str_eq(kv_world_ask(&world, &client, "expire k 10"), ":1\r\n");
	const char *output = kv_world_ask(&world, &client, "get k");
	cr_assert_eq(memcmp(output + 9, value, sizeof(value)), 0);
}

static uint64_t scan_once(uint64_t cursor, const char *options, bool *seen, size_t seen_count)
{
	const char *reply =
	        kv_world_ask(&world, &client, "scan %llu %s", (unsigned long long)cursor, options);
	unsigned long long next;
	size_t length;

	cr_assert_eq(sscanf(reply, "*2\r\n$%zu\r\n%llu\r\n", &length, &next), 2, "%s", reply);
	for (const char *at = strstr(reply, "\r\nk"); at; at = strstr(at + 1, "\r\nk")) {
		size_t number = strtoul(at + 3, NULL, 10);
		cr_assert_lt(number, seen_count);
		seen[number] = true;
	}
	return next;
}

/* Keys come and go between the calls; those that stay are all returned. */
Test(kv_command, scan_returns_every_key_that_stays)
{
	enum { COUNT = 2000 };
	static bool seen[COUNT];
	uint64_t cursor = 0;
	int calls = 0;

	for (int i = 0; i < COUNT; i++)
		kv_world_ask(&world, &client, "set k%d v", i);
	do {
		cursor = scan_once(cursor, "count 50", seen, COUNT);
		for (int i = 0; i < 20; i++) {
			kv_world_ask(&world, &client, "set t%d v", calls * 20 + i);
			/* Odd ones go on the way. */
			kv_world_ask(&world, &client, "del k%d", (calls * 20 + i) * 2 + 1);
		}
		calls++;
	} while (cursor != 0);
	cr_assert_geq(calls, COUNT / 2 / 51);
	for (int i = 0; i < COUNT; i += 2)
		cr_expect(seen[i], "k%d is missing", i);
}

Test(kv_command, scan_matches_patterns_and_types)
{
	static bool seen[100];

	for (int i = 0; i < 100; i++)
		kv_world_ask(&world, &client, "set k%d v", i);
	cr_assert_eq(scan_once(0, "count 1000 match k1?", seen, 100), 0);
	for (int i = 0; i < 100; i++)
		cr_expect_eq(seen[i], i >= 10 && i < 20);
	cr_assert_str_eq(kv_world_ask(&world, &client, "scan 0 count 1000 type list"),
	                 "*2\r\n$1\r\n0\r\n*0\r\n");
	memset(seen, 0, sizeof(seen));
	scan_once(0, "type string count 1000", seen, 100);
	cr_assert(seen[0]);
}
