#include <criterion/criterion.h>

#include <string.h>

#include <tandem/clock.h>
#include <tandem/transport.h>

/* What tests may do to the data channels of the in-memory provider. */

#define PAGE          4096
#define CHANNEL_COUNT 4

static struct tandem_fabric *fabric;
static struct tandem_transport *transport;
static struct tandem_listener *listener;
static struct tandem_session *secondary, *primary;
static struct tandem_session_event event;
static _Alignas(PAGE) uint8_t memory[8 * PAGE];
static uint8_t source[8 * PAGE];

static struct tandem_transport_options options(void)
{
	struct tandem_transport_options made = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	memcpy(made.rails[0].address, "192.0.2.1", sizeof("192.0.2.1"));
	memcpy(made.rails[1].address, "192.0.2.2", sizeof("192.0.2.2"));
	made.rail_count = 2;
	made.port = 7400;
	made.channel_count = CHANNEL_COUNT;
	made.connect_timeout_ns = made.peer_timeout_ns = UINT64_C(600) * TANDEM_NS_PER_S;
	return made;
}

/* Accept gives no second session, and what it refused is for the test to ask. */
static int serve(void)
{
	struct tandem_session *none = NULL;
	tandem_session_progress(primary);
	int status = tandem_listener_accept(listener, &none, NULL);
	tandem_session_progress(primary);
	tandem_session_progress(secondary);
	cr_assert_null(none);
	return status;
}

static void expect_channel(struct tandem_session *session, enum tandem_session_event_type type,
                           unsigned channel)
{
	cr_assert(tandem_session_next_event(session, &event), "channel %u: no event", channel);
	cr_assert_eq(event.type, type, "channel %u: event %d", channel, (int)event.type);
	cr_assert_eq(event.channel, channel);
}

static void expect_none(void)
{
	cr_assert(!tandem_session_next_event(primary, &event), "event %d", (int)event.type);
	cr_assert(!tandem_session_next_event(secondary, &event), "event %d", (int)event.type);
}

static void begin(uint32_t refused_mask)
{
	const struct tandem_transport_options made = options();
	fabric = tandem_fabric_new();
	tandem_fabric_refuse(fabric, refused_mask);
	cr_assert_eq(tandem_transport_open_memory(fabric, &transport), 0);
	cr_assert_eq(tandem_transport_listen(transport, &made, &listener, NULL), 0);
	cr_assert_eq(tandem_transport_connect(transport, &made, &primary, NULL), 0);
	tandem_session_progress(primary);
	cr_assert_eq(tandem_listener_accept(listener, &secondary, NULL), 0);
	cr_assert_eq(tandem_session_expose(secondary, 0, memory, sizeof(memory), NULL), 0);
	cr_assert_eq(tandem_session_register(primary, source, sizeof(source), NULL), 0);
	cr_assert_eq(serve(), TANDEM_E_AGAIN);
	cr_assert(tandem_session_next_event(primary, &event) && event.type == TANDEM_SESSION_UP);
	cr_assert_eq(event.channel_mask, 0xf & ~refused_mask);
	for (unsigned i = 0; i < CHANNEL_COUNT; i++) {
		if ((refused_mask >> i & 1) == 0)
			expect_channel(secondary, TANDEM_SESSION_CHANNEL_UP, i);
	}
	cr_assert_eq(serve(), TANDEM_E_AGAIN);
	expect_none();
}

static void begin_whole(void)
{
	begin(0);
}

static void end(void)
{
	tandem_session_free(primary);
	tandem_session_free(secondary);
	tandem_listener_free(listener);
	tandem_transport_free(transport);
	tandem_fabric_free(fabric);
}

static int post(unsigned channel, unsigned page)
{
	const struct tandem_write write = {
	        .offset = page * PAGE, .source = source + page * PAGE, .length = PAGE};
	return tandem_session_notify(primary, channel, &write, page);
}

static unsigned rail_of(struct tandem_session *session, unsigned channel)
{
	struct tandem_channel_status status;
	tandem_session_channel_status(session, channel, &status);
	return status.rail;
}

TestSuite(memory_channels, .init = begin_whole, .fini = end);

