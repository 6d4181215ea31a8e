#ifndef TANDEM_NODE_QEMU_AHEAD_H
#define TANDEM_NODE_QEMU_AHEAD_H

#include <stdbool.h>

/* How tandem-qemu waits for its take-over; the other end is node/ahead.h. */

/* Says on `fd` that it waits, and does so until it is told to take over; then the environment has
 * what that needs, and the descriptor is closed. False: nobody needs it any more, or `ends_fd`
 * tells that QEMU has ended. */
bool tandem_qemu_ahead_wait(int fd, int ends_fd);

#endif
