#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>

#include <tandem/clock.h>

#include "core/handshake.h"
#include "rdma/core/join.h"
#include "rig.h"

/* Peers that do not keep the protocol. */

#define MS UINT64_C(1000000)

/* ---- control messages ---- */

static uint8_t slot[TANDEM_RDMA_SLOT_BYTES];

static void expect_refused(void (*forge)(struct rig *rig, struct tandem_rdma_header *header))
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	struct tandem_rdma_session *victim = rig_connecting(rig);
	struct tandem_rdma_header header = {TANDEM_RDMA_MESSAGE_USER, 1, 10};
	const struct tandem_rdma_sealer sealer = {&victim->secrets, true};
	size_t length;

	rig_settle(rig);
	header.sequence = victim->receive_sequence + 1;
	forge(rig, &header);
	length = tandem_rdma_message_seal(slot, &header, &sealer);
	cr_assert(fake_deliver(victim->channels[0].id->qp, slot, (uint32_t)length));
	rig_settle(rig);
	cr_assert_eq(rig->pair.connecting.lost_count, 1);
	cr_expect_eq(rig->pair.connecting.lost.code, TANDEM_E_PROTOCOL, "%s",
	             rig->pair.connecting.lost.detail);
	cr_expect_eq(rig->pair.connecting.message_count, 0);
	rig_free(rig);
}

static uint8_t *payload(void)
{
	return slot + TANDEM_RDMA_HEADER_BYTES;
}

static void forge_repeat(struct rig *rig, struct tandem_rdma_header *header)
{
	(void)rig;
	header->sequence--;
}

static void forge_gap(struct rig *rig, struct tandem_rdma_header *header)
{
	(void)rig;
	header->sequence++;
}

static void forge_kind(struct rig *rig, struct tandem_rdma_header *header)
{
	(void)rig;
	header->kind = (enum tandem_rdma_message_kind)77;
}

static void forge_short_expose(struct rig *rig, struct tandem_rdma_header *header)
{
	(void)rig;
	header->kind = TANDEM_RDMA_MESSAGE_EXPOSE;
}

static void forge_second_expose(struct rig *rig, struct tandem_rdma_header *header)
{
	const struct tandem_rdma_expose expose = {.attempt = 1,
	                                          .piece_count = 1,
	                                          .total_bytes = PAIR_MEMORY_BYTES,
	                                          .piece_bytes = TANDEM_REGISTRATION_BYTES_MAX};
	const struct tandem_rdma_piece piece = {0x1000, 1};

	cr_assert_eq(pair_map(&rig->pair), 0);
	header->kind = TANDEM_RDMA_MESSAGE_EXPOSE;
	header->sequence = rig_connecting(rig)->receive_sequence + 1;
	header->payload_bytes = (uint32_t)tandem_rdma_expose_encode(&expose, &piece, payload());
}

static void forge_credit(struct tandem_rdma_header *header, uint64_t messages, uint64_t notifies)
{
	const struct tandem_rdma_credit credit = {.message_count = messages,
	                                          .channel_count = 2,
	                                          .attempts = {1, 1},
	                                          .notify_counts = {0, notifies}};

	header->kind = TANDEM_RDMA_MESSAGE_CREDIT;
	header->payload_bytes = (uint32_t)tandem_rdma_credit_encode(&credit, payload());
}

static void forge_message_credit(struct rig *rig, struct tandem_rdma_header *header)
{
	(void)rig;
	forge_credit(header, 3, 0);
}

static void forge_notify_credit(struct rig *rig, struct tandem_rdma_header *header)
{
	(void)rig;
	forge_credit(header, 0, 1);
}

static void forge_second_beat(struct rig *rig, struct tandem_rdma_header *header)
{
	const struct tandem_rdma_piece word = {0x1000, 1};

	cr_assert(rig_connecting(rig)->beat.is_peer_known);
	header->kind = TANDEM_RDMA_MESSAGE_BEAT;
	header->payload_bytes = (uint32_t)tandem_rdma_beat_encode(&word, payload());
}

