#include "rdma/rdma_transport.h"

#include <tandem/memory.h>

#include "rdma/session.h"

#define WRITE_BATCH 32

static const struct tandem_rdma_transport *transport_of(const struct tandem_transport *head)
{
	return (const struct tandem_rdma_transport *)head;
}

static int listen_on(struct tandem_transport *head, const struct tandem_transport_options *options,
                     struct tandem_listener **ret_listener, struct tandem_error *reterr_error)
{
	return tandem_rdma_listen(options, transport_of(head)->piece_bytes, ret_listener,
	                          reterr_error);
}

static int connect_to(struct tandem_transport *head, const struct tandem_transport_options *options,
                      struct tandem_session **ret_session, struct tandem_error *reterr_error)
{
	return tandem_rdma_connect_start(options, transport_of(head)->piece_bytes, ret_session,
	                                 reterr_error);
}

static void free_transport(struct tandem_transport *head)
{
	tandem_memory_free(head);
}

static const struct tandem_transport_ops transport_ops = {
        .listen = listen_on,
        .connect = connect_to,
        .free = free_transport,
};

int tandem_rdma_open(const char *address, struct tandem_transport **ret_transport,
                     struct tandem_error *reterr_error)
{
	struct tandem_rdma_transport *transport;
	struct tandem_rdma_device device;
	union ibv_gid gid;
	int rc;

	rc = tandem_rdma_device_find(address, &device, &gid, reterr_error);
	if (rc != 0)
		return rc;
	transport = tandem_memory_alloc(sizeof(*transport));
	if (transport == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "open",
		                        "no memory for the rdma provider");
	tandem_rdma_device_describe(&device, &gid, transport->detail, sizeof(transport->detail));
	transport->piece_bytes = TANDEM_REGISTRATION_BYTES_MAX;
	transport->head.ops = &transport_ops;
	transport->head.capabilities = (struct tandem_transport_capabilities){
	        .name = "rdma",
	        .detail = transport->detail,
	        .has_one_sided_writes = true,
	        .has_one_sided_reads = true,
	        .needs_registration = true,
	        .write_batch_max = WRITE_BATCH,
	};
	*ret_transport = &transport->head;
	return 0;
}
