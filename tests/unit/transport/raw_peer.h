#ifndef TANDEM_TESTS_RAW_PEER_H
#define TANDEM_TESTS_RAW_PEER_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/transport.h>

#include "core/frame.h"
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
	uint64_t key;        /* of the session */
	uint64_t memory_key; /* of memory 0 */
	uint8_t *whole;      /* guard, memory 0, guard */
	uint8_t *memory;
};

void raw_peer_listen(struct raw_peer *peer, uint64_t connect_timeout_ns);
/* A connected socket that said nothing. */
int raw_peer_connect(const struct raw_peer *peer);
void raw_peer_hello(int fd, const struct tandem_hello *hello);
/* Serves the listener until the answer is there; its verdict. */
struct tandem_answer raw_peer_answer(struct raw_peer *peer, int fd);
/* Joins RAW_CHANNELS, exposes memory 0 and learns its key. */
void raw_peer_join(struct raw_peer *peer);
void raw_peer_done(struct raw_peer *peer);

/* What accept gives, once it gives anything but AGAIN. */
int raw_peer_accept(struct raw_peer *peer, struct tandem_error *ret_error);

/* A frame with payload of `fill`; `length` says how many bytes of payload really follow. */
void raw_peer_send_frame(int fd, const struct tandem_frame *frame, uint8_t fill, size_t length);
void raw_peer_send(int fd, const void *bytes, size_t length);
/* A sound write to memory 0. */
struct tandem_frame raw_peer_write(const struct raw_peer *peer, uint64_t sequence, uint64_t offset);

/* Serves the session until it is lost; how many notices came before. */
unsigned raw_peer_wait_lost(struct raw_peer *peer, struct tandem_error *ret_error);
/* Serves the session until `count` notices have come. */
void raw_peer_wait_notices(struct raw_peer *peer, unsigned count);
/* True when memory 0 and its guards are as they were made, but for [from, to) of memory 0. */
int raw_peer_is_untouched_but(const struct raw_peer *peer, size_t from, size_t to);

#endif
