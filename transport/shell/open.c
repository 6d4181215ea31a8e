#include <string.h>

#include "provider.h"
#include "tcp/tcp_transport.h"

static int open_best(const char *address, struct tandem_transport **ret_transport,
                     struct tandem_error *reterr_error)
{
	struct tandem_error rdma_error;
	int status = tandem_rdma_open(address, ret_transport, &rdma_error);
	if (status == TANDEM_E_DEVICE) {
		status = tandem_tcp_open(address, ret_transport, reterr_error);
		if (status == 0)
			tandem_tcp_transport_explain(*ret_transport, rdma_error.detail);
		return status;
	}
	if (status != 0 && reterr_error)
		*reterr_error = rdma_error;
	return status;
}

int tandem_transport_open(const char *name, const char *address,
                          struct tandem_transport **ret_transport,
                          struct tandem_error *reterr_error)
{
	if (strcmp(name, "tcp") == 0)
		return tandem_tcp_open(address, ret_transport, reterr_error);
	if (strcmp(name, "rdma") == 0)
		return tandem_rdma_open(address, ret_transport, reterr_error);
	if (strcmp(name, "auto") == 0)
		return open_best(address, ret_transport, reterr_error);
	return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "open",
	                        "the transport is '%.32s'; it must be rdma, tcp or auto", name);
}
