#ifndef TANDEM_PRIMARY_INTERNAL_H
#define TANDEM_PRIMARY_INTERNAL_H

#include "primary.h"

/* The primary's core in six files: primary.c (the controller's and the program's words, time),
 * primary_session.c (HELLO to loss, what the secondary says), primary_epoch.c (copy, capture, seal,
 * commit, apply), primary_beside.c (the push beside an open epoch), primary_repair.c (lost
 * channels) and primary_resync.c (digests of the image). */

/* Waiting for APPLIED may take as long as the copying of an epoch; pings tell a dead peer
 * meanwhile. */
#define TANDEM_PRIMARY_APPLY_TIMEOUT_FACTOR 10u

struct tandem_primary_action *tandem_primary_act(struct tandem_primary_actions *actions,
                                                 enum tandem_primary_action_type type);
void tandem_primary_enter(struct tandem_primary *primary, enum tandem_primary_phase phase,
                          uint64_t deadline_ns);
void tandem_primary_drop(struct tandem_primary *primary, struct tandem_primary_actions *actions,
                         int code, const char *reason);
/* The program may go on, if it is held. */
void tandem_primary_resume(struct tandem_primary *primary, struct tandem_primary_actions *actions);
/* Nobody was told of the copy that closed the gate, so nobody will speak to open it. */
void tandem_primary_release_copy(struct tandem_primary *primary);

/* primary_session.c */
bool tandem_primary_has_session(const struct tandem_primary *primary);
void tandem_primary_ping(struct tandem_primary *primary, struct tandem_primary_actions *actions,
                         uint64_t now_ns);
/* What a word of the secondary says of its last committed epoch counts for the gate. */
void tandem_primary_acknowledge(struct tandem_primary *primary,
                                const struct tandem_wire_message *message);
void tandem_primary_on_session_up(struct tandem_primary *primary,
                                  const struct tandem_primary_event *event,
                                  struct tandem_primary_actions *actions);
void tandem_primary_on_session_lost(struct tandem_primary *primary,
                                    const struct tandem_primary_event *event,
                                    struct tandem_primary_actions *actions);
void tandem_primary_on_message(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions);

/* primary_epoch.c */
bool tandem_primary_is_capturing(const struct tandem_primary *primary);
void tandem_primary_start_copy(struct tandem_primary *primary, uint64_t now_ns, bool is_full,
                               struct tandem_primary_actions *actions);
/* What comes next when nothing of an epoch is under way: repair, copy, or the open epoch. */
void tandem_primary_go_on(struct tandem_primary *primary, uint64_t now_ns,
                          struct tandem_primary_actions *actions);
/* The sealed epoch is decided. */
void tandem_primary_commit(struct tandem_primary *primary, uint64_t now_ns,
                           struct tandem_primary_actions *actions);
void tandem_primary_abort(struct tandem_primary *primary, struct tandem_primary_actions *actions);
/* The program is quiescent: an epoch ends. */
void tandem_primary_capture(struct tandem_primary *primary, uint64_t now_ns,
                            struct tandem_primary_actions *actions);
void tandem_primary_on_checkpoint(struct tandem_primary *primary,
                                  const struct tandem_primary_event *event,
                                  struct tandem_primary_actions *actions);
void tandem_primary_on_withdraw(struct tandem_primary *primary,
                                const struct tandem_primary_event *event,
                                struct tandem_primary_actions *actions);
void tandem_primary_on_applied(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions);
void tandem_primary_on_scanned(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions);
void tandem_primary_on_staged(struct tandem_primary *primary,
                              const struct tandem_primary_event *event,
                              struct tandem_primary_actions *actions);
void tandem_primary_on_drained(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions);
void tandem_primary_on_sliced(struct tandem_primary *primary,
                              const struct tandem_primary_event *event,
                              struct tandem_primary_actions *actions);
void tandem_primary_on_pushed(struct tandem_primary *primary,
                              const struct tandem_primary_event *event,
                              struct tandem_primary_actions *actions);
void tandem_primary_on_settled(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions);

/* primary_resync.c */
bool tandem_primary_learn(struct tandem_primary *primary, uint64_t now_ns,
                          struct tandem_primary_actions *actions);
void tandem_primary_on_digests(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions);

/* primary_beside.c */
/* An epoch is open, and captured at once when the program waits for that. */
void tandem_primary_open(struct tandem_primary *primary, uint64_t now_ns,
                         struct tandem_primary_actions *actions);
void tandem_primary_capture_or_slow(struct tandem_primary *primary, uint64_t now_ns,
                                    struct tandem_primary_actions *actions);
/* As far as the budget goes. */
bool tandem_primary_has_room(const struct tandem_primary *primary, uint64_t now_ns);
/* The program waits for a moment that fits: if this is one, the push waits for the program. */
void tandem_primary_offer(struct tandem_primary *primary, uint64_t now_ns);
uint64_t tandem_primary_beside_deadline_ns(const struct tandem_primary *primary);
void tandem_primary_tick_beside(struct tandem_primary *primary, uint64_t now_ns,
                                struct tandem_primary_actions *actions);
void tandem_primary_scanned_beside(struct tandem_primary *primary,
                                   const struct tandem_primary_event *event,
                                   struct tandem_primary_actions *actions);
void tandem_primary_sliced_beside(struct tandem_primary *primary,
                                  const struct tandem_primary_event *event,
                                  struct tandem_primary_actions *actions);

/* primary_repair.c */
/* An attempt that is not sealed comes to nothing. */
void tandem_primary_give_up(struct tandem_primary *primary, struct tandem_primary_actions *actions);
void tandem_primary_ask(struct tandem_primary *primary, uint64_t now_ns,
                        struct tandem_primary_actions *actions);
void tandem_primary_on_channel_lost(struct tandem_primary *primary,
                                    const struct tandem_primary_event *event,
                                    struct tandem_primary_actions *actions);
void tandem_primary_on_fenced(struct tandem_primary *primary,
                              const struct tandem_primary_event *event,
                              struct tandem_primary_actions *actions);

#endif
