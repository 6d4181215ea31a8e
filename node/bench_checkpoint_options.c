#include "bench_checkpoint_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>

#include "bench_value.h"

#define SIZE_MAX_BYTES (UINT64_C(1) << 40)
#define DIRTY_DEFAULT  "1%,10%,100%"
#define LIST_BYTES     256

static const char *const writes_texts[TANDEM_BENCH_WRITES_COUNT + 1] = {
        [TANDEM_BENCH_WRITES_RANDOM] = "random",
        [TANDEM_BENCH_WRITES_SEQUENTIAL] = "sequential",
        [TANDEM_BENCH_WRITES_HOT] = "hot",
        [TANDEM_BENCH_WRITES_UPLOAD] = "upload",
};

/* What is told before it can be judged: --dirty may come before --size. */
struct reading {
	struct tandem_bench_checkpoint_options options;
	const char *dirty; /* NULL: the default */
};

const char *tandem_bench_writes_text(enum tandem_bench_writes writes)
{
	return writes_texts[writes];
}

uint64_t tandem_bench_staging_bytes(const struct tandem_bench_checkpoint_options *options)
{
	return strcmp(options->capture.mode, "stop") == 0 ? 0 : options->capture.staging_bytes;
}

static bool refuse_mix(const char *text)
{
	fprintf(stderr, "tandem-bench: %s\n", text);
	return false;
}

static bool set_writes(const char *value, struct tandem_bench_checkpoint_options *options)
{
	unsigned writes;

	if (!tandem_bench_parse_word("pattern", value, writes_texts, &writes))
		return false;
	options->writes = (enum tandem_bench_writes)writes;
	return true;
}

static bool set_tracker(const char *value, struct tandem_bench_checkpoint_options *options)
{
	static const char *const trackers[] = {"auto", "pagemap", "compare", "mark", NULL};
	unsigned tracker;

	options->tracker = value;
	return tandem_bench_parse_word("tracker", value, trackers, &tracker);
}

static bool set_capture(const char *value, struct tandem_bench_capture *capture)
{
	static const char *const modes[] = {"stop", "stage", "auto", NULL};
	unsigned mode;

	capture->mode = value;
	return tandem_bench_parse_word("capture", value, modes, &mode);
}

static bool set_overload(const char *value, struct tandem_bench_capture *capture)
{
	static const char *const policies[] = {"grow", "slow", NULL};
	unsigned policy;

	if (!tandem_bench_parse_word("on-overload", value, policies, &policy))
		return false;
	capture->slows_program = policy == 1;
	return true;
}

static bool set_us(const char *value, uint64_t *ret_ns)
{
	uint64_t us;

	if (!tandem_bench_parse_number(value, 0, 10000000, &us))
		return false;
	*ret_ns = us * TANDEM_NS_PER_US;
	return true;
}

/* What is the library's; 1: set, 0: it is none of them, -1: wrong. */
static int set_of_capture(int option, const char *value, struct tandem_bench_capture *capture)
{
	switch (option) {
	case 'm':
		return set_capture(value, capture) ? 1 : -1;
	case 'S':
		return tandem_bench_parse_bytes(value, UINT64_C(1) << 20, SIZE_MAX_BYTES,
		                                &capture->staging_bytes)
		               ? 1
		               : -1;
	case 'B':
		return set_us(value, &capture->budget_ns) ? 1 : -1;
	case 'P':
		return set_us(value, &capture->push_interval_ns) ? 1 : -1;
	case 'R':
		return tandem_bench_parse_bytes(value, UINT64_C(1) << 20, SIZE_MAX_BYTES,
		                                &capture->push_rate_bytes_s)
		               ? 1
		               : -1;
	case 'O':
		return set_overload(value, capture) ? 1 : -1;
	default:
		return 0;
	}
}

static bool set_interval(const char *value, struct tandem_bench_checkpoint_options *options)
{
	uint64_t interval_ms;

	if (!tandem_bench_parse_number(value, 0, 3600000, &interval_ms))
		return false;
	options->interval_ns = interval_ms * TANDEM_NS_PER_MS;
	return true;
}

static bool set(int option, const char *value, struct reading *reading)
{
	struct tandem_bench_checkpoint_options *options = &reading->options;
	const int captured = set_of_capture(option, value, &options->capture);

	if (captured != 0)
		return captured > 0;
	switch (option) {
	case 's':
		return tandem_bench_parse_size(value, UINT64_C(1) << 20, &options->size_bytes);
	case 'd':
		reading->dirty = value;
		return true;
	case 'w':
		return set_writes(value, options);
	case 'i':
		return set_interval(value, options);
	case 'r':
		return tandem_bench_parse_bytes(value, TANDEM_BENCH_PAGE_BYTES, SIZE_MAX_BYTES,
		                                &options->rate_bytes_s);
	case 'e':
		return tandem_bench_parse_unsigned(value, 1, TANDEM_BENCH_EPOCHS_MAX,
		                                   &options->epochs);
	case 'c':
		return tandem_bench_parse_unsigned(value, 1, 16, &options->channel_count);
	case 'p':
		options->provider = value;
		return true;
	case 't':
		return set_tracker(value, options);
	case 'a':
		options->address = value;
		return true;
	case 'g':
		options->plot_path = value;
		return true;
	case 'j':
		options->is_json = true;
		return true;
	case 'b':
		options->measures_bare = true;
		return true;
	default:
		return false;
	}
}

