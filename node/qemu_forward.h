#ifndef TANDEM_NODE_QEMU_FORWARD_H
#define TANDEM_NODE_QEMU_FORWARD_H

#include <stdbool.h>
#include <sys/types.h>
#include <tandem/error.h>

#include "qemu_options.h"

struct event_base;

/* A guest that goes on unprotected keeps the network that it has by this program's gates: the
 * forwarder, a process of its own, has them and holds nothing back, until QEMU ends or another one
 * protects the guest again, which takes them at RUN_DIR/PAIR.gates. */

/* Starts it and gives it the open gates of `options`. 0: they are its own. Else they are as they
 * were. Errors: TANDEM_E_SYSTEM, and those of tandem_qemu_hand_give(). */
int tandem_qemu_forward_start(struct tandem_qemu_options *options, pid_t qemu,
                              struct tandem_error *reterr_error);
/* Takes the gates of that QEMU where a forwarder has them; without one nothing is done. `qemu` 0:
 * one that is to be started. Errors: TANDEM_E_AGAIN (they are those of another QEMU, which runs),
 * TANDEM_E_CONFIG (also where `options` has no such gates), TANDEM_E_SYSTEM and those of
 * qemu_hand.h. */
int tandem_qemu_forward_take(struct tandem_qemu_options *options, struct event_base *base,
                             pid_t qemu, bool *ret_is_taken, struct tandem_error *reterr_error);
/* The forwarder: takes them at options->forward_fd. Its exit status. */
int tandem_qemu_forward_run(struct tandem_qemu_options *options);

#endif
