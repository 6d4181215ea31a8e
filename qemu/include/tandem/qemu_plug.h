#ifndef TANDEM_QEMU_PLUG_H
#define TANDEM_QEMU_PLUG_H

#include <stddef.h>
#include <stdint.h>
#include <tandem/error.h>

/* The gate of one network card by the kernel's queue `plug`: QEMU has the tap itself, and what its
 * guest sends is led, as it comes from the tap, through an interface of the kind `ifb` whose queue
 * holds it until its epoch may be seen. What comes for the guest passes at once. What a killed
 * program leaves in the queue never leaves it. Needs CAP_NET_ADMIN, and ifb, sch_plug, act_mirred
 * and cls_matchall in the kernel. Source: net/sched/sch_plug.c. */
struct tandem_qemu_plug;

struct tandem_qemu_plug_options {
	const char *interface; /* the tap, which exists */
	size_t room_bytes;     /* for what is held; the newest frames are dropped */
};

/* Nothing leaves yet. What another program left there is removed. Errors: TANDEM_E_CONFIG (no such
 * interface), TANDEM_E_SYSTEM (the kernel refuses: what, and what it needs), TANDEM_E_MEMORY. */
int tandem_qemu_plug_open(const struct tandem_qemu_plug_options *options,
                          struct tandem_qemu_plug **ret_plug, struct tandem_error *reterr_error);
/* As tandem_qemu_gate_let(). Where the kernel refuses, everything is held on. */
void tandem_qemu_plug_let(struct tandem_qemu_plug *plug);
/* As tandem_qemu_gate_mark(); while an earlier mark waits there is no other, and what was sent
 * since waits for the next one. Error: TANDEM_E_SYSTEM (what the guest sends cannot be held any
 * more: it has to be ended). */
int tandem_qemu_plug_mark(struct tandem_qemu_plug *plug, struct tandem_error *reterr_error);
void tandem_qemu_plug_promise(struct tandem_qemu_plug *plug, uint64_t ticket);
void tandem_qemu_plug_release(struct tandem_qemu_plug *plug, uint64_t released_ticket);
struct tandem_qemu_plug_counts {
	uint64_t dropped_count; /* frames that the queue had no room for */
	uint64_t held_bytes;
};

/* Asks the kernel; zeros where it does not say. */
void tandem_qemu_plug_count(struct tandem_qemu_plug *plug,
                            struct tandem_qemu_plug_counts *ret_counts);
/* How often the kernel has refused, and what is sent was therefore held longer. */
uint64_t tandem_qemu_plug_fault_count(const struct tandem_qemu_plug *plug);
/* No other node will ever go on with this guest: what is held leaves, and the tap is as it was.
 * Errors: TANDEM_E_SYSTEM. */
int tandem_qemu_plug_leave(struct tandem_qemu_plug *plug, struct tandem_error *reterr_error);
/* Nothing leaves any more. */
void tandem_qemu_plug_shut(struct tandem_qemu_plug *plug);
/* Shuts, and leaves the tap as it was, so that what comes from it passes: QEMU has ended. NULL is
 * allowed. */
void tandem_qemu_plug_close(struct tandem_qemu_plug *plug);

#endif