/* "10%" or "64K"; down to whole pages, and at least one. */
static bool parse_dirty(const char *word, uint64_t size_bytes, uint64_t *ret_bytes)
{
	char number[24];
	size_t length = strlen(word);
	uint64_t percent;

	if (length == 0 || word[length - 1] != '%') {
		if (!tandem_bench_parse_bytes(word, TANDEM_BENCH_PAGE_BYTES, size_bytes, ret_bytes))
			return false;
	} else {
		snprintf(number, sizeof number, "%.*s", (int)(length - 1), word);
		if (length > sizeof number || !tandem_bench_parse_number(number, 0, 100, &percent))
			return tandem_bench_refuse("dirty", word,
			                           "bytes with a unit, or 0% to 100%");
		*ret_bytes = size_bytes * percent / 100;
	}
	*ret_bytes -= *ret_bytes % TANDEM_BENCH_PAGE_BYTES;
	return true;
}

static bool read_dirty(const char *text, struct tandem_bench_checkpoint_options *options)
{
	char list[LIST_BYTES];

	if (strlen(text) >= sizeof list)
		return tandem_bench_refuse("dirty", text, "a shorter list");
	memcpy(list, text, strlen(text) + 1);
	for (char *rest = NULL, *word = strtok_r(list, ",", &rest); word != NULL;
	     word = strtok_r(NULL, ",", &rest)) {
		if (options->row_count == TANDEM_BENCH_ROWS_MAX)
			return tandem_bench_refuse("dirty", text, "a list of at most 16");
		if (!parse_dirty(word, options->size_bytes,
		                 &options->dirty_bytes[options->row_count++]))
			return false;
	}
	return options->row_count > 0 ||
	       tandem_bench_refuse("dirty", text, "a list such as 64K,10%");
}

/* One row, of what an interval makes. */
static bool read_rate(struct tandem_bench_checkpoint_options *options)
{
	const double bytes = (double)options->rate_bytes_s * (double)options->interval_ns / 1e9;

	if (options->interval_ns == 0)
		return refuse_mix("--rate needs an --interval, such as --interval 600");
	options->row_count = 1;
	options->dirty_bytes[0] =
	        bytes < (double)options->size_bytes ? (uint64_t)bytes : options->size_bytes;
	options->dirty_bytes[0] -= options->dirty_bytes[0] % TANDEM_BENCH_PAGE_BYTES;
	return true;
}

static bool judge(struct reading *reading)
{
	struct tandem_bench_checkpoint_options *options = &reading->options;
	const bool is_upload = options->writes == TANDEM_BENCH_WRITES_UPLOAD;

	if (options->capture.staging_bytes == 0)
		options->capture.staging_bytes = options->size_bytes;
	if (options->capture.budget_ns != 0 && options->capture.push_interval_ns == 0)
		return refuse_mix("--budget needs a --push-interval, such as --push-interval 2000");
	if (reading->dirty != NULL && options->rate_bytes_s != 0)
		return refuse_mix(
		        "--rate and --interval make what an epoch dirties: leave out --dirty");
	if (is_upload && options->rate_bytes_s == 0)
		return refuse_mix("--pattern upload needs a --rate, such as --rate 64M");
	if (options->rate_bytes_s != 0)
		return read_rate(options);
	return read_dirty(reading->dirty != NULL ? reading->dirty : DIRTY_DEFAULT, options);
}

enum tandem_bench_reading tandem_bench_checkpoint_options_read(
        int argument_count, char **arguments, struct tandem_bench_checkpoint_options *ret_options)
{
	static const struct option long_options[] = {
	        {"size", required_argument, NULL, 's'},
	        {"dirty", required_argument, NULL, 'd'},
	        {"pattern", required_argument, NULL, 'w'},
	        {"interval", required_argument, NULL, 'i'},
	        {"rate", required_argument, NULL, 'r'},
	        {"epochs", required_argument, NULL, 'e'},
	        {"channels", required_argument, NULL, 'c'},
	        {"provider", required_argument, NULL, 'p'},
	        {"tracker", required_argument, NULL, 't'},
	        {"address", required_argument, NULL, 'a'},
	        {"capture", required_argument, NULL, 'm'},
	        {"staging", required_argument, NULL, 'S'},
	        {"budget", required_argument, NULL, 'B'},
	        {"push-interval", required_argument, NULL, 'P'},
	        {"push-rate", required_argument, NULL, 'R'},
	        {"on-overload", required_argument, NULL, 'O'},
	        {"bare", no_argument, NULL, 'b'},
	        {"json", no_argument, NULL, 'j'},
	        {"plot", required_argument, NULL, 'g'},
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0}};
	struct reading reading = {.options = {.size_bytes = UINT64_C(256) << 20,
	                                      .epochs = 20,
	                                      .channel_count = 4,
	                                      .capture = {.mode = "stop"},
	                                      .provider = "auto",
	                                      .tracker = "auto",
	                                      .address = "127.0.0.1"}};
	int option;

	while ((option = getopt_long(argument_count, arguments, "", long_options, NULL)) != -1) {
		if (option == 'h')
			return TANDEM_BENCH_HELP;
		if (!set(option, optarg, &reading))
			return TANDEM_BENCH_WRONG;
	}
	if (optind != argument_count) {
		fprintf(stderr, "tandem-bench: unexpected argument '%s'\n", arguments[optind]);
		return TANDEM_BENCH_WRONG;
	}
	if (!judge(&reading))
		return TANDEM_BENCH_WRONG;
	*ret_options = reading.options;
	return TANDEM_BENCH_RUN;
}
