#ifndef TANDEM_TCP_TRANSPORT_H
#define TANDEM_TCP_TRANSPORT_H

#include "provider.h"

/* Puts why TCP was taken into the capabilities: "TCP (no RDMA: no device found)". `transport` is
 * one of tandem_tcp_open(). */
void tandem_tcp_transport_explain(struct tandem_transport *transport, const char *reason);

#endif