static void forge_short_beat(struct rig *rig, struct tandem_rdma_header *header)
{
	(void)rig;
	header->kind = TANDEM_RDMA_MESSAGE_BEAT;
}

static void forge_proof(struct rig *rig, struct tandem_rdma_header *header)
{
	(void)rig;
	header->kind = TANDEM_RDMA_MESSAGE_PROOF;
	header->payload_bytes = TANDEM_PROOF_BYTES;
}

static void forge_foreign_expose(struct rig *rig, struct tandem_rdma_header *header)
{
	const struct tandem_rdma_expose expose = {.channel = 2,
	                                          .attempt = 1,
	                                          .piece_count = 1,
	                                          .total_bytes = PAIR_MEMORY_BYTES,
	                                          .piece_bytes = TANDEM_REGISTRATION_BYTES_MAX};
	const struct tandem_rdma_piece piece = {0x1000, 1};

	(void)rig;
	header->kind = TANDEM_RDMA_MESSAGE_EXPOSE;
	header->payload_bytes = (uint32_t)tandem_rdma_expose_encode(&expose, &piece, payload());
}

static void forge_foreign_news(struct rig *rig, struct tandem_rdma_header *header)
{
	const struct tandem_rdma_channel_news news = {TANDEM_RDMA_CHANNEL_ENDED, 2, 1};

	(void)rig;
	header->kind = TANDEM_RDMA_MESSAGE_CHANNEL;
	header->payload_bytes = (uint32_t)tandem_rdma_channel_news_encode(&news, payload());
}

Test(rdma_peer, that_sends_wrong_messages_is_dropped)
{
	expect_refused(forge_repeat);
	expect_refused(forge_gap);
	expect_refused(forge_kind);
	expect_refused(forge_short_expose);
	expect_refused(forge_second_expose);
	expect_refused(forge_message_credit);
	expect_refused(forge_notify_credit);
	expect_refused(forge_proof);
	expect_refused(forge_foreign_expose);
	expect_refused(forge_foreign_news);
	expect_refused(forge_second_beat);
	expect_refused(forge_short_beat);
}

static void expect_listening_refuses(unsigned channel, uint32_t length)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	cr_assert_eq(pair_map(&rig->pair), 0);
	fake_deliver(rig_listening(rig)->channels[channel].id->qp, slot, length);
	rig_settle(rig);
	cr_assert_eq(rig->pair.listening.lost_count, 1);
	cr_expect_eq(rig->pair.listening.lost.code, TANDEM_E_PROTOCOL, "%s",
	             rig->pair.listening.lost.detail);
	rig_free(rig);
}

Test(rdma_peer, that_sends_noise_or_on_the_wrong_channel_is_dropped)
{
	expect_listening_refuses(0, 0);
	expect_listening_refuses(0, 3);
	expect_listening_refuses(0, 500);
	expect_listening_refuses(1, 0);
	expect_listening_refuses(1, 64);
}

/* Delivers payload() to the listening side as if the connecting side had sent it. */
static void deliver_to_listening(struct rig *rig, enum tandem_rdma_message_kind kind,
                                 uint32_t payload_bytes)
{
	struct tandem_rdma_session *victim = rig_listening(rig);
	const struct tandem_rdma_sealer sealer = {&victim->secrets, false};
	const struct tandem_rdma_header header = {kind, victim->receive_sequence + 1,
	                                          payload_bytes};
	const size_t length = tandem_rdma_message_seal(slot, &header, &sealer);

	cr_assert(fake_deliver(victim->channels[0].id->qp, slot, (uint32_t)length));
	tandem_session_progress(rig->pair.listening.session);
	pair_take(&rig->pair);
}

Test(rdma_peer, that_exposes_on_the_connecting_side_is_dropped)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const struct tandem_rdma_expose expose = {.attempt = 1,
	                                          .piece_count = 1,
	                                          .total_bytes = 4096,
	                                          .piece_bytes = TANDEM_REGISTRATION_BYTES_MAX};
	const struct tandem_rdma_piece piece = {0x1000, 1};

	deliver_to_listening(rig, TANDEM_RDMA_MESSAGE_EXPOSE,
	                     (uint32_t)tandem_rdma_expose_encode(&expose, &piece, payload()));
	rig_settle(rig);
	cr_expect_eq(rig->pair.listening.lost.code, TANDEM_E_PROTOCOL);
	cr_expect_eq(tandem_session_exposed_bytes(rig->pair.listening.session, 0), 0);
	rig_free(rig);
}

