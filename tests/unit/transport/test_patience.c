#include <criterion/criterion.h>

#include "core/patience.h"

#define US UINT64_C(1000)

static struct tandem_patience patience;

/* Asks each microsecond until it is no longer worth it, sleeps, and has its answer then; how long
 * it has asked. */
static uint64_t wait(uint64_t answer_us)
{
	static uint64_t now_ns = 1;
	const uint64_t begin_ns = now_ns;
	uint64_t asked_us;

	tandem_patience_begin(&patience, now_ns);
	while (tandem_patience_goes_on(&patience, now_ns) && now_ns - begin_ns < answer_us * US)
		now_ns += US;
	asked_us = (now_ns - begin_ns) / US;
	now_ns = begin_ns + answer_us * US;
	tandem_patience_end(&patience, now_ns);
	now_ns += US;
	return asked_us;
}

static void wait_often(uint64_t answer_us)
{
	for (unsigned count = 0; count < 20; count++)
		wait(answer_us);
}

Test(patience, begins_with_a_little)
{
	tandem_patience_init(&patience, 100 * US);
	cr_assert_eq(wait(50), 20);
}

Test(patience, never_where_it_is_0)
{
	tandem_patience_init(&patience, 0);
	for (uint64_t answer_us = 1; answer_us < 1000; answer_us *= 3)
		cr_assert_eq(wait(answer_us), 0);
}

Test(patience, grows_until_the_answer_comes_without_a_sleep)
{
	tandem_patience_init(&patience, 100 * US);
	wait_often(70);
	cr_assert_eq(wait(70), 70);
	wait_often(99);
	cr_assert_eq(wait(99), 99);
}

Test(patience, is_lost_where_answers_take_long)
{
	tandem_patience_init(&patience, 100 * US);
	wait_often(5000);
	cr_assert_eq(wait(5000), 0);
}

Test(patience, comes_back_with_answers_that_are_near)
{
	tandem_patience_init(&patience, 100 * US);
	wait_often(5000);
	wait_often(30);
	cr_assert_eq(wait(30), 30);
}

Test(patience, a_span_that_is_never_enough_costs_less_than_half_of_the_waits)
{
	uint64_t asked_us = 0;

	tandem_patience_init(&patience, 100 * US);
	for (unsigned count = 0; count < 600; count++)
		asked_us += wait(150);
	cr_assert_lt(asked_us, 600 * 150 / 2);
}

Test(patience, rests_where_somebody_else_has_the_processor)
{
	tandem_patience_init(&patience, 100 * US);
	tandem_patience_begin(&patience, US);
	cr_assert(tandem_patience_goes_on(&patience, 2 * US));
	cr_assert(!tandem_patience_goes_on(&patience, 60 * US), "58 us between two times");
	tandem_patience_end(&patience, 65 * US);
	cr_assert_eq(wait(10), 0);
	wait_often(10);
	wait_often(10);
	cr_assert_eq(wait(10), 10);
}

/* The answer to what was sent later says nothing of how long the first would have taken. */
Test(patience, a_wait_that_was_renewed_teaches_nothing)
{
	tandem_patience_init(&patience, 100 * US);
	tandem_patience_begin(&patience, US);
	tandem_patience_renew(&patience);
	tandem_patience_end(&patience, 9000 * US);
	cr_assert_eq(wait(50), 20);
}
