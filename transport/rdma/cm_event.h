#ifndef TANDEM_RDMA_CM_EVENT_H
#define TANDEM_RDMA_CM_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <rdma/rdma_cma.h>

#include <tandem/error.h>

/* An event of connection management, copied: the original was acknowledged at once, because
 * rdma_destroy_id waits for every acknowledgement. */
struct tandem_rdma_cm_event {
	enum rdma_cm_event_type type;
	int status;
	struct rdma_cm_id *id;        /* CONNECT_REQUEST: a new id, the receiver's to destroy */
	struct rdma_cm_id *listen_id; /* CONNECT_REQUEST: who was asked */
	unsigned private_bytes;
	uint8_t private_data[UINT8_MAX];
};

/* A channel whose descriptor does not block. Errors: TANDEM_E_DEVICE with the fix where this
 * kernel has no RDMA. */
TANDEM_MUST_CHECK int tandem_rdma_cm_channel_new(struct rdma_event_channel **ret_channel,
                                                 struct tandem_error *reterr_error);

/* 0, TANDEM_E_AGAIN where there is none, or TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_rdma_cm_event_next(struct rdma_event_channel *channel,
                                                struct tandem_rdma_cm_event *ret_event,
                                                struct tandem_error *reterr_error);

/* What an event says about a connection that had to go on. */
enum tandem_rdma_cm_meaning {
	TANDEM_RDMA_CM_NOTED, /* changes nothing */
	TANDEM_RDMA_CM_ADDRESS_RESOLVED,
	TANDEM_RDMA_CM_ROUTE_RESOLVED,
	TANDEM_RDMA_CM_REQUESTED,
	TANDEM_RDMA_CM_ESTABLISHED,
	TANDEM_RDMA_CM_REFUSED,      /* the peer answered no; its reason is in the private data */
	TANDEM_RDMA_CM_UNREACHABLE,  /* there is no way to the peer */
	TANDEM_RDMA_CM_DISCONNECTED, /* the peer closed, or its process died */
	TANDEM_RDMA_CM_DEVICE_GONE,
};
enum tandem_rdma_cm_meaning tandem_rdma_cm_meaning_of(enum rdma_cm_event_type type);

/* The CM's own "nobody listens" among the reasons of a REJECTED event. */
bool tandem_rdma_cm_is_nobody(const struct tandem_rdma_cm_event *event);

#endif