Test(rdma_peer, that_says_ready_on_the_connecting_side_is_dropped)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const struct tandem_rdma_channel_news news = {TANDEM_RDMA_CHANNEL_READY, 0, 1};

	deliver_to_listening(rig, TANDEM_RDMA_MESSAGE_CHANNEL,
	                     (uint32_t)tandem_rdma_channel_news_encode(&news, payload()));
	rig_settle(rig);
	cr_expect_eq(rig->pair.listening.lost.code, TANDEM_E_PROTOCOL);
	rig_free(rig);
}

/* What is about an attempt that has ended may come late, and is then about nothing. */
Test(rdma_peer, that_ends_an_older_attempt_ends_nothing)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	const struct tandem_rdma_channel_news news = {TANDEM_RDMA_CHANNEL_ENDED, 0, 0};
	const struct tandem_rdma_channel_news newest = {TANDEM_RDMA_CHANNEL_ENDED, 0, 1};

	deliver_to_listening(rig, TANDEM_RDMA_MESSAGE_CHANNEL,
	                     (uint32_t)tandem_rdma_channel_news_encode(&news, payload()));
	cr_expect_eq(rig->pair.listening.lost_count, 0);
	cr_expect_eq(rig->pair.listening.channel_lost_counts[0], 0);
	deliver_to_listening(rig, TANDEM_RDMA_MESSAGE_CHANNEL,
	                     (uint32_t)tandem_rdma_channel_news_encode(&newest, payload()));
	cr_expect_eq(rig->pair.listening.lost_count, 0);
	cr_expect_eq(rig->pair.listening.channel_lost_counts[0], 1);
	rig_free(rig);
}

/* ---- joining ---- */

/* A stranger's id, on its own channel. */
struct stranger {
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id;
};

static struct stranger call(const struct rig *rig, const void *bytes, uint8_t length)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(rig->options.port)};
	struct rdma_conn_param parameters = {.private_data = bytes, .private_data_len = length};
	struct stranger stranger;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	stranger.channel = rdma_create_event_channel();
	rdma_create_id(stranger.channel, &stranger.id, NULL, RDMA_PS_TCP);
	rdma_resolve_addr(stranger.id, NULL, (struct sockaddr *)&address, 1000);
	rdma_connect(stranger.id, &parameters);
	return stranger;
}

static struct stranger call_with(const struct rig *rig, const struct tandem_rdma_join *join)
{
	uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];

	tandem_rdma_join_encode(join, bytes);
	return call(rig, bytes, sizeof(bytes));
}

/* The last event that the stranger heard; its answer in *ret_join where it is one. */
static enum rdma_cm_event_type hear(struct stranger *stranger, struct tandem_rdma_join *ret_join)
{
	enum rdma_cm_event_type type = RDMA_CM_EVENT_ADDR_RESOLVED;
	struct rdma_cm_event *event;

	while (rdma_get_cm_event(stranger->channel, &event) == 0) {
		type = event->event;
		if (event->param.conn.private_data != NULL)
			cr_expect_eq(tandem_rdma_join_decode(event->param.conn.private_data,
			                                     event->param.conn.private_data_len,
			                                     ret_join),
			             0);
		rdma_ack_cm_event(event);
	}
	return type;
}

static void hang_up(struct stranger *stranger)
{
	rdma_destroy_id(stranger->id);
	rdma_destroy_event_channel(stranger->channel);
}

static void expect_rejected(struct rig *rig, struct stranger stranger, int code,
                            enum tandem_rdma_reject_reason reason)
{
	struct tandem_session *session = NULL;
	struct tandem_rdma_join answer = {0};
	struct tandem_error error = {0};

