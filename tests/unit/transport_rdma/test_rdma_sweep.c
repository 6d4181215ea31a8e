#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "contract.h"
#include "fake.h"
#include "pair.h"

/* The whole life of a session, with call 1, 2, 3 of the device or of the allocator failing: each
 * ends clean, whatever was half built. */

#define CALLS_MAX 2000
#define MS        UINT64_C(1000000)

static bool is_up_or_lost(const struct pair *pair)
{
	return (pair->connecting.is_up && pair->listening.session != NULL) ||
	       pair->connecting.lost_count > 0;
}

static void serve(struct pair *pair)
{
	struct tandem_error error;

	struct tandem_session *session = NULL;
	int rc = 0;

	while (rc != TANDEM_E_AGAIN && session == NULL)
		rc = tandem_listener_accept(pair->listener, &session, &error);
	/* The connecting side is one only: a second session is of nobody. */
	if (session != NULL && pair->listening.session == NULL)
		pair->listening.session = session;
	else
		tandem_session_free(session);
	if (pair->listening.session != NULL)
		tandem_session_progress(pair->listening.session);
	tandem_session_progress(pair->connecting.session);
	pair_take(pair);
}

static int join(struct pair *pair)
{
	const uint64_t end_ns = tandem_clock_now_ns() + 500 * MS;

	while (!is_up_or_lost(pair) && tandem_clock_now_ns() < end_ns)
		serve(pair);
	return is_up_or_lost(pair) && pair->connecting.lost_count == 0 ? 0 : -1;
}

static int use(struct pair *pair)
{
	struct tandem_write write = {.source = pair->source, .length = 4096};
	unsigned taken;
	int rc;

	rc = tandem_session_expose(pair->listening.session, 0, pair->memory, PAIR_MEMORY_BYTES,
	                           NULL);
	if (rc == 0)
		rc = tandem_session_register(pair->connecting.session, pair->source,
		                             PAIR_MEMORY_BYTES, NULL);
	for (unsigned i = 0; i < 5 && rc == 0; i++)
		serve(pair);
	if (rc == 0)
		rc = tandem_session_write(pair->connecting.session, 0, &write, 1, &taken);
	if (rc == 0)
		rc = tandem_session_notify(pair->connecting.session, 1, &write, 5);
	if (rc == 0)
		rc = tandem_session_send(pair->connecting.session, "hello", 5);
	for (unsigned i = 0; i < 5; i++)
		serve(pair);
	if (rc == 0 && (pair->listening.notice_count != 1 || pair->listening.message_count != 1))
		rc = -1;
	return rc;
}

/* A channel is lost, fenced and restored with its memory. */
static int repair(struct pair *pair)
{
	const struct tandem_write write = {.source = pair->source, .length = 4096};
	const uint64_t end_ns = tandem_clock_now_ns() + 500 * MS;
	int rc;

	tandem_session_break_channel(pair->connecting.session, 0);
	for (unsigned i = 0; i < 5; i++)
		serve(pair);
	rc = tandem_session_fence_channel(pair->listening.session, 0,
	                                  tandem_clock_now_ns() + 100 * MS, NULL);
	cr_assert_eq(rc, 0, "the fence failed without a key that is kept");
	for (unsigned i = 0; i < 5; i++)
		serve(pair);
	rc = tandem_session_restore(pair->connecting.session, 0, NULL);
	while (rc == 0 && pair->connecting.channel_up_counts[0] == 0 &&
	       pair->connecting.channel_lost_counts[0] < 2 && pair->connecting.lost_count == 0 &&
	       tandem_clock_now_ns() < end_ns)
		serve(pair);
	if (rc == 0)
		rc = tandem_session_notify(pair->connecting.session, 0, &write, 5);
	for (unsigned i = 0; i < 5; i++)
		serve(pair);
	return rc == 0 && pair->listening.notice_count == 2 ? 0 : -1;
}

static int live(struct pair *pair)
{
	int rc = join(pair);

	if (rc == 0)
		rc = use(pair);
	if (rc == 0)
		rc = repair(pair);
	if (pair->listening.session != NULL &&
	    tandem_session_fence(pair->listening.session, tandem_clock_now_ns() + 100 * MS, NULL) !=
	            0)
		cr_assert_fail("the fence failed without a key that is kept");
	return rc;
}

static void end(struct pair *pair)
{
	pair->connecting.session = tandem_session_free(pair->connecting.session);
	pair->listening.session = tandem_session_free(pair->listening.session);
	pair->listener = tandem_listener_free(pair->listener);
}

static int begin(struct pair *pair, struct tandem_error *reterr_error)
{
	int rc;

	pair->options = pair_options(pair->bed);
	pair->options.channel_count = 2;
	rc = tandem_transport_listen(pair->bed->listening, &pair->options, &pair->listener,
	                             reterr_error);
	if (rc != 0)
		return rc;
	pair->options.port = tandem_listener_port(pair->listener);
	return tandem_transport_connect(pair->bed->connecting, &pair->options,
	                                &pair->connecting.session, reterr_error);
}

/* 0 when all of it worked. The program's own memory does not fail. */
static int live_once(void)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	struct tandem_contract_bed bed;
	struct tandem_error error = {0};
	int rc = tandem_contract_bed_open("rdma", "127.0.0.1", &bed, &error);

	pair->bed = &bed;
	pair->memory = aligned_alloc(4096, PAIR_MEMORY_BYTES);
	pair->source = aligned_alloc(4096, PAIR_MEMORY_BYTES);
	if (rc == 0) {
		rc = begin(pair, &error);
		if (rc == 0)
			rc = live(pair);
		end(pair);
		tandem_contract_bed_close(&bed);
	}
	if (error.code != 0)
		cr_expect_gt(strlen(error.detail), 0);
	free(pair->memory);
	free(pair->source);
	free(pair);
	return rc;
}

static void check_clean(uint64_t number)
{
	cr_assert_str_eq(fake_misuse(), "", "call %llu: %s", (unsigned long long)number,
	                 fake_misuse());
	cr_assert_eq(fake_left_count(), 0, "call %llu leaves %u objects",
	             (unsigned long long)number, fake_live_count());
}

static void sweep_calls(int os_errno)
{
	unsigned failed_count = 0;
	uint64_t call_count;

	fake_reset();
	cr_assert_eq(live_once(), 0);
	check_clean(0);
	call_count = fake_call_count();
	cr_assert(call_count > 50 && call_count < CALLS_MAX);
	for (uint64_t number = 1; number <= call_count; number++) {
		fake_reset();
		fake_fail_call(number, os_errno);
		failed_count += live_once() != 0;
		check_clean(number);
	}
	/* Few calls may fail unseen: the arming of a queue, an event that is read later. */
	cr_expect_gt(failed_count, call_count / 2, "%u of %llu", failed_count,
	             (unsigned long long)call_count);
}

Test(rdma_sweep, every_failing_call_ends_clean)
{
	sweep_calls(EIO);
}

Test(rdma_sweep, every_call_short_of_memory_ends_clean)
{
	sweep_calls(ENOMEM);
}

Test(rdma_sweep, every_failing_allocation_ends_clean)
{
	uint64_t before;
	uint64_t count;

	fake_reset();
	before = tandem_memory_call_count();
	cr_assert_eq(live_once(), 0);
	count = tandem_memory_call_count() - before;
	for (uint64_t number = 1; number <= count; number++) {
		fake_reset();
		tandem_memory_fail_from(number);
		cr_expect_neq(live_once(), 0, "allocation %llu", (unsigned long long)number);
		tandem_memory_fail_from(0);
		check_clean(number);
	}
}
