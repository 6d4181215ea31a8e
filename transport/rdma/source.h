#ifndef TANDEM_RDMA_SOURCE_H
#define TANDEM_RDMA_SOURCE_H

#include <stdint.h>

#include "rdma/registration.h"

/* The memory that writes read from: registrations ordered by base, found by address. */
struct tandem_rdma_sources {
	struct tandem_rdma_registration **entries;
	unsigned count;
	unsigned capacity;
	unsigned last_hit; /* writes come in runs: the next one is mostly in the same */
};

/* Takes `registration` when it succeeds. Errors: TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_rdma_sources_add(struct tandem_rdma_sources *sources,
                                              struct tandem_rdma_registration *registration);
/* The registration that holds all of it, or NULL. */
struct tandem_rdma_registration *tandem_rdma_sources_find(struct tandem_rdma_sources *sources,
                                                          const void *bytes, uint64_t length);
void tandem_rdma_sources_clear(struct tandem_rdma_sources *sources);

#endif