Test(memory_channels, what_was_posted_comes_late_and_as_it_was_until_the_fence)
{
	memset(source, 1, sizeof(source));
	for (unsigned page = 0; page < 4; page++)
		cr_assert_eq(post(2, page), 0);
	tandem_fabric_break(fabric, 2, TANDEM_FABRIC_CONNECTING);
	cr_assert_eq(tandem_session_inflight_count(primary, 2), 0);
	memset(source, 2, sizeof(source)); /* the writer has its sources back */
	cr_assert_eq(post(2, 7), TANDEM_E_CHANNEL_LOST);
	expect_channel(primary, TANDEM_SESSION_CHANNEL_LOST, 2);
	tandem_session_progress(secondary);
	expect_channel(secondary, TANDEM_SESSION_NOTIFIED, 2);
	expect_channel(secondary, TANDEM_SESSION_CHANNEL_LOST, 2);
	tandem_session_progress(secondary);
	expect_channel(secondary, TANDEM_SESSION_NOTIFIED, 2);
	cr_assert(memory[0] == 1 && memory[PAGE] == 1 && memory[2 * PAGE] == 0);
	cr_assert_eq(tandem_session_fence_channel(secondary, 2, UINT64_MAX, NULL), 0);
	tandem_session_progress(secondary);
	cr_assert_eq(memory[2 * PAGE], 0);
	expect_none();
}

Test(memory_channels, who_did_not_see_it_is_told_and_what_it_posts_may_land)
{
	memset(source, 1, sizeof(source));
	tandem_fabric_break(fabric, 1, TANDEM_FABRIC_LISTENING);
	expect_channel(secondary, TANDEM_SESSION_CHANNEL_LOST, 1);
	cr_assert_eq(post(1, 0), 0);
	tandem_session_progress(secondary);
	cr_assert_eq(memory[0], 1);
	expect_channel(secondary, TANDEM_SESSION_NOTIFIED, 1);
	tandem_session_progress(primary);
	expect_channel(primary, TANDEM_SESSION_CHANNEL_LOST, 1);
	cr_assert_neq(strlen(event.error.detail), 0);
	expect_none();
}

Test(memory_channels, nothing_of_before_the_fence_lands_after_the_channel_is_back)
{
	memset(source, 1, sizeof(source));
	tandem_fabric_break(fabric, 1, TANDEM_FABRIC_LISTENING);
	expect_channel(secondary, TANDEM_SESSION_CHANNEL_LOST, 1);
	cr_assert_eq(tandem_session_fence_channel(secondary, 1, UINT64_MAX, NULL), 0);
	cr_assert_eq(post(1, 0), 0); /* it does not know yet */
	cr_assert_eq(serve(), TANDEM_E_AGAIN);
	expect_channel(primary, TANDEM_SESSION_CHANNEL_LOST, 1);
	cr_assert_eq(tandem_session_restore(primary, 1, NULL), 0);
	cr_assert_eq(serve(), TANDEM_E_AGAIN);
	expect_channel(primary, TANDEM_SESSION_CHANNEL_UP, 1);
	expect_channel(secondary, TANDEM_SESSION_CHANNEL_UP, 1);
	cr_assert_eq(serve(), TANDEM_E_AGAIN);
	expect_none();
	cr_assert_eq(memory[0], 0);
	cr_assert_eq(post(1, 0), 0);
	serve();
	expect_channel(secondary, TANDEM_SESSION_NOTIFIED, 1);
	cr_assert_eq(memory[0], 1);
}

Test(memory_channels, it_joins_again_only_after_the_fence_and_on_its_rail)
{
	struct tandem_channel_status status;
	cr_assert_eq(rail_of(primary, 3), 1);
	cr_assert_eq(rail_of(secondary, 3), 1);
	tandem_fabric_break(fabric, 3, TANDEM_FABRIC_BOTH);
	expect_channel(primary, TANDEM_SESSION_CHANNEL_LOST, 3);
	expect_channel(secondary, TANDEM_SESSION_CHANNEL_LOST, 3);
	cr_assert_eq(tandem_session_restore(primary, 3, NULL), 0);
	cr_assert_eq(serve(), TANDEM_E_PROTOCOL);
	expect_channel(primary, TANDEM_SESSION_CHANNEL_LOST, 3);
	cr_assert_eq(event.error.code, TANDEM_E_REFUSED);
	cr_assert_eq(tandem_session_fence_channel(secondary, 3, UINT64_MAX, NULL), 0);
	cr_assert_eq(tandem_session_restore(primary, 3, NULL), 0);
	tandem_session_channel_status(primary, 3, &status);
	cr_assert_eq(status.state, TANDEM_CHANNEL_JOINING);
	cr_assert_eq(tandem_session_restore(primary, 3, NULL), TANDEM_E_USAGE);
	serve();
	expect_channel(primary, TANDEM_SESSION_CHANNEL_UP, 3);
	expect_channel(secondary, TANDEM_SESSION_CHANNEL_UP, 3);
	cr_assert_eq(rail_of(primary, 3), 1);
	cr_assert_eq(rail_of(secondary, 3), 1);
}

