#ifndef TANDEM_CONTROL_H
#define TANDEM_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/mac.h>

/* What a controller (tandem-failoverd) and the data planes of its node say to each other: one
 * fixed-size message a packet on a SOCK_SEQPACKET socket, RUN_DIR/failoverd.sock. A data plane
 * connects; one connection serves one pair. Pure codec; the sentences are in docs/protocol.md,
 * section L. */

#define TANDEM_NAME_BYTES        32 /* names of pairs, nodes, regions, with the terminating zero */
#define TANDEM_CONTROL_VERSION   6
#define TANDEM_CONTROL_BYTES     1280
#define TANDEM_CONTROL_RAILS_MAX 4
#define TANDEM_CONTROL_SOCKET    "failoverd.sock"

enum tandem_control_type {
	/* data plane to controller */
	TANDEM_CONTROL_ATTACH = 1, /* first packet: kind, pair, incarnation, process_id */
	TANDEM_CONTROL_READY,      /* program: regions are attached, it can lead */
	TANDEM_CONTROL_REPORT,     /* every report_interval_ns: epoch, heard_age_ns, session, and a
	                              standby's status; with a text, at once: something an operator
	                              should know */
	TANDEM_CONTROL_SESSION_UP, /* peer_incarnation, generation */
	TANDEM_CONTROL_SESSION_LOST, /* text says why */
	TANDEM_CONTROL_COPIED,   /* program: a full copy is applied at peer_incarnation; output is
	                            gated (R7) */
	TANDEM_CONTROL_FENCED,   /* standby: fenced, drained, finished; epoch is the last committed
	                            one */
	TANDEM_CONTROL_FAILED,   /* the order in `answers` failed; text says why */
	TANDEM_CONTROL_QUIESCED, /* program: epoch is acknowledged, nothing is under way, output is
	                            held (R9); generation is the one it leads in */
	/* controller to data plane */
	TANDEM_CONTROL_WELCOME = 32, /* settings, generation */
	TANDEM_CONTROL_LEAD,     /* program: generation, is_pair, holds_output. It leads; SOLO opens
	                            the gate unless output is to be held */
	TANDEM_CONTROL_HALT,     /* program: it may never answer again; text says why */
	TANDEM_CONTROL_STAND_BY, /* standby: accept the session of this generation */
	TANDEM_CONTROL_FENCE, /* standby: acknowledge nothing more, fence, drain, finish, say FENCED
	                       */
	TANDEM_CONTROL_ACTIVATE, /* standby: start the program with this generation, epoch,
	                            incarnation */
	TANDEM_CONTROL_YANK,     /* both: end everything pending on the session */
	TANDEM_CONTROL_QUIESCE, /* program: finish the epoch under way, begin none, hold output, say
	                           QUIESCED; LEAD ends it */
	TANDEM_CONTROL_LEAVE,   /* program: the operator wants it to end its protection in order */
	TANDEM_CONTROL_RELEASE, /* program: it has left: it goes on unprotected, and no copy of it
	                           may ever lead */
	TANDEM_CONTROL_PROTECT, /* standby: start the program that protects what runs already */
};

enum tandem_control_kind {
	TANDEM_CONTROL_KIND_PROGRAM = 1, /* holds the regions (libtandem) */
	TANDEM_CONTROL_KIND_STANDBY = 2, /* holds cache and image (tandemd) */
};

/* What reading the beat of the peer's data plane says [T18]. A word is evidence and decides
 * nothing. */
enum tandem_peer_beat {
	TANDEM_PEER_BEAT_UNKNOWN, /* it was not read: also where the transport cannot, or a reading
	                             failed */
	TANDEM_PEER_BEAT_ADVANCING, /* the peer's process lives */
	TANDEM_PEER_BEAT_STILL,     /* the peer's host answers, its process does nothing */
	TANDEM_PEER_BEAT_COUNT,
};

/* One path between the two nodes. */
struct tandem_control_rail {
	char local_address[64]; /* to bind and to choose the device by */
	char peer_address[64];  /* where the peer's tandemd listens */
};

