#include "tcp/tcp_transport.h"

#include <stdio.h>

#include <tandem/memory.h>

#include "tcp/address.h"
#include "tcp/listener.h"
#include "tcp/session.h"

struct tcp_transport {
	struct tandem_transport head;
	char detail[192];
};

static int listen_on(struct tandem_transport *transport,
                     const struct tandem_transport_options *options,
                     struct tandem_listener **ret_listener, struct tandem_error *reterr_error)
{
	(void)transport;
	return tandem_tcp_listener_new(options, ret_listener, reterr_error);
}

static int connect_to(struct tandem_transport *transport,
                      const struct tandem_transport_options *options,
                      struct tandem_session **ret_session, struct tandem_error *reterr_error)
{
	(void)transport;
	return tandem_tcp_session_connect(options, ret_session, reterr_error);
}

static void free_transport(struct tandem_transport *transport)
{
	tandem_memory_free(transport);
}

static const struct tandem_transport_ops ops = {
        .listen = listen_on,
        .connect = connect_to,
        .free = free_transport,
};

int tandem_tcp_open(const char *address, struct tandem_transport **ret_transport,
                    struct tandem_error *reterr_error)
{
	struct tandem_tcp_address parsed;
	if (address[0]) {
		int status = tandem_tcp_address_parse(address, 0, &parsed, reterr_error);
		if (status != 0)
			return status;
	}
	struct tcp_transport *transport = tandem_memory_alloc(sizeof(*transport));
	if (!transport)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "open",
		                        "no memory for %zu bytes", sizeof(*transport));
	snprintf(transport->detail, sizeof(transport->detail), "TCP%s%.64s",
	         address[0] ? " on " : "", address);
	transport->head.ops = &ops;
	transport->head.capabilities = (struct tandem_transport_capabilities){
	        .name = "tcp", .detail = transport->detail, .write_batch_max = 64};
	*ret_transport = &transport->head;
	return 0;
}

void tandem_tcp_transport_explain(struct tandem_transport *head, const char *reason)
{
	struct tcp_transport *transport = (struct tcp_transport *)head;
	snprintf(transport->detail, sizeof(transport->detail), "TCP (no RDMA: %s)", reason);
}
