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
	X(the_peers_word_is_read_while_it_does_nothing)                                            \
	X(a_word_is_read_beside_writes_and_messages)                                               \
	X(one_reading_at_a_time)                                                                   \
	X(a_reading_ends_with_the_session)                                                         \
	X(a_fenced_word_is_not_read)                                                               \
	X(fence_delivers_what_had_arrived)                                                         \
	X(nothing_lands_after_fence)                                                               \
	X(fence_of_a_lost_session)                                                                 \
	X(each_channel_is_told_when_it_joins)                                                      \
	X(a_lost_channel_leaves_the_others_alone)                                                  \
	X(the_last_channel_is_the_session)                                                         \
	X(pending_writes_of_a_lost_channel_end)                                                    \
	X(what_had_arrived_on_a_lost_channel_is_delivered)                                         \
	X(the_status_of_a_channel_is_true)                                                         \
	X(wrong_restores_are_refused)                                                              \
	X(a_restore_before_the_fence_is_refused)                                                   \
	X(each_channel_is_repaired_fifty_times)                                                    \
	X(fences_that_nobody_takes_notice_of)                                                      \
	X(channels_live_through_anything)                                                          \
	X(a_restore_without_descriptors_may_be_tried_again)                                        \
	X(yank_during_a_restore)                                                                   \
	X(free_during_a_restore)                                                                   \
	X(fence_of_the_session_during_a_restore)                                                   \
	X(a_channel_comes_back_on_its_rail)                                                        \
	X(channels_spread_over_two_addresses)                                                      \
	X(nothing_lands_after_a_channel_is_fenced)                                                 \
	X(nothing_lands_late_after_a_lost_channel_is_fenced)                                       \
	X(wrong_keys_are_refused)                                                                  \
	X(one_listener_serves_several_keys)                                                        \
	X(a_listener_freed_before_the_session)                                                     \
	X(a_listener_freed_while_joining)                                                          \
	X(a_listener_on_another_thread)

#define X(name) int story_##name(struct tandem_contract_bed *bed);
STORY_TABLE(X)
#undef X

#endif
