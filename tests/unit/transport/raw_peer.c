#include "raw_peer.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#define INITIAL 0x3c
#define WAIT_MS 20000

static struct tandem_transport_options options_of(uint64_t connect_timeout_ns)
{
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	snprintf(options.rails[0].address, sizeof(options.rails[0].address), "127.0.0.1");
	options.connect_timeout_ns = connect_timeout_ns;
	options.peer_timeout_ns = UINT64_C(2) * TANDEM_NS_PER_S;
	return options;
}

void raw_peer_listen(struct raw_peer *peer, uint64_t connect_timeout_ns)
{
	const struct tandem_transport_options options = options_of(connect_timeout_ns);
	memset(peer, 0, sizeof(*peer));
	for (unsigned i = 0; i < 1 + TANDEM_CHANNELS_MAX; i++)
		peer->fds[i] = -1;
	cr_assert_eq(tandem_transport_open("tcp", "", &peer->transport, NULL), 0);
	cr_assert_eq(tandem_transport_listen(peer->transport, &options, &peer->listener, NULL), 0);
}

int raw_peer_connect(const struct raw_peer *peer)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons(tandem_listener_port(peer->listener)),
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {.tv_sec = WAIT_MS / 1000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_geq(fd, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	const int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

void raw_peer_send(int fd, const void *bytes, size_t length)
{
	cr_assert_eq(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

void raw_peer_hello(int fd, const struct tandem_hello *hello)
{
	uint8_t bytes[TANDEM_HELLO_BYTES];
	tandem_hello_encode(hello, bytes);
	raw_peer_send(fd, bytes, sizeof(bytes));
}

static int wait_ms_until(uint64_t deadline_ns)
{
	uint64_t now_ns = tandem_clock_now_ns();
	if (deadline_ns == UINT64_MAX)
		return WAIT_MS;
	return deadline_ns > now_ns ? (int)((deadline_ns - now_ns) / TANDEM_NS_PER_MS) + 1 : 0;
}

static void wait_for_listener(struct raw_peer *peer)
{
	struct pollfd fd = {.fd = tandem_listener_fd(peer->listener), .events = POLLIN};
	poll(&fd, 1, wait_ms_until(tandem_listener_deadline_ns(peer->listener)));
}

int raw_peer_accept(struct raw_peer *peer, struct tandem_error *ret_error)
{
	uint64_t end_ns = tandem_clock_now_ns() + WAIT_MS * TANDEM_NS_PER_MS;
	int status = TANDEM_E_AGAIN;
	while (status == TANDEM_E_AGAIN && tandem_clock_now_ns() < end_ns) {
		wait_for_listener(peer);
		status = tandem_listener_accept(peer->listener, &peer->session, ret_error);
	}
	return status;
}

struct tandem_answer raw_peer_answer(struct raw_peer *peer, int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	struct tandem_answer answer = {0};
	for (unsigned i = 0; i < 1000 && poll(&poll_fd, 1, 0) == 0; i++) {
		wait_for_listener(peer);
		int status = tandem_listener_accept(peer->listener, &peer->session, NULL);
		cr_assert_neq(status, TANDEM_E_SYSTEM);
	}
	if (recv(fd, bytes, sizeof(bytes), MSG_WAITALL) == sizeof(bytes))
		cr_assert_eq(tandem_answer_decode(bytes, &answer), TANDEM_HELLO_FAULT_NONE);
	return answer;
}

static void learn_memory_key(struct raw_peer *peer)
{
	uint8_t bytes[TANDEM_FRAME_BYTES];
	struct tandem_frame frame;
	cr_assert_eq(tandem_session_expose(peer->session, 0, peer->memory, RAW_MEMORY_BYTES, NULL),
	             0);
	cr_assert_eq(recv(peer->fds[0], bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
	cr_assert_eq(tandem_frame_decode(bytes, &frame), TANDEM_FRAME_FAULT_NONE);
	cr_assert_eq(frame.type, TANDEM_FRAME_EXPOSE);
	cr_assert_eq(frame.offset, RAW_MEMORY_BYTES);
	peer->memory_key = frame.memory_key;
}

void raw_peer_join(struct raw_peer *peer)
{
	struct tandem_hello hello = {.kind = TANDEM_HELLO_CONTROL, .channel_count = RAW_CHANNELS};
	peer->fds[0] = raw_peer_connect(peer);
	raw_peer_hello(peer->fds[0], &hello);
	struct tandem_answer answer = raw_peer_answer(peer, peer->fds[0]);
	cr_assert_eq(answer.verdict, TANDEM_VERDICT_JOINED);
	peer->key = hello.key = answer.key;
	hello.kind = TANDEM_HELLO_DATA;
	for (hello.channel = 0; hello.channel < RAW_CHANNELS; hello.channel++) {
		int *fd = &peer->fds[1 + hello.channel];
		*fd = raw_peer_connect(peer);
		raw_peer_hello(*fd, &hello);
		cr_assert_eq(raw_peer_answer(peer, *fd).verdict, TANDEM_VERDICT_JOINED);
	}
	cr_assert_not_null(peer->session);
	peer->whole = tandem_memory_map(RAW_MEMORY_BYTES + 2 * RAW_GUARD_BYTES);
	memset(peer->whole, INITIAL, RAW_MEMORY_BYTES + 2 * RAW_GUARD_BYTES);
	peer->memory = peer->whole + RAW_GUARD_BYTES;
	learn_memory_key(peer);
}

void raw_peer_done(struct raw_peer *peer)
{
	peer->session = tandem_session_free(peer->session);
	peer->listener = tandem_listener_free(peer->listener);
	peer->transport = tandem_transport_free(peer->transport);
	for (unsigned i = 0; i < 1 + TANDEM_CHANNELS_MAX; i++) {
		if (peer->fds[i] >= 0)
			close(peer->fds[i]);
	}
	tandem_memory_unmap(peer->whole, RAW_MEMORY_BYTES + 2 * RAW_GUARD_BYTES);
}

void raw_peer_send_frame(int fd, const struct tandem_frame *frame, uint8_t fill, size_t length)
{
	static uint8_t bytes[TANDEM_FRAME_BYTES + TANDEM_WRITE_BYTES_MAX];
	tandem_frame_encode(frame, bytes);
	memset(bytes + TANDEM_FRAME_BYTES, fill, length);
	raw_peer_send(fd, bytes, TANDEM_FRAME_BYTES + length);
}

struct tandem_frame raw_peer_write(const struct raw_peer *peer, uint64_t sequence, uint64_t offset)
{
	return (struct tandem_frame){.type = TANDEM_FRAME_WRITE,
	                             .length = 512,
	                             .offset = offset,
	                             .memory_key = peer->memory_key,
	                             .sequence = sequence};
}

/* Serves the session once; what came is added to the count. */
static bool serve(struct raw_peer *peer, unsigned *notice_count, struct tandem_error *ret_error)
{
	static struct tandem_session_event event;
	struct pollfd fd = {.fd = tandem_session_fd(peer->session), .events = POLLIN};
	bool is_lost = false;
	uint64_t deadline_ns = tandem_session_deadline_ns(peer->session);
	bool is_readable = poll(&fd, 1, wait_ms_until(deadline_ns)) == 1;
	cr_assert(is_readable || tandem_clock_now_ns() >= deadline_ns,
	          "the session's descriptor stays quiet");
	tandem_session_progress(peer->session);
	while (tandem_session_next_event(peer->session, &event)) {
		*notice_count += event.type == TANDEM_SESSION_NOTIFIED;
		if (event.type == TANDEM_SESSION_LOST) {
			is_lost = true;
			*ret_error = event.error;
		}
	}
	return is_lost;
}

unsigned raw_peer_wait_lost(struct raw_peer *peer, struct tandem_error *ret_error)
{
	unsigned notice_count = 0;
	while (!serve(peer, &notice_count, ret_error))
		;
	return notice_count;
}

void raw_peer_wait_notices(struct raw_peer *peer, unsigned count)
{
	struct tandem_error error;
	unsigned notice_count = 0;
	while (notice_count < count)
		cr_assert(!serve(peer, &notice_count, &error));
}

int raw_peer_is_untouched_but(const struct raw_peer *peer, size_t from, size_t to)
{
	for (size_t i = 0; i < RAW_MEMORY_BYTES + 2 * RAW_GUARD_BYTES; i++) {
		bool may_differ = i >= RAW_GUARD_BYTES + from && i < RAW_GUARD_BYTES + to;
		if (!may_differ && peer->whole[i] != INITIAL)
			return 0;
	}
	return 1;
}
