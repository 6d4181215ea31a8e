#ifndef TANDEM_ENGINE_INTERNAL_H
#define TANDEM_ENGINE_INTERNAL_H

#include "engine.h"

/* The engine in five files: engine.c (the core's actions, other threads), engine_drive.c (who
 * drives it, and when), engine_session.c (the session, its messages and channels), engine_work.c
 * (scan, push, seal) and engine_progress.c (what status shows of a copy). */

/* Steps the core and does what it says. */
void tandem_engine_step(struct tandem_engine *engine, const struct tandem_primary_event *event);
void tandem_engine_tell(struct tandem_engine *engine, enum tandem_primary_event_type type);
void tandem_engine_wake(int fd);
/* The epoch under way waits for APPLIED. */
bool tandem_engine_awaits_apply(const struct tandem_engine *engine);
void tandem_engine_set_phase(struct tandem_engine *engine, enum tandem_phase phase);

/* engine_drive.c: the engine's own thread. */
void *tandem_engine_run(void *engine);

/* engine_session.c */
void tandem_engine_say(struct tandem_engine *engine, enum tandem_control_type type,
                       uint64_t generation, uint64_t epoch);
void tandem_engine_set_yankable(struct tandem_engine *engine, struct tandem_session *session);
void tandem_engine_connect(struct tandem_engine *engine);
void tandem_engine_send(struct tandem_engine *engine, const struct tandem_wire_message *message);
void tandem_engine_lose(struct tandem_engine *engine, int code, const char *operation,
                        const char *reason);
/* Protection ends for good: what the copy would hold is not certain any more. */
void tandem_engine_give_up(struct tandem_engine *engine, const struct tandem_error *error);
/* A push, seal or settle failed with `code`. */
void tandem_engine_lose_work(struct tandem_engine *engine, int code, const char *operation,
                             const char *reason);
/* True when something has happened. */
bool tandem_engine_read_session(struct tandem_engine *engine);
/* The same of what is here already: a push that waits for its writes meets answers, too, and then
 * no descriptor tells of them. */
bool tandem_engine_take_events(struct tandem_engine *engine);

/* engine_progress.c */
void tandem_engine_note_compared(struct tandem_engine *engine);
void tandem_engine_note_scanned(struct tandem_engine *engine, uint64_t left_pages);
void tandem_engine_note_pushed(struct tandem_engine *engine);
void tandem_engine_end_progress(struct tandem_engine *engine);
/* A capture has held the program: tells of one that a copy cannot keep up with. */
void tandem_engine_note_held(struct tandem_engine *engine, uint64_t held_ns);

/* engine_work.c */
void tandem_engine_scan(struct tandem_engine *engine);
void tandem_engine_slice(struct tandem_engine *engine);
void tandem_engine_stage(struct tandem_engine *engine);
void tandem_engine_drain(struct tandem_engine *engine);
void tandem_engine_push(struct tandem_engine *engine);
/* False when the session was lost. */
bool tandem_engine_seal(struct tandem_engine *engine, const struct tandem_primary_action *action);
void tandem_engine_settle(struct tandem_engine *engine);

#endif
