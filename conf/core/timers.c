#include "core/timers.h"

#include <string.h>

#include <tandem/clock.h>

static const struct tandem_config_timer_rule rules[] = {
#define X(count, left, right, why)                                                                 \
	{count, TANDEM_CONFIG_TIMER_##left, TANDEM_CONFIG_TIMER_##right, why},
        TANDEM_CONFIG_TIMER_RULE_TABLE(X)
#undef X
};

static const struct {
	const char *name;
	uint64_t interval_ns;
	uint32_t miss_count;
	uint64_t hung_after_ns;
} profiles[] = {
        {"vm", 50 * TANDEM_NS_PER_MS, 6, 3 * TANDEM_NS_PER_S},
        {"lan", 20 * TANDEM_NS_PER_MS, 10, TANDEM_NS_PER_S},
        {"lan-rt", 5 * TANDEM_NS_PER_MS, 10, 50 * TANDEM_NS_PER_MS},
};

const struct tandem_config_timer_rule *tandem_config_timer_rule(size_t index)
{
	return index < sizeof(rules) / sizeof(rules[0]) ? &rules[index] : NULL;
}

bool tandem_config_timer_rule_holds(const struct tandem_config_timer_rule *rule,
                                    const struct tandem_config_pair *pair)
{
	uint64_t left_ns = tandem_config_timer_ns(pair, rule->left);
	if (rule->right == TANDEM_CONFIG_TIMER_LEASE && pair->lease_ns == 0)
		return true; /* there is none */
	return left_ns <= tandem_config_timer_ns(pair, rule->right) / rule->count;
}

uint64_t tandem_config_timer_ns(const struct tandem_config_pair *pair,
                                enum tandem_config_timer timer)
{
	switch (timer) {
	case TANDEM_CONFIG_TIMER_PING:
		return pair->ping_interval_ns;
	case TANDEM_CONFIG_TIMER_RECONNECT:
		return pair->reconnect_interval_ns;
	case TANDEM_CONFIG_TIMER_RECONNECT_MAX:
		return pair->reconnect_interval_max_ns;
	case TANDEM_CONFIG_TIMER_COMMIT:
		return pair->commit_timeout_ns;
	case TANDEM_CONFIG_TIMER_HUNG:
		return pair->hung_after_ns;
	case TANDEM_CONFIG_TIMER_SOLO:
		return pair->solo_after_ns;
	case TANDEM_CONFIG_TIMER_FENCE:
		return pair->fence_timeout_ns;
	case TANDEM_CONFIG_TIMER_PROMOTE:
		return pair->promote.timeout_ns;
	case TANDEM_CONFIG_TIMER_TAKE_OVER_WINDOW:
		return pair->take_over_window_ns;
	case TANDEM_CONFIG_TIMER_LEASE:
		return pair->lease_ns;
	case TANDEM_CONFIG_TIMER_ARBITER:
		return pair->arbiter.timeout_ns;
	case TANDEM_CONFIG_TIMER_DETECT:
		return tandem_config_detect_ns(pair);
	}
	return 0;
}

const char *tandem_config_timer_key(enum tandem_config_timer timer)
{
	static const char *const keys[] = {
#define X(name, text) [TANDEM_CONFIG_TIMER_##name] = text,
	        TANDEM_CONFIG_TIMER_TABLE(X)
#undef X
	};
	return keys[timer];
}

bool tandem_config_profile_apply(struct tandem_config_pair *pair)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		if (strcmp(profiles[i].name, pair->heartbeat_profile) != 0)
			continue;
		pair->heartbeat_interval_ns = profiles[i].interval_ns;
		pair->heartbeat_miss_count = profiles[i].miss_count;
		if (pair->hung_after_ns == 0)
			pair->hung_after_ns = profiles[i].hung_after_ns;
		return true;
	}
	return false;
}

uint64_t tandem_config_detect_ns(const struct tandem_config_pair *pair)
{
	return pair->heartbeat_interval_ns * pair->heartbeat_miss_count;
}

uint64_t tandem_config_report_interval_ns(const struct tandem_config_pair *pair)
{
	uint64_t interval_ns = tandem_config_detect_ns(pair) / 4;
	if (interval_ns > 20 * TANDEM_NS_PER_MS)
		return 20 * TANDEM_NS_PER_MS;
	return interval_ns;
}
