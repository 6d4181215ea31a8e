/* The only program of a test guest: it dirties memory that can be made again from outside
 * (workload.h), checks it all the time, and tells. Its settings are the kernel's arguments after
 * " -- ", as NAME=VALUE. tests/guest/README.md has them, what it tells and what it can be told. */

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "machine.h"
#include "memory.h"
#include "talk.h"

#define NS_PER_S       UINT64_C(1000000000)
#define NS_PER_MS      UINT64_C(1000000)
#define PAGES_PER_MIB  256u
#define SLICE_MS       5
#define SLICE_MOST_MS  50u /* of writing and checking at once, when it was late */
#define WRONG_TOLD_MAX 20u
#define TEXT_BYTES     (TALK_LINE_BYTES - 1)

struct settings {
	uint64_t memory_mib;
	uint64_t hot_mib;
	uint64_t rate; /* pages written a second */
	uint64_t check_rate;
	uint64_t tick_ms;
	uint64_t seed;
	uint64_t is_random;
	char address[32];
};

struct guest {
	struct settings settings;
	struct memory memory;
	struct talk talk;
	uint64_t tick_count;
	uint64_t slice_ns;
	uint64_t write_credit_ns;
	uint64_t check_credit_ns;
	uint64_t tick_ns;
};

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Nobody can go on without what failed: the kernel panics, which a test sees. */
static void fail(struct guest *guest, const char *what)
{
	char text[TEXT_BYTES];

	snprintf(text, sizeof(text), "{\"failed\": \"%s\"}", what);
	talk_answer(&guest->talk.serial, text);
	exit(EXIT_FAILURE);
}

static void tell_wrong(void *argument, const struct memory_fault *fault)
{
	struct guest *guest = argument;
	char text[TEXT_BYTES];

	if (guest->memory.wrong_count > WRONG_TOLD_MAX)
		return;
	snprintf(text, sizeof(text),
	         "{\"wrong\": %" PRIu64 ", \"version\": %" PRIu64 ", \"word\": %u"
	         ", \"expected\": \"%016" PRIx64 "\", \"found\": \"%016" PRIx64
	         "\", \"step\": %" PRIu64 "}",
	         fault->page, fault->version, fault->word, fault->expected, fault->found,
	         guest->memory.header->done_count);
	talk_tell(&guest->talk, text);
}

static void write_state(struct guest *guest, const char *kind, char text[TEXT_BYTES])
{
	snprintf(text, TEXT_BYTES,
	         "{\"%s\": %" PRIu64 ", \"step\": %" PRIu64 ", \"checked\": %" PRIu64
	         ", \"wrong_count\": %" PRIu64 ", \"monotonic_ns\": %" PRIu64
	         ", \"uptime_ns\": %" PRIu64 ", \"boot\": \"%016" PRIx64 "\"}",
	         kind, guest->tick_count, guest->memory.header->done_count,
	         guest->memory.checked_count, guest->memory.wrong_count,
	         read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_BOOTTIME),
	         guest->memory.header->life);
}

static void check_all(struct guest *guest, char text[TEXT_BYTES])
{
	const uint64_t wrong_before = guest->memory.wrong_count;
	const uint64_t page_count = guest->memory.header->workload.page_count;

	memory_check(&guest->memory, page_count);
	snprintf(text, TEXT_BYTES,
	         "{\"verified\": %" PRIu64 ", \"wrong_count\": %" PRIu64 ", \"step\": %" PRIu64 "}",
	         page_count, guest->memory.wrong_count - wrong_before,
	         guest->memory.header->done_count);
}

static bool parse_number(const char *text, uint64_t *ret_value)
{
	char *end;

	*ret_value = strtoull(text, &end, 10);
	return end != text && *end == '\0';
}

static void obey(void *argument, struct talk_peer *from, const char *line)
{
	struct guest *guest = argument;
	char text[TEXT_BYTES];
	uint64_t rate;

	if (strcmp(line, "reboot") == 0)
		machine_reboot();
	else if (strcmp(line, "poweroff") == 0)
		machine_power_off();
	else if (strcmp(line, "state") == 0)
		write_state(guest, "state", text);
	else if (strcmp(line, "verify") == 0)
		check_all(guest, text);
	else if (strncmp(line, "echo ", 5) == 0)
		snprintf(text, sizeof(text), "{\"echo\": \"%s\"}", line + 5);
	else if (strncmp(line, "rate ", 5) == 0 && parse_number(line + 5, &rate)) {
		guest->settings.rate = rate;
		snprintf(text, sizeof(text), "{\"rate\": %" PRIu64 "}", rate);
	} else
		snprintf(text, sizeof(text), "{\"unknown\": \"%s\"}", line);
	talk_answer(from, text);
}

