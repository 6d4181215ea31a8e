#ifndef TANDEM_CONF_TIMERS_H
#define TANDEM_CONF_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/config.h>

/* The timers that a rule compares; DETECT is interval times misses. */
#define TANDEM_CONFIG_TIMER_TABLE(X)                                                               \
	X(PING, "ping_interval_ms")                                                                \
	X(RECONNECT, "reconnect_interval_ms")                                                      \
	X(RECONNECT_MAX, "reconnect_interval_max_ms")                                              \
	X(COMMIT, "commit_timeout_ms")                                                             \
	X(HUNG, "hung_after_ms")                                                                   \
	X(SOLO, "solo_after_ms")                                                                   \
	X(FENCE, "fence_timeout_ms")                                                               \
	X(PROMOTE, "promote.timeout_ms")                                                           \
	X(TAKE_OVER_WINDOW, "take_over_window_ms")                                                 \
	X(LEASE, "lease_ms")                                                                       \
	X(ARBITER, "arbiter.timeout_ms")                                                           \
	X(DETECT, "heartbeat_interval_ms x heartbeat_misses")

enum tandem_config_timer {
#define X(name, text) TANDEM_CONFIG_TIMER_##name,
	TANDEM_CONFIG_TIMER_TABLE(X)
#undef X
};

/* count * left <= right, or the file contradicts itself. */
#define TANDEM_CONFIG_TIMER_RULE_TABLE(X)                                                          \
	X(4, PING, DETECT,                                                                         \
	  "an answered ping is the evidence of life that keeps a pair when heartbeats are cut")    \
	X(1, DETECT, COMMIT,                                                                       \
	  "a session must not be given up before heartbeats could tell a dead peer from a slow "   \
	  "one")                                                                                   \
	X(1, DETECT, SOLO, "a dead peer must be found dead before its lost session decides")       \
	X(1, DETECT, HUNG,                                                                         \
	  "a process that its host lets wait must not look worse than a host that is gone")        \
	X(2, RECONNECT, SOLO,                                                                      \
	  "a broken session deserves two attempts before the copy is given up")                    \
	X(1, RECONNECT, RECONNECT_MAX, "the pause grows from the one to the other")                \
	X(5, PING, LEASE, "a lease is renewed by pings, and some may be late")                     \
	X(2, SOLO, LEASE, "a primary that lost its copy must be able to go on alone in time")      \
	X(2, ARBITER, LEASE,                                                                       \
	  "a primary that lost its copy must have the arbiter's answer in time")                   \
	X(1, FENCE, TAKE_OVER_WINDOW, "a take-over must fit into the window that counts them")     \
	X(1, PROMOTE, TAKE_OVER_WINDOW, "a take-over must fit into the window that counts them")

struct tandem_config_timer_rule {
	uint64_t count;
	enum tandem_config_timer left;
	enum tandem_config_timer right;
	const char *why;
};

/* Rule `index` from 0 on; NULL after the last. */
const struct tandem_config_timer_rule *tandem_config_timer_rule(size_t index);
bool tandem_config_timer_rule_holds(const struct tandem_config_timer_rule *rule,
                                    const struct tandem_config_pair *pair);
uint64_t tandem_config_timer_ns(const struct tandem_config_pair *pair,
                                enum tandem_config_timer timer);
const char *tandem_config_timer_key(enum tandem_config_timer timer);

/* Fills interval, misses and, where the file says nothing, what counts as hung from the profile's
 * name; false when there is no such profile. */
bool tandem_config_profile_apply(struct tandem_config_pair *pair);

/* How often a data plane reports to its controller: often enough that four reports fit into the
 * time in which the controller makes up its mind. */
uint64_t tandem_config_report_interval_ns(const struct tandem_config_pair *pair);

#endif
