#include "rdma.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#define ACK_TIMEOUT       18 /* 4.096 us * 2^18: about a second a try */
#define RETRIES           6
#define STEP_MS           5000
#define WAIT_MS           30000
#define BACKLOG           32
#define WC_BATCH          32
#define ACKNOWLEDGE_BATCH 64

static void check(int result, const char *what)
{
	if (result != 0)
		yardstick_fail(what, result < 0 ? errno : result);
}

static void *check_object(void *object, const char *what)
{
	if (object == NULL)
		yardstick_fail(what, errno);
	return object;
}

/* What needs a device: when the first id has one. */
static void open_device(struct yardstick_side *side, struct rdma_cm_id *id)
{
	const struct yardstick_options *options = side->options;
	const unsigned capacity =
	        options->channel_count * (options->depth + 1 + YARDSTICK_RECEIVES);

	if (side->pd != NULL)
		return;
	side->pd = check_object(ibv_alloc_pd(id->verbs), "ibv_alloc_pd");
	side->events = check_object(ibv_create_comp_channel(id->verbs), "ibv_create_comp_channel");
	side->cq = check_object(ibv_create_cq(id->verbs, (int)capacity, NULL, side->events, 0),
	                        "ibv_create_cq");
	side->mr = check_object(ibv_reg_mr(side->pd, side->region,
	                                   options->region_bytes + YARDSTICK_PAGE_BYTES,
	                                   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE),
	                        "ibv_reg_mr");
}

void yardstick_post_receive(struct yardstick_channel *channel)
{
	struct ibv_recv_wr request = {.wr_id = UINT64_MAX};
	struct ibv_recv_wr *bad;

	check(ibv_post_recv(channel->id->qp, &request, &bad), "ibv_post_recv");
}

static void create_queue_pair(struct yardstick_side *side, struct yardstick_channel *channel)
{
	struct ibv_qp_init_attr_ex attributes = {
	        .send_cq = side->cq,
	        .recv_cq = side->cq,
	        .cap = {.max_send_wr = side->options->depth,
	                .max_recv_wr = YARDSTICK_RECEIVES,
	                .max_send_sge = 1,
	                .max_recv_sge = 1},
	        .qp_type = IBV_QPT_RC,
	        .comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
	        .pd = side->pd,
	        .send_ops_flags = IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM,
	};
	uint8_t ack_timeout = ACK_TIMEOUT;

	check(rdma_set_option(channel->id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &ack_timeout,
	                      sizeof ack_timeout),
	      "rdma_set_option");
	if (side->options->has_lists)
		attributes.comp_mask = IBV_QP_INIT_ATTR_PD;
	check(rdma_create_qp_ex(channel->id, &attributes), "rdma_create_qp_ex");
	channel->extended = side->options->has_lists ? NULL : ibv_qp_to_qp_ex(channel->id->qp);
	for (unsigned i = 0; i < YARDSTICK_RECEIVES; i++)
		yardstick_post_receive(channel);
}

static struct yardstick_target own_memory(const struct yardstick_side *side)
{
	return (struct yardstick_target){(uintptr_t)side->region, side->mr->rkey};
}

static struct rdma_conn_param parameters(const struct yardstick_target *memory)
{
	return (struct rdma_conn_param){.private_data = memory,
	                                .private_data_len = sizeof *memory,
	                                .retry_count = RETRIES,
	                                .rnr_retry_count = RETRIES};
}

static void learn_target(struct yardstick_channel *channel)
{
	const struct rdma_conn_param *seen = &channel->id->event->param.conn;

	if (seen->private_data == NULL || seen->private_data_len < sizeof channel->target)
		yardstick_fail("private data", EPROTO);
	memcpy(&channel->target, seen->private_data, sizeof channel->target);
}

static struct sockaddr_in address_of(const struct yardstick_options *options, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, options->address, &address.sin_addr) != 1)
		yardstick_fail(options->address, EINVAL);
	return address;
}

uint16_t yardstick_listen(struct yardstick_side *side)
{
	struct sockaddr_in address = address_of(side->options, 0);

	check(rdma_create_id(NULL, &side->listener, NULL, RDMA_PS_TCP), "rdma_create_id");
	check(rdma_bind_addr(side->listener, (struct sockaddr *)&address), "rdma_bind_addr");
	check(rdma_listen(side->listener, BACKLOG), "rdma_listen");
	return ntohs(rdma_get_src_port(side->listener));
}

