#include <criterion/criterion.h>

#include <poll.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/transport.h>

#define PAGE 4096

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
	made.port = 7400;
	made.channel_count = 2;
	made.connect_timeout_ns = made.peer_timeout_ns = UINT64_C(600) * TANDEM_NS_PER_S;
	return made;
}

static bool is_readable(const struct tandem_session *session)
{
	struct pollfd fd = {.fd = tandem_session_fd(session), .events = POLLIN};
	return poll(&fd, 1, 0) == 1;
}

static void setup(void)
{
	const struct tandem_transport_options made = options();
	fabric = tandem_fabric_new();
	cr_assert_eq(tandem_transport_open_memory(fabric, &transport), 0);
	cr_assert_eq(tandem_transport_listen(transport, &made, &listener, NULL), 0);
	cr_assert_eq(tandem_transport_connect(transport, &made, &primary, NULL), 0);
	cr_assert(is_readable(primary));
	tandem_session_progress(primary);
	cr_assert_eq(tandem_listener_accept(listener, &secondary, NULL), 0);
	cr_assert_eq(tandem_session_expose(secondary, 0, memory, sizeof(memory), NULL), 0);
	cr_assert_eq(tandem_session_register(primary, source, sizeof(source), NULL), 0);
	tandem_session_progress(primary);
	cr_assert_eq(tandem_listener_accept(listener, &secondary, NULL), TANDEM_E_AGAIN);
	tandem_session_progress(primary);
	cr_assert(tandem_session_next_event(primary, &event) && event.type == TANDEM_SESSION_UP);
	cr_assert_eq(event.channel_mask, 3);
	for (unsigned channel = 0; channel < 2; channel++)
		cr_assert(tandem_session_next_event(secondary, &event) &&
		          event.type == TANDEM_SESSION_CHANNEL_UP && event.channel == channel);
	tandem_session_progress(primary);
	cr_assert_eq(tandem_session_exposed_bytes(primary, 0), sizeof(memory));
}

static void teardown(void)
{
	tandem_session_free(primary);
	tandem_session_free(secondary);
	tandem_listener_free(listener);
	tandem_transport_free(transport);
	tandem_fabric_free(fabric);
}

TestSuite(memory_fabric, .init = setup, .fini = teardown);

/* Page `page` of the source to the same place. */
static void post(unsigned channel, unsigned page)
{
	const struct tandem_write write = {
	        .offset = page * PAGE, .source = source + page * PAGE, .length = PAGE};
	cr_assert_eq(tandem_session_notify(primary, channel, &write, page), 0);
}

static unsigned serve_secondary(void)
{
	unsigned count = 0;
	tandem_session_progress(secondary);
	while (tandem_session_next_event(secondary, &event)) {
		cr_assert_eq(event.type, TANDEM_SESSION_NOTIFIED);
		count++;
	}
	return count;
}

Test(memory_fabric, a_write_lands_in_progress_of_the_receiver_and_reads_its_source_then)
{
	source[0] = 1;
	post(0, 0);
	source[0] = 2; /* a device may read as late as this */
	tandem_session_progress(primary);
	cr_assert_eq(memory[0], 0);
	cr_assert_eq(tandem_session_inflight_count(primary, 0), 1);
	cr_assert(is_readable(secondary));
	cr_assert_eq(serve_secondary(), 1);
	cr_assert_eq(memory[0], 2);
	cr_assert_eq(tandem_session_inflight_count(primary, 0), 0);
	cr_assert(!is_readable(secondary));
}

Test(memory_fabric, a_cut_holds_everything_until_healed)
{
	tandem_fabric_cut(fabric, true);
	post(0, 0);
	cr_assert_eq(tandem_session_send(primary, "x", 1), 0);
	cr_assert(!is_readable(secondary));
	cr_assert_eq(serve_secondary(), 0);
	tandem_fabric_cut(fabric, false);
	cr_assert(is_readable(secondary));
	tandem_session_progress(secondary);
	cr_assert(tandem_session_next_event(secondary, &event) &&
	          event.type == TANDEM_SESSION_NOTIFIED);
	cr_assert(tandem_session_next_event(secondary, &event) &&
	          event.type == TANDEM_SESSION_MESSAGE);
}

