#ifndef TANDEM_QEMU_GATE_H
#define TANDEM_QEMU_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/error.h>

struct event_base;

/* One network card of a guest, with the program between it and the network: QEMU connects as
 * `-netdev stream`, what its guest sends is held until its epoch may be seen, what comes for the
 * guest passes at once. What is held lives in this program's memory only, and is gone with it. One
 * thread: the loop's. */
struct tandem_qemu_gate;

struct tandem_qemu_gate_options {
	const char *socket_path; /* is made for QEMU to connect to; removed again */
	/* A tap interface, which exists; or, with a '/', the path of a datagram socket of another
	 * program: a frame is a datagram. */
	const char *outside;
	const char *outside_path; /* ours, then, where frames for the guest come in; is made */
	size_t room_bytes;        /* for what is held */
};

struct tandem_qemu_gate_counts {
	uint64_t taken_count;   /* frames of the guest */
	uint64_t sent_count;    /* ... that left */
	uint64_t dropped_count; /* ... that did not, because what is held filled the room */
	uint64_t lost_count;    /* ... because the network did not take them */
	uint64_t missed_count;  /* frames for the guest that it could not be given */
	uint64_t fault_count;   /* connections that brought what is no frame, and were ended */
	size_t held_bytes;
	bool is_open; /* nothing is held back */
};

/* Nothing leaves yet. Copies the options. Errors: TANDEM_E_CONFIG (no such interface, a path that
 * is too long), TANDEM_E_SYSTEM (it cannot be had, no socket), TANDEM_E_MEMORY. */
int tandem_qemu_gate_open(struct event_base *base, const struct tandem_qemu_gate_options *options,
                          struct tandem_qemu_gate **ret_gate, struct tandem_error *reterr_error);
/* Whether QEMU is connected to it. */
bool tandem_qemu_gate_is_connected(const struct tandem_qemu_gate *gate);
/* Until it is, or its connection waits for the loop; at the latest until deadline_ns of the
 * monotonic clock. Blocks. */
void tandem_qemu_gate_await(const struct tandem_qemu_gate *gate, uint64_t deadline_ns);
/* What has come for the guest until now is not given to it: it is as old as this gate. */
void tandem_qemu_gate_forget(struct tandem_qemu_gate *gate);
/* No epoch was begun yet and the program leads: until the first mark everything leaves. */
void tandem_qemu_gate_let(struct tandem_qemu_gate *gate);
/* Nobody else goes on with the guest any more: until the next mark everything leaves. */
void tandem_qemu_gate_leave(struct tandem_qemu_gate *gate);
/* The guest stands still: all that it has sent is of the epoch that ends. */
void tandem_qemu_gate_mark(struct tandem_qemu_gate *gate);
/* After a mark: the guest stood still all that time, and `ticket` is that of the checkpoint of its
 * state. What was sent before leaves when it is released; without a promise it waits for the next.
 */
void tandem_qemu_gate_promise(struct tandem_qemu_gate *gate, uint64_t ticket);
/* Tickets up to this one are released. */
void tandem_qemu_gate_release(struct tandem_qemu_gate *gate, uint64_t released_ticket);
void tandem_qemu_gate_count(const struct tandem_qemu_gate *gate,
                            struct tandem_qemu_gate_counts *ret_counts);
/* What is held never leaves. NULL is allowed. */
void tandem_qemu_gate_close(struct tandem_qemu_gate *gate);

/* A gate goes from one process to another, with QEMU's connection and the bytes that are under way,
 * so that neither the guest nor the network notices: one packet over `link`, a SOCK_SEQPACKET whose
 * both ends are of this program. Who gives it leaves it alone until the other one is known to have
 * it, and yields it then; until then, or where the other one has not taken it, it is as it was.
 * Errors: TANDEM_E_SYSTEM, TANDEM_E_MEMORY. */
int tandem_qemu_gate_give(const struct tandem_qemu_gate *gate, int link,
                          struct tandem_error *reterr_error);
/* What is held here is another process's to let go. */
void tandem_qemu_gate_yield(struct tandem_qemu_gate *gate);
/* Takes the gate that the other end gives, if it leads to options->outside; everything leaves until
 * the first mark. Waits for it, as long as a receive timeout of `link` allows. Copies the options.
 * Errors: TANDEM_E_CONFIG (it leads elsewhere), TANDEM_E_PROTOCOL, TANDEM_E_SYSTEM,
 * TANDEM_E_MEMORY. */
int tandem_qemu_gate_take(struct event_base *base, const struct tandem_qemu_gate_options *options,
                          int link, struct tandem_qemu_gate **ret_gate,
                          struct tandem_error *reterr_error);

#endif
