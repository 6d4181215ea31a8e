#include "provider.h"

int tandem_rdma_open(const char *address, struct tandem_transport **ret_transport,
                     struct tandem_error *reterr_error)
{
	(void)address;
	(void)ret_transport;
	return tandem_error_set(reterr_error, TANDEM_E_DEVICE, "open", "built without RDMA");
}
