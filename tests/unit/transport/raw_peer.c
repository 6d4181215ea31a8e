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

struct tandem_transport_options raw_peer_options(uint64_t connect_timeout_ns)
{
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	snprintf(options.rails[0].address, sizeof(options.rails[0].address), "127.0.0.1");
	options.connect_timeout_ns = connect_timeout_ns;
	options.peer_timeout_ns = UINT64_C(2) * TANDEM_NS_PER_S;
	options.poll_ns = 0; /* one call of progress takes what is there and no more */
	return options;
}

void raw_peer_listen_with(struct raw_peer *peer, const struct tandem_transport_options *options)
{
	memset(peer, 0, sizeof(*peer));
	for (unsigned i = 0; i < 1 + TANDEM_CHANNELS_MAX; i++)
		peer->fds[i] = -1;
	cr_assert_eq(tandem_transport_open("tcp", "", &peer->transport, NULL), 0);
	cr_assert_eq(tandem_transport_listen(peer->transport, options, &peer->listener, NULL), 0);
}

void raw_peer_listen(struct raw_peer *peer, uint64_t connect_timeout_ns)
{
	const struct tandem_transport_options options = raw_peer_options(connect_timeout_ns);
	raw_peer_listen_with(peer, &options);
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
	uint64_t end_ns = tandem_clock_now_ns() + WAIT_MS * TANDEM_NS_PER_MS;
	uint8_t bytes[TANDEM_ANSWER_BYTES];
	struct tandem_answer answer = {0};
	unsigned version = 0;
	struct pollfd fds[3] = {{.fd = fd, .events = POLLIN},
	                        {.fd = tandem_listener_fd(peer->listener), .events = POLLIN},
	                        {.fd = -1, .events = POLLIN}};
	while (poll(fds, 1, 0) == 0 && tandem_clock_now_ns() < end_ns) {
		fds[2].fd = peer->session ? tandem_session_fd(peer->session) : -1;
		poll(fds, 3, wait_ms_until(tandem_listener_deadline_ns(peer->listener)));
		int status = tandem_listener_accept(peer->listener, &peer->session, NULL);
		cr_assert_neq(status, TANDEM_E_SYSTEM);
		if (peer->session)
			tandem_session_progress(peer->session);
	}
	if (recv(fd, bytes, sizeof(bytes), MSG_WAITALL) == sizeof(bytes))
		cr_assert_eq(tandem_answer_decode(bytes, &answer, &version),
		             TANDEM_HELLO_FAULT_NONE);
	return answer;
}

