#include <criterion/criterion.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/transport.h>

/* Two sessions of one thread, each driven only when its descriptor asks for it. */
#define MEMORY_BYTES ((size_t)64 << 10)
#define WAIT_MS      20000

static struct tandem_transport *transport;
static struct tandem_listener *listener;
static struct tandem_session *writer, *holder;
static struct tandem_session_event event;
static uint8_t *memory, *source;

static struct tandem_transport_options options_of(uint16_t port)
{
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	snprintf(options.rails[0].address, sizeof(options.rails[0].address), "127.0.0.1");
	options.channel_count = 1;
	options.connect_timeout_ns = UINT64_C(20) * TANDEM_NS_PER_S;
	options.peer_timeout_ns = UINT64_C(20) * TANDEM_NS_PER_S;
	options.port = port;
	return options;
}

static bool is_readable(int fd, int wait_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	return poll(&poll_fd, 1, wait_ms) == 1;
}

static void serve(struct tandem_session *session, bool *has_come,
                  enum tandem_session_event_type type)
{
	if (!session || !is_readable(tandem_session_fd(session), 0))
		return;
	tandem_session_progress(session);
	while (tandem_session_next_event(session, &event)) {
		cr_assert_neq(event.type, TANDEM_SESSION_LOST, "%s", event.error.detail);
		*has_come = *has_come || event.type == type;
	}
}

static void join(void)
{
	const struct tandem_transport_options listen_options = options_of(0);
	const uint64_t end_ns = tandem_clock_now_ns() + WAIT_MS * TANDEM_NS_PER_MS;
	bool is_writer_up = false, is_holder_up = false;
	cr_assert_eq(tandem_transport_open("tcp", "", &transport, NULL), 0);
	cr_assert_eq(tandem_transport_listen(transport, &listen_options, &listener, NULL), 0);
	const struct tandem_transport_options options = options_of(tandem_listener_port(listener));
	cr_assert_eq(tandem_transport_connect(transport, &options, &writer, NULL), 0);
	while (!is_writer_up || !holder || tandem_session_exposed_bytes(writer, 0) == 0) {
		cr_assert_lt(tandem_clock_now_ns(), end_ns);
		struct tandem_session *accepted;
		if (tandem_listener_accept(listener, &accepted, NULL) == 0) {
			holder = accepted;
			cr_assert_eq(tandem_session_expose(holder, 0, memory, MEMORY_BYTES, NULL),
			             0);
		}
		serve(writer, &is_writer_up, TANDEM_SESSION_UP);
		serve(holder, &is_holder_up, TANDEM_SESSION_UP);
	}
	cr_assert_eq(tandem_session_register(writer, source, MEMORY_BYTES, NULL), 0);
}

static void setup(void)
{
	memory = tandem_memory_map(MEMORY_BYTES);
	source = tandem_memory_map(MEMORY_BYTES);
	memset(source, 0x77, MEMORY_BYTES);
	join();
}

static void teardown(void)
{
	writer = tandem_session_free(writer);
	holder = tandem_session_free(holder);
	listener = tandem_listener_free(listener);
	transport = tandem_transport_free(transport);
	tandem_memory_unmap(memory, MEMORY_BYTES);
	tandem_memory_unmap(source, MEMORY_BYTES);
}

TestSuite(tcp_linger, .init = setup, .fini = teardown, .timeout = 60);

static void write_one(uint64_t offset)
{
	const struct tandem_write write = {
	        .offset = offset, .source = source + offset, .length = 4096};
	unsigned taken = 0;
	cr_assert_eq(tandem_session_write(writer, 0, &write, 1, &taken), 0);
	cr_assert_eq(taken, 1);
}

Test(tcp_linger, a_short_list_leaves_when_the_descriptor_is_followed)
{
	bool unused = false;
	write_one(4096);
	while (tandem_session_inflight_count(writer, 0) > 0) {
		cr_assert(is_readable(tandem_session_fd(writer), WAIT_MS), "it lingers for ever");
		serve(writer, &unused, TANDEM_SESSION_UP);
	}
	while (memory[8191] != 0x77) {
		cr_assert(is_readable(tandem_session_fd(holder), WAIT_MS), "it does not come");
		serve(holder, &unused, TANDEM_SESSION_UP);
	}
	cr_assert_eq(memory[4095], 0);
	cr_assert_eq(memory[8192], 0);
	cr_assert(!is_readable(tandem_session_fd(writer), 0), "nothing is left to send");
}

Test(tcp_linger, a_notify_takes_along_what_lingers)
{
	const struct tandem_write trailer = {.offset = 0, .source = source, .length = 64};
	bool is_notified = false;
	write_one(4096);
	cr_assert_eq(tandem_session_notify(writer, 0, &trailer, 5), 0);
	cr_assert_eq(tandem_session_inflight_count(writer, 0), 0);
	while (!is_notified) {
		cr_assert(is_readable(tandem_session_fd(holder), WAIT_MS));
		serve(holder, &is_notified, TANDEM_SESSION_NOTIFIED);
	}
	cr_assert_eq(memory[4096], 0x77, "what was written before the notify is there: T5");
	cr_assert_eq(memory[8191], 0x77);
}