void yardstick_accept(struct yardstick_side *side)
{
	for (unsigned i = 0; i < side->options->channel_count; i++) {
		struct yardstick_channel *channel = &side->channels[i];
		struct yardstick_target memory;
		struct rdma_conn_param own;

		check(rdma_get_request(side->listener, &channel->id), "rdma_get_request");
		learn_target(channel);
		open_device(side, channel->id);
		create_queue_pair(side, channel);
		memory = own_memory(side);
		own = parameters(&memory);
		check(rdma_accept(channel->id, &own), "rdma_accept");
	}
}

void yardstick_connect(struct yardstick_side *side, uint16_t port)
{
	struct sockaddr_in address = address_of(side->options, port);

	for (unsigned i = 0; i < side->options->channel_count; i++) {
		struct yardstick_channel *channel = &side->channels[i];
		struct yardstick_target memory;
		struct rdma_conn_param own;

		check(rdma_create_id(NULL, &channel->id, NULL, RDMA_PS_TCP), "rdma_create_id");
		check(rdma_resolve_addr(channel->id, NULL, (struct sockaddr *)&address, STEP_MS),
		      "rdma_resolve_addr");
		check(rdma_resolve_route(channel->id, STEP_MS), "rdma_resolve_route");
		open_device(side, channel->id);
		create_queue_pair(side, channel);
		memory = own_memory(side);
		own = parameters(&memory);
		check(rdma_connect(channel->id, &own), "rdma_connect");
		learn_target(channel);
	}
}

void yardstick_disconnect(struct yardstick_side *side)
{
	struct ibv_wc left[WC_BATCH];

	for (unsigned i = 0; i < side->options->channel_count; i++) {
		rdma_destroy_qp(side->channels[i].id);
		check(rdma_destroy_id(side->channels[i].id), "rdma_destroy_id");
		side->channels[i] = (struct yardstick_channel){.id = NULL};
	}
	while (ibv_poll_cq(side->cq, WC_BATCH, left) > 0)
		;
}

void yardstick_await_disconnect(struct yardstick_channel *channel)
{
	struct rdma_cm_event *event;
	enum rdma_cm_event_type type;

	do {
		check(rdma_get_cm_event(channel->id->channel, &event), "rdma_get_cm_event");
		type = event->event;
		check(rdma_ack_cm_event(event), "rdma_ack_cm_event");
	} while (type != RDMA_CM_EVENT_DISCONNECTED);
}

static void completed(struct yardstick_side *side, const struct ibv_wc *wc)
{
	if (wc->status != IBV_WC_SUCCESS) {
		yardstick_fail(ibv_wc_status_str(wc->status), EIO);
	} else if (wc->wr_id != UINT64_MAX) {
		side->channels[wc->wr_id >> 48].inflight_count -= (uint16_t)wc->wr_id;
		return;
	}
	for (unsigned i = 0; i < side->options->channel_count; i++) {
		if (side->channels[i].id->qp->qp_num == wc->qp_num)
			yardstick_post_receive(&side->channels[i]);
	}
	side->seal_count++;
}

static unsigned poll_queue(struct yardstick_side *side)
{
	struct ibv_wc completions[WC_BATCH];
	const int count = ibv_poll_cq(side->cq, WC_BATCH, completions);

	if (count < 0)
		yardstick_fail("ibv_poll_cq", EIO);
	for (int i = 0; i < count; i++)
		completed(side, &completions[i]);
	return (unsigned)count;
}

static void sleep_for_event(struct yardstick_side *side)
{
	struct pollfd descriptor = {.fd = side->events->fd, .events = POLLIN};
	struct ibv_cq *cq;
	void *context;

	if (poll(&descriptor, 1, WAIT_MS) != 1)
		yardstick_fail("nothing moves", ETIMEDOUT);
	check(ibv_get_cq_event(side->events, &cq, &context), "ibv_get_cq_event");
	side->is_armed = false;
	side->unacknowledged_count++;
	if (side->unacknowledged_count < ACKNOWLEDGE_BATCH)
		return;
	ibv_ack_cq_events(side->cq, side->unacknowledged_count);
	side->unacknowledged_count = 0;
}

unsigned yardstick_reap(struct yardstick_side *side, bool waits)
{
	unsigned count = poll_queue(side);
	uint64_t begin_ns;

	if (count > 0 || !waits)
		return count;
	begin_ns = yardstick_now_ns();
	do
		count = poll_queue(side);
	while (count == 0 && yardstick_now_ns() - begin_ns < side->options->poll_ns);
	while (count == 0) {
		if (!side->is_armed) {
			check(ibv_req_notify_cq(side->cq, 0), "ibv_req_notify_cq");
			side->is_armed = true;
			count = poll_queue(side);
			if (count > 0)
				break;
		}
		sleep_for_event(side);
		count = poll_queue(side);
	}
	return count;
}
