#ifndef TANDEM_RDMA_SOURCE_H
#define TANDEM_RDMA_SOURCE_H

#include <stdint.h>

#include <tandem/transport.h>

#include "rdma/registration.h"

/* A session uses at most as many devices as it has rails. */
#define TANDEM_RDMA_ATTACHMENTS_MAX TANDEM_RAILS_MAX

/* Memory that writes read from, registered once a device. */
struct tandem_rdma_source {
	struct tandem_rdma_extent extent;
	struct tandem_rdma_registration *registrations[TANDEM_RDMA_ATTACHMENTS_MAX];
};

/* All of them, ordered by base, found by address. */
struct tandem_rdma_sources {
	struct tandem_rdma_source **entries;
	unsigned count;
	unsigned capacity;
	unsigned last_hit; /* writes come in runs: the next one is mostly in the same */
};

/* Takes `source` when it succeeds. Errors: TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_rdma_sources_add(struct tandem_rdma_sources *sources,
                                              struct tandem_rdma_source *source);
/* The one that holds all of it, or NULL. */
struct tandem_rdma_source *tandem_rdma_sources_find(struct tandem_rdma_sources *sources,
                                                    const void *bytes, uint64_t length);
struct tandem_rdma_source *tandem_rdma_source_free(struct tandem_rdma_source *source);
void tandem_rdma_sources_clear(struct tandem_rdma_sources *sources);

#endif
