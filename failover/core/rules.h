#ifndef TANDEM_FAILOVER_RULES_H
#define TANDEM_FAILOVER_RULES_H

#include "core/machine.h"

/* The parts of the machine that the table is made of; for the files of this core and its tests. */

/* What a rule does, in order, before the state changes. */
#define TANDEM_VERB_TABLE(X)                                                                       \
	X(STAND_BY)                                                                                \
	X(HALT)                                                                                    \
	X(YANK_PROGRAM)                                                                            \
	X(YANK_STANDBY)                                                                            \
	X(LEAD_SOLO)                                                                               \
	X(LEAD_PAIR)                                                                               \
	X(FENCE)                                                                                   \
	X(ACTIVATE)                                                                                \
	X(BEGIN_TAKE_OVER)                                                                         \
	X(RESUME_TAKE_OVER)                                                                        \
	X(END_TAKE_OVER)                                                                           \
	X(FAIL_TAKE_OVER)                                                                          \
	X(FORGIVE_TAKE_OVER)                                                                       \
	X(CAS_CREATE)                                                                              \
	X(CAS_PAIR)                                                                                \
	X(CAS_SOLO)                                                                                \
	X(CAS_REFRESH)                                                                             \
	X(CAS_LEAVE)                                                                               \
	X(CAS_TAKE_OVER)                                                                           \
	X(CAS_FORCE)                                                                               \
	X(READ_ANEW)                                                                               \
	X(QUIESCE)                                                                                 \
	X(WITHDRAW)                                                                                \
	X(ASK_TO_LEAVE)                                                                            \
	X(RELEASE)                                                                                 \
	X(PROTECT)                                                                                 \
	X(TAKE_WORD)                                                                               \
	X(FORCE_NEXT)                                                                              \
	X(ALLOW_ALONE)                                                                             \
	X(ALLOW_RESYNC)                                                                            \
	X(ACKNOWLEDGE_FENCE)                                                                       \
	X(ACCEPT)                                                                                  \
	X(REFUSE)

enum tandem_verb {
	TANDEM_VERB_NOTHING, /* ends a rule's list */
#define X(name) TANDEM_VERB_##name,
	TANDEM_VERB_TABLE(X)
#undef X
	        TANDEM_VERB_COUNT,
};

/* Between tries when the arbiter failed, and how long a new controller gives its data planes to
 * attach before their absence means something. */
#define TANDEM_RETRY_NS  UINT64_C(50000000)
#define TANDEM_SETTLE_NS UINT64_C(1000000000)

#define TANDEM_RULE_VERBS_MAX 3
#define TANDEM_RULE_STAY      TANDEM_STATE_COUNT

struct tandem_rule {
	bool (*guard)(const struct tandem_machine *machine, uint64_t now_ns); /* NULL: always */
	enum tandem_verb verbs[TANDEM_RULE_VERBS_MAX];
	enum tandem_state next; /* TANDEM_RULE_STAY: none */
	const char *reason;     /* for the history and the operator; NULL: not worth a note */
};

/* The first rule whose guard holds is taken; the last one of a list has no guard. */
struct tandem_rules {
	const struct tandem_rule *list;
	size_t count;
};

extern const struct tandem_rules *const tandem_table[TANDEM_STATE_COUNT][TANDEM_EVENT_COUNT];
/* What the state does by itself when facts allow. */
extern const struct tandem_rules *const tandem_table_own[TANDEM_STATE_COUNT];

const char *tandem_verb_name(enum tandem_verb verb);

/* facts.c: false when the event is from a stranger, stale or doubled, and was answered or dropped.
 */
bool tandem_facts_absorb(struct tandem_machine *machine, const struct tandem_event *event);

/* act.c */
struct tandem_action *tandem_act_add(struct tandem_machine *machine, enum tandem_action_type type);
/* The message, to be completed; NULL when that plane is not attached. */
struct tandem_control_message *tandem_act_send(struct tandem_machine *machine,
                                               const struct tandem_plane *plane,
                                               enum tandem_control_type type, const char *text);
void tandem_act_read(struct tandem_machine *machine);
void tandem_act_note(struct tandem_machine *machine, enum tandem_state to, const char *reason);
void tandem_act_carry_out(struct tandem_machine *machine, enum tandem_verb verb,
                          const char *reason);

/* alarms.c: raises and clears, with a note each. */
void tandem_alarms_update(struct tandem_machine *machine);

