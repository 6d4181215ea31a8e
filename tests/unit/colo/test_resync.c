#include <criterion/criterion.h>

#include "core/resync.h"
#include "core/wire.h"

static struct tandem_resync resync;

static unsigned ask_all(uint64_t deadline_ns)
{
	uint64_t first_page;
	uint32_t page_count;
	unsigned count = 0;

	while (tandem_resync_ask(&resync, deadline_ns, &first_page, &page_count)) {
		cr_assert_eq(first_page + page_count, resync.asked);
		cr_assert(page_count > 0 && page_count <= TANDEM_DIGESTS_MAX);
		count++;
	}
	return count;
}

Test(resync, nothing_is_learned_when_nothing_was_begun)
{
	tandem_resync_reset(&resync);
	cr_expect(!tandem_resync_is_under_way(&resync));
	cr_expect_eq(ask_all(5), 0);
	cr_expect(!tandem_resync_answer(&resync, 0, 1, 5));
	cr_expect_eq(resync.deadline_ns, UINT64_MAX);
}

Test(resync, a_few_messages_ahead_and_no_more)
{
	uint64_t page_count = 9 * TANDEM_DIGESTS_MAX + 7, known = 0;

	tandem_resync_begin(&resync, page_count);
	cr_expect_eq(ask_all(5), TANDEM_RESYNC_WINDOW);
	while (known < page_count) {
		uint64_t left = page_count - known;
		uint32_t piece = left < TANDEM_DIGESTS_MAX ? (uint32_t)left : TANDEM_DIGESTS_MAX;

		cr_assert(tandem_resync_is_under_way(&resync));
		cr_assert(tandem_resync_answer(&resync, known, piece, 6));
		known += piece;
		cr_assert_leq(ask_all(6), 1);
		cr_assert_leq(resync.asked - resync.known,
		              TANDEM_RESYNC_WINDOW * TANDEM_DIGESTS_MAX);
	}
	cr_expect(!tandem_resync_is_under_way(&resync));
	cr_expect_eq(resync.asked, page_count);
}

Test(resync, only_the_next_answer_is_believed)
{
	tandem_resync_begin(&resync, 2 * TANDEM_DIGESTS_MAX + 3);
	ask_all(5);
	cr_expect(!tandem_resync_answer(&resync, TANDEM_DIGESTS_MAX, TANDEM_DIGESTS_MAX, 6));
	cr_expect(!tandem_resync_answer(&resync, 0, TANDEM_DIGESTS_MAX - 1, 6));
	cr_expect(!tandem_resync_answer(&resync, UINT64_MAX, 1, 6));
	cr_expect(tandem_resync_answer(&resync, 0, TANDEM_DIGESTS_MAX, 6));
	cr_expect(!tandem_resync_answer(&resync, 0, TANDEM_DIGESTS_MAX, 6), "again");
	cr_expect(tandem_resync_answer(&resync, TANDEM_DIGESTS_MAX, TANDEM_DIGESTS_MAX, 6));
	cr_expect(tandem_resync_answer(&resync, 2 * TANDEM_DIGESTS_MAX, 3, 6));
	cr_expect(!tandem_resync_answer(&resync, 2 * TANDEM_DIGESTS_MAX + 3, 1, 6));
}

Test(resync, an_answer_is_waited_for_while_one_is_out)
{
	tandem_resync_begin(&resync, TANDEM_DIGESTS_MAX + 1);
	cr_expect_eq(resync.deadline_ns, UINT64_MAX);
	ask_all(5);
	cr_expect_eq(resync.deadline_ns, 5);
	tandem_resync_answer(&resync, 0, TANDEM_DIGESTS_MAX, 6);
	cr_expect_eq(resync.deadline_ns, 6);
	tandem_resync_answer(&resync, TANDEM_DIGESTS_MAX, 1, 7);
	cr_expect_eq(resync.deadline_ns, UINT64_MAX);
}
