#ifndef TANDEM_NODE_QEMU_TRIAL_H
#define TANDEM_NODE_QEMU_TRIAL_H

#include <stdint.h>

#include "qemu_options.h"

/* Whether the QEMU of protect.command would start here to take over. It is started as it would be
 * then, with the gates of its network and to wait for its guest, and ended again. RAM that would be
 * the image's is a file without a name here, of which no page is touched: a QEMU that waits for its
 * guest writes none of its RAM. */

/* Writes a JSON object to standard output: "trial" is "well", or "failed", with "error" for why, in
 * QEMU's words where it has any, or "busy": a QEMU of the pair runs here, or something else listens
 * at its control socket, which "error" names, and no second one was started. Waits at most
 * `timeout_ns`; the exit status. */
int tandem_qemu_trial_say(struct tandem_qemu_options *options, uint64_t timeout_ns);

#endif
