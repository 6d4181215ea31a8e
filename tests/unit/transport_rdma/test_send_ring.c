#include <criterion/criterion.h>

#include "rdma/core/send_ring.h"

#define CAPACITY 8

static struct tandem_rdma_sent entries[CAPACITY];

static struct tandem_rdma_send_ring new_ring(void)
{
	return tandem_rdma_send_ring_over(entries, CAPACITY);
}

static void take_and_post(struct tandem_rdma_send_ring *ring, unsigned count, uint64_t now_ns)
{
	for (unsigned i = 0; i < count; i++)
		tandem_rdma_send_ring_take(ring, now_ns, true);
	tandem_rdma_send_ring_post(ring, count, now_ns);
}

Test(rdma_send_ring, one_completion_stands_for_all_before_it)
{
	struct tandem_rdma_send_ring ring = new_ring();

	take_and_post(&ring, 6, 10);
	cr_expect_eq(ring.write_count, 6);
	cr_expect(tandem_rdma_send_ring_complete(&ring, 3, 20));
	cr_expect_eq(ring.write_count, 2);
	cr_expect_eq(tandem_rdma_send_ring_free_count(&ring), 6);
	cr_expect(tandem_rdma_send_ring_complete(&ring, 5, 30));
	cr_expect(tandem_rdma_send_ring_is_empty(&ring));
	cr_expect_eq(ring.progress_ns, 30);
}

Test(rdma_send_ring, refuses_a_completion_of_what_is_not_posted)
{
	struct tandem_rdma_send_ring ring = new_ring();

	cr_expect_not(tandem_rdma_send_ring_complete(&ring, 0, 1));
	take_and_post(&ring, 3, 1);
	tandem_rdma_send_ring_take(&ring, 1, true);
	cr_expect_not(tandem_rdma_send_ring_complete(&ring, 3, 1), "taken but not posted");
	cr_expect_not(tandem_rdma_send_ring_complete(&ring, CAPACITY, 1));
	cr_expect(tandem_rdma_send_ring_complete(&ring, 1, 1));
	cr_expect_not(tandem_rdma_send_ring_complete(&ring, 0, 1), "twice");
	cr_expect_eq(ring.write_count, 2);
}

Test(rdma_send_ring, goes_round)
{
	struct tandem_rdma_send_ring ring = new_ring();

	for (unsigned i = 0; i < 1000; i++) {
		const unsigned count = 1 + i % CAPACITY;
		const unsigned last = (tandem_rdma_send_ring_next(&ring) + count - 1) % CAPACITY;

		take_and_post(&ring, count, i);
		cr_assert_eq(tandem_rdma_send_ring_free_count(&ring), CAPACITY - count);
		cr_assert(tandem_rdma_send_ring_complete(&ring, last, i));
		cr_assert(tandem_rdma_send_ring_is_empty(&ring));
		cr_assert_eq(ring.write_count, 0);
	}
}

Test(rdma_send_ring, counts_a_write_in_parts_once)
{
	struct tandem_rdma_send_ring ring = new_ring();

	tandem_rdma_send_ring_take(&ring, 1, false);
	tandem_rdma_send_ring_take(&ring, 1, false);
	tandem_rdma_send_ring_take(&ring, 1, true);
	tandem_rdma_send_ring_post(&ring, 3, 1);
	cr_expect_eq(ring.write_count, 1);
	cr_expect(tandem_rdma_send_ring_complete(&ring, 1, 2));
	cr_expect_eq(ring.write_count, 1);
	cr_expect(tandem_rdma_send_ring_complete(&ring, 2, 2));
	cr_expect_eq(ring.write_count, 0);
}

Test(rdma_send_ring, forgets_only_what_was_never_posted)
{
	struct tandem_rdma_send_ring ring = new_ring();

	take_and_post(&ring, 2, 1);
	tandem_rdma_send_ring_take(&ring, 1, false);
	tandem_rdma_send_ring_take(&ring, 1, true);
	cr_expect_eq(tandem_rdma_send_ring_unposted_count(&ring), 2);
	cr_expect_eq(tandem_rdma_send_ring_unposted(&ring, 1), 3);
	tandem_rdma_send_ring_drop_unposted(&ring);
	cr_expect_eq(tandem_rdma_send_ring_unposted_count(&ring), 0);
	cr_expect_eq(tandem_rdma_send_ring_inflight_count(&ring), 2);
	cr_expect_eq(ring.write_count, 2);
}

Test(rdma_send_ring, signals_one_in_many_and_the_last)
{
	struct tandem_rdma_send_ring ring = new_ring();
	unsigned signalled = 0;

	for (unsigned i = 1; i <= 64; i++)
		signalled += tandem_rdma_send_ring_wants_signal(&ring, 16, i == 40);
	cr_expect_eq(signalled, 4); /* 16, 32, 40, 56 */
}

Test(rdma_send_ring, knows_the_oldest_and_when_something_last_moved)
{
	struct tandem_rdma_send_ring ring = new_ring();

	cr_expect_eq(tandem_rdma_send_ring_oldest_ns(&ring), UINT64_MAX);
	take_and_post(&ring, 1, 10);
	take_and_post(&ring, 1, 20);
	cr_expect_eq(ring.progress_ns, 10, "a later post is no progress");
	cr_expect_eq(tandem_rdma_send_ring_oldest_ns(&ring), 10);
	cr_expect(tandem_rdma_send_ring_complete(&ring, 0, 30));
	cr_expect_eq(tandem_rdma_send_ring_oldest_ns(&ring), 20);
	cr_expect_eq(ring.progress_ns, 30);
}