	cr_expect_eq(tandem_listener_accept(rig->pair.listener, &session, &error), code, "%s",
	             error.detail);
	cr_expect_not_null(strstr(error.detail, "127.0.0.1"));
	cr_expect_eq(hear(&stranger, &answer), RDMA_CM_EVENT_REJECTED);
	cr_expect_eq(answer.kind, TANDEM_RDMA_JOIN_REJECT);
	cr_expect_eq(answer.reason, reason);
	hang_up(&stranger);
}

/* Asks for a session under the key of zeros. */
static struct tandem_rdma_join control_join(void)
{
	const struct tandem_key zeros = {0};
	struct tandem_rdma_join join = {.kind = TANDEM_RDMA_JOIN_CONTROL, .channel_count = 2};

	tandem_key_id(&zeros, join.key_id);
	return join;
}

Test(rdma_join, refuses_strangers_with_a_reason)
{
	struct rig *rig = rig_new_listening();
	const struct tandem_rdma_join control = control_join();
	const struct tandem_rdma_join late = {
	        .kind = TANDEM_RDMA_JOIN_DATA, .channel_count = 2, .session_id = 99, .attempt = 1};
	const struct tandem_rdma_join answer = {.kind = TANDEM_RDMA_JOIN_ACCEPT_DATA};
	struct tandem_rdma_join keyless = control;
	uint8_t bytes[TANDEM_RDMA_JOIN_BYTES];

	expect_rejected(rig, call(rig, "GET / HTTP/1.1", 14), TANDEM_E_PROTOCOL,
	                TANDEM_RDMA_REJECT_MALFORMED);
	expect_rejected(rig, call(rig, NULL, 0), TANDEM_E_PROTOCOL, TANDEM_RDMA_REJECT_MALFORMED);
	expect_rejected(rig, call_with(rig, &answer), TANDEM_E_PROTOCOL,
	                TANDEM_RDMA_REJECT_MALFORMED);
	expect_rejected(rig, call_with(rig, &late), TANDEM_E_PROTOCOL, TANDEM_RDMA_REJECT_SESSION);
	keyless.key_id[0] ^= 1;
	expect_rejected(rig, call_with(rig, &keyless), TANDEM_E_REFUSED, TANDEM_RDMA_REJECT_KEY);
	tandem_rdma_join_encode(&control, bytes);
	bytes[4]++;
	expect_rejected(rig, call(rig, bytes, sizeof(bytes)), TANDEM_E_VERSION,
	                TANDEM_RDMA_REJECT_VERSION);
	rig_free(rig);
}

/* A control channel that joined, and has proven nothing. */
static struct stranger join_control(struct rig *rig)
{
	const struct tandem_rdma_join control = control_join();
	struct stranger stranger = call_with(rig, &control);
	struct tandem_session *session = NULL;
	struct tandem_rdma_join answer = {0};

	cr_expect_eq(tandem_listener_accept(rig->pair.listener, &session, NULL), TANDEM_E_AGAIN);
	cr_expect_eq(hear(&stranger, &answer), RDMA_CM_EVENT_ESTABLISHED);
	cr_expect_eq(answer.kind, TANDEM_RDMA_JOIN_ACCEPT_CONTROL);
	return stranger;
}

Test(rdma_join, drops_who_proves_another_key)
{
	struct rig *rig = rig_new_listening();
	const struct tandem_secrets secrets = {.connecting_proof = {1}};
	const struct tandem_rdma_sealer sealer = {&secrets, false};
	const struct tandem_rdma_header header = {TANDEM_RDMA_MESSAGE_PROOF, 1, TANDEM_PROOF_BYTES};
	struct stranger stranger = join_control(rig);
	struct tandem_session *session = NULL;
	struct tandem_error error = {0};
	size_t length = tandem_rdma_message_seal(slot, &header, &sealer);

	cr_assert(fake_connect_bare(stranger.id));
	cr_assert(fake_deliver(fake_queue_pair(0), slot, (uint32_t)length));
	cr_expect_eq(tandem_listener_accept(rig->pair.listener, &session, &error),
	             TANDEM_E_REFUSED);
	cr_expect_null(session);
	hang_up(&stranger);
	rig_free(rig);
}

