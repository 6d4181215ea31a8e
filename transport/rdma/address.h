#ifndef TANDEM_RDMA_ADDRESS_H
#define TANDEM_RDMA_ADDRESS_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include <tandem/error.h>

#define TANDEM_RDMA_ADDRESS_TEXT_BYTES 80 /* "ADDRESS%SCOPE port 65535" */

/* Numeric IPv4 or IPv6, "" for the IPv4 wildcard. Errors: TANDEM_E_CONFIG. */
TANDEM_MUST_CHECK int tandem_rdma_address_parse(const char *text, uint16_t port,
                                                struct sockaddr_storage *ret_address,
                                                struct tandem_error *reterr_error);
void tandem_rdma_address_format(const struct sockaddr *address, char *text, size_t text_bytes);

#endif
