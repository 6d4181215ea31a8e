#include "rdma/device.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <rdma/rdma_cma.h>

#include "rdma/address.h"
#include "rdma/cm_event.h"
#include "rdma/verbs.h"

#define PATH_MTU_WANTED   4096
#define NETDEV_MTU_NEEDED 4200 /* 4096 and 80 bytes of headers, rounded up */
#define SOFT_VENDOR_ID    0xffffff

int tandem_rdma_device_query(struct ibv_context *context, unsigned port,
                             struct tandem_rdma_device *ret_device,
                             struct tandem_error *reterr_error)
{
	struct tandem_rdma_device device = {.context = context, .port = port};
	const char *name = ibv_get_device_name(context->device);
	int rc;

	rc = tandem_rdma_errno_of(ibv_query_device(context, &device.limits));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "ibv_query_device", "%s", name);
	rc = tandem_rdma_errno_of(ibv_query_port(context, (uint8_t)port, &device.port_attributes));
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "ibv_query_port", "%s port %u", name,
		                         port);
	if (device.port_attributes.state != IBV_PORT_ACTIVE)
		return tandem_error_set(reterr_error, TANDEM_E_DEVICE, "ibv_query_port",
		                        "%s port %u is %s, not ACTIVE: set its network device up "
		                        "(ip link set DEV up) and check the cable",
		                        name, port,
		                        ibv_port_state_str(device.port_attributes.state));
	*ret_device = device;
	return 0;
}

/* The binding is what maps an address to a device; the id itself is of no further use. */
static int find_by_binding(struct rdma_cm_id *id, const char *address,
                           struct tandem_rdma_device *ret_device, union ibv_gid *ret_gid,
                           struct tandem_error *reterr_error)
{
	struct sockaddr_storage local;
	int rc;

	rc = tandem_rdma_address_parse(address, 0, &local, reterr_error);
	if (rc != 0)
		return rc;
	rc = tandem_rdma_errno_of(rdma_bind_addr(id, (struct sockaddr *)&local));
	if (rc != 0 || id->verbs == NULL)
		return tandem_error_set_errno(
		        reterr_error, TANDEM_E_DEVICE, rc, "rdma_bind_addr",
		        "no RDMA device serves %s; for soft-RoCE: modprobe rdma_rxe && rdma link "
		        "add rxe0 type rxe netdev DEV, DEV having that address",
		        address);
	*ret_gid = id->route.addr.addr.ibaddr.sgid;
	return tandem_rdma_device_query(id->verbs, id->port_num, ret_device, reterr_error);
}

static int find_by_address(const char *address, struct tandem_rdma_device *ret_device,
                           union ibv_gid *ret_gid, struct tandem_error *reterr_error)
{
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id;
	int rc;

	rc = tandem_rdma_cm_channel_new(&channel, reterr_error);
	if (rc != 0)
		return rc;
	rc = tandem_rdma_errno_of(rdma_create_id(channel, &id, NULL, RDMA_PS_TCP));
	if (rc == 0) {
		rc = find_by_binding(id, address, ret_device, ret_gid, reterr_error);
		rdma_destroy_id(id);
	} else {
		rc = tandem_rdma_error(reterr_error, rc, 0, "rdma_create_id", "probing %s",
		                       address);
	}
	rdma_destroy_event_channel(channel);
	return rc;
}

static int find_active_port(struct ibv_context *context, struct tandem_rdma_device *ret_device,
                            struct tandem_error *reterr_error)
{
	struct ibv_device_attr limits;
	int rc = tandem_rdma_errno_of(ibv_query_device(context, &limits));

	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "ibv_query_device", "%s",
		                         ibv_get_device_name(context->device));
	rc = TANDEM_E_DEVICE;
	for (unsigned port = 1; port <= limits.phys_port_cnt && rc != 0; port++)
		rc = tandem_rdma_device_query(context, port, ret_device, reterr_error);
	return rc;
}

