#include "rdma/core/ack_timeout.h"

#define EXPONENT_MIN 14
#define EXPONENT_MAX 31
#define UNIT_NS      UINT64_C(4096)

uint64_t tandem_rdma_ack_timeout_total_ns(uint8_t n)
{
	return (TANDEM_RDMA_RETRY_COUNT + 1) * (UNIT_NS << n);
}

uint8_t tandem_rdma_ack_timeout(uint64_t peer_timeout_ns)
{
	uint8_t n = EXPONENT_MIN;

	while (n < EXPONENT_MAX && tandem_rdma_ack_timeout_total_ns(n) < peer_timeout_ns)
		n++;
	if (n > EXPONENT_MIN && tandem_rdma_ack_timeout_total_ns(n) > peer_timeout_ns &&
	    tandem_rdma_ack_timeout_total_ns(n) - peer_timeout_ns >
	            peer_timeout_ns - tandem_rdma_ack_timeout_total_ns((uint8_t)(n - 1)))
		n--;
	return n;
}
