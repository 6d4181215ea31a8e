#ifndef TANDEM_RDMA_TRANSPORT_H
#define TANDEM_RDMA_TRANSPORT_H

#include "provider.h"

/* One opened provider. */
struct tandem_rdma_transport {
	struct tandem_transport head;
	uint64_t piece_bytes; /* of a registration: TANDEM_REGISTRATION_BYTES_MAX, less in tests */
	char detail[256];
};

#endif
