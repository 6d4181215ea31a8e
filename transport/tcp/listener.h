#ifndef TANDEM_TCP_LISTENER_H
#define TANDEM_TCP_LISTENER_H

#include "provider.h"

/* Errors: TANDEM_E_CONFIG, TANDEM_E_SYSTEM, TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_tcp_listener_new(const struct tandem_transport_options *options,
                                              struct tandem_listener **ret_listener,
                                              struct tandem_error *reterr_error);

#endif