/* ---- data channels that ask to join a session [T3], [S4] ---- */

static struct tandem_rdma_join data_join(struct rig *rig, unsigned channel, uint32_t attempt)
{
	const struct tandem_rdma_session *session = rig_listening(rig);
	struct tandem_rdma_join join = {.kind = TANDEM_RDMA_JOIN_DATA,
	                                .channel = channel,
	                                .channel_count = 2,
	                                .session_id = session->transcript.session_id,
	                                .attempt = attempt};

	tandem_channel_token(&session->secrets, channel, attempt, false, join.token);
	return join;
}

static void expect_refused_by_session(struct rig *rig, const struct tandem_rdma_join *join,
                                      enum tandem_rdma_reject_reason reason)
{
	struct stranger stranger = call_with(rig, join);
	struct tandem_session *session = NULL;
	struct tandem_rdma_join answer = {0};

	cr_expect_eq(tandem_listener_accept(rig->pair.listener, &session, NULL), TANDEM_E_AGAIN);
	rig_settle(rig);
	cr_expect_eq(hear(&stranger, &answer), RDMA_CM_EVENT_REJECTED);
	cr_expect_eq(answer.reason, reason);
	hang_up(&stranger);
	rig_settle(rig);
	cr_expect_eq(rig->pair.listening.lost_count, 0);
}

Test(rdma_join, refuses_data_channels_that_are_not_the_sessions)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	struct tandem_rdma_join join = data_join(rig, 0, 2);

	rig->options.port = rig->pair.options.port;
	expect_refused_by_session(rig, &join, TANDEM_RDMA_REJECT_NOT_DOWN);
	join.token[15] ^= 1;
	expect_refused_by_session(rig, &join, TANDEM_RDMA_REJECT_TOKEN);
	join = data_join(rig, 0, 1);
	expect_refused_by_session(rig, &join, TANDEM_RDMA_REJECT_TOKEN);
	join = data_join(rig, 0, 2);
	join.channel_count = 3;
	expect_refused_by_session(rig, &join, TANDEM_RDMA_REJECT_CHANNEL);
	/* Lost and not fenced is not down. */
	tandem_session_break_channel(rig->pair.listening.session, 0);
	rig_settle(rig);
	join = data_join(rig, 0, 2);
	expect_refused_by_session(rig, &join, TANDEM_RDMA_REJECT_NOT_DOWN);
	rig_free(rig);
}

/* ---- limits ---- */

Test(rdma_join, bounds_the_half_joined_in_number)
{
	struct rig *rig = rig_new_listening();
	struct stranger strangers[64];
	const struct tandem_rdma_join control = control_join();

	for (unsigned i = 0; i < 64; i++)
		strangers[i] = join_control(rig);
	expect_rejected(rig, call_with(rig, &control), TANDEM_E_PROTOCOL, TANDEM_RDMA_REJECT_FULL);
	for (unsigned i = 0; i < 64; i++)
		hang_up(&strangers[i]);
	rig_free(rig);
}

Test(rdma_join, bounds_the_half_joined_in_time)
{
	struct rig *rig = rig_new_listening();
	struct tandem_session *session = NULL;
	struct tandem_error error = {0};
	struct stranger stranger;
	int rc = TANDEM_E_AGAIN;

	cr_expect_eq(tandem_listener_deadline_ns(rig->pair.listener), UINT64_MAX);
	rig->pair.listener = tandem_listener_free(rig->pair.listener);
	rig->options.connect_timeout_ns = 50 * MS;
	cr_assert_eq(tandem_transport_listen(rig->bed.listening, &rig->options, &rig->pair.listener,
	                                     NULL),
	             0);
	stranger = join_control(rig);
	cr_expect_lt(tandem_listener_deadline_ns(rig->pair.listener), UINT64_MAX);
	while (rc == TANDEM_E_AGAIN) {
		if (tandem_clock_now_ns() < tandem_listener_deadline_ns(rig->pair.listener))
			continue;
		rc = tandem_listener_accept(rig->pair.listener, &session, &error);
	}
	cr_expect_eq(rc, TANDEM_E_PROTOCOL);
	cr_expect_not_null(strstr(error.detail, "half-joined"), "%s", error.detail);
	cr_expect_eq(tandem_listener_deadline_ns(rig->pair.listener), UINT64_MAX);
	hang_up(&stranger);
	rig_free(rig);
}

