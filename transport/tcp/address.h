#ifndef TANDEM_TCP_ADDRESS_H
#define TANDEM_TCP_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <tandem/error.h>

#define TANDEM_TCP_ADDRESS_TEXT_BYTES 80 /* "[address%scope]:port" */

struct tandem_tcp_address {
	socklen_t length;
	struct sockaddr_storage storage;
};

/* Numeric IPv4 or IPv6. Errors: TANDEM_E_CONFIG. */
TANDEM_MUST_CHECK int tandem_tcp_address_parse(const char *text, uint16_t port,
                                               struct tandem_tcp_address *ret_address,
                                               struct tandem_error *reterr_error);
void tandem_tcp_address_format(const struct tandem_tcp_address *address, char *text,
                               size_t text_bytes);
uint16_t tandem_tcp_address_port(const struct tandem_tcp_address *address);

#endif
