#include "core/agreement.h"

#define NS_PER_US UINT64_C(1000)

static const struct {
	const char *key;
	enum tandem_agreement_unit unit;
} items[TANDEM_AGREEMENT_COUNT] = {
#define X(name, unit, key) [TANDEM_AGREEMENT_##name] = {key, TANDEM_AGREEMENT_UNIT_##unit},
        TANDEM_AGREEMENT_TABLE(X)
#undef X
};

static uint32_t us_of(uint64_t time_ns)
{
	uint64_t time_us = time_ns / NS_PER_US;
	return time_us < UINT32_MAX ? (uint32_t)time_us : UINT32_MAX;
}

void tandem_agreement_of(const struct tandem_controller_pair *pair,
                         struct tandem_agreement *ret_agreement)
{
	*ret_agreement = (struct tandem_agreement){
	        .values = {
	                [TANDEM_AGREEMENT_INTERVAL] = us_of(pair->heartbeat_interval_ns),
	                [TANDEM_AGREEMENT_MISSES] = pair->heartbeat_miss_count,
	                [TANDEM_AGREEMENT_SOLO] = us_of(pair->solo_after_ns),
	                [TANDEM_AGREEMENT_COMMIT] = us_of(pair->settings.commit_timeout_ns),
	                [TANDEM_AGREEMENT_FENCE] = us_of(pair->fence_timeout_ns),
	                [TANDEM_AGREEMENT_ACTIVATE] = us_of(pair->activate_timeout_ns),
	                [TANDEM_AGREEMENT_LEASE] = us_of(pair->settings.lease_ns),
	                [TANDEM_AGREEMENT_MODE] = pair->is_strict,
	                [TANDEM_AGREEMENT_ARBITER] = (uint32_t)pair->arbiter_type,
	                [TANDEM_AGREEMENT_FENCE_DELAY] = us_of(pair->fence_delay_ns),
	        }};
}

enum tandem_agreement_item tandem_agreement_difference(const struct tandem_agreement *own,
                                                       const struct tandem_agreement *peer)
{
	enum tandem_agreement_item item = 0;
	if (own->values[TANDEM_AGREEMENT_INTERVAL] == 0 ||
	    peer->values[TANDEM_AGREEMENT_INTERVAL] == 0)
		return TANDEM_AGREEMENT_COUNT;
	while (item < TANDEM_AGREEMENT_COUNT && own->values[item] == peer->values[item])
		item++;
	return item;
}

const char *tandem_agreement_key(enum tandem_agreement_item item)
{
	return item < TANDEM_AGREEMENT_COUNT ? items[item].key : "";
}

enum tandem_agreement_unit tandem_agreement_unit(enum tandem_agreement_item item)
{
	return item < TANDEM_AGREEMENT_COUNT ? items[item].unit : TANDEM_AGREEMENT_UNIT_COUNT;
}

const char *tandem_agreement_arbiter(uint32_t value)
{
	static const char *const names[] = {
	        [TANDEM_ARBITER_FILE] = "file",         [TANDEM_ARBITER_MANUAL] = "manual",
	        [TANDEM_ARBITER_ETCD] = "etcd",         [TANDEM_ARBITER_FENCE] = "fence",
	        [TANDEM_ARBITER_EXTERNAL] = "external",
	};
	bool is_known = value < sizeof(names) / sizeof(names[0]) && names[value];
	return is_known ? names[value] : "unknown";
}
