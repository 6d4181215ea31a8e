#ifndef TANDEM_TESTS_STUCK_PEER_H
#define TANDEM_TESTS_STUCK_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/transport.h>

#define PEER_MEMORY_BYTES ((size_t)8 << 20)
#define PEER_POISON       0xa5
#define PEER_CONTENT      0x5a

/* One side of a session, driven by commands on stdin. */
struct peer {
	bool is_listening_side;
	struct tandem_transport_options options;
	struct tandem_transport *transport;
	struct tandem_listener *listener;
	struct tandem_session *session;
	uint8_t *memory;

	bool is_deaf;         /* accept is not called */
	bool is_deaf_to_data; /* nor after the first session */
	bool is_silent;       /* the session is not driven */
	bool is_streaming;    /* connecting side: writes whenever there is room */
	bool repairs;         /* lost channels are fenced and restored */
	uint64_t gap_ns;      /* between two rounds of writes */
	uint64_t next_write_ns;

	bool is_up;
	bool is_lost;
	bool is_ended;
	bool has_tried[TANDEM_CHANNELS_MAX];      /* a restore, since it was up */
	uint64_t restore_ns[TANDEM_CHANNELS_MAX]; /* when to try again; 0: not */
	uint64_t notice_counts[TANDEM_CHANNELS_MAX];
	unsigned message_count;
};

/* peer_command.c: does what one line of stdin asks for. */
void peer_command(struct peer *peer, char *line);

/* peer_event.c: takes what has happened. */
void peer_take_events(struct peer *peer);
/* Restores the channels whose time has come; the next such time, UINT64_MAX for none. */
void peer_restore_due(struct peer *peer, uint64_t now_ns);
uint64_t peer_restore_deadline_ns(const struct peer *peer);

#endif
