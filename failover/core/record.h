#ifndef TANDEM_FAILOVER_RECORD_H
#define TANDEM_FAILOVER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/control.h>
#include <tandem/controller.h>

/* What the register of a pair holds. Generation 0 means that it was never written. */
#define TANDEM_RECORD_BYTES 108

struct tandem_record {
	uint64_t generation;
	uint64_t owner_incarnation; /* of the program that may lead */
	uint64_t copy_incarnation;  /* PAIR: of the standby that holds a full copy; SOLO: 0 */
	uint64_t decision; /* random name of the CAS that wrote it; tells a winner from a loser when
	                      the answer was lost */
	bool is_pair;
	bool is_handed_over; /* SOLO, by a take-over that the old owner had offered */
	bool is_left;        /* SOLO, and nobody leads: the owner's program goes on unprotected */
	char pair[TANDEM_NAME_BYTES];
	char owner[TANDEM_NAME_BYTES];
};

/* `record` has been written, so its generation is not 0. */
void tandem_record_encode(const struct tandem_record *record,
                          uint8_t ret_bytes[static TANDEM_RECORD_BYTES]);
/* 0, TANDEM_E_PROTOCOL or TANDEM_E_VERSION; *ret_record only on 0. Any bytes are safe. */
int tandem_record_decode(const uint8_t *bytes, size_t length, struct tandem_record *ret_record);
/* The incarnation that the decision `decision` gives to the program which starts from the copy of a
 * standby, never 0: so the record of a take-over names the copy that it was made from. */
uint64_t tandem_record_heir(uint64_t standby_incarnation, uint64_t decision);
/* Each node keeps records of its own, see enum tandem_arbiter_type. */
bool tandem_record_is_kept_by_node(enum tandem_arbiter_type type);
/* "PAIR", "SOLO" or "LEFT". */
const char *tandem_record_mode(const struct tandem_record *record);
/* Of two nodes' own records the one that both keep. In the same generation it is not the one that
 * says LEFT: somebody may lead by the other. */
bool tandem_record_is_newer(const struct tandem_record *one, const struct tandem_record *other);
/* Same write: generation and decision. */
bool tandem_record_is_same(const struct tandem_record *one, const struct tandem_record *other);

#endif
