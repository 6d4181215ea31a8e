#ifndef TANDEM_NODE_QEMU_HAND_H
#define TANDEM_NODE_QEMU_HAND_H

#include <sys/types.h>
#include <tandem/error.h>

#include "qemu_gates.h"

struct event_base;

/* The gates of a guest's network go from one process of this program to another, all of them or
 * none: who gives them says whose they are and waits for one byte, who takes them sends it when it
 * lacks nothing, and has them when the other one has sent one, too. Whoever does not hear that byte
 * closes the link to it first, so that one of the two has them whatever happens. Each waits for
 * TANDEM_QEMU_HAND_S at most, in which the guest has no network; a signal changes nothing. */
#define TANDEM_QEMU_HAND_S 5

/* A link that waits no longer. */
void tandem_qemu_hand_limit(int link);

/* 0: nothing of them is here any more, and the caller closes `link` when nothing else is. Else they
 * are as they were. Errors: those of tandem_qemu_gate_give(), TANDEM_E_TIMEOUT, TANDEM_E_PEER_LOST
 * (the other one did not take them). */
int tandem_qemu_hand_give(struct tandem_qemu_gates *gates, pid_t qemu, int link,
                          struct tandem_error *reterr_error);

/* Which QEMU's gates, and how many, are about to come. Errors: TANDEM_E_PEER_LOST (there are none
 * any more), TANDEM_E_TIMEOUT, TANDEM_E_PROTOCOL. */
int tandem_qemu_hand_ask(int link, pid_t *ret_qemu, unsigned *ret_count,
                         struct tandem_error *reterr_error);
/* The other one may have them yet, and keeps them if it is not told. Errors: those of
 * tandem_qemu_gate_take(). */
int tandem_qemu_hand_take(struct tandem_qemu_gates *gates, struct event_base *base,
                          const char *run_directory, const char *pair, unsigned count, int link,
                          struct tandem_error *reterr_error);
/* From now on they are served here. Closes nothing. Errors: TANDEM_E_TIMEOUT, TANDEM_E_PEER_LOST:
 * the other one has not let go of them. */
int tandem_qemu_hand_confirm(struct tandem_qemu_gates *gates, int link,
                             struct tandem_error *reterr_error);

#endif