static bool take_setting(struct settings *settings, const char *word)
{
	const struct {
		const char *name;
		uint64_t *value;
	} numbers[] = {
	        {"memory_mib=", &settings->memory_mib},
	        {"hot_mib=", &settings->hot_mib},
	        {"rate=", &settings->rate},
	        {"check_rate=", &settings->check_rate},
	        {"tick_ms=", &settings->tick_ms},
	        {"seed=", &settings->seed},
	        {"random=", &settings->is_random},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const size_t length = strlen(numbers[i].name);
		if (strncmp(word, numbers[i].name, length) == 0)
			return parse_number(word + length, numbers[i].value);
	}
	if (strncmp(word, "address=", 8) != 0)
		return false;
	snprintf(settings->address, sizeof(settings->address), "%s", word + 8);
	return true;
}

static void open_talk(struct guest *guest)
{
	guest->talk.serial.file = guest->talk.datagrams.file = guest->talk.broadcasts.file = -1;
	guest->talk.listener = -1;
	for (unsigned i = 0; i < TALK_CONNECTIONS; i++)
		guest->talk.connections[i].file = -1;
	guest->talk.on_line = obey;
	guest->talk.argument = guest;
	if (!machine_mount() || !talk_open_serial(&guest->talk, "/dev/ttyS0"))
		exit(EXIT_FAILURE);
}

static void take_settings(struct guest *guest, int count, char **words)
{
	guest->settings = (struct settings){.memory_mib = 32,
	                                    .hot_mib = 16,
	                                    .rate = 2000,
	                                    .check_rate = 4000,
	                                    .tick_ms = 100,
	                                    .seed = 1};
	for (int i = 1; i < count; i++) {
		if (!take_setting(&guest->settings, words[i]))
			fail(guest, words[i]);
	}
	if (guest->settings.tick_ms == 0)
		fail(guest, "tick_ms=0");
}

static void make_memory(struct guest *guest)
{
	const struct workload workload = {
	        .seed = guest->settings.seed,
	        .page_count = guest->settings.memory_mib * PAGES_PER_MIB,
	        .hot_count = guest->settings.hot_mib * PAGES_PER_MIB,
	        .order = guest->settings.is_random ? WORKLOAD_RANDOM : WORKLOAD_SWEEP,
	};
	uint64_t life;

	if (!workload_is_valid(&workload))
		fail(guest, "hot_mib has to be a power of two and at most memory_mib");
	/* A young kernel may have none yet; two boots do not begin in the same nanosecond. */
	if (getrandom(&life, sizeof(life), GRND_NONBLOCK) != sizeof(life))
		life = read_clock(CLOCK_REALTIME);
	if (!memory_make(&guest->memory, &workload, life))
		fail(guest, "not enough memory for memory_mib");
	guest->memory.on_wrong = tell_wrong;
	guest->memory.argument = guest;
}

static void open_network(struct guest *guest)
{
	char failed[256];

	if (!machine_load_modules(failed, sizeof(failed)))
		fail(guest, failed);
	if (guest->settings.address[0] == '\0')
		return;
	if (!machine_set_address(guest->settings.address) || !talk_open_network(&guest->talk))
		fail(guest, "address: no card, or no IPv4 address with the length of its network");
}

/* How many are due by now at `rate` a second; the rest of the time stays in the credit. */
static uint64_t take_due(uint64_t *credit_ns, uint64_t passed_ns, uint64_t rate)
{
	*credit_ns += passed_ns;
	if (*credit_ns > SLICE_MOST_MS * NS_PER_MS)
		*credit_ns = SLICE_MOST_MS * NS_PER_MS;
	if (rate == 0)
		return 0;
	const uint64_t count = *credit_ns * rate / NS_PER_S;
	*credit_ns -= count * NS_PER_S / rate;
	return count;
}

static void work(struct guest *guest)
{
	const struct settings *settings = &guest->settings;
	const uint64_t now = read_clock(CLOCK_MONOTONIC), passed_ns = now - guest->slice_ns;

	guest->slice_ns = now;
	memory_write(&guest->memory, take_due(&guest->write_credit_ns, passed_ns, settings->rate));
	memory_check(&guest->memory,
	             take_due(&guest->check_credit_ns, passed_ns, settings->check_rate));
	if (now < guest->tick_ns)
		return;
	char text[TEXT_BYTES];
	guest->tick_ns = now + settings->tick_ms * NS_PER_MS;
	guest->tick_count++;
	write_state(guest, "tick", text);
	talk_tell(&guest->talk, text);
}

int main(int count, char **words)
{
	static struct guest guest;
	struct pollfd polls[TALK_POLLS];

	signal(SIGPIPE, SIG_IGN);
	open_talk(&guest);
	take_settings(&guest, count, words);
	make_memory(&guest);
	open_network(&guest);
	guest.slice_ns = read_clock(CLOCK_MONOTONIC);
	for (;;) {
		talk_poll(&guest.talk, polls);
		if (poll(polls, TALK_POLLS, SLICE_MS) > 0)
			talk_take(&guest.talk, polls);
		work(&guest);
	}
}
