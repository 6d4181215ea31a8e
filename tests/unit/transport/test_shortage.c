#include <criterion/criterion.h>

#include <poll.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/transport.h>

/* A story from opening to a joined session, with the allocation number N and all later ones
 * failing, for every N that the story has. */
static struct tandem_fabric *fabric;

static int open_transport(bool is_tcp, struct tandem_transport **ret_transport)
{
	if (is_tcp)
		return tandem_transport_open("tcp", "127.0.0.1", ret_transport, NULL);
	return tandem_transport_open_memory(fabric, ret_transport);
}

static int join(struct tandem_listener *listener, struct tandem_session *connecting,
                struct tandem_session **ret_session)
{
	static struct tandem_session_event event;
	int status = TANDEM_E_AGAIN;
	struct pollfd fds[2] = {{.fd = tandem_listener_fd(listener), .events = POLLIN},
	                        {.fd = tandem_session_fd(connecting), .events = POLLIN}};
	while (status == TANDEM_E_AGAIN) {
		cr_assert_gt(poll(fds, 2, 20000), 0);
		tandem_session_progress(connecting);
		while (tandem_session_next_event(connecting, &event))
			cr_assert_neq(event.type, TANDEM_SESSION_LOST);
		status = tandem_listener_accept(listener, ret_session, NULL);
	}
	return status;
}

static int run(bool is_tcp)
{
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	struct tandem_transport *transport = NULL;
	struct tandem_listener *listener = NULL;
	struct tandem_session *connecting = NULL, *listening = NULL;
	memcpy(options.rails[0].address, "127.0.0.1", sizeof("127.0.0.1"));
	options.connect_timeout_ns = UINT64_C(20) * TANDEM_NS_PER_S;
	int status = open_transport(is_tcp, &transport);
	if (status == 0)
		status = tandem_transport_listen(transport, &options, &listener, NULL);
	if (status == 0) {
		options.port = tandem_listener_port(listener);
		status = tandem_transport_connect(transport, &options, &connecting, NULL);
	}
	if (status == 0)
		status = join(listener, connecting, &listening);
	tandem_session_free(listening);
	tandem_session_free(connecting);
	tandem_listener_free(listener);
	tandem_transport_free(transport);
	return status;
}

static void sweep(bool is_tcp)
{
	uint64_t before = tandem_memory_call_count();
	cr_assert_eq(run(is_tcp), 0);
	uint64_t call_count = tandem_memory_call_count() - before;
	cr_assert_geq(call_count, 5);
	for (uint64_t number = 1; number <= call_count; number++) {
		tandem_memory_fail_from(number);
		cr_assert_eq(run(is_tcp), TANDEM_E_MEMORY, "call %u of %u", (unsigned)number,
		             (unsigned)call_count);
	}
	tandem_memory_fail_from(0);
	cr_assert_eq(run(is_tcp), 0);
}

Test(shortage, tcp_sessions_clean_up, .timeout = 60)
{
	sweep(true);
}

Test(shortage, memory_sessions_clean_up, .timeout = 60)
{
	fabric = tandem_fabric_new();
	sweep(false);
	tandem_fabric_free(fabric);
}
