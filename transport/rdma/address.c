#include "rdma/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

int tandem_rdma_address_parse(const char *text, uint16_t port, struct sockaddr_storage *ret_address,
                              struct tandem_error *reterr_error)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found;
	char service[8];
	int rc;

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	rc = getaddrinfo(text[0] == '\0' ? "0.0.0.0" : text, service, &hints, &found);
	if (rc != 0)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "getaddrinfo",
		                        "'%s' is not a numeric IPv4 or IPv6 address: %s", text,
		                        gai_strerror(rc));
	memset(ret_address, 0, sizeof(*ret_address));
	memcpy(ret_address, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}

void tandem_rdma_address_format(const struct sockaddr *address, char *text, size_t text_bytes)
{
	const socklen_t length = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	                                                        : sizeof(struct sockaddr_in);
	char host[64];
	char service[8];

	if (getnameinfo(address, length, host, sizeof(host), service, sizeof(service),
	                NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, text_bytes, "unknown address");
	else
		snprintf(text, text_bytes, "%s port %s", host, service);
}