/* What a data plane needs of the configuration, so that only programs of node/ read the file. */
struct tandem_control_settings {
	char node[TANDEM_NAME_BYTES];
	char provider[16]; /* "auto", "rdma", "tcp" */
	char tracker[16];  /* "auto", "pagemap", "mark", "compare" */
	struct tandem_control_rail rails[TANDEM_CONTROL_RAILS_MAX];
	uint16_t rail_count;
	uint16_t peer_port;
	uint16_t channel_count;
	uint16_t write_depth;     /* writes in flight per channel */
	uint32_t merge_bytes_max; /* neighbouring pages that one write may carry: a stripe */
	struct tandem_key key;    /* of the pair [S1]; zeros where has_key is false */
	bool has_key;
	uint32_t state_bytes_max; /* largest state blob */
	uint64_t connect_timeout_ns;
	uint64_t commit_timeout_ns; /* a wait for COMMITTED, APPLIED or a fence answer loses the
	                               session after this */
	uint64_t ping_interval_ns;  /* session pings; silence of commit_timeout_ns loses the session
	                             */
	uint64_t report_interval_ns;
	uint64_t reconnect_interval_ns;     /* pause before the first attempt; it doubles ... */
	uint64_t reconnect_interval_max_ns; /* ... up to this, each with jitter */
	uint64_t poll_ns;      /* what is due is asked for at most this long before sleeping */
	uint32_t verify_every; /* each so many epochs the tracker is checked; 0: never */
	uint64_t lease_ns; /* output is not gated: the primary ends itself when the secondary was
	                      not heard for this long; 0: it is gated */
	uint64_t push_interval_ns; /* between passes that push beside an open epoch; 0: none */
	uint64_t push_rate_max;    /* bytes a second of them; 0: no limit */
	uint64_t pause_budget_ns;  /* a checkpoint is put off until it fits; 0: never */
	uint64_t overload_wait_ns; /* for so long at most */
	bool slows_program;        /* one that does not fit even then holds the program until it
	                              does */
	bool is_capture_auto;      /* each capture is staged or not, as costs less */
	uint64_t staging_bytes; /* of a capture that is pushed beside the running program; 0: it is
	                           pushed in the pause */
};

#define TANDEM_CONTROL_SETTINGS_DEFAULT                                                            \
	((struct tandem_control_settings){.provider = "auto",                                      \
	                                  .tracker = "auto",                                       \
	                                  .rail_count = 1,                                         \
	                                  .channel_count = 4,                                      \
	                                  .write_depth = 256,                                      \
	                                  .merge_bytes_max = 65536,                                \
	                                  .state_bytes_max = 65536,                                \
	                                  .connect_timeout_ns = UINT64_C(1000000000),              \
	                                  .commit_timeout_ns = UINT64_C(1000000000),               \
	                                  .ping_interval_ns = UINT64_C(20000000),                  \
	                                  .report_interval_ns = UINT64_C(20000000),                \
	                                  .reconnect_interval_ns = UINT64_C(100000000),            \
	                                  .reconnect_interval_max_ns = UINT64_C(5000000000),       \
	                                  .poll_ns = UINT64_C(100000)})

struct tandem_control_message {
	enum tandem_control_type type;
	enum tandem_control_kind kind;    /* ATTACH */
	enum tandem_control_type answers; /* FAILED */
	bool is_pair;                     /* LEAD: PAIR, else SOLO */
	bool has_session;                 /* REPORT */
	bool has_copy;        /* REPORT of a standby: it holds a committed, applied copy that it has
	                         not started; of a program: it has told of a copy, and holds its
	                         output until the next LEAD */
	bool holds_output;    /* LEAD, SOLO: nothing leaves until PAIR (mode strict) */
	bool has_lease;       /* REPORT of a program: the timer that ends it is armed */
	bool leaves;          /* REPORT of a program: it waits for RELEASE */
	bool keeps_old;       /* STAND_BY: what the image directory holds is kept aside */
	int32_t status;       /* FAILED: TANDEM_E_*; REPORT of a standby: TANDEM_E_UNSUPPORTED,
	                         this node could not go on with its copy [C35], TANDEM_E_AGAIN, it
	                         is not known whether it could, and text says why;
	                         else 0 */
	uint32_t process_id;  /* ATTACH */
	uint64_t incarnation; /* ATTACH: own; ACTIVATE: the one the program must take */
	uint64_t peer_incarnation;
	uint64_t generation;
	uint64_t epoch;
	uint64_t heard_age_ns;  /* REPORT: since the last byte of the peer's software */
	uint64_t lease_left_ns; /* FENCED: how long the old primary may still live unfenced */
	char pair[TANDEM_NAME_BYTES];
	char text[256];
	struct tandem_control_settings settings; /* WELCOME */
	uint64_t drain_ns;                       /* FENCED: what drain and apply took since FENCE */
	uint64_t behind_age_ns; /* REPORT of a program: since the oldest output that waits for a
	                           commit; 0: none waits */
	enum tandem_peer_beat peer_beat; /* REPORT */
	uint64_t beat_age_ns; /* REPORT: since the peer's word was last seen to have moved,
	                         or was first read; 0 where it is unknown */
};

/* Encodes into exactly TANDEM_CONTROL_BYTES. Texts without an end are our own mistake. */
void tandem_control_encode(const struct tandem_control_message *message, uint8_t *ret_bytes);

/* 0, TANDEM_E_PROTOCOL or TANDEM_E_VERSION; *ret_message only on 0. Any bytes are safe. */
int tandem_control_decode(const uint8_t *bytes, size_t length,
                          struct tandem_control_message *ret_message);

const char *tandem_control_type_name(enum tandem_control_type type);

#endif