Test(memory_channels, a_lost_rail_takes_its_channels_and_lets_none_in)
{
	tandem_fabric_lose_rail(fabric, 1, true);
	for (unsigned channel = 1; channel < CHANNEL_COUNT; channel += 2) {
		expect_channel(primary, TANDEM_SESSION_CHANNEL_LOST, channel);
		expect_channel(secondary, TANDEM_SESSION_CHANNEL_LOST, channel);
	}
	for (unsigned channel = 1; channel < CHANNEL_COUNT; channel += 2) {
		cr_assert_eq(tandem_session_fence_channel(secondary, channel, UINT64_MAX, NULL), 0);
		cr_assert_eq(tandem_session_restore(primary, channel, NULL), 0);
		serve();
		expect_channel(primary, TANDEM_SESSION_CHANNEL_LOST, channel);
		cr_assert(strstr(event.error.detail, "rail"));
	}
	expect_none();
	tandem_fabric_lose_rail(fabric, 1, false);
	for (unsigned channel = 1; channel < CHANNEL_COUNT; channel += 2) {
		cr_assert_eq(tandem_session_restore(primary, channel, NULL), 0);
		serve();
		expect_channel(primary, TANDEM_SESSION_CHANNEL_UP, channel);
		expect_channel(secondary, TANDEM_SESSION_CHANNEL_UP, channel);
		cr_assert_eq(rail_of(secondary, channel), 1);
	}
	expect_none();
}

Test(memory_channels, the_rail_of_control_takes_the_session)
{
	tandem_fabric_lose_rail(fabric, 0, true);
	cr_assert(tandem_session_next_event(primary, &event) && event.type == TANDEM_SESSION_LOST);
	cr_assert(tandem_session_next_event(secondary, &event) &&
	          event.type == TANDEM_SESSION_LOST);
}

Test(memory_channels, the_last_one_takes_the_session)
{
	for (unsigned channel = 0; channel < 3; channel++) {
		tandem_session_break_channel(channel % 2 ? primary : secondary, channel);
		serve();
		expect_channel(primary, TANDEM_SESSION_CHANNEL_LOST, channel);
		expect_channel(secondary, TANDEM_SESSION_CHANNEL_LOST, channel);
	}
	tandem_session_break_channel(primary, 3);
	serve();
	cr_assert(tandem_session_next_event(primary, &event) && event.type == TANDEM_SESSION_LOST);
	cr_assert(tandem_session_next_event(secondary, &event) &&
	          event.type == TANDEM_SESSION_LOST);
}

Test(memory_refusal, it_is_up_with_what_could_join_and_the_rest_comes_later, .fini = end)
{
	begin(5);
	cr_assert_eq(post(0, 0), TANDEM_E_CHANNEL_LOST);
	cr_assert_eq(tandem_session_restore(primary, 0, NULL), 0);
	serve();
	expect_channel(primary, TANDEM_SESSION_CHANNEL_LOST, 0);
	tandem_fabric_refuse(fabric, 0);
	cr_assert_eq(tandem_session_restore(primary, 0, NULL), 0);
	serve();
	expect_channel(primary, TANDEM_SESSION_CHANNEL_UP, 0);
	expect_channel(secondary, TANDEM_SESSION_CHANNEL_UP, 0);
	cr_assert_eq(post(0, 0), 0);
}

Test(memory_refusal, a_session_whose_data_channels_never_come_is_lost, .fini = end)
{
	struct tandem_transport_options made = options();
	made.connect_timeout_ns = UINT64_C(30) * TANDEM_NS_PER_MS;
	fabric = tandem_fabric_new();
	cr_assert_eq(tandem_transport_open_memory(fabric, &transport), 0);
	cr_assert_eq(tandem_transport_listen(transport, &made, &listener, NULL), 0);
	made.connect_timeout_ns = UINT64_C(600) * TANDEM_NS_PER_S;
	cr_assert_eq(tandem_transport_connect(transport, &made, &primary, NULL), 0);
	tandem_session_progress(primary);
	cr_assert_eq(tandem_listener_accept(listener, &secondary, NULL), 0);
	uint64_t deadline_ns = tandem_session_deadline_ns(secondary);
	cr_assert_leq(deadline_ns, tandem_clock_now_ns() + UINT64_C(30) * TANDEM_NS_PER_MS);
	while (tandem_clock_now_ns() < deadline_ns)
		cr_assert(!tandem_session_next_event(secondary, &event));
	tandem_session_progress(secondary);
	cr_assert(tandem_session_next_event(secondary, &event) &&
	          event.type == TANDEM_SESSION_LOST);
	cr_assert_eq(event.error.code, TANDEM_E_TIMEOUT);
	tandem_session_progress(primary);
	cr_assert(tandem_session_next_event(primary, &event) && event.type == TANDEM_SESSION_LOST);
}
