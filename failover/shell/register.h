#ifndef TANDEM_FAILOVER_REGISTER_H
#define TANDEM_FAILOVER_REGISTER_H

#include <tandem/error.h>

#include "core/record.h"

/* The register of one pair as files: DIRECTORY/gen-GENERATION (20 digits), each written once. A
 * record is written to a file of its own, synced, and then linked to its final name: link(2) fails
 * with EEXIST where another was first, and that is the compare-and-set. The record with the highest
 * generation counts. The storage must have atomic link(2) and be the same for both nodes (a local
 * disk, NFS, a cluster file system); the calls block as long as the storage does. */
#define TANDEM_REGISTER_KEPT 16 /* the newest records stay, for people */

enum tandem_register_outcome {
	TANDEM_REGISTER_WON,
	TANDEM_REGISTER_LOST,   /* *ret_current is there; `desired` was not, or no longer is */
	TANDEM_REGISTER_FAILED, /* for certain not written */
	TANDEM_REGISTER_DOUBT,  /* perhaps written: read */
};

/* Makes the directory, mode 0700, and its parents. */
TANDEM_MUST_CHECK int tandem_register_prepare(const char *directory,
                                              struct tandem_error *reterr_error);
/* Generation 0 when there is none yet. TANDEM_E_SYSTEM; TANDEM_E_PROTOCOL for a file that is no
 * record of `pair`. */
TANDEM_MUST_CHECK int tandem_register_read(const char *directory, const char *pair,
                                           struct tandem_record *ret_record,
                                           struct tandem_error *reterr_error);
/* `desired` replaces `expected` (generation 0: nothing), or what is there comes back. The same
 * `desired` may be asked again after a doubt. reterr_error is filled for FAILED and DOUBT. */
enum tandem_register_outcome tandem_register_cas(const char *directory,
                                                 const struct tandem_record *expected,
                                                 const struct tandem_record *desired,
                                                 struct tandem_record *ret_current,
                                                 struct tandem_error *reterr_error);
/* Removes all but the newest TANDEM_REGISTER_KEPT records up to `highest`, as far as it can. After
 * a CAS was won and its answer given, because nobody waits for it. */
void tandem_register_prune(const char *directory, uint64_t highest);
/* For a register that only this node writes (arbiter `manual`): takes over a record that the peer
 * wrote, when it is newer; of two with the same generation the higher decision number counts, so
 * that both nodes choose alike. */
TANDEM_MUST_CHECK int tandem_register_adopt(const char *directory,
                                            const struct tandem_record *record,
                                            struct tandem_error *reterr_error);

#endif
