#include "core/rules.h"

/* The one table of the failover protocol (DESIGN section 5; R1..R9 are its rules). Each state has a
 * list of its own: what it does when facts allow, first match first. Each cell {state, event} names
 * the list that the event is answered with; the macro ROW has one parameter for each event, so a
 * missing cell does not compile. */

#define STAY       TANDEM_RULE_STAY
#define TO(name)   TANDEM_STATE_##name
#define WHEN(name) tandem_guard_##name
#define DO(...)                                                                                    \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define V(name) TANDEM_VERB_##name
#define NONE    DO(V(NOTHING))
#define OTHERWISE                                                                                  \
	{                                                                                          \
		NULL, NONE, STAY, NULL                                                             \
	}
#define LIST(name)                                                                                 \
	static const struct tandem_rules name = {name##_rules,                                     \
	                                         sizeof(name##_rules) / sizeof(name##_rules[0])}

/* clang-format off */
static const struct tandem_rule nothing_rules[] = {
	OTHERWISE,
};
LIST(nothing);

static const struct tandem_rule init_rules[] = {
	{WHEN(record_is_known), NONE, TO(JOINING), "the register was read"},
	OTHERWISE,
};
LIST(init);

static const struct tandem_rule joining_rules[] = {
	{WHEN(take_over_is_won), DO(V(BEGIN_TAKE_OVER)), TO(TAKING_OVER), "the register names this node"},
	{WHEN(take_over_is_interrupted), DO(V(HALT), V(RESUME_TAKE_OVER)), TO(TAKING_OVER), "going on with the take-over that this node had won"},
	{WHEN(forced_program_may_lead), DO(V(CAS_FORCE)), STAY, "by the operator's word, given before it started, this program is to lead"},
	{WHEN(program_must_halt), DO(V(HALT)), STAY, "the register says that the other node leads"},
	{WHEN(standby_must_be_told), DO(V(STAND_BY)), STAY, NULL},
	{WHEN(standby_holds_copy), NONE, TO(SECONDARY), "the register says that this standby holds a full copy"},
	{WHEN(register_is_empty_for_us), DO(V(CAS_CREATE)), STAY, "the register is empty and this node is to lead first"},
	{WHEN(program_has_left), DO(V(RELEASE)), STAY, "the program has left: it goes on unprotected and nobody leads"},
	{WHEN(next_may_lead), DO(V(CAS_CREATE)), STAY, "the program that led on this node is gone for good: the next one is to lead"},
	{WHEN(owner_may_lead_pair), DO(V(LEAD_PAIR)), TO(PRIMARY_PAIR), "the register says that this program leads, with a copy"},
	{WHEN(owner_may_lead_solo), DO(V(LEAD_SOLO)), TO(PRIMARY_SOLO), "the register says that this program leads alone"},
	{WHEN(owner_may_refresh), DO(V(CAS_REFRESH)), STAY, "the register says that this program leads alone; making sure"},
	OTHERWISE,
};
LIST(joining);

static const struct tandem_rule secondary_rules[] = {
	{WHEN(take_over_is_won), DO(V(BEGIN_TAKE_OVER)), TO(TAKING_OVER), "the take-over was won"},
	{WHEN(standby_lost_copy), NONE, TO(JOINING), "this standby no longer holds the copy of the register"},
	{WHEN(program_must_halt), DO(V(HALT)), STAY, "the register says that the other node leads"},
	{WHEN(standby_must_be_told), DO(V(STAND_BY)), STAY, NULL},
	{WHEN(take_over_is_offered), DO(V(CAS_TAKE_OVER)), STAY, "the primary hands over: asking to take over"},
	{WHEN(take_over_is_due), DO(V(CAS_TAKE_OVER)), STAY, "the primary is lost: asking to take over"},
	OTHERWISE,
};
LIST(secondary);

static const struct tandem_rule primary_pair_rules[] = {
	{WHEN(program_is_gone), NONE, TO(JOINING), "the leading program is gone"},
	{WHEN(record_is_foreign), DO(V(HALT)), TO(HALTED), "the register says that another leads"},
	{WHEN(program_has_left), DO(V(RELEASE)), TO(JOINING), "the program has left: it goes on unprotected and nobody leads"},
	{WHEN(may_leave), DO(V(CAS_LEAVE)), STAY, "the program leaves: asking to record it"},
	{WHEN(record_is_solo), NONE, TO(GATED), "the register says SOLO"},
	{WHEN(session_is_renewed), NONE, TO(GATED), "the session is with another incarnation of the peer"},
	{WHEN(session_is_lost), NONE, TO(GATED), "the session with the copy is lost"},
	{WHEN(peer_standby_is_gone), DO(V(YANK_PROGRAM)), TO(GATED), "the peer says that its standby is gone"},
	{WHEN(peer_is_suspect), DO(V(YANK_PROGRAM)), TO(GATED), "the peer is silent on every link and on the session"},
	{WHEN(program_is_silent), NONE, TO(GATED), "the leading program's reports have stopped"},
	OTHERWISE,
};
LIST(primary_pair);

static const struct tandem_rule primary_solo_rules[] = {
	{WHEN(program_is_gone), NONE, TO(JOINING), "the leading program is gone"},
	{WHEN(record_is_foreign), DO(V(HALT)), TO(HALTED), "the register says that another leads"},
	{WHEN(record_is_pair), DO(V(LEAD_PAIR)), TO(PRIMARY_PAIR), "the register says PAIR"},
	{WHEN(program_has_left), DO(V(RELEASE)), TO(JOINING), "the program has left: it goes on unprotected and nobody leads"},
	{WHEN(may_leave), DO(V(CAS_LEAVE)), STAY, "the program leaves: asking to record it"},
	{WHEN(copy_is_complete), NONE, TO(GATED), "the peer holds a full copy"},
	{WHEN(copy_was_missed), NONE, TO(GATED), "the program waits for a word on a copy that is over"},
	OTHERWISE,
};
LIST(primary_solo);

static const struct tandem_rule gated_rules[] = {
	{WHEN(program_is_gone), NONE, TO(JOINING), "the leading program is gone"},
	{WHEN(record_is_foreign), DO(V(HALT)), TO(HALTED), "the register says that another leads"},
	{WHEN(pair_was_won), DO(V(LEAD_PAIR)), TO(PRIMARY_PAIR), "the register says PAIR"},
	{WHEN(program_has_left), DO(V(RELEASE)), TO(JOINING), "the program has left: it goes on unprotected and nobody leads"},
	{WHEN(may_leave), DO(V(CAS_LEAVE)), STAY, "the program leaves: asking to record it"},
	{WHEN(hand_over_is_over), DO(V(WITHDRAW)), STAY, "the other node did not take over: going on here"},
	{WHEN(session_is_restored), DO(V(LEAD_PAIR)), TO(PRIMARY_PAIR), "the session with the copy is back"},
	{WHEN(may_go_solo), DO(V(CAS_SOLO)), STAY, "the copy is lost: asking to go on alone"},
	{WHEN(copy_may_be_recorded), DO(V(CAS_PAIR)), STAY, "asking to record the copy"},
	{WHEN(solo_may_reopen), DO(V(LEAD_SOLO)), TO(PRIMARY_SOLO), "the register says SOLO"},
	{WHEN(solo_must_refresh), DO(V(CAS_REFRESH)), STAY, "making sure that no earlier question is still open"},
	OTHERWISE,
};
LIST(gated);

static const struct tandem_rule taking_over_rules[] = {
	{WHEN(take_over_is_superseded), DO(V(HALT)), TO(HALTED), "the register was won by another"},
	{WHEN(order_has_failed), DO(V(FAIL_TAKE_OVER)), TO(HALTED), "the standby could not carry out the take-over"},
	{WHEN(take_over_may_lead), DO(V(LEAD_SOLO), V(END_TAKE_OVER)), TO(PRIMARY_SOLO), "the promoted program is ready"},
	{WHEN(take_over_lost_program), NONE, TO(JOINING), "the program that was to lead is gone"},
	{WHEN(take_over_lost_standby), DO(V(FAIL_TAKE_OVER)), TO(HALTED), "the standby is gone, and its copy with it"},
	{WHEN(fence_is_due), DO(V(FENCE)), STAY, "fencing the old primary"},
	{WHEN(fence_is_late), DO(V(FAIL_TAKE_OVER)), TO(HALTED), "the standby did not fence in time"},
	{WHEN(activation_is_due), DO(V(ACTIVATE)), STAY, "fenced: starting the program"},
	{WHEN(activation_is_late), DO(V(FAIL_TAKE_OVER)), TO(JOINING), "the promoted program was not ready in time"},
	OTHERWISE,
};
LIST(taking_over);

static const struct tandem_rule halted_rules[] = {
	{WHEN(take_over_is_won), DO(V(BEGIN_TAKE_OVER)), TO(TAKING_OVER), "the register names this node"},
	{WHEN(late_fence_came), DO(V(FORGIVE_TAKE_OVER)), TO(TAKING_OVER), "the standby has fenced the old primary after all"},
	{WHEN(halted_are_gone), DO(V(READ_ANEW)), TO(INIT), "what was halted is gone"},
	OTHERWISE,
};
LIST(halted);

static const struct tandem_rule maintenance_rules[] = {
	{WHEN(maintenance_is_superseded), DO(V(HALT)), TO(HALTED), "the register says that another leads"},
	{WHEN(maintenance_may_reopen), DO(V(LEAD_SOLO)), STAY, "not paired in maintenance: the program goes on alone"},
	{WHEN(copy_waits_in_maintenance), DO(V(CAS_REFRESH)), STAY, "a copy is complete, but no pair is made in maintenance"},
	OTHERWISE,
};
LIST(maintenance);

/* The operator's words: promote, force, yank, maintenance on and off. */
static const struct tandem_rule promote_rules[] = {
	{WHEN(standby_is_misfit), DO(V(REFUSE)), STAY, "this node has not what the program needs to go on: the alarm in 'status' says what to install; after that, say it again"},
	{WHEN(may_promote), DO(V(TAKE_WORD), V(ACCEPT)), STAY, "the operator's word was given"},
	{NULL, DO(V(REFUSE)), STAY, "the generation is not the one of the register: look at 'status' again"},
};
LIST(promote);

static const struct tandem_rule promote_alone_rules[] = {
	{WHEN(may_promote), DO(V(TAKE_WORD), V(ALLOW_ALONE), V(ACCEPT)), STAY, "the operator's word was given"},
	{NULL, DO(V(REFUSE)), STAY, "the generation is not the one of the register: look at 'status' again"},
};
LIST(promote_alone);

static const struct tandem_rule promote_held_rules[] = {
	{WHEN(solo_is_held), DO(V(ALLOW_ALONE), V(ACCEPT)), TO(GATED), "the operator's word: output may leave without a copy"},
	{NULL, DO(V(REFUSE)), STAY, "this node leads and answers; or the generation is not the one of the register: look at 'status' again"},
};
LIST(promote_held);

static const struct tandem_rule promote_unconfirmed_rules[] = {
	{WHEN(hand_over_awaits_peer), DO(V(TAKE_WORD), V(ACCEPT)), STAY, "the operator's word: the old primary does not lead"},
	{NULL, DO(V(REFUSE)), STAY, "a take-over is under way already"},
};
LIST(promote_unconfirmed);

static const struct tandem_rule promote_first_rules[] = {
	{WHEN(may_promote_first), DO(V(TAKE_WORD), V(ACCEPT)), STAY, "the operator's word was given"},
	{WHEN(leave_may_be_told), DO(V(TAKE_WORD), V(ACCEPT)), STAY, "the operator's word: the other node does not take over"},
	{NULL, DO(V(REFUSE)), STAY, "this node holds no copy that is in sync, or the generation is not the one of 'status'; 'force-primary' would lead with loss of data"},
};
LIST(promote_first);

static const struct tandem_rule no_promote_rules[] = {
	{NULL, DO(V(REFUSE)), STAY, "there is nothing to promote in this state"},
};
LIST(no_promote);

static const struct tandem_rule force_rules[] = {
	{WHEN(may_force_misfit), DO(V(CAS_FORCE), V(ACCEPT)), STAY, "the operator accepts loss of data: asking to lead; who led may not go on, and nothing starts here before this node has what the program needs: the alarm in 'status' says what to install"},
	{WHEN(may_force), DO(V(CAS_FORCE), V(ACCEPT)), STAY, "the operator accepts loss of data: asking to lead"},
	{WHEN(may_force_next), DO(V(FORCE_NEXT), V(ACCEPT)), STAY, "the operator accepts loss of data: start the program on this node, and it leads"},
	{NULL, DO(V(REFUSE)), STAY, "the node that leads is heard, or a decision is under way: look at 'status'"},
};
LIST(force);

static const struct tandem_rule no_force_rules[] = {
	{NULL, DO(V(REFUSE)), STAY, "this node leads already, or a decision is under way"},
};
LIST(no_force);

static const struct tandem_rule yank_rules[] = {
	{WHEN(plane_has_session), DO(V(YANK_PROGRAM), V(YANK_STANDBY), V(ACCEPT)), STAY, "the operator yanked the session"},
	{NULL, DO(V(REFUSE)), STAY, "there is no session"},
};
LIST(yank);

static const struct tandem_rule switch_over_rules[] = {
	{WHEN(may_hand_over), DO(V(QUIESCE), V(ACCEPT)), TO(GATED), "the operator's word: handing over to the other node"},
	{NULL, DO(V(REFUSE)), STAY, "the other node does not hold the copy in sync, is not heard, or is in maintenance: look at 'status'"},
};
LIST(switch_over);

static const struct tandem_rule no_switch_over_rules[] = {
	{NULL, DO(V(REFUSE)), STAY, "this node does not lead a pair in sync: ask the node that does"},
};
LIST(no_switch_over);

static const struct tandem_rule resync_rules[] = {
	{WHEN(resync_is_awaited), DO(V(ALLOW_RESYNC), V(ACCEPT)), STAY, "the operator's word: what this node led is thrown away"},
	{NULL, DO(V(REFUSE)), STAY, "nothing waits for it: this node takes a copy by itself as soon as it can"},
};
LIST(resync);

static const struct tandem_rule no_resync_rules[] = {
	{NULL, DO(V(REFUSE)), STAY, "nothing waits for it in this state"},
};
LIST(no_resync);

static const struct tandem_rule fence_ack_rules[] = {
	{WHEN(fence_is_awaited), DO(V(ACKNOWLEDGE_FENCE), V(ACCEPT)), STAY, "the operator saw that the other node is off"},
	{NULL, DO(V(REFUSE)), STAY, "no fencing is waited for"},
};
LIST(fence_ack);

static const struct tandem_rule no_fence_ack_rules[] = {
	{NULL, DO(V(REFUSE)), STAY, "no fencing is waited for in this state"},
};
LIST(no_fence_ack);

static const struct tandem_rule protect_rules[] = {
	{WHEN(may_protect), DO(V(PROTECT), V(ACCEPT)), STAY, "the operator's word: what runs on this node is to be protected"},
	{NULL, DO(V(REFUSE)), STAY, "the other node leads or led last, a program is attached already or not known to have ended, or tandemd of this node is not attached: look at 'status'"},
};
LIST(protect);

static const struct tandem_rule no_protect_rules[] = {
	{NULL, DO(V(REFUSE)), STAY, "a program leads already, on this node or on the other one"},
};
LIST(no_protect);

static const struct tandem_rule unprotect_rules[] = {
	{WHEN(may_ask_to_leave), DO(V(ASK_TO_LEAVE), V(ACCEPT)), STAY, "the operator's word: the program is to go on unprotected"},
	{NULL, DO(V(REFUSE)), STAY, "the other node, which could take over, is not heard and has to know; or a hand-over is under way"},
};
LIST(unprotect);

static const struct tandem_rule unprotect_alone_rules[] = {
	{NULL, DO(V(ASK_TO_LEAVE), V(ACCEPT)), STAY, "the operator's word: the program is to go on unprotected"},
};
LIST(unprotect_alone);

static const struct tandem_rule no_unprotect_rules[] = {
	{NULL, DO(V(REFUSE)), STAY, "no program leads on this node: ask the node that leads"},
};
LIST(no_unprotect);

static const struct tandem_rule maintain_rules[] = {
	{WHEN(may_maintain), DO(V(ACCEPT)), TO(MAINTENANCE), "the operator's word: no automatic decisions"},
	{NULL, DO(V(REFUSE)), STAY, "a decision is under way"},
};
LIST(maintain);

static const struct tandem_rule no_maintain_rules[] = {
	{NULL, DO(V(REFUSE)), STAY, "a decision is under way"},
};
LIST(no_maintain);

static const struct tandem_rule resume_rules[] = {
	{NULL, DO(V(READ_ANEW), V(ACCEPT)), TO(INIT), "maintenance is over"},
};
LIST(resume);

static const struct tandem_rule no_resume_rules[] = {
	{NULL, DO(V(REFUSE)), STAY, "the pair is not in maintenance"},
};
LIST(no_resume);

#define ROW(state, tick, attached, detached, ended, ready, report, session_up, session_lost, copied, fenced, failed, quiesced, heartbeat, record, read_failed, cas_won, cas_lost, cas_failed, cas_doubt, promote, force, yank, switchover, resync, fence_ack, protect, unprotect, maintenance_on, maintenance_off) \
	[TANDEM_STATE_##state] = { \
		[TANDEM_EVENT_TICK] = &tick, \
		[TANDEM_EVENT_ATTACHED] = &attached, \
		[TANDEM_EVENT_DETACHED] = &detached, \
		[TANDEM_EVENT_ENDED] = &ended, \
		[TANDEM_EVENT_READY] = &ready, \
		[TANDEM_EVENT_REPORT] = &report, \
		[TANDEM_EVENT_SESSION_UP] = &session_up, \
		[TANDEM_EVENT_SESSION_LOST] = &session_lost, \
		[TANDEM_EVENT_COPIED] = &copied, \
		[TANDEM_EVENT_FENCED] = &fenced, \
		[TANDEM_EVENT_FAILED] = &failed, \
		[TANDEM_EVENT_QUIESCED] = &quiesced, \
		[TANDEM_EVENT_HEARTBEAT] = &heartbeat, \
		[TANDEM_EVENT_RECORD] = &record, \
		[TANDEM_EVENT_READ_FAILED] = &read_failed, \
		[TANDEM_EVENT_CAS_WON] = &cas_won, \
		[TANDEM_EVENT_CAS_LOST] = &cas_lost, \
		[TANDEM_EVENT_CAS_FAILED] = &cas_failed, \
		[TANDEM_EVENT_CAS_DOUBT] = &cas_doubt, \
		[TANDEM_EVENT_PROMOTE] = &promote, \
		[TANDEM_EVENT_FORCE] = &force, \
		[TANDEM_EVENT_YANK] = &yank, \
		[TANDEM_EVENT_SWITCHOVER] = &switchover, \
		[TANDEM_EVENT_RESYNC] = &resync, \
		[TANDEM_EVENT_FENCE_ACK] = &fence_ack, \
		[TANDEM_EVENT_PROTECT] = &protect, \
		[TANDEM_EVENT_UNPROTECT] = &unprotect, \
		[TANDEM_EVENT_MAINTENANCE_ON] = &maintenance_on, \
		[TANDEM_EVENT_MAINTENANCE_OFF] = &maintenance_off, \
	}

_Static_assert(TANDEM_EVENT_COUNT == 29, "ROW and every row of the table need the new event");
_Static_assert(TANDEM_STATE_COUNT == 9, "the table and its own lists need the new state");

const struct tandem_rules *const tandem_table[TANDEM_STATE_COUNT][TANDEM_EVENT_COUNT] = {
	ROW(INIT,
	    init, nothing, nothing, nothing, nothing, nothing, nothing, nothing,
	    nothing, nothing, nothing, nothing, nothing, init, nothing, init,
	    init, init, init, no_promote, no_force, yank, no_switch_over, no_resync,
	    no_fence_ack, no_protect, no_unprotect, no_maintain, no_resume),
	ROW(JOINING,
	    joining, joining, joining, joining, joining, joining, joining, nothing,
	    nothing, nothing, nothing, nothing, joining, joining, nothing, joining,
	    joining, joining, joining, promote_first, force, yank, no_switch_over, resync,
	    no_fence_ack, protect, no_unprotect, maintain, no_resume),
	ROW(SECONDARY,
	    secondary, secondary, secondary, secondary, nothing, secondary, secondary, secondary,
	    nothing, nothing, nothing, nothing, secondary, secondary, nothing, secondary,
	    secondary, secondary, secondary, promote, force, yank, no_switch_over, no_resync,
	    fence_ack, no_protect, no_unprotect, maintain, no_resume),
	ROW(PRIMARY_PAIR,
	    primary_pair, primary_pair, primary_pair, primary_pair, nothing, primary_pair, primary_pair, primary_pair,
	    nothing, nothing, nothing, nothing, primary_pair, primary_pair, nothing, primary_pair,
	    primary_pair, primary_pair, primary_pair, no_promote, no_force, yank, switch_over, no_resync,
	    no_fence_ack, no_protect, unprotect, maintain, no_resume),
	ROW(PRIMARY_SOLO,
	    primary_solo, primary_solo, primary_solo, primary_solo, nothing, primary_solo, primary_solo, primary_solo,
	    primary_solo, nothing, nothing, nothing, nothing, primary_solo, nothing, primary_solo,
	    primary_solo, primary_solo, primary_solo, promote_held, no_force, yank, no_switch_over, no_resync,
	    no_fence_ack, no_protect, unprotect_alone, maintain, no_resume),
	ROW(GATED,
	    gated, gated, gated, gated, nothing, gated, gated, gated,
	    gated, nothing, nothing, gated, gated, gated, nothing, gated,
	    gated, gated, gated, promote_alone, no_force, yank, no_switch_over, no_resync,
	    fence_ack, no_protect, unprotect, no_maintain, no_resume),
	ROW(TAKING_OVER,
	    taking_over, taking_over, taking_over, taking_over, taking_over, nothing, nothing, nothing,
	    nothing, taking_over, taking_over, nothing, taking_over, taking_over, nothing, taking_over,
	    taking_over, taking_over, taking_over, promote_unconfirmed, no_force, yank, no_switch_over, no_resync,
	    no_fence_ack, no_protect, no_unprotect, no_maintain, no_resume),
	ROW(HALTED,
	    halted, halted, halted, halted, nothing, nothing, nothing, nothing,
	    nothing, halted, nothing, nothing, nothing, halted, nothing, halted,
	    halted, halted, halted, no_promote, force, yank, no_switch_over, no_resync,
	    no_fence_ack, no_protect, no_unprotect, maintain, no_resume),
	ROW(MAINTENANCE,
	    maintenance, maintenance, maintenance, maintenance, nothing, nothing, nothing, nothing,
	    maintenance, nothing, nothing, nothing, nothing, maintenance, nothing, maintenance,
	    maintenance, maintenance, maintenance, no_promote, no_force, yank, no_switch_over, no_resync,
	    no_fence_ack, no_protect, no_unprotect, no_maintain, resume),
};

const struct tandem_rules *const tandem_table_own[TANDEM_STATE_COUNT] = {
	[TANDEM_STATE_INIT] = &init,
	[TANDEM_STATE_JOINING] = &joining,
	[TANDEM_STATE_SECONDARY] = &secondary,
	[TANDEM_STATE_PRIMARY_PAIR] = &primary_pair,
	[TANDEM_STATE_PRIMARY_SOLO] = &primary_solo,
	[TANDEM_STATE_GATED] = &gated,
	[TANDEM_STATE_TAKING_OVER] = &taking_over,
	[TANDEM_STATE_HALTED] = &halted,
	[TANDEM_STATE_MAINTENANCE] = &maintenance,
};
/* clang-format on */
