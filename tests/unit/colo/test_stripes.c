#include <criterion/criterion.h>

#include "core/stripes.h"

static uint8_t channels[8];
static struct tandem_stripes stripes;

static void begin(void)
{
	stripes =
	        (struct tandem_stripes){.stripe_count = 8, .stripe_pages = 4, .channels = channels};
	tandem_stripes_begin(&stripes, 7);
}

/* [C10] */
Test(stripes, a_channel_is_kept_until_the_commit)
{
	begin();
	cr_expect_eq(tandem_stripes_channel(&stripes, 9), TANDEM_STRIPE_FREE);
	tandem_stripes_carry(&stripes, 9, 2);
	cr_expect_eq(tandem_stripes_channel(&stripes, 8), 2);
	cr_expect_eq(tandem_stripes_channel(&stripes, 11), 2);
	cr_expect_eq(tandem_stripes_channel(&stripes, 12), TANDEM_STRIPE_FREE);
	tandem_stripes_note_post(&stripes, 2);
	tandem_stripes_commit(&stripes);
	cr_expect_eq(tandem_stripes_channel(&stripes, 9), TANDEM_STRIPE_FREE);
	cr_expect_eq(stripes.posted_mask, 0);
	cr_expect_eq(stripes.carried_count[2], 0);
	cr_expect_eq(stripes.up_mask, 7);
}

Test(stripes, a_commit_frees_whatever_was_carried)
{
	static const uint64_t pages[][2] = {{0, 31}, {13, 13}, {28, 5}, {31, 31}};

	begin();
	for (unsigned epoch = 0; epoch < 4; epoch++) {
		tandem_stripes_carry(&stripes, pages[epoch][0], 0);
		tandem_stripes_fence(&stripes, epoch & 1);
		tandem_stripes_carry(&stripes, pages[epoch][1], 1);
		tandem_stripes_commit(&stripes);
		for (unsigned stripe = 0; stripe < 8; stripe++)
			cr_expect_eq(channels[stripe], TANDEM_STRIPE_FREE, "epoch %u, stripe %u",
			             epoch, stripe);
	}
}

Test(stripes, a_lost_channel_keeps_its_stripes_until_its_fence)
{
	begin();
	tandem_stripes_carry(&stripes, 0, 1);
	tandem_stripes_carry(&stripes, 4, 2);
	tandem_stripes_note_post(&stripes, 1);
	tandem_stripes_note_post(&stripes, 2);
	tandem_stripes_lose(&stripes, 1);
	cr_expect_eq(tandem_stripes_channel(&stripes, 0), 1);
	cr_expect_eq(stripes.up_mask, 5);
	cr_expect_eq(stripes.posted_mask, 6);
	tandem_stripes_fence(&stripes, 2);
	cr_expect_eq(tandem_stripes_channel(&stripes, 0), TANDEM_STRIPE_FREE);
	cr_expect_eq(tandem_stripes_channel(&stripes, 4), 2, "healthy stripes stay");
	cr_expect_eq(stripes.posted_mask, 4);
}

Test(stripes, a_restored_channel_waits_until_nothing_is_written)
{
	begin();
	tandem_stripes_lose(&stripes, 0);
	tandem_stripes_fence(&stripes, 1);
	tandem_stripes_note_post(&stripes, 1);
	tandem_stripes_restore(&stripes, 0);
	cr_expect_eq(stripes.up_mask, 6);
	cr_expect_eq(tandem_stripes_lowest(&stripes), 1);
	tandem_stripes_commit(&stripes);
	cr_expect_eq(stripes.up_mask, 7);
	cr_expect_eq(tandem_stripes_lowest(&stripes), 0);
	tandem_stripes_lose(&stripes, 0);
	tandem_stripes_fence(&stripes, 1);
	tandem_stripes_restore(&stripes, 0);
	cr_expect_eq(stripes.up_mask, 7, "nothing was written: at once");
	tandem_stripes_note_post(&stripes, 1);
	tandem_stripes_lose(&stripes, 0);
	tandem_stripes_restore(&stripes, 0);
	tandem_stripes_lose(&stripes, 0);
	tandem_stripes_commit(&stripes);
	cr_expect_eq(stripes.up_mask, 6, "lost again while it waited");
}

Test(stripes, bytes_on_their_way_follow_from_the_number_of_writes)
{
	static struct tandem_load load;

	tandem_load_reset(&load);
	cr_expect_eq(tandem_load_bytes(&load, 0), 0);
	tandem_load_post(&load, 100);
	tandem_load_post(&load, 20);
	tandem_load_post(&load, 3);
	cr_expect_eq(tandem_load_bytes(&load, 3), 123);
	cr_expect_eq(tandem_load_bytes(&load, 2), 23);
	cr_expect_eq(tandem_load_bytes(&load, 1), 3);
	cr_expect_eq(tandem_load_bytes(&load, 0), 0);
	for (unsigned count = 0; count < 3 * TANDEM_LOAD_WRITES; count++)
		tandem_load_post(&load, 7);
	cr_expect_eq(tandem_load_bytes(&load, 4096), 7 * 4096);
	cr_expect_eq(tandem_load_bytes(&load, 0), 0);
}
