#include <criterion/criterion.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_failover_options.h"
#include "bench_kv.h"
#include "bench_samples.h"

/* ---- options ---- */

static enum tandem_bench_reading read_words(const char *line,
                                            struct tandem_bench_failover_options *options)
{
	static char text[256];
	char *words[32] = {NULL}, *rest = NULL;
	int count = 0;

	snprintf(text, sizeof(text), "failover %s", line);
	for (char *word = strtok_r(text, " ", &rest); word && count < 31;
	     word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	optind = 0;
	return tandem_bench_failover_options_read(count, words, options);
}

Test(bench_failover, without_options_it_is_a_process_death_of_lan_rt)
{
	struct tandem_bench_failover_options options;

	cr_assert_eq(read_words("", &options), TANDEM_BENCH_RUN);
	cr_expect_eq(options.fault, TANDEM_BENCH_FAULT_KILL);
	cr_expect_str_eq(options.profile, "lan-rt");
	cr_expect_eq(options.size_bytes, UINT64_C(256) << 20);
	cr_expect_null(options.json_path);
}

Test(bench_failover, every_option_arrives)
{
	struct tandem_bench_failover_options options;

	cr_assert_eq(
	        read_words(
	                "--rounds 7 --fault stop --profile vm --size 64M --fill 40 --connections 3 "
	                "--value-bytes 2K --directory /var/tmp --json out.json --keep",
	                &options),
	        TANDEM_BENCH_RUN);
	cr_expect_eq(options.rounds, 7);
	cr_expect_eq(options.fault, TANDEM_BENCH_FAULT_STOP);
	cr_expect_str_eq(options.profile, "vm");
	cr_expect_eq(options.size_bytes, UINT64_C(64) << 20);
	cr_expect_eq(options.fill_percent, 40);
	cr_expect_eq(options.connections, 3);
	cr_expect_eq(options.value_bytes, 2048);
	cr_expect_str_eq(options.directory, "/var/tmp");
	cr_expect_str_eq(options.json_path, "out.json");
	cr_expect(options.keeps_files);
}

Test(bench_failover, load_without_a_fault)
{
	struct tandem_bench_failover_options options;

	cr_assert_eq(read_words("--fault none --seconds 3600", &options), TANDEM_BENCH_RUN);
	cr_expect_eq(options.fault, TANDEM_BENCH_FAULT_NONE);
	cr_expect_eq(options.seconds, 3600);
}

Test(bench_failover, wrong_options_are_refused)
{
	static const char *const lines[] = {
	        "--rounds 0",
	        "--rounds many",
	        "--rounds 1000001",
	        "--fault pause",
	        "--fault none",
	        "--seconds 10",
	        "--fault none --seconds 0",
	        "--profile wan",
	        "--size 15M",
	        "--size 1000001K",
	        "--size -1",
	        "--connections 65",
	        "--fill 71",
	        "--value-bytes 31",
	        "--value-bytes 17K",
	        "--size 16M --fill 70 --connections 64 --value-bytes 16K",
	        "--directory tmp",
	        "--no-such-option 1",
	        "argument",
	        "--directory /0123456789012345678901234567890123456789012345678",
	};
	struct tandem_bench_failover_options options;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		cr_expect_eq(read_words(lines[i], &options), TANDEM_BENCH_WRONG, "%s", lines[i]);
	cr_expect_eq(read_words("--help", &options), TANDEM_BENCH_HELP);
}

Test(bench_failover, what_is_written_has_room_beside_the_filling)
{
	static const char *const lines[] = {
	        "--size 16M",
	        "--size 16M --fill 70",
	        "--size 16M --connections 64",
	        "--size 64M --fill 70 --connections 64 --value-bytes 16K",
	        "--size 1G",
	};
	struct tandem_bench_failover_options options;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		cr_assert_eq(read_words(lines[i], &options), TANDEM_BENCH_RUN, "%s", lines[i]);
		const uint64_t slots = tandem_bench_writer_slots(&options);
		const uint64_t bytes = slots * (options.connections + 1) *
		                       (options.value_bytes + TANDEM_BENCH_KEY_BYTES);
		const uint64_t left = options.size_bytes / 100 * (100 - options.fill_percent);
		cr_expect(slots >= TANDEM_BENCH_WRITER_SLOTS_MIN && bytes <= left / 4, "%s: %llu",
		          lines[i], (unsigned long long)slots);
	}
	cr_expect_eq(tandem_bench_writer_slots(&options), TANDEM_BENCH_WRITER_SLOTS_MAX);
}

/* ---- percentiles ---- */

static void expect_at(struct tandem_bench_samples *samples, unsigned per_mille, uint64_t value)
{
	const uint64_t seen = tandem_bench_samples_at(samples, per_mille);

	cr_expect_eq(seen, value, "%u of 1000: %llu instead of %llu", per_mille,
	             (unsigned long long)seen, (unsigned long long)value);
}