/* guards.c, guards_words.c, guards_take_over.c: what holds, one question each. */
#define TANDEM_GUARD_TABLE(X)                                                                      \
	X(record_is_known)                                                                         \
	X(register_is_empty_for_us)                                                                \
	X(record_is_foreign)                                                                       \
	X(record_is_solo)                                                                          \
	X(record_is_pair)                                                                          \
	X(take_over_is_won)                                                                        \
	X(program_is_gone)                                                                         \
	X(program_is_silent)                                                                       \
	X(program_must_halt)                                                                       \
	X(forced_program_may_lead)                                                                 \
	X(owner_may_refresh)                                                                       \
	X(owner_may_lead_solo)                                                                     \
	X(owner_may_lead_pair)                                                                     \
	X(standby_must_be_told)                                                                    \
	X(standby_holds_copy)                                                                      \
	X(standby_lost_copy)                                                                       \
	X(standby_is_misfit)                                                                       \
	X(session_is_lost)                                                                         \
	X(session_is_renewed)                                                                      \
	X(session_is_restored)                                                                     \
	X(peer_standby_is_gone)                                                                    \
	X(peer_is_suspect)                                                                         \
	X(copy_may_be_recorded)                                                                    \
	X(copy_is_complete)                                                                        \
	X(copy_was_missed)                                                                         \
	X(pair_was_won)                                                                            \
	X(may_go_solo)                                                                             \
	X(solo_may_reopen)                                                                         \
	X(solo_must_refresh)                                                                       \
	X(take_over_is_offered)                                                                    \
	X(take_over_is_due)                                                                        \
	X(take_over_is_interrupted)                                                                \
	X(take_over_is_superseded)                                                                 \
	X(take_over_may_lead)                                                                      \
	X(take_over_lost_program)                                                                  \
	X(take_over_lost_standby)                                                                  \
	X(order_has_failed)                                                                        \
	X(fence_is_due)                                                                            \
	X(fence_is_late)                                                                           \
	X(late_fence_came)                                                                         \
	X(activation_is_due)                                                                       \
	X(activation_is_late)                                                                      \
	X(halted_are_gone)                                                                         \
	X(copy_waits_in_maintenance)                                                               \
	X(maintenance_may_reopen)                                                                  \
	X(maintenance_is_superseded)                                                               \
	X(hand_over_is_over)                                                                       \
	X(hand_over_awaits_peer)                                                                   \
	X(may_hand_over)                                                                           \
	X(may_leave)                                                                               \
	X(program_has_left)                                                                        \
	X(next_may_lead)                                                                           \
	X(may_ask_to_leave)                                                                        \
	X(may_protect)                                                                             \
	X(solo_is_held)                                                                            \
	X(resync_is_awaited)                                                                       \
	X(fence_is_awaited)                                                                        \
	X(may_promote)                                                                             \
	X(may_promote_first)                                                                       \
	X(leave_may_be_told)                                                                       \
	X(may_force)                                                                               \
	X(may_force_misfit)                                                                        \
	X(may_force_next)                                                                          \
	X(may_maintain)                                                                            \
	X(plane_has_session)

#define X(name) bool tandem_guard_##name(const struct tandem_machine *machine, uint64_t now_ns);
TANDEM_GUARD_TABLE(X)
#undef X

/* view.c: shared by guards, alarms and texts. */
bool tandem_machine_damper_holds(const struct tandem_machine *machine, uint64_t now_ns);
/* The peer is silent everywhere, or says that its program is gone, and no session says otherwise.
 */
bool tandem_machine_primary_is_lost(const struct tandem_machine *machine, uint64_t now_ns);
bool tandem_machine_peer_is_heard(const struct tandem_machine *machine, uint64_t now_ns);
bool tandem_machine_session_is_fresh(const struct tandem_machine *machine,
                                     const struct tandem_plane *plane, uint64_t now_ns);
bool tandem_machine_plane_reports(const struct tandem_machine *machine,
                                  const struct tandem_plane *plane, uint64_t now_ns);
bool tandem_machine_owns(const struct tandem_machine *machine);
bool tandem_machine_cas_is_idle(const struct tandem_machine *machine, uint64_t now_ns);
bool tandem_machine_is_settled(const struct tandem_machine *machine, uint64_t now_ns);
/* The operator gave the word that the next program of this node leads. */
bool tandem_machine_next_is_forced(const struct tandem_machine *machine);
bool tandem_machine_needs_word(const struct tandem_machine *machine);
uint64_t tandem_machine_plane_window_ns(const struct tandem_machine *machine);
/* The peer's primary is quiet and lets this node's copy take over. */
bool tandem_machine_is_offered(const struct tandem_machine *machine, uint64_t now_ns);
/* The next CAS of this kind would let this node lead alone, and nobody but a fencing can promise
 * that the other one does not. */
bool tandem_machine_needs_fence(const struct tandem_machine *machine, enum tandem_cas_kind kind,
                                uint64_t now_ns);
/* The program that left waits until the other node says that it knows. */
bool tandem_machine_leave_is_untold(const struct tandem_machine *machine);
bool tandem_machine_holds_output(const struct tandem_machine *machine);
/* What this node led may hold what no other node does. */
bool tandem_machine_is_diverged(const struct tandem_machine *machine);
uint64_t tandem_machine_hand_over_end_ns(const struct tandem_machine *machine);

#endif
