#include "tcp/address.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

int tandem_tcp_address_parse(const char *text, uint16_t port,
                             struct tandem_tcp_address *ret_address,
                             struct tandem_error *reterr_error)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
	                               .ai_socktype = SOCK_STREAM,
	                               .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	char service[8];
	struct addrinfo *found = NULL;
	snprintf(service, sizeof(service), "%u", port);
	int status = getaddrinfo(text, service, &hints, &found);
	if (status != 0)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "address",
		                        "'%.64s' is not a numeric IPv4 or IPv6 address: %s", text,
		                        gai_strerror(status));
	struct tandem_tcp_address address = {.length = found->ai_addrlen};
	memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	*ret_address = address;
	return 0;
}

void tandem_tcp_address_format(const struct tandem_tcp_address *address, char *text,
                               size_t text_bytes)
{
	char host[64] = "?";
	char service[8] = "?";
	/* It fails for no address that the kernel gave; then the question marks stay. */
	int failed = getnameinfo((const struct sockaddr *)&address->storage, address->length, host,
	                         sizeof(host), service, sizeof(service),
	                         NI_NUMERICHOST | NI_NUMERICSERV);
	if (failed)
		snprintf(host, sizeof(host), "?");
	const char *format = address->storage.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s";
	snprintf(text, text_bytes, format, host, service);
}

uint16_t tandem_tcp_address_port(const struct tandem_tcp_address *address)
{
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
	if (address->storage.ss_family == AF_INET6) {
		memcpy(&ipv6, &address->storage, sizeof(ipv6));
		return ntohs(ipv6.sin6_port);
	}
	memcpy(&ipv4, &address->storage, sizeof(ipv4));
	return ntohs(ipv4.sin_port);
}
