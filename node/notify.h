#ifndef TANDEM_NODE_NOTIFY_H
#define TANDEM_NODE_NOTIFY_H

#include <tandem/error.h>

/* Tells the service manager, if there is one, lines as "READY=1\nSTATUS=..." (sd_notify(3); the
 * socket is in NOTIFY_SOCKET). 0 also when there is none. */
int tandem_notify(const char *state, struct tandem_error *reterr_error);

#endif
