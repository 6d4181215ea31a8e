#include "rdma/cm_event.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "rdma/verbs.h"

#define CM_REJECT_NO_SERVICE 8 /* IB specification, table 108: invalid service ID */

static int no_rdma_error(struct tandem_error *reterr_error, int os_errno)
{
	return tandem_error_set_errno(
	        reterr_error, TANDEM_E_DEVICE, os_errno, "rdma_create_event_channel",
	        "no RDMA on this machine; for soft-RoCE: modprobe rdma_ucm && modprobe rdma_rxe && "
	        "rdma link add rxe0 type rxe netdev DEV");
}

int tandem_rdma_cm_channel_new(struct rdma_event_channel **ret_channel,
                               struct tandem_error *reterr_error)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	int flags;

	if (channel == NULL)
		return no_rdma_error(reterr_error, tandem_rdma_errno_of_object(channel));
	flags = fcntl(channel->fd, F_GETFL);
	if (flags < 0 || fcntl(channel->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		const int os_errno = errno;

		rdma_destroy_event_channel(channel);
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, os_errno, "fcntl",
		                              "event channel to non-blocking");
	}
	*ret_channel = channel;
	return 0;
}

static bool has_connection_parameters(enum rdma_cm_event_type type)
{
	return type == RDMA_CM_EVENT_CONNECT_REQUEST || type == RDMA_CM_EVENT_CONNECT_RESPONSE ||
	       type == RDMA_CM_EVENT_ESTABLISHED || type == RDMA_CM_EVENT_REJECTED;
}

static void copy_event(const struct rdma_cm_event *native, struct tandem_rdma_cm_event *ret_event)
{
	ret_event->type = native->event;
	ret_event->status = native->status;
	ret_event->id = native->id;
	ret_event->listen_id = native->listen_id;
	ret_event->private_bytes = 0;
	if (!has_connection_parameters(native->event) || native->param.conn.private_data == NULL)
		return;
	ret_event->private_bytes = native->param.conn.private_data_len;
	memcpy(ret_event->private_data, native->param.conn.private_data, ret_event->private_bytes);
}

int tandem_rdma_cm_event_next(struct rdma_event_channel *channel,
                              struct tandem_rdma_cm_event *ret_event,
                              struct tandem_error *reterr_error)
{
	struct rdma_cm_event *native;
	const int os_errno = tandem_rdma_errno_of(rdma_get_cm_event(channel, &native));

	if (os_errno == EAGAIN || os_errno == EINTR)
		return TANDEM_E_AGAIN;
	if (os_errno != 0)
		return tandem_rdma_error(reterr_error, os_errno, 0, "rdma_get_cm_event",
		                         "no event could be read");
	copy_event(native, ret_event);
	rdma_ack_cm_event(native);
	return 0;
}

enum tandem_rdma_cm_meaning tandem_rdma_cm_meaning_of(enum rdma_cm_event_type type)
{
	switch (type) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		return TANDEM_RDMA_CM_ADDRESS_RESOLVED;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		return TANDEM_RDMA_CM_ROUTE_RESOLVED;
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		return TANDEM_RDMA_CM_REQUESTED;
	case RDMA_CM_EVENT_ESTABLISHED:
		return TANDEM_RDMA_CM_ESTABLISHED;
	case RDMA_CM_EVENT_REJECTED:
		return TANDEM_RDMA_CM_REFUSED;
	case RDMA_CM_EVENT_ADDR_ERROR:
	case RDMA_CM_EVENT_ROUTE_ERROR:
	case RDMA_CM_EVENT_CONNECT_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
		return TANDEM_RDMA_CM_UNREACHABLE;
	case RDMA_CM_EVENT_DISCONNECTED:
		return TANDEM_RDMA_CM_DISCONNECTED;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
	case RDMA_CM_EVENT_ADDR_CHANGE:
		return TANDEM_RDMA_CM_DEVICE_GONE;
	case RDMA_CM_EVENT_CONNECT_RESPONSE: /* only for ids without a queue pair */
	case RDMA_CM_EVENT_MULTICAST_JOIN:
	case RDMA_CM_EVENT_MULTICAST_ERROR:
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
		break;
	}
	return TANDEM_RDMA_CM_NOTED;
}

bool tandem_rdma_cm_is_nobody(const struct tandem_rdma_cm_event *event)
{
	return event->type == RDMA_CM_EVENT_REJECTED && event->status == CM_REJECT_NO_SERVICE;
}
