#ifndef TANDEM_TESTS_CONTRACT_STORY_H
#define TANDEM_TESTS_CONTRACT_STORY_H

#include "contract.h"

/* name, function: each file has those of one topic. */
#define STORY_TABLE(X)                                                                             \
	X(join_with_1_channel)                                                                     \
	X(join_with_4_channels)                                                                    \
	X(join_with_16_channels)                                                                   \
	X(two_sessions_of_one_listener)                                                            \
	X(connect_to_a_dead_port)                                                                  \
	X(connect_to_a_silent_listener)                                                            \
	X(wrong_options)                                                                           \
	X(nothing_leaks)                                                                           \
	X(expose_is_known_before_later_messages)                                                   \
	X(wrong_exposures)                                                                         \
	X(random_writes_land_where_they_should)                                                    \
	X(order_within_a_channel)                                                                  \
	X(a_full_write_queue_recovers)                                                             \
	X(wrong_writes_are_refused)                                                                \
	X(messages_both_ways_in_order)                                                             \
	X(a_full_message_queue_recovers)                                                           \
	X(wrong_messages_are_refused)                                                              \
	X(yank_before_it_is_up)                                                                    \
	X(yank_when_idle_twice_and_late)                                                           \
	X(yank_with_writes_pending)                                                                \
	X(yank_from_another_thread)                                                                \
	X(a_freed_peer_is_lost)                                                                    \
	X(a_peer_that_takes_nothing_is_lost)                                                       \
	X(fence_delivers_what_had_arrived)                                                         \
	X(nothing_lands_after_fence)                                                               \
	X(fence_of_a_lost_session)

#define X(name) int story_##name(struct tandem_contract_bed *bed);
STORY_TABLE(X)
#undef X

#endif