Test(memory_fabric, a_limit_lets_so_many_land_in_turn)
{
	memset(source, 9, sizeof(source));
	for (unsigned page = 0; page < 8; page++)
		post(page % 2, page);
	tandem_fabric_limit(fabric, 3);
	cr_assert_eq(serve_secondary(), 3);
	cr_assert(memory[0] == 9 && memory[PAGE] == 9 && memory[2 * PAGE] == 9);
	cr_assert(memory[3 * PAGE] == 0);
	cr_assert(!is_readable(secondary));
	tandem_fabric_limit(fabric, UINT64_MAX);
	cr_assert_eq(serve_secondary(), 5);
}

Test(memory_fabric, a_drop_loses_what_is_held_and_the_sessions)
{
	source[0] = 5;
	tandem_fabric_cut(fabric, true);
	post(0, 0);
	tandem_fabric_drop(fabric);
	for (unsigned i = 0; i < 2; i++) {
		struct tandem_session *session = i == 0 ? primary : secondary;
		cr_assert(is_readable(session));
		tandem_session_progress(session);
		cr_assert(tandem_session_next_event(session, &event));
		cr_assert_eq(event.type, TANDEM_SESSION_LOST);
		cr_assert_eq(event.error.code, TANDEM_E_PEER_LOST);
		cr_assert(!tandem_session_next_event(session, &event));
		cr_assert(!is_readable(session));
	}
	cr_assert_eq(memory[0], 0);
	cr_assert_eq(tandem_session_inflight_count(primary, 0), 0);
}

Test(memory_fabric, a_dead_writer_leaves_what_had_landed)
{
	memset(source, 9, sizeof(source));
	post(0, 0);
	post(0, 1);
	tandem_fabric_limit(fabric, 1);
	tandem_session_progress(secondary);
	primary = tandem_session_free(primary);
	memset(source, 0, sizeof(source));
	tandem_fabric_limit(fabric, UINT64_MAX);
	tandem_session_progress(secondary);
	cr_assert(tandem_session_next_event(secondary, &event) &&
	          event.type == TANDEM_SESSION_NOTIFIED);
	cr_assert(tandem_session_next_event(secondary, &event) &&
	          event.type == TANDEM_SESSION_LOST);
	cr_assert(memory[0] == 9 && memory[PAGE] == 0);
}

Test(memory_fabric, a_fence_takes_what_had_come_and_no_more)
{
	memset(source, 9, sizeof(source));
	for (unsigned page = 0; page < 8; page++)
		post(0, page);
	cr_assert_eq(tandem_session_send(primary, "x", 1), 0);
	tandem_fabric_limit(fabric, 5);
	cr_assert_eq(tandem_session_fence(secondary, UINT64_MAX, NULL), 0);
	cr_assert(memory[4 * PAGE] == 9 && memory[5 * PAGE] == 0);
	tandem_fabric_limit(fabric, UINT64_MAX);
	memset(memory, 1, sizeof(memory));
	unsigned notice_count = 0, message_count = 0;
	tandem_session_progress(secondary);
	while (tandem_session_next_event(secondary, &event)) {
		notice_count += event.type == TANDEM_SESSION_NOTIFIED;
		message_count += event.type == TANDEM_SESSION_MESSAGE;
	}
	cr_assert_eq(event.type, TANDEM_SESSION_LOST);
	cr_assert(notice_count == 5 && message_count == 1);
	for (unsigned i = 0; i < sizeof(memory); i++)
		cr_assert_eq(memory[i], 1);
}

Test(memory_fabric, an_address_and_port_has_one_listener)
{
	struct tandem_listener *second = NULL;
	const struct tandem_transport_options made = options();
	cr_assert_eq(tandem_transport_listen(transport, &made, &second, NULL), TANDEM_E_SYSTEM);
	cr_assert_null(second);
}

/* [T18] */
Test(memory_fabric, a_reading_on_a_path_that_is_cut_ends_without_a_beat)
{
	tandem_session_beat(secondary);
	tandem_fabric_cut(fabric, true);
	cr_assert_eq(tandem_session_read_beat(primary, 0), 0);
	tandem_session_progress(primary);
	cr_assert(tandem_session_next_event(primary, &event));
	cr_expect(event.type == TANDEM_SESSION_BEAT_READ && !event.has_beat);
	tandem_fabric_cut(fabric, false);
	cr_assert_eq(tandem_session_read_beat(primary, TANDEM_NS_PER_S), 0);
	cr_assert(is_readable(primary));
	tandem_session_progress(primary);
	cr_assert(tandem_session_next_event(primary, &event));
	cr_expect(event.type == TANDEM_SESSION_BEAT_READ && event.has_beat && event.beat == 1);
	cr_expect(!tandem_session_next_event(primary, &event));
}