/* The session's new owner may wait for its descriptor before it does anything else. */
Test(rdma_join, hands_over_what_arrived_while_it_joined)
{
	struct rig *rig = rig_new_listening();
	const struct tandem_rdma_header header = {TANDEM_RDMA_MESSAGE_USER, 3, 10};
	struct tandem_session **listening = &rig->pair.listening.session;
	static struct tandem_session_event event;
	struct tandem_rdma_sealer sealer = {NULL, false};
	struct pollfd ready;
	size_t length;

	cr_assert_eq(tandem_transport_connect(rig->bed.connecting, &rig->options,
	                                      &rig->pair.connecting.session, NULL),
	             0);
	tandem_session_progress(rig->pair.connecting.session);
	cr_assert_eq(tandem_listener_accept(rig->pair.listener, listening, NULL), TANDEM_E_AGAIN);
	/* Sends its proof and its beat, and another message right after them. */
	tandem_session_progress(rig->pair.connecting.session);
	sealer.secrets = &rig_connecting(rig)->secrets;
	length = tandem_rdma_message_seal(slot, &header, &sealer);
	cr_assert(fake_deliver(fake_peer_of(fake_queue_pair(0)), slot, (uint32_t)length));
	cr_assert_eq(tandem_listener_accept(rig->pair.listener, listening, NULL), 0);
	ready = (struct pollfd){.fd = tandem_session_fd(*listening), .events = POLLIN};
	cr_expect_eq(poll(&ready, 1, 0), 1);
	tandem_session_progress(*listening);
	cr_assert(tandem_session_next_event(*listening, &event));
	cr_expect_eq(event.type, TANDEM_SESSION_MESSAGE);
	cr_expect_eq(event.message_bytes, 10);
	rig_free(rig);
}

Test(rdma_join, sets_what_keeps_a_dead_peer_from_hanging_it)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);

	cr_expect_eq(fake_last_connect().retry_count, 6);
	cr_expect_eq(fake_last_connect().rnr_retry_count, 6);
	cr_expect_eq(fake_last_ack_timeout(), 18, "for 10 s");
	for (unsigned i = 0; fake_queue_pair(i) != NULL; i++)
		cr_expect_eq(fake_receiver_timer(fake_queue_pair(i)), 20);
	rig_free(rig);
}

/* ---- the device refuses ---- */

static int lose_reason(struct rig *rig, struct tandem_error *ret_error)
{
	cr_assert_eq(tandem_transport_connect(rig->bed.connecting, &rig->options,
	                                      &rig->pair.connecting.session, NULL),
	             0);
	cr_assert_eq(pair_wait(&rig->pair, pair_is_connecting_lost, 0), 0);
	*ret_error = rig->pair.connecting.lost;
	return ret_error->code;
}

Test(rdma_join, says_what_the_device_cannot_do)
{
	struct rig *rig = rig_new_listening();
	struct tandem_error error;

	rig->options.write_depth = 4096;
	fake_limits()->max_cqe = 4095;
	cr_expect_eq(lose_reason(rig, &error), TANDEM_E_CONFIG);
	cr_expect_not_null(strstr(error.detail, "4095"), "%s", error.detail);
	cr_expect_not_null(strstr(error.detail, "write_depth"), "%s", error.detail);
	rig_free(rig);
	rig = rig_new_listening();
	rig->options.write_depth = 4096;
	fake_limits()->max_qp_wr = 1000;
	cr_expect_eq(lose_reason(rig, &error), TANDEM_E_CONFIG);
	cr_expect_not_null(strstr(error.detail, "1000"), "%s", error.detail);
	rig_free(rig);
}
