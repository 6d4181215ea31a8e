#ifndef TANDEM_TESTS_RAW_PEER_H
#define TANDEM_TESTS_RAW_PEER_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/transport.h>

#include "core/frame.h"
#include "core/handshake.h"
#include "core/hello.h"

/* A connecting side made by hand, to say what a sound one never says. Everything asserts. */
#define RAW_MEMORY_BYTES ((size_t)64 << 10)
#define RAW_GUARD_BYTES  ((size_t)4096)
#define RAW_CHANNELS     2

struct raw_peer {
	struct tandem_transport *transport;
	struct tandem_listener *listener;
	struct tandem_session *session; /* the listening side's, once joined */
	int fds[1 + TANDEM_CHANNELS_MAX];
	struct tandem_key key; /* of the pair; zeros unless a test says other */
	struct tandem_transcript transcript;
	struct tandem_secrets secrets;
	uint64_t memory_key; /* of memory 0 */
	uint8_t *whole;      /* guard, memory 0, guard */
	uint8_t *memory;
};

void raw_peer_listen(struct raw_peer *peer, uint64_t connect_timeout_ns);
/* A listener as `options` say. */
void raw_peer_listen_with(struct raw_peer *peer, const struct tandem_transport_options *options);
struct tandem_transport_options raw_peer_options(uint64_t connect_timeout_ns);
/* A connected socket that said nothing. */
int raw_peer_connect(const struct raw_peer *peer);
void raw_peer_hello(int fd, const struct tandem_hello *hello);
/* A sound control hello of `peer->key` for RAW_CHANNELS. */
struct tandem_hello raw_peer_control(const struct raw_peer *peer);
/* A sound data hello of the session that has been joined. */
struct tandem_hello raw_peer_data(const struct raw_peer *peer, unsigned channel, uint32_t attempt);
/* Serves listener and session until the answer is there. */
struct tandem_answer raw_peer_answer(struct raw_peer *peer, int fd);
/* Says the control hello on a new connection, takes the answer, makes the secrets of it and gives
 * the connection that owes the proof. */
int raw_peer_ask(struct raw_peer *peer);
void raw_peer_prove(const struct raw_peer *peer, int fd);
/* Joins the control connection: the session is there, its data channels are not. */
void raw_peer_join_control(struct raw_peer *peer);
/* Says a data hello on a new connection; the descriptor is kept in fds[] when it joined. */
enum tandem_verdict raw_peer_join_data(struct raw_peer *peer, const struct tandem_hello *hello);
/* Joins RAW_CHANNELS, exposes memory 0 and learns its key. */
void raw_peer_join(struct raw_peer *peer);
void raw_peer_done(struct raw_peer *peer);

/* What accept gives, once it gives anything but AGAIN. */
int raw_peer_accept(struct raw_peer *peer, struct tandem_error *ret_error);

/* A frame with payload of `fill`; `length` says how many bytes of payload really follow. */
void raw_peer_send_frame(int fd, const struct tandem_frame *frame, uint8_t fill, size_t length);
void raw_peer_send(int fd, const void *bytes, size_t length);
/* The same on the control connection: with a right tag. */
void raw_peer_send_tagged(const struct raw_peer *peer, const struct tandem_frame *frame,
                          const void *payload);
/* A sound write to memory 0. */
struct tandem_frame raw_peer_write(const struct raw_peer *peer, uint64_t sequence, uint64_t offset);

/* Serves the session until it is lost; how many notices came before. */
unsigned raw_peer_wait_lost(struct raw_peer *peer, struct tandem_error *ret_error);
/* Serves the session until data channel `channel` is lost; the notices before are counted. */
unsigned raw_peer_wait_channel_lost(struct raw_peer *peer, unsigned channel,
                                    struct tandem_error *ret_error);
void raw_peer_wait_channel_up(struct raw_peer *peer, unsigned channel);
/* Serves the session until `count` notices have come. */
void raw_peer_wait_notices(struct raw_peer *peer, unsigned count);
/* True when memory 0 and its guards are as they were made, but for [from, to) of memory 0. */
int raw_peer_is_untouched_but(const struct raw_peer *peer, size_t from, size_t to);

#endif
