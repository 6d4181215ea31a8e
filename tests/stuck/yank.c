/* stuck_yank PROVIDER ADDRESS ROUNDS: [T10] one thread is inside the calls of a session that writes
 * at full rate, others yank it: while it joins, while its peer takes everything, while its peer
 * takes nothing, twice at once, and after it is lost. LOST with TANDEM_E_YANKED has to come in 2 s;
 * how long it took is told. */

#include <stdlib.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "device_hooks.h"
#include "flood.h"

#define LIMIT_NS (UINT64_C(2000) * TANDEM_NS_PER_MS)

enum moment {
	MOMENT_AT_ONCE,     /* before the session's first progress */
	MOMENT_JOINING,     /* some turns of the listening side later */
	MOMENT_STREAMING,   /* the peer takes what comes */
	MOMENT_PEER_SILENT, /* the queues are full and nobody takes anything */
	MOMENTS,
};

static const char *const moment_names[MOMENTS] = {"at once", "joining", "streaming", "peer silent"};

struct figures {
	uint64_t issue_ns;
	uint64_t back_ns;
};

static unsigned round_number;
static enum moment moment;
static struct figures worst[MOMENTS];

static void *yank_in_thread(void *session)
{
	tandem_session_yank(session);
	return NULL;
}

static void keep_worst(uint64_t issue_ns, uint64_t back_ns)
{
	if (issue_ns > worst[moment].issue_ns)
		worst[moment].issue_ns = issue_ns;
	if (back_ns > worst[moment].back_ns)
		worst[moment].back_ns = back_ns;
}

/* From two threads at once, while the flood's is inside the provider. */
static int yank_twice(struct flood *flood)
{
	struct tandem_session *session = flood->pair->connecting.session;
	const uint64_t begin_ns = tandem_clock_now_ns();
	uint64_t issued_ns;
	pthread_t thread;

	TANDEM_CONTRACT_CHECK(pthread_create(&thread, NULL, yank_in_thread, session) == 0);
	issued_ns = tandem_clock_now_ns();
	tandem_session_yank(session);
	issued_ns = tandem_clock_now_ns() - issued_ns;
	pthread_join(thread, NULL);
	TANDEM_CONTRACT_CHECK(flood_wait_lost(flood, begin_ns + LIMIT_NS) == 0);
	TANDEM_CONTRACT_CHECK(flood->lost_ns < begin_ns + LIMIT_NS);
	TANDEM_CONTRACT_CHECK(flood->error.code == TANDEM_E_YANKED);
	keep_worst(issued_ns, flood->lost_ns > begin_ns ? flood->lost_ns - begin_ns : 0);
	return 0;
}

static int await_moment(struct flood *flood)
{
	if (moment == MOMENT_STREAMING)
		return pair_wait(flood->pair, pair_has_notices, 1 + round_number % 17);
	if (moment == MOMENT_PEER_SILENT)
		return flood_wait_full(flood, tandem_clock_now_ns() + PAIR_WAIT_NS);
	return 0;
}

static int yank_flood(struct pair *pair)
{
	struct flood flood;
	int rc;

	if (moment == MOMENT_PEER_SILENT)
		device_hold(true);
	TANDEM_CONTRACT_CHECK(flood_start(&flood, pair) == 0);
	rc = await_moment(&flood);
	if (rc == 0)
		rc = yank_twice(&flood);
	/* Late: nothing is told twice. */
	tandem_session_yank(pair->connecting.session);
	flood_end(&flood);
	TANDEM_CONTRACT_CHECK(rc == 0 && flood.lost_count == 1);
	return 0;
}

/* The listening side takes some turns, so that the yank finds the join half done. */
static int yank_joining(struct pair *pair)
{
	struct tandem_session *session = NULL;
	struct flood flood;
	int rc;

	TANDEM_CONTRACT_CHECK(flood_start(&flood, pair) == 0);
	for (unsigned turn = 0; turn < round_number % 64 && session == NULL; turn++) {
		rc = tandem_listener_accept(pair->listener, &session, NULL);
		if (rc != 0 && rc != TANDEM_E_AGAIN)
			break;
	}
	pair->listening.session = session;
	rc = yank_twice(&flood);
	flood_end(&flood);
	TANDEM_CONTRACT_CHECK(rc == 0 && flood.lost_count == 1);
	return 0;
}

static int run_unjoined(struct tandem_contract_bed *bed,
                        const struct tandem_transport_options *options)
{
	struct pair *pair = tandem_memory_alloc(sizeof(*pair));
	int rc;

	TANDEM_CONTRACT_CHECK(pair != NULL);
	rc = pair_begin(pair, bed, options);
	if (rc == 0 && moment == MOMENT_AT_ONCE)
		tandem_session_yank(pair->connecting.session);
	if (rc == 0)
		rc = yank_joining(pair);
	pair_end(pair);
	tandem_memory_free(pair);
	return rc;
}

static int run_round(struct tandem_contract_bed *bed,
                     const struct tandem_transport_options *options)
{
	int rc;

	if (moment == MOMENT_AT_ONCE || moment == MOMENT_JOINING)
		return run_unjoined(bed, options);
	rc = pair_run(bed, options, true, yank_flood);
	if (moment == MOMENT_PEER_SILENT)
		device_hold(false);
	return rc;
}

/* A device that cannot be held takes writes although nobody serves its owner. */
static bool can_be_silent(const struct tandem_contract_bed *bed)
{
	const bool can_hold = device_hold(true);

	device_hold(false);
	return can_hold || !tandem_transport_capabilities(bed->connecting)->has_one_sided_writes;
}

static unsigned run_all(struct tandem_contract_bed *bed, unsigned rounds)
{
	const struct tandem_transport_options options = pair_options(bed);
	const unsigned moments = can_be_silent(bed) ? MOMENTS : MOMENT_PEER_SILENT;
	unsigned failed_count = 0;

	for (round_number = 0; round_number < rounds; round_number++) {
		moment = round_number % moments;
		failed_count += run_round(bed, &options) != 0;
	}
	return failed_count;
}

int main(int argument_count, char **arguments)
{
	struct tandem_contract_bed bed;
	struct tandem_error error = {0};
	unsigned failed_count;
	unsigned rounds;

	if (argument_count != 4)
		return 2;
	rounds = (unsigned)strtoul(arguments[3], NULL, 10);
	if (tandem_contract_bed_open(arguments[1], arguments[2], &bed, &error) != 0) {
		fprintf(stderr, "%s\n", error.detail);
		return EXIT_FAILURE;
	}
	failed_count = run_all(&bed, rounds);
	tandem_contract_bed_close(&bed);
	for (unsigned i = 0; i < MOMENTS && worst[i].back_ns > 0; i++)
		printf("%-11s slowest call %llu us, slowest return %llu us\n", moment_names[i],
		       (unsigned long long)(worst[i].issue_ns / 1000),
		       (unsigned long long)(worst[i].back_ns / 1000));
	printf("%u rounds, %u failed%s%s\n", rounds, failed_count,
	       *device_misuse() != '\0' ? ", misuse: " : "", device_misuse());
	return failed_count == 0 && rounds > 0 && *device_misuse() == '\0' ? EXIT_SUCCESS
	                                                                   : EXIT_FAILURE;
}
