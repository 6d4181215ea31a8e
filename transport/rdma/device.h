#ifndef TANDEM_RDMA_DEVICE_H
#define TANDEM_RDMA_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#include <tandem/error.h>

/* What is asked of a device once. librdmacm owns the context, for the life of the process. */
struct tandem_rdma_device {
	struct ibv_context *context;
	unsigned port;
	struct ibv_device_attr limits;
	struct ibv_port_attr port_attributes;
};

/* Errors: TANDEM_E_DEVICE (it cannot be asked, or the port is not active). */
TANDEM_MUST_CHECK int tandem_rdma_device_query(struct ibv_context *context, unsigned port,
                                               struct tandem_rdma_device *ret_device,
                                               struct tandem_error *reterr_error);

/* Looks for a device with an active port that serves the local `address`, any for "". Errors:
 * TANDEM_E_DEVICE with the fix, TANDEM_E_CONFIG. */
TANDEM_MUST_CHECK int tandem_rdma_device_find(const char *address,
                                              struct tandem_rdma_device *ret_device,
                                              union ibv_gid *ret_gid,
                                              struct tandem_error *reterr_error);

/* One line: device, port, GID, path MTU (with a warning where it is small), kernel. */
void tandem_rdma_device_describe(const struct tandem_rdma_device *device, const union ibv_gid *gid,
                                 char *text, size_t text_bytes);

/* Soft-RoCE: the kernel's rxe driver. */
bool tandem_rdma_device_is_soft(const struct tandem_rdma_device *device);

/* True while the port still has `gid`. */
bool tandem_rdma_device_has_gid(const struct tandem_rdma_device *device, const union ibv_gid *gid);

#endif
