#include <criterion/criterion.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "bench_copy_options.h"

#define MIB (UINT64_C(1) << 20)

static enum tandem_bench_reading read_words(const char *line,
                                            struct tandem_bench_copy_options *options)
{
	static char text[256];
	char *words[32] = {NULL}, *rest = NULL;
	int count = 0;

	snprintf(text, sizeof(text), "copy %s", line);
	for (char *word = strtok_r(text, " ", &rest); word && count < 31;
	     word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	optind = 0;
	return tandem_bench_copy_options_read(count, words, options);
}

Test(bench_copy, without_options_a_workload_has_ended_and_little_is_live)
{
	struct tandem_bench_copy_options options;

	cr_assert_eq(read_words("", &options), TANDEM_BENCH_RUN);
	cr_expect_eq(options.pair.size_bytes, 256 * MIB);
	cr_expect_eq(options.live_bytes, 2818 * 4096, "4.3 per cent in whole pages");
	cr_expect_eq(options.history, TANDEM_BENCH_HISTORY_ENDED);
	cr_expect_not(options.tells_free);
	cr_expect_eq(options.pair.rate_bytes_s, 0);
}

Test(bench_copy, every_option_arrives)
{
	struct tandem_bench_copy_options options;

	cr_assert_eq(
	        read_words("--live 5000 --size 1G --history boot --free --channels 2 --provider "
	                   "tcp --tracker compare --address 127.0.0.2 --json",
	                   &options),
	        TANDEM_BENCH_RUN);
	cr_expect_eq(options.pair.size_bytes, 1024 * MIB);
	cr_expect_eq(options.live_bytes, 4096);
	cr_expect_eq(options.history, TANDEM_BENCH_HISTORY_BOOT);
	cr_expect(options.tells_free);
	cr_expect_eq(options.pair.channel_count, 2);
	cr_expect_str_eq(options.pair.provider, "tcp");
	cr_expect_str_eq(options.pair.tracker, "compare");
	cr_expect_str_eq(options.pair.address, "127.0.0.2");
	cr_expect(options.pair.is_json);
	cr_assert_eq(read_words("--rate 500M", &options), TANDEM_BENCH_RUN);
	cr_expect_eq(options.pair.rate_bytes_s, 500 * MIB);
}

Test(bench_copy, wrong_options_are_refused)
{
	static const char *const lines[] = {
	        "--size 1000001",     "--size 1M --live 2M",
	        "--live 0",           "--history crashed",
	        "--rate 1M --free",   "--channels 0",
	        "--no-such-option 1", "argument",
	};
	struct tandem_bench_copy_options options;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		cr_expect_eq(read_words(lines[i], &options), TANDEM_BENCH_WRONG, "%s", lines[i]);
	cr_expect_eq(read_words("--help", &options), TANDEM_BENCH_HELP);
}
