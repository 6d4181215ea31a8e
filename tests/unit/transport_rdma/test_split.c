#include <criterion/criterion.h>

#include <tandem/random.h>
#include <tandem/transport.h>

#include "rdma/core/split.h"

#define PIECE (UINT64_C(1) << 20)

Test(rdma_split, keeps_a_write_whole_inside_pieces)
{
	uint32_t lengths[TANDEM_RDMA_PARTS_MAX];

	cr_assert_eq(tandem_rdma_split(0, PIECE, 0, PIECE, TANDEM_WRITE_BYTES_MAX, lengths), 1);
	cr_expect_eq(lengths[0], TANDEM_WRITE_BYTES_MAX);
	cr_assert_eq(tandem_rdma_split(PIECE - 1, PIECE, 3 * PIECE - 1, PIECE, 1, lengths), 1);
	cr_expect_eq(lengths[0], 1);
}

Test(rdma_split, cuts_at_each_border_of_either_side)
{
	uint32_t lengths[TANDEM_RDMA_PARTS_MAX];

	cr_assert_eq(tandem_rdma_split(PIECE - 10, PIECE, 5, PIECE, 30, lengths), 2);
	cr_expect_eq(lengths[0], 10);
	cr_expect_eq(lengths[1], 20);
	cr_assert_eq(tandem_rdma_split(PIECE - 10, PIECE, 2 * PIECE - 25, PIECE, 30, lengths), 3);
	cr_expect_eq(lengths[0], 10);
	cr_expect_eq(lengths[1], 15);
	cr_expect_eq(lengths[2], 5);
	cr_assert_eq(tandem_rdma_split(PIECE - 10, PIECE, PIECE - 10, PIECE, 30, lengths), 2);
}

Test(rdma_split, gives_up_where_pieces_are_too_small)
{
	uint32_t lengths[TANDEM_RDMA_PARTS_MAX];

	cr_expect_eq(tandem_rdma_split(0, 10, 0, PIECE, 31, lengths), 0);
	cr_expect_eq(tandem_rdma_split(0, 10, 0, PIECE, 30, lengths), 3);
}

Test(rdma_split, never_crosses_and_never_loses_a_byte)
{
	uint64_t seed = 11;

	for (unsigned i = 0; i < 100000; i++) {
		const uint64_t local = tandem_random_next(&seed) % (8 * PIECE);
		const uint64_t peer = tandem_random_next(&seed) % (8 * PIECE);
		const uint64_t peer_piece = PIECE * (1 + tandem_random_next(&seed) % 3);
		const uint32_t length =
		        1 + (uint32_t)(tandem_random_next(&seed) % TANDEM_WRITE_BYTES_MAX);
		uint32_t lengths[TANDEM_RDMA_PARTS_MAX];
		const unsigned count =
		        tandem_rdma_split(local, PIECE, peer, peer_piece, length, lengths);
		uint64_t done = 0;

		cr_assert(count >= 1);
		for (unsigned part = 0; part < count; part++) {
			const uint64_t last = done + lengths[part] - 1;

			cr_assert_gt(lengths[part], 0);
			cr_assert_eq((local + done) / PIECE, (local + last) / PIECE);
			cr_assert_eq((peer + done) / peer_piece, (peer + last) / peer_piece);
			done += lengths[part];
		}
		cr_assert_eq(done, length);
	}
}
