#include <criterion/criterion.h>
#include <string.h>

#include <tandem/clock.h>

#include "core/timers.h"

static struct tandem_config_pair pair_with_defaults(const char *profile)
{
	struct tandem_config_pair pair = {
	        .ping_interval_ns = 5 * TANDEM_NS_PER_MS,
	        .reconnect_interval_ns = 100 * TANDEM_NS_PER_MS,
	        .reconnect_interval_max_ns = 5000 * TANDEM_NS_PER_MS,
	        .commit_timeout_ns = 1000 * TANDEM_NS_PER_MS,
	        .solo_after_ns = 300 * TANDEM_NS_PER_MS,
	        .fence_timeout_ns = 2000 * TANDEM_NS_PER_MS,
	        .promote.timeout_ns = 10000 * TANDEM_NS_PER_MS,
	        .take_over_window_ns = 60000 * TANDEM_NS_PER_MS,
	};
	strcpy(pair.heartbeat_profile, profile);
	cr_assert(tandem_config_profile_apply(&pair));
	return pair;
}

static size_t count_broken(const struct tandem_config_pair *pair)
{
	const struct tandem_config_timer_rule *rule;
	size_t broken = 0;
	for (size_t i = 0; (rule = tandem_config_timer_rule(i)); i++)
		broken += !tandem_config_timer_rule_holds(rule, pair);
	return broken;
}

Test(timers, profiles)
{
	struct tandem_config_pair pair = pair_with_defaults("vm");
	cr_assert_eq(tandem_config_detect_ns(&pair), 300 * TANDEM_NS_PER_MS);
	pair = pair_with_defaults("lan");
	cr_assert_eq(tandem_config_detect_ns(&pair), 200 * TANDEM_NS_PER_MS);
	pair = pair_with_defaults("lan-rt");
	cr_assert_eq(tandem_config_detect_ns(&pair), 50 * TANDEM_NS_PER_MS);
	cr_assert_eq(pair.hung_after_ns, 50 * TANDEM_NS_PER_MS);
	pair.hung_after_ns = 7;
	cr_assert(tandem_config_profile_apply(&pair));
	cr_assert_eq(pair.hung_after_ns, 7, "the file's word");
	strcpy(pair.heartbeat_profile, "wan");
	cr_assert_not(tandem_config_profile_apply(&pair));
}

Test(timers, every_profile_agrees_with_the_defaults)
{
	static const char *const profiles[] = {"vm", "lan", "lan-rt"};
	for (size_t i = 0; i < 3; i++) {
		struct tandem_config_pair pair = pair_with_defaults(profiles[i]);
		cr_assert_eq(count_broken(&pair), 0, "%s", profiles[i]);
	}
}

/* Each rule can be broken alone: moving one timer by a nanosecond is enough. */
Test(timers, every_rule_has_an_edge)
{
	struct tandem_config_pair pair = pair_with_defaults("vm");
	pair.commit_timeout_ns = tandem_config_detect_ns(&pair);
	pair.ping_interval_ns = pair.commit_timeout_ns / 4;
	cr_assert_eq(count_broken(&pair), 0);
	pair.ping_interval_ns++;
	cr_assert_eq(count_broken(&pair), 1, "four pings");

	pair = pair_with_defaults("vm");
	pair.commit_timeout_ns = tandem_config_detect_ns(&pair) - 1;
	cr_assert_eq(count_broken(&pair), 1, "commit");

	pair = pair_with_defaults("vm");
	pair.solo_after_ns = tandem_config_detect_ns(&pair) - 1;
	cr_assert_eq(count_broken(&pair), 1, "solo");

	pair = pair_with_defaults("lan-rt");
	pair.hung_after_ns = tandem_config_detect_ns(&pair) - 1;
	cr_assert_eq(count_broken(&pair), 1, "hung");

	pair = pair_with_defaults("lan");
	pair.reconnect_interval_ns = pair.solo_after_ns / 2 + 1;
	cr_assert_eq(count_broken(&pair), 1, "reconnect");

	pair = pair_with_defaults("lan");
	pair.fence_timeout_ns = pair.take_over_window_ns + 1;
	cr_assert_eq(count_broken(&pair), 1, "fence");

	pair = pair_with_defaults("lan");
	pair.promote.timeout_ns = pair.take_over_window_ns + 1;
	cr_assert_eq(count_broken(&pair), 1, "promote");

	pair = pair_with_defaults("lan");
	pair.reconnect_interval_max_ns = pair.reconnect_interval_ns - 1;
	cr_assert_eq(count_broken(&pair), 1, "growing pause");
}

Test(timers, a_lease_must_outlive_what_a_primary_does_to_keep_it)
{
	struct tandem_config_pair pair = pair_with_defaults("vm");
	pair.arbiter.timeout_ns = 1000 * TANDEM_NS_PER_MS;
	pair.lease_ns = 2000 * TANDEM_NS_PER_MS;
	cr_assert_eq(count_broken(&pair), 0);
	pair.lease_ns--;
	cr_assert_eq(count_broken(&pair), 1, "arbiter");

	pair = pair_with_defaults("vm");
	pair.lease_ns = 2 * pair.solo_after_ns - 1;
	cr_assert_eq(count_broken(&pair), 1, "solo");

	pair = pair_with_defaults("vm");
	pair.solo_after_ns = tandem_config_detect_ns(&pair);
	pair.lease_ns = 2 * pair.solo_after_ns;
	pair.ping_interval_ns = pair.lease_ns / 5 + 1;
	cr_assert_geq(count_broken(&pair), 1, "pings");
}

Test(timers, every_rule_names_its_timers)
{
	const struct tandem_config_timer_rule *rule;
	size_t count = 0;
	for (; (rule = tandem_config_timer_rule(count)); count++) {
		cr_assert_str_neq(tandem_config_timer_key(rule->left), "");
		cr_assert_str_neq(tandem_config_timer_key(rule->right), "");
	}
	cr_assert_eq(count, 11);
}

Test(timers, report_interval)
{
	struct tandem_config_pair pair = pair_with_defaults("vm");
	cr_assert_eq(tandem_config_report_interval_ns(&pair), 20 * TANDEM_NS_PER_MS);
	pair = pair_with_defaults("lan-rt");
	cr_assert_eq(tandem_config_report_interval_ns(&pair), 12500 * TANDEM_NS_PER_US);
	pair.heartbeat_interval_ns = TANDEM_NS_PER_MS;
	pair.heartbeat_miss_count = 2;
	cr_assert_eq(tandem_config_report_interval_ns(&pair), TANDEM_NS_PER_MS / 2);
}
