#ifndef TANDEM_FAILOVER_PULSE_H
#define TANDEM_FAILOVER_PULSE_H

#include <tandem/controller.h>
#include <tandem/histogram.h>

#include "core/heartbeat.h"

/* The thread of the detector: it owns the heartbeat sockets of all pairs, sends when heartbeats are
 * due, receives, authenticates and filters, and stamps what arrives, so that a busy loop neither
 * looks dead to the peer nor takes the peer for dead. It decides nothing. Loop and thread meet in a
 * mailbox for each pair, of fixed size: what a slow loop did not take is replaced by what is newer.
 *
 * The thread has all signals blocked, allocates nothing, logs nothing, and shares one lock with the
 * loop, which is held for a copy at most and inherits priority. Functions are for the loop's thread
 * but where they say otherwise; pairs are counted as in the options. */
struct tandem_pulse;

/* Above the loop's, which the unit file gives 10. */
#define TANDEM_PULSE_PRIORITY 11

/* Why datagrams were refused. */
#define TANDEM_PULSE_REFUSAL_TABLE(X)                                                              \
	X(NONE, "")                                                                                \
	X(NO_PAIR, "it is for no pair of this node")                                               \
	X(ADDRESS, "it came from an address that is no link of the pair")                          \
	X(VERSION, "another protocol version: both nodes need the same release of Tandem")         \
	X(DAMAGED, "damaged, or made with another key")                                            \
	X(NODE, "the sender is not the pair's other node")

enum tandem_pulse_refusal {
#define X(name, text) TANDEM_PULSE_REFUSAL_##name,
	TANDEM_PULSE_REFUSAL_TABLE(X)
#undef X
};

/* What came of the pair since the last taking. */
struct tandem_pulse_news {
	uint64_t heard_ns[TANDEM_CONTROLLER_LINKS_MAX]; /* newest arrival; 0: none */
	bool has_statement;                             /* newer than the last */
	struct tandem_statement statement;
	uint64_t since_ns; /* when the first of it came; 0: nothing came */
	uint64_t deaf_ns;  /* the longest time that nobody listened */
};

struct tandem_pulse_refused {
	uint64_t count;
	enum tandem_pulse_refusal last;
};

/* Opens the sockets; nothing is sent or received yet. Borrows nothing. TANDEM_E_SYSTEM,
 * TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_pulse_new(const struct tandem_controller_options *options,
                                       uint64_t instance, struct tandem_pulse **ret_pulse,
                                       struct tandem_error *reterr_error);
/* The thread takes real-time priority where it may. TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_pulse_start(struct tandem_pulse *pulse,
                                         struct tandem_error *reterr_error);
/* Ends the thread, which never blocks. NULL is allowed. */
void tandem_pulse_free(struct tandem_pulse *pulse);

/* What heartbeats of the pair say from now on, and the proof that the loop lives: to be called at
 * least at tandem_detector_pace_ns(). is_urgent: they are sent at once. */
void tandem_pulse_publish(struct tandem_pulse *pulse, size_t pair,
                          const struct tandem_statement *statement, bool is_urgent);
/* Readable when there is news of a pair; read it by tandem_pulse_rest(), then take. */
int tandem_pulse_fd(const struct tandem_pulse *pulse);
void tandem_pulse_rest(struct tandem_pulse *pulse);
void tandem_pulse_take(struct tandem_pulse *pulse, size_t pair, struct tandem_pulse_news *ret_news);

/* Datagrams refused so far; `pair` may be the number of pairs: those that were for none. They wake
 * nobody, so that a flood of them costs no more than its reception. */
struct tandem_pulse_refused tandem_pulse_refused(struct tandem_pulse *pulse, size_t pair);
const char *tandem_pulse_refusal_text(enum tandem_pulse_refusal refusal);

/* Nanoseconds between heartbeats that arrived on a link from one life of the peer's controller. */
void tandem_pulse_gaps(struct tandem_pulse *pulse, size_t pair, size_t link,
                       struct tandem_histogram *ret_gaps_ns);
/* How late the thread was when heartbeats were due. */
void tandem_pulse_lateness(struct tandem_pulse *pulse, struct tandem_histogram *ret_late_ns);
/* Any thread. */
bool tandem_pulse_is_real_time(const struct tandem_pulse *pulse);
/* Why it is not: an errno of pthread_create(3); 0 when it is. Any thread. */
int tandem_pulse_real_time_errno(const struct tandem_pulse *pulse);

#endif