static void learn_memory_key(struct raw_peer *peer)
{
	uint8_t bytes[TANDEM_FRAME_BYTES + TANDEM_TAG_BYTES];
	uint8_t tag[TANDEM_TAG_BYTES];
	struct tandem_frame frame;
	cr_assert_eq(tandem_session_expose(peer->session, 0, peer->memory, RAW_MEMORY_BYTES, NULL),
	             0);
	cr_assert_eq(recv(peer->fds[0], bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
	cr_assert_eq(tandem_frame_decode(bytes, &frame), TANDEM_FRAME_FAULT_NONE);
	cr_assert_eq(frame.type, TANDEM_FRAME_EXPOSE);
	cr_assert_eq(frame.offset, RAW_MEMORY_BYTES);
	tandem_message_tag(&peer->secrets, true, 0, bytes, TANDEM_FRAME_BYTES, NULL, 0, tag);
	cr_assert_arr_eq(tag, bytes + TANDEM_FRAME_BYTES, sizeof(tag));
	peer->memory_key = frame.memory_key;
}

struct tandem_hello raw_peer_control(const struct raw_peer *peer)
{
	struct tandem_hello hello = {.kind = TANDEM_HELLO_CONTROL, .channel_count = RAW_CHANNELS};
	tandem_key_id(&peer->key, hello.key_id);
	memset(hello.nonce, 0x4e, sizeof(hello.nonce));
	return hello;
}

struct tandem_hello raw_peer_data(const struct raw_peer *peer, unsigned channel, uint32_t attempt)
{
	struct tandem_hello hello = {.kind = TANDEM_HELLO_DATA,
	                             .channel = channel,
	                             .channel_count = RAW_CHANNELS,
	                             .attempt = attempt,
	                             .session_id = peer->transcript.session_id};
	tandem_channel_token(&peer->secrets, channel, attempt, false, hello.token);
	return hello;
}

int raw_peer_ask(struct raw_peer *peer)
{
	const struct tandem_hello hello = raw_peer_control(peer);
	int fd = raw_peer_connect(peer);
	raw_peer_hello(fd, &hello);
	struct tandem_answer answer = raw_peer_answer(peer, fd);
	cr_assert_eq(answer.verdict, TANDEM_VERDICT_JOINED);
	peer->transcript = (struct tandem_transcript){.version = TANDEM_HELLO_VERSION,
	                                              .channel_count = hello.channel_count,
	                                              .session_id = answer.session_id};
	memcpy(peer->transcript.connecting_nonce, hello.nonce, sizeof(hello.nonce));
	memcpy(peer->transcript.listening_nonce, answer.nonce, sizeof(answer.nonce));
	tandem_secrets_derive(&peer->key, &peer->transcript, &peer->secrets);
	cr_assert_arr_eq(answer.proof, peer->secrets.listening_proof, sizeof(answer.proof));
	return fd;
}

void raw_peer_prove(const struct raw_peer *peer, int fd)
{
	uint8_t bytes[TANDEM_PROOF_FRAME_BYTES];
	tandem_proof_encode(peer->secrets.connecting_proof, bytes);
	raw_peer_send(fd, bytes, sizeof(bytes));
}

void raw_peer_join_control(struct raw_peer *peer)
{
	int status = TANDEM_E_PROTOCOL;
	peer->fds[0] = raw_peer_ask(peer);
	raw_peer_prove(peer, peer->fds[0]);
	/* Others that this test left behind may be dropped first. */
	for (unsigned i = 0; i < 100 && status == TANDEM_E_PROTOCOL; i++)
		status = raw_peer_accept(peer, NULL);
	cr_assert_eq(status, 0);
	cr_assert_not_null(peer->session);
}

enum tandem_verdict raw_peer_join_data(struct raw_peer *peer, const struct tandem_hello *hello)
{
	int fd = raw_peer_connect(peer);
	raw_peer_hello(fd, hello);
	enum tandem_verdict verdict = raw_peer_answer(peer, fd).verdict;
	int *place = &peer->fds[1 + hello->channel];
	if (verdict != TANDEM_VERDICT_JOINED) {
		close(fd);
		return verdict;
	}
	if (*place >= 0)
		close(*place);
	*place = fd;
	return verdict;
}

void raw_peer_join(struct raw_peer *peer)
{
	raw_peer_join_control(peer);
	for (unsigned channel = 0; channel < RAW_CHANNELS; channel++) {
		const struct tandem_hello hello = raw_peer_data(peer, channel, 1);
		cr_assert_eq(raw_peer_join_data(peer, &hello), TANDEM_VERDICT_JOINED);
		raw_peer_wait_channel_up(peer, channel);
	}
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

void raw_peer_send_tagged(const struct raw_peer *peer, const struct tandem_frame *frame,
                          const void *payload)
{
	uint8_t bytes[TANDEM_FRAME_BYTES + TANDEM_MESSAGE_BYTES_MAX + TANDEM_TAG_BYTES];
	uint8_t *end = bytes + TANDEM_FRAME_BYTES + frame->length;
	tandem_frame_encode(frame, bytes);
	memcpy(bytes + TANDEM_FRAME_BYTES, payload, frame->length);
	tandem_message_tag(&peer->secrets, false, frame->sequence, bytes, TANDEM_FRAME_BYTES,
	                   payload, frame->length, end);
	raw_peer_send(peer->fds[0], bytes, (size_t)(end - bytes) + TANDEM_TAG_BYTES);
}

/* What came of the session while it was served. */
struct served {
	bool is_lost;
	struct tandem_error cause;
	uint32_t up_mask;
	uint32_t lost_mask;
	unsigned notice_count;
};

/* Stops at the first event that `wanted` is, so that the next call goes on after it. */
static void serve(struct raw_peer *peer, enum tandem_session_event_type wanted,
                  struct served *served)
{
	static struct tandem_session_event event;
	struct pollfd fd = {.fd = tandem_session_fd(peer->session), .events = POLLIN};
	uint64_t deadline_ns = tandem_session_deadline_ns(peer->session);
	bool is_readable = poll(&fd, 1, wait_ms_until(deadline_ns)) == 1;
	cr_assert(is_readable || tandem_clock_now_ns() >= deadline_ns,
	          "the session's descriptor stays quiet");
	tandem_session_progress(peer->session);
	event.type = TANDEM_SESSION_UP;
	while (event.type != wanted && tandem_session_next_event(peer->session, &event)) {
		served->notice_count += event.type == TANDEM_SESSION_NOTIFIED;
		if (event.type == TANDEM_SESSION_CHANNEL_UP)
			served->up_mask |= UINT32_C(1) << event.channel;
		if (event.type == TANDEM_SESSION_CHANNEL_LOST)
			served->lost_mask |= UINT32_C(1) << event.channel;
		served->is_lost = served->is_lost || event.type == TANDEM_SESSION_LOST;
		if (event.type == TANDEM_SESSION_CHANNEL_LOST || event.type == TANDEM_SESSION_LOST)
			served->cause = event.error;
	}
}

unsigned raw_peer_wait_lost(struct raw_peer *peer, struct tandem_error *ret_error)
{
	struct served served = {0};
	while (!served.is_lost)
		serve(peer, TANDEM_SESSION_LOST, &served);
	*ret_error = served.cause;
	return served.notice_count;
}

unsigned raw_peer_wait_channel_lost(struct raw_peer *peer, unsigned channel,
                                    struct tandem_error *ret_error)
{
	struct served served = {0};
	while (served.lost_mask != UINT32_C(1) << channel) {
		serve(peer, TANDEM_SESSION_CHANNEL_LOST, &served);
		cr_assert(!served.is_lost, "%s", served.cause.detail);
	}
	*ret_error = served.cause;
	return served.notice_count;
}

void raw_peer_wait_channel_up(struct raw_peer *peer, unsigned channel)
{
	struct served served = {0};
	while (served.up_mask != UINT32_C(1) << channel) {
		serve(peer, TANDEM_SESSION_CHANNEL_UP, &served);
		cr_assert(!served.is_lost, "%s", served.cause.detail);
	}
}

void raw_peer_wait_notices(struct raw_peer *peer, unsigned count)
{
	struct served served = {0};
	while (served.notice_count < count) {
		serve(peer, TANDEM_SESSION_LOST, &served);
		cr_assert(!served.is_lost, "%s", served.cause.detail);
	}
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
