#ifndef TANDEM_RDMA_ACK_TIMEOUT_H
#define TANDEM_RDMA_ACK_TIMEOUT_H

#include <stdint.h>

/* 7 means for ever on soft-RoCE; 6 is the most that ends everywhere. */
#define TANDEM_RDMA_RETRY_COUNT 6 /* [T13] */

/* The local ACK timeout n of InfiniBand (one try is 4.096 us * 2^n) for which all tries together
 * come next to `peer_timeout_ns`: at least 14, for less gives false errors on a busy host, and at
 * most 31, the field's width. Pure. */
uint8_t tandem_rdma_ack_timeout(uint64_t peer_timeout_ns);

/* How long all tries take with exponent `n`. */
uint64_t tandem_rdma_ack_timeout_total_ns(uint8_t n);

#endif
