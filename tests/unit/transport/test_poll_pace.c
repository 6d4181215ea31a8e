#include <criterion/criterion.h>

#include "core/poll_pace.h"

#define POLL_NS 20000

Test(poll_pace, nothing_expected_is_not_polled_for)
{
	struct tandem_poll_pace pace = {0};
	cr_assert(!tandem_poll_pace_may_poll(&pace, 0));
	cr_assert(!tandem_poll_pace_may_poll(&pace, 5));
}

Test(poll_pace, polling_ends_with_the_time)
{
	struct tandem_poll_pace pace = {0};
	tandem_poll_pace_expect(&pace, 1000, POLL_NS);
	cr_assert_eq(pace.until_ns, 21000);
	cr_assert(tandem_poll_pace_may_poll(&pace, 1000));
	cr_assert(tandem_poll_pace_may_poll(&pace, 20999));
	cr_assert(!tandem_poll_pace_may_poll(&pace, 21000));
	tandem_poll_pace_expect(&pace, 30000, 0);
	cr_assert(!tandem_poll_pace_may_poll(&pace, 30000), "poll_ns 0 never polls");
}

static unsigned count_left_out(struct tandem_poll_pace *pace)
{
	unsigned count = 0;
	for (;; count++) {
		tandem_poll_pace_expect(pace, 1000, POLL_NS);
		if (tandem_poll_pace_may_poll(pace, 1000))
			return count;
		cr_assert(!tandem_poll_pace_may_poll(pace, 1001), "it is left out once");
		cr_assert_lt(count, 10000);
	}
}

Test(poll_pace, what_pays_goes_on)
{
	struct tandem_poll_pace pace = {0};
	for (unsigned i = 0; i < 100; i++) {
		cr_assert_eq(count_left_out(&pace), 0);
		tandem_poll_pace_learn(&pace, true);
	}
}

Test(poll_pace, what_does_not_pay_is_tried_ever_more_rarely)
{
	struct tandem_poll_pace pace = {0};
	unsigned wanted = TANDEM_POLL_PACE_SKIP_FIRST;
	cr_assert_eq(count_left_out(&pace), 0);
	for (unsigned i = 0; i < 12; i++) {
		tandem_poll_pace_learn(&pace, false);
		cr_assert_eq(count_left_out(&pace), wanted);
		wanted = wanted * 2 < TANDEM_POLL_PACE_SKIP_MOST ? wanted * 2
		                                                 : TANDEM_POLL_PACE_SKIP_MOST;
	}
	tandem_poll_pace_learn(&pace, true);
	cr_assert_eq(count_left_out(&pace), 0, "one success is enough");
	tandem_poll_pace_learn(&pace, false);
	cr_assert_eq(count_left_out(&pace), TANDEM_POLL_PACE_SKIP_FIRST);
}
