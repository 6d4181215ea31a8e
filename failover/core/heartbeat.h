#ifndef TANDEM_FAILOVER_HEARTBEAT_H
#define TANDEM_FAILOVER_HEARTBEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/controller.h>

#include "core/agreement.h"
#include "core/record.h"

/* What one controller tells the other about a pair, several times in a window, on every link. It is
 * evidence and hint, never a decision [H1]. Protects: a tag over all bytes, keyed with the pair's
 * key, refuses what was damaged or made without the key; sequence numbers and the controller's
 * instance refuse what is old. It is not encrypted: who listens learns names and numbers. A forger
 * with the key, or one who can stop packets, can delay or provoke a take-over; two leaders he
 * cannot make, because the register decides. */
#define TANDEM_HEARTBEAT_BYTES 312

enum tandem_plane_status {
	TANDEM_PLANE_ABSENT, /* none is attached */
	TANDEM_PLANE_ALIVE,  /* attached and reporting */
	TANDEM_PLANE_SILENT, /* attached, its reports have stopped */
};

struct tandem_plane_statement {
	enum tandem_plane_status status;
	uint64_t incarnation;      /* of the attached one, 0 when absent */
	uint64_t dead_incarnation; /* the last whose process has ended for certain, 0: none */
};

struct tandem_statement {
	bool is_settled;     /* the controller runs long enough for its data planes to be back, and
	                        no first record is on its way */
	bool in_maintenance; /* the operator wants no automatic decision */
	uint8_t state;       /* enum tandem_state, for people */
	struct tandem_plane_statement program;
	struct tandem_plane_statement standby;
	struct tandem_record record; /* the newest that the controller knows */
	struct tandem_agreement agreement;
	uint64_t offered_generation; /* the peer's copy of this generation may take over: the owner
	                                is quiet (R9), 0: no offer */
};

struct tandem_heartbeat {
	char pair[TANDEM_NAME_BYTES];
	char node[TANDEM_NAME_BYTES]; /* the sender */
	uint64_t instance;            /* of the sending controller, random at its start */
	uint64_t echo_instance;       /* of the receiver, as last heard; 0: not heard yet */
	uint64_t echo_sequence;       /* the highest of that instance heard */
	uint64_t sequence;            /* grows on each link within an instance */
	uint8_t link;
	struct tandem_statement statement;
};

void tandem_heartbeat_encode(const struct tandem_heartbeat *heartbeat,
                             const uint8_t key[static TANDEM_CONTROLLER_KEY_BYTES],
                             uint8_t ret_bytes[static TANDEM_HEARTBEAT_BYTES]);
/* 0, TANDEM_E_PROTOCOL (damaged or not made with the key) or TANDEM_E_VERSION; *ret_heartbeat only
 * on 0. Any bytes are safe. */
int tandem_heartbeat_decode(const uint8_t *bytes, size_t length,
                            const uint8_t key[static TANDEM_CONTROLLER_KEY_BYTES],
                            struct tandem_heartbeat *ret_heartbeat);
/* The pair that undecoded bytes claim to be for, to find the key with: false when they cannot be a
 * heartbeat. */
bool tandem_heartbeat_peek(const uint8_t *bytes, size_t length, char ret_pair[TANDEM_NAME_BYTES]);

/* Which controller is heard, and what of it is new. Instances have no order; of two that both name
 * this life, the later one is that which heard the later of its heartbeats. */
struct tandem_heartbeat_filter {
	uint64_t local_instance;
	uint64_t instance; /* 0: none yet */
	bool is_answered;  /* it has named this life; until then any other may be followed, because
	                      the first one heard may be from before both lives */
	uint64_t echo_sequence; /* the highest of this life's heartbeats that it has named */
	uint64_t sequence[TANDEM_CONTROLLER_LINKS_MAX];
	uint64_t statement_sequence; /* the highest heard */
};

enum tandem_heartbeat_verdict {
	TANDEM_HEARTBEAT_OLD,  /* proves nothing */
	TANDEM_HEARTBEAT_LIFE, /* new on its link, its statement is not newer than another link's */
	TANDEM_HEARTBEAT_NEWS, /* life, and a newer statement */
};

/* A controller that follows another which has answered this one (echo_instance) is believed only
 * when it answers, too [H2]. */
enum tandem_heartbeat_verdict tandem_heartbeat_filter_judge(
        struct tandem_heartbeat_filter *filter, const struct tandem_heartbeat *heartbeat);
/* What one that was NEWS says. Said before its sender heard this life, it may be from before this
 * life, too, and then the sender counts as not settled [H2]. */
struct tandem_statement tandem_heartbeat_filter_hear(const struct tandem_heartbeat_filter *filter,
                                                     const struct tandem_heartbeat *heartbeat);

#endif
