#include <criterion/criterion.h>

#include "rdma/core/ack_timeout.h"

#define MS UINT64_C(1000000)

Test(rdma_ack_timeout, is_the_exponent_next_to_the_peer_timeout)
{
	/* 7 tries of 4.096 us * 2^15 are 940 ms. */
	cr_expect_eq(tandem_rdma_ack_timeout(1000 * MS), 15);
	cr_expect_eq(tandem_rdma_ack_timeout_total_ns(15), UINT64_C(7) * 4096 * 32768);
	cr_expect_eq(tandem_rdma_ack_timeout(2000 * MS), 16);
	cr_expect_eq(tandem_rdma_ack_timeout(10000 * MS), 18);
	cr_expect_eq(tandem_rdma_ack_timeout(1300 * MS), 15);
	cr_expect_eq(tandem_rdma_ack_timeout(1500 * MS), 16);
}

Test(rdma_ack_timeout, stays_where_a_healthy_peer_is_not_lost_and_the_field_ends)
{
	cr_expect_eq(tandem_rdma_ack_timeout(0), 14);
	cr_expect_eq(tandem_rdma_ack_timeout(10 * MS), 14);
	cr_expect_eq(tandem_rdma_ack_timeout(470 * MS), 14);
	cr_expect_eq(tandem_rdma_ack_timeout(UINT64_MAX), 31);
}
