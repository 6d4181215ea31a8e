#include <criterion/criterion.h>

#include "core/agreement.h"
#include "core/machine.h"

#define MS UINT64_C(1000000)

static struct tandem_controller_pair pair;
static struct tandem_agreement own, peer;

static void begin(void)
{
	pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
	tandem_agreement_of(&pair, &own);
}

TestSuite(agreement, .init = begin);

static enum tandem_agreement_item find_difference(void)
{
	tandem_agreement_of(&pair, &peer);
	return tandem_agreement_difference(&own, &peer);
}

Test(agreement, who_is_configured_alike_agrees)
{
	pair.heartbeat_interval_ns += 999; /* below a microsecond */
	pair.arbiter_poll_ns *= 2;
	pair.damper_take_over_count++;
	pair.key[0] ^= 1;
	cr_expect(find_difference() == TANDEM_AGREEMENT_COUNT);
}

Test(agreement, every_timer_is_compared_and_named)
{
	struct tandem_controller_pair same = pair;
	pair.heartbeat_interval_ns += MS;
	cr_expect_str_eq(tandem_agreement_key(find_difference()), "heartbeat_interval_ms");
	pair = same;
	pair.heartbeat_miss_count++;
	cr_expect_str_eq(tandem_agreement_key(find_difference()), "heartbeat_misses");
	pair = same;
	pair.solo_after_ns = UINT64_C(3600) * 1000 * MS;
	cr_expect_str_eq(tandem_agreement_key(find_difference()), "solo_after_ms");
	pair = same;
	pair.settings.commit_timeout_ns += MS;
	cr_expect_str_eq(tandem_agreement_key(find_difference()), "commit_timeout_ms");
	pair = same;
	pair.fence_timeout_ns -= MS;
	cr_expect_str_eq(tandem_agreement_key(find_difference()), "fence_timeout_ms");
	pair = same;
	pair.activate_timeout_ns += MS;
	cr_expect_str_eq(tandem_agreement_key(find_difference()), "promote.timeout_ms");
	pair = same;
	pair.is_strict = true;
	cr_expect_str_eq(tandem_agreement_key(find_difference()), "mode");
	pair = same;
	pair.fence_delay_ns += MS;
	cr_expect_str_eq(tandem_agreement_key(find_difference()), "arbiter.fence_delay_ms");
	pair = same;
	pair.arbiter_type = TANDEM_ARBITER_ETCD;
	cr_expect_str_eq(tandem_agreement_key(find_difference()), "arbiter.type");
	pair = same;
	pair.settings.lease_ns += 40 * MS;
	cr_expect_str_eq(tandem_agreement_key(find_difference()), "lease_ms");
}

Test(agreement, a_peer_that_was_never_heard_differs_in_nothing)
{
	struct tandem_agreement unknown = {.values = {0}};
	cr_expect(tandem_agreement_difference(&own, &unknown) == TANDEM_AGREEMENT_COUNT);
	cr_expect(tandem_agreement_difference(&unknown, &own) == TANDEM_AGREEMENT_COUNT);
}

Test(agreement, what_is_longer_than_can_be_said_is_the_longest)
{
	pair.activate_timeout_ns = UINT64_MAX;
	tandem_agreement_of(&pair, &peer);
	cr_expect(peer.values[TANDEM_AGREEMENT_ACTIVATE] == UINT32_MAX);
}

Test(agreement, arbiters_have_their_names)
{
	cr_expect_str_eq(tandem_agreement_arbiter(TANDEM_ARBITER_FILE), "file");
	cr_expect_str_eq(tandem_agreement_arbiter(TANDEM_ARBITER_EXTERNAL), "external");
	cr_expect_str_eq(tandem_agreement_arbiter(0), "unknown");
	cr_expect_str_eq(tandem_agreement_arbiter(UINT32_MAX), "unknown");
}