static int find_any(struct tandem_rdma_device *ret_device, union ibv_gid *ret_gid,
                    struct tandem_error *reterr_error)
{
	struct rdma_event_channel *channel;
	struct ibv_context **contexts;
	int count = 0;
	int rc;

	/* Says clearly where the kernel has no RDMA at all. */
	rc = tandem_rdma_cm_channel_new(&channel, reterr_error);
	if (rc != 0)
		return rc;
	rdma_destroy_event_channel(channel);
	rc = tandem_error_set(reterr_error, TANDEM_E_DEVICE, "rdma_get_devices",
	                      "no RDMA device; for soft-RoCE: modprobe rdma_rxe && rdma link add "
	                      "rxe0 type rxe netdev DEV");
	contexts = rdma_get_devices(&count);
	if (contexts == NULL)
		return rc;
	for (int i = 0; i < count && rc != 0; i++)
		rc = find_active_port(contexts[i], ret_device, reterr_error);
	rdma_free_devices(contexts);
	memset(ret_gid, 0, sizeof(*ret_gid));
	return rc;
}

int tandem_rdma_device_find(const char *address, struct tandem_rdma_device *ret_device,
                            union ibv_gid *ret_gid, struct tandem_error *reterr_error)
{
	if (address == NULL || address[0] == '\0')
		return find_any(ret_device, ret_gid, reterr_error);
	return find_by_address(address, ret_device, ret_gid, reterr_error);
}

/* The index of `gid` among the port's, preferring RoCE v2; -1 where it is not there. */
static int gid_index(const struct tandem_rdma_device *device, const union ibv_gid *gid)
{
	int found = -1;

	for (int i = 0; i < device->port_attributes.gid_tbl_len; i++) {
		struct ibv_gid_entry entry;

		if (ibv_query_gid_ex(device->context, device->port, (uint32_t)i, &entry, 0) != 0 ||
		    memcmp(&entry.gid, gid, sizeof(*gid)) != 0)
			continue;
		if (entry.gid_type == IBV_GID_TYPE_ROCE_V2)
			return i;
		found = i;
	}
	return found;
}

bool tandem_rdma_device_is_soft(const struct tandem_rdma_device *device)
{
	return device->limits.vendor_id == SOFT_VENDOR_ID;
}

bool tandem_rdma_device_has_gid(const struct tandem_rdma_device *device, const union ibv_gid *gid)
{
	return gid_index(device, gid) >= 0;
}

static const char *gid_type_text(const struct tandem_rdma_device *device, int index)
{
	struct ibv_gid_entry entry;

	if (ibv_query_gid_ex(device->context, device->port, (uint32_t)index, &entry, 0) != 0)
		return "unknown type";
	switch (entry.gid_type) {
	case IBV_GID_TYPE_IB:
		return "InfiniBand";
	case IBV_GID_TYPE_ROCE_V1:
		return "RoCE v1";
	case IBV_GID_TYPE_ROCE_V2:
		return "RoCE v2";
	default:
		return "unknown type";
	}
}

void tandem_rdma_device_describe(const struct tandem_rdma_device *device, const union ibv_gid *gid,
                                 char *text, size_t text_bytes)
{
	const unsigned mtu = tandem_rdma_mtu_bytes(device->port_attributes.active_mtu);
	const int index = gid_index(device, gid);
	struct utsname kernel;
	char gid_text[48] = "GID by address";
	char warning[96] = "";

	if (uname(&kernel) != 0)
		snprintf(kernel.release, sizeof(kernel.release), "unknown");
	if (index >= 0)
		snprintf(gid_text, sizeof(gid_text), "GID %d (%s)", index,
		         gid_type_text(device, index));
	if (mtu < PATH_MTU_WANTED)
		snprintf(warning, sizeof(warning),
		         " (small: set the network device's MTU to %d or more)", NETDEV_MTU_NEEDED);
	snprintf(text, text_bytes, "%s port %u, %s, path MTU %u%s, kernel %s",
	         ibv_get_device_name(device->context->device), device->port, gid_text, mtu, warning,
	         kernel.release);
}
