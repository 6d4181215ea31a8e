#ifndef TANDEM_FAILOVER_LINK_SOCKET_H
#define TANDEM_FAILOVER_LINK_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include <tandem/error.h>

/* Numeric addresses and the UDP sockets of heartbeat links. */

/* `text` is IPv4 or IPv6 as tandem_controller_options_validate() wants it. Returns the length. */
socklen_t tandem_link_address(const char *text, uint16_t port,
                              struct sockaddr_storage *ret_address);
/* Family, address and port. */
bool tandem_link_address_is_same(const struct sockaddr_storage *one,
                                 const struct sockaddr_storage *other);
/* Bound and never blocking. TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_link_socket_open(const char *address, uint16_t port, int *ret_fd,
                                              struct tandem_error *reterr_error);

#endif
