#include <criterion/criterion.h>

#include "core/lease.h"

#define MS UINT64_C(1000000)

Test(lease, counts_from_before_the_ping_was_sent)
{
	struct tandem_lease lease = {.length_ns = 100 * MS};

	tandem_lease_note(&lease, 1, 10 * MS);
	tandem_lease_note(&lease, 2, 20 * MS);
	cr_expect_eq(tandem_lease_end_ns(&lease, 1), 110 * MS);
	cr_expect_eq(tandem_lease_end_ns(&lease, 2), 120 * MS);
	cr_expect_eq(tandem_lease_end_ns(&lease, 3), 0, "never sent");
	cr_expect_eq(tandem_lease_end_ns(&lease, 0), 0);
}

Test(lease, a_ping_that_is_too_old_renews_nothing)
{
	struct tandem_lease lease = {.length_ns = 100 * MS};

	for (uint64_t number = 1; number <= TANDEM_LEASE_PINGS_MAX + 1; number++)
		tandem_lease_note(&lease, number, number * MS);
	cr_expect_eq(tandem_lease_end_ns(&lease, 1), 0);
	cr_expect_eq(tandem_lease_end_ns(&lease, 2), 102 * MS);
}

Test(lease, gated_output_needs_none)
{
	struct tandem_lease lease = {.length_ns = 0};

	tandem_lease_note(&lease, 1, MS);
	cr_expect_eq(tandem_lease_end_ns(&lease, 1), 0);
	cr_expect_eq(tandem_lease_left_ns(0, MS, MS), 0);
}

/* The secondary answers at or after the primary asks: whatever the two times, its end is later. */
Test(lease, the_secondary_always_waits_longer)
{
	for (uint64_t length_ns = MS; length_ns <= 100000 * MS; length_ns *= 10) {
		struct tandem_lease lease = {.length_ns = length_ns};
		uint64_t sent_ns = 1000 * MS, answered_ns = sent_ns;
		tandem_lease_note(&lease, 1, sent_ns);
		uint64_t end_ns = tandem_lease_end_ns(&lease, 1);
		uint64_t wait_ns = tandem_lease_left_ns(length_ns, answered_ns, answered_ns);
		cr_expect_geq(answered_ns + wait_ns, end_ns + 5 * MS + length_ns / 1000);
		cr_expect_eq(tandem_lease_left_ns(length_ns, answered_ns, answered_ns + wait_ns),
		             0);
	}
}
