#ifndef TANDEM_NODE_QEMU_GATES_H
#define TANDEM_NODE_QEMU_GATES_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <tandem/error.h>
#include <tandem/qemu_gate.h>
#include <tandem/qemu_network.h>
#include <tandem/qemu_plug.h>

struct event_base;

/* What stands between a guest's network cards and the network: a gate for each. */
#define TANDEM_QEMU_GATES_MAX 8u

enum tandem_qemu_gate_kind {
	TANDEM_QEMU_GATE_USER, /* this program holds what is sent */
	TANDEM_QEMU_GATE_PLUG, /* the kernel does */
};

struct tandem_qemu_card {
	enum tandem_qemu_gate_kind kind;
	const char *outside;            /* a tap's name, or a socket's path */
	char netdev[2 * PATH_MAX + 80]; /* QEMU's option for the card's other end */
	char details[32];               /* which QEMU tells of it */
	struct tandem_qemu_gate *gate;  /* of its kind, where that is open */
	struct tandem_qemu_plug *plug;
	uint64_t told_lost_count; /* as last logged */
	uint64_t told_ns;
};

struct tandem_qemu_gates {
	unsigned count;
	struct tandem_qemu_card cards[TANDEM_QEMU_GATES_MAX];
	struct tandem_qemu_network_end ends[TANDEM_QEMU_GATES_MAX]; /* QEMU's, one a card */
};

/* Takes one as it is written, "user:TAP", "user:/PATH" or "plug:TAP"; borrows it. False: it is
 * none, or there are too many. */
bool tandem_qemu_gates_add(struct tandem_qemu_gates *gates, const char *text);
struct tandem_qemu_gate_state {
	const char *way; /* "user" or "plug" */
	const char *outside;
	bool is_open;        /* one of this program, and nothing is held back */
	uint64_t held_bytes; /* of room_bytes */
	uint64_t room_bytes;
	uint64_t dropped_count; /* frames of the guest, because there was no room */
	uint64_t lost_count;    /* ... because the network did not take them; 0 with "plug" */
};

/* How the gate of card `number` is; zeros while it is not open. */
void tandem_qemu_gates_look(const struct tandem_qemu_gates *gates, unsigned number,
                            struct tandem_qemu_gate_state *ret_state);
/* Makes what they need, sockets below `run_directory`, and QEMU's options, but for those that were
 * taken. Errors: what tandem_qemu_gate_open() and tandem_qemu_plug_open() have. */
int tandem_qemu_gates_open(struct tandem_qemu_gates *gates, struct event_base *base,
                           const char *run_directory, const char *pair,
                           struct tandem_error *reterr_error);

/* Those of this program go from one process to another: see tandem_qemu_gate_give(),
 * tandem_qemu_gate_take() and tandem_qemu_gate_yield(). What was not taken is the other one's yet.
 */
unsigned tandem_qemu_gates_user_count(const struct tandem_qemu_gates *gates);
int tandem_qemu_gates_give(const struct tandem_qemu_gates *gates, int link,
                           struct tandem_error *reterr_error);
int tandem_qemu_gates_take(struct tandem_qemu_gates *gates, struct event_base *base,
                           const char *run_directory, const char *pair, int link,
                           struct tandem_error *reterr_error);
void tandem_qemu_gates_yield(struct tandem_qemu_gates *gates);

/* What has come for the guest through gates of this program before is not given to it. */
void tandem_qemu_gates_forget(struct tandem_qemu_gates *gates);

/* Gives a QEMU that runs already the time to connect to each gate of this program. Blocks. */
void tandem_qemu_gates_await(const struct tandem_qemu_gates *gates, uint64_t patience_ns);

/* Whether QEMU is connected to each gate of this program: that of a QEMU which runs already may
 * have been told another place. Errors: TANDEM_E_CONFIG. */
int tandem_qemu_gates_check(const struct tandem_qemu_gates *gates,
                            struct tandem_error *reterr_error);

/* As the calls for one gate. */
void tandem_qemu_gates_let(struct tandem_qemu_gates *gates);
int tandem_qemu_gates_mark(struct tandem_qemu_gates *gates, struct tandem_error *reterr_error);
void tandem_qemu_gates_promise(struct tandem_qemu_gates *gates, uint64_t ticket);
/* Logs what was lost, too. */
void tandem_qemu_gates_release(struct tandem_qemu_gates *gates, uint64_t released_ticket);
/* Whether there is one of this program. */
bool tandem_qemu_gates_are_open(const struct tandem_qemu_gates *gates);
/* No other node goes on with the guest any more: everything leaves, by the kernel's gates even
 * without this program. */
void tandem_qemu_gates_leave(struct tandem_qemu_gates *gates);
/* Nothing leaves any more. */
void tandem_qemu_gates_shut(struct tandem_qemu_gates *gates);
/* QEMU has ended: leaves everything as it was. */
void tandem_qemu_gates_close(struct tandem_qemu_gates *gates);

#endif
