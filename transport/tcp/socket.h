#ifndef TANDEM_TCP_SOCKET_H
#define TANDEM_TCP_SOCKET_H

#include <stdint.h>

#include <tandem/error.h>

#include "tcp/address.h"

/* The system calls of the tcp provider, with our errors. Every socket is non-blocking. */

/* A socket of the family of `address`. Errors: TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_tcp_socket_new(const struct tandem_tcp_address *address, int *ret_fd,
                                            struct tandem_error *reterr_error);
/* No delay, and a backstop: unacknowledged bytes end the connection after `peer_timeout_ns`. */
TANDEM_MUST_CHECK int tandem_tcp_socket_tune(int fd, uint64_t peer_timeout_ns,
                                             struct tandem_error *reterr_error);
/* Errors: TANDEM_E_CONFIG (the address is not this machine's), TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_tcp_socket_bind(int fd, const struct tandem_tcp_address *address,
                                             struct tandem_error *reterr_error);
/* Bytes that the kernel has received and nobody has read; 0 when it cannot say. */
uint64_t tandem_tcp_socket_received_bytes(int fd);
/* What a failure of a connection means: TANDEM_E_TIMEOUT, TANDEM_E_USAGE (memory that was exposed
 * or registered is gone), TANDEM_E_SYSTEM (this machine is short of something), else
 * TANDEM_E_PEER_LOST. */
int tandem_tcp_socket_error_code(int os_errno);
/* Takes -1 too. */
void tandem_tcp_socket_close(int *fd);

#endif