Test(bench_failover, percentiles_are_nearest_ranks)
{
	struct tandem_bench_samples samples;

	cr_assert_eq(tandem_bench_samples_make(&samples, 1000, NULL), 0);
	expect_at(&samples, 500, 0);
	/* 1 to 1000, in an order of no help: 7 is no divisor of 1009. */
	for (uint64_t i = 1; i < 1009; i++) {
		const uint64_t value = i * 7 % 1009;

		if (value <= 1000)
			tandem_bench_samples_add(&samples, value);
	}
	tandem_bench_samples_sort(&samples);
	for (unsigned per_mille = 1; per_mille <= 1000; per_mille++)
		expect_at(&samples, per_mille, per_mille);
	expect_at(&samples, 0, 1);
	tandem_bench_samples_clear(&samples);
}

Test(bench_failover, percentiles_of_a_few)
{
	struct tandem_bench_samples samples;

	cr_assert_eq(tandem_bench_samples_make(&samples, 3, NULL), 0);
	tandem_bench_samples_add(&samples, 30);
	tandem_bench_samples_sort(&samples);
	expect_at(&samples, 1, 30);
	expect_at(&samples, 1000, 30);
	tandem_bench_samples_add(&samples, 10);
	tandem_bench_samples_add(&samples, 20);
	tandem_bench_samples_sort(&samples);
	expect_at(&samples, 333, 10);
	expect_at(&samples, 334, 20);
	expect_at(&samples, 500, 20);
	expect_at(&samples, 990, 30);
	tandem_bench_samples_clear(&samples);
}

/* ---- replies ---- */

/* A connection whose server is the test. */
static int open_pair(struct tandem_bench_kv *kv)
{
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	memset(kv, 0, sizeof(*kv));
	kv->fd = ends[0];
	kv->is_connected = true;
	return ends[1];
}

static void answer(struct tandem_bench_kv *kv, int server, const char *text, size_t length)
{
	cr_assert_eq(send(server, text, length, 0), (ssize_t)length);
	cr_assert(tandem_bench_kv_move(kv));
}

Test(bench_failover, replies_are_taken_whole_however_they_arrive)
{
	static const char stream[] = "+OK\r\n$4\r\na\r\nb\r\n$-1\r\n-ERR no\r\n";
	static struct tandem_bench_kv kv;
	struct tandem_bench_kv_reply reply;
	enum tandem_bench_kv_reply_kind kinds[4];
	size_t count = 0;
	const int server = open_pair(&kv);

	tandem_bench_kv_set(&kv, "k", "a\r\nb", 4);
	for (unsigned i = 0; i < 3; i++)
		tandem_bench_kv_get(&kv, "k");
	for (size_t i = 0; i < sizeof(stream) - 1; i++) {
		answer(&kv, server, stream + i, 1);
		while (tandem_bench_kv_next(&kv, &reply)) {
			cr_assert_lt(count, 4);
			kinds[count++] = reply.kind;
			if (reply.kind == TANDEM_BENCH_KV_VALUE) {
				cr_expect_eq(reply.value_bytes, 4);
				cr_expect_eq(memcmp(reply.value, "a\r\nb", 4), 0);
			}
		}
	}
	cr_assert_eq(count, 4);
	cr_expect_eq(kinds[0], TANDEM_BENCH_KV_OK);
	cr_expect_eq(kinds[1], TANDEM_BENCH_KV_VALUE);
	cr_expect_eq(kinds[2], TANDEM_BENCH_KV_NONE);
	cr_expect_eq(kinds[3], TANDEM_BENCH_KV_ERROR);
	cr_expect_eq(kv.waiting_count, 0);
	close(server);
	tandem_bench_kv_close(&kv);
}

Test(bench_failover, replies_before_the_end_of_a_connection_count)
{
	static struct tandem_bench_kv kv;
	struct tandem_bench_kv_reply reply;
	char request[128];
	const int server = open_pair(&kv);

	tandem_bench_kv_set(&kv, "key", "value", 5);
	cr_assert(tandem_bench_kv_move(&kv));
	cr_expect_eq(recv(server, request, sizeof(request), 0), 33);
	cr_expect_eq(memcmp(request, "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n", 33), 0);
	cr_assert_eq(send(server, "+OK\r\n", 5, 0), 5);
	close(server);
	cr_expect_not(tandem_bench_kv_move(&kv));
	cr_assert(tandem_bench_kv_next(&kv, &reply));
	cr_expect_eq(reply.kind, TANDEM_BENCH_KV_OK);
	cr_expect_not(tandem_bench_kv_next(&kv, &reply));
	tandem_bench_kv_close(&kv);
}
