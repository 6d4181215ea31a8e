#include <criterion/criterion.h>
#include <stdatomic.h>
#include <string.h>

#include "fake_session.h"
#include "shell/channels.h"

static struct tandem_channels channels;
static struct fake_session fake;

static void begin(void)
{
	struct tandem_control_settings settings = TANDEM_CONTROL_SETTINGS_DEFAULT;

	settings.channel_count = FAKE_CHANNELS;
	settings.reconnect_interval_ns = 100;
	settings.reconnect_interval_max_ns = 400;
	fake_session_init(&fake, 1);
	tandem_channels_init(&channels, &settings, 1);
	tandem_channels_begin(&channels, 7);
}

/* [C25] */
Test(channels, a_fenced_channel_is_restored_after_its_pause)
{
	begin();
	cr_expect(tandem_channels_lose(&channels, 1));
	cr_expect_eq(tandem_channels_up_count(&channels), 2);
	cr_expect_eq(tandem_channels_deadline_ns(&channels), UINT64_MAX, "not before FENCED");
	tandem_channels_free(&channels, 2, 1000);
	cr_expect_geq(tandem_channels_deadline_ns(&channels), 1050);
	cr_expect_leq(tandem_channels_deadline_ns(&channels), 1100);
	tandem_channels_try(&channels, &fake.head, 1049);
	cr_expect_eq(fake.restored_mask, 0);
	tandem_channels_try(&channels, &fake.head, 1100);
	cr_expect_eq(fake.restored_mask, 2);
	cr_expect_eq(tandem_channels_deadline_ns(&channels), UINT64_MAX, "an event follows");
	cr_expect(tandem_channels_restore(&channels, 1));
	cr_expect_eq(tandem_channels_up_count(&channels), 3);
}

Test(channels, attempts_that_fail_are_told_once_and_grow_rarer)
{
	uint64_t last_ns = 0;

	begin();
	cr_expect(tandem_channels_lose(&channels, 1));
	for (unsigned attempt = 0; attempt < 5; attempt++) {
		tandem_channels_free(&channels, 2, 0);
		last_ns = tandem_channels_deadline_ns(&channels);
		tandem_channels_try(&channels, &fake.head, last_ns);
		cr_expect(!tandem_channels_lose(&channels, 1), "it was not up");
	}
	cr_expect_geq(last_ns, 200);
	cr_expect_leq(last_ns, 400);
	tandem_channels_restore(&channels, 1);
	tandem_channels_lose(&channels, 1);
	tandem_channels_free(&channels, 2, 0);
	cr_expect_leq(tandem_channels_deadline_ns(&channels), 100, "it begins anew");
}

Test(channels, what_is_refused_at_once_is_tried_again)
{
	begin();
	fake.restore_code = TANDEM_E_USAGE;
	tandem_channels_lose(&channels, 0);
	tandem_channels_free(&channels, 1, 0);
	tandem_channels_try(&channels, &fake.head, 100);
	cr_expect_eq(fake.restored_mask, 1);
	cr_expect_gt(tandem_channels_deadline_ns(&channels), 100);
	cr_expect_lt(tandem_channels_deadline_ns(&channels), 1000);
}

Test(channels, a_session_that_ends_takes_its_attempts_along)
{
	begin();
	tandem_channels_lose(&channels, 0);
	tandem_channels_free(&channels, 1, 0);
	tandem_channels_end(&channels);
	cr_expect_eq(tandem_channels_deadline_ns(&channels), UINT64_MAX);
	cr_expect_eq(tandem_channels_up_count(&channels), 0);
}

Test(channels, status_is_what_the_transport_says)
{
	static struct tandem_stats stats;

	begin();
	fake.lost_mask = 4;
	fake.inflight[1] = 9;
	tandem_channels_show(&channels, &fake.head, &stats);
	cr_expect_eq(stats.channels[0].state, TANDEM_CHANNEL_UP);
	cr_expect_eq(stats.channels[1].inflight_count, 9);
	cr_expect_eq(stats.channels[1].rail, 1);
	cr_expect_eq(stats.channels[1].bytes, 101);
	cr_expect_eq(stats.channels[2].state, TANDEM_CHANNEL_LOST);
	cr_expect_eq(stats.channels[2].lost_count, 2);
	cr_expect(strstr(stats.channels[2].first_error, "cut") != NULL);
	tandem_channels_show(&channels, NULL, &stats);
	cr_expect_eq(stats.channels[0].state, TANDEM_CHANNEL_DOWN);
	cr_expect_eq(stats.channels[1].inflight_count, 0);
	cr_expect(strstr(stats.channels[2].first_error, "cut") != NULL, "the cause stays");
}
