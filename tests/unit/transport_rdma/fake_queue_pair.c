#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

#define LOCK()   pthread_mutex_lock(&fake_lock)
#define UNLOCK() pthread_mutex_unlock(&fake_lock)

struct fake_request {
	struct ibv_send_wr native;
	struct ibv_sge source;
};

struct fake_receive {
	uint64_t wr_id;
	struct ibv_sge target; /* length 0 where there is none */
};

#define LIST_MAX 64

struct fake_queue_pair {
	union {
		struct ibv_qp native;
		struct ibv_qp_ex extended; /* begins with the same */
	};
	bool is_extended;
	struct ibv_send_wr list[LIST_MAX]; /* between ibv_wr_start and ibv_wr_complete */
	struct ibv_sge list_sources[LIST_MAX];
	unsigned list_count;
	struct fake_queue_pair *next; /* in order of creation */
	struct fake_queue_pair *peer;
	struct ibv_qp_cap cap;
	bool is_writable;
	uint8_t receiver_timer;
	unsigned send_used;            /* entries that no polled completion stands for yet */
	unsigned unretired;            /* executed since the last completion */
	struct fake_request *requests; /* not executed */
	unsigned request_count;
	struct fake_receive *receives;
	unsigned receive_count;
};

static struct fake_queue_pair *queue_pairs;
static uint32_t next_number;
static bool is_held;
static enum ibv_wc_status next_status;
static struct fake_posts posts;
static bool has_no_extended_posts;

static bool is_destroying_held;
static pthread_cond_t destroying = PTHREAD_COND_INITIALIZER;

void fake_reset_queue_pairs(void)
{
	is_destroying_held = false;
	queue_pairs = NULL;
	next_number = 17;
	is_held = false;
	next_status = IBV_WC_SUCCESS;
	memset(&posts, 0, sizeof(posts));
	has_no_extended_posts = false;
}

struct fake_posts fake_posts(void)
{
	return posts;
}

void fake_fail_request(enum ibv_wc_status status)
{
	next_status = status;
}

static struct fake_queue_pair *queue_pair_of(struct ibv_qp *native)
{
	return (struct fake_queue_pair *)native;
}

struct ibv_qp *fake_queue_pair(unsigned number)
{
	struct fake_queue_pair *pair = queue_pairs;

	for (; pair != NULL && number > 0; number--)
		pair = pair->next;
	return pair != NULL ? &pair->native : NULL;
}

struct ibv_qp *fake_peer_of(struct ibv_qp *native)
{
	struct fake_queue_pair *peer = queue_pair_of(native)->peer;

	return peer != NULL ? &peer->native : NULL;
}

uint8_t fake_receiver_timer(struct ibv_qp *native)
{
	return queue_pair_of(native)->receiver_timer;
}

void fake_retire(struct fake_queue_pair *owner, unsigned count)
{
	owner->send_used -= count;
}

/* ---- completing ---- */

static void complete_request(struct fake_queue_pair *pair, const struct fake_request *request,
                             enum ibv_wc_status status)
{
	struct ibv_wc completion = {.wr_id = request->native.wr_id,
	                            .status = status,
	                            .opcode = IBV_WC_SEND,
	                            .qp_num = pair->native.qp_num};

	pair->unretired++;
	if (status == IBV_WC_SUCCESS && (request->native.send_flags & IBV_SEND_SIGNALED) == 0)
		return;
	/* Of a failed completion nothing else is defined: whoever reads on gets nonsense. */
	if (status != IBV_WC_SUCCESS) {
		completion.opcode = (enum ibv_wc_opcode)0x77;
		completion.byte_len = 0xeeeeeeee;
		completion.vendor_err = 0x81;
	}
	fake_complete(pair->native.send_cq, &completion, pair, pair->unretired);
	pair->unretired = 0;
}

static void remove_receive(struct fake_queue_pair *pair)
{
	memmove(pair->receives, pair->receives + 1,
	        --pair->receive_count * sizeof(*pair->receives));
}

static void remove_request(struct fake_queue_pair *pair)
{
	memmove(pair->requests, pair->requests + 1,
	        --pair->request_count * sizeof(*pair->requests));
}

static void flush(struct fake_queue_pair *pair)
{
	while (pair->request_count > 0) {
		complete_request(pair, &pair->requests[0], IBV_WC_WR_FLUSH_ERR);
		remove_request(pair);
	}
	while (pair->receive_count > 0) {
		const struct ibv_wc completion = {.wr_id = pair->receives[0].wr_id,
		                                  .status = IBV_WC_WR_FLUSH_ERR,
		                                  .opcode = (enum ibv_wc_opcode)0x77,
		                                  .byte_len = 0xeeeeeeee,
		                                  .qp_num = pair->native.qp_num};

		fake_complete(pair->native.recv_cq, &completion, pair, 0);
		remove_receive(pair);
	}
}

static void fail_queue_pair(struct fake_queue_pair *pair)
{
	pair->native.state = IBV_QPS_ERR;
	flush(pair);
}

/* ---- executing ---- */

static enum ibv_wc_status receive(struct fake_queue_pair *pair, const void *bytes, uint32_t length,
                                  struct ibv_wc *completion)
{
	const struct fake_receive receive = pair->receives[0];

	completion->wr_id = receive.wr_id;
	completion->qp_num = pair->native.qp_num;
	remove_receive(pair);
	if (bytes != NULL && length > receive.target.length) {
		completion->status = IBV_WC_LOC_LEN_ERR;
		fake_complete(pair->native.recv_cq, completion, pair, 0);
		fail_queue_pair(pair);
		return IBV_WC_REM_INV_REQ_ERR;
	}
	if (bytes != NULL && length > 0)
		memcpy((void *)(uintptr_t)receive.target.addr, bytes, length);
	completion->byte_len = length;
	fake_complete(pair->native.recv_cq, completion, pair, 0);
	return IBV_WC_SUCCESS;
}

static enum ibv_wc_status execute_write(struct fake_queue_pair *peer,
                                        const struct fake_request *request)
{
	const struct ibv_send_wr *native = &request->native;
	const bool has_immediate = native->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
	struct ibv_wc completion = {.opcode = IBV_WC_RECV_RDMA_WITH_IMM,
	                            .wc_flags = IBV_WC_WITH_IMM,
	                            .imm_data = native->imm_data};

	if (!peer->is_writable)
		return IBV_WC_REM_INV_REQ_ERR;
	if (!fake_is_allowed(peer->native.pd, IBV_ACCESS_REMOTE_WRITE, native,
	                     request->source.length))
		return IBV_WC_REM_ACCESS_ERR;
	if (has_immediate && peer->receive_count == 0)
		return IBV_WC_RNR_RETRY_EXC_ERR;
	memcpy((void *)(uintptr_t)native->wr.rdma.remote_addr,
	       (const void *)(uintptr_t)request->source.addr, request->source.length);
	return has_immediate ? receive(peer, NULL, request->source.length, &completion)
	                     : IBV_WC_SUCCESS;
}

static enum ibv_wc_status execute_read(struct fake_queue_pair *peer,
                                       const struct fake_request *request)
{
	const struct ibv_send_wr *native = &request->native;

	if (!fake_is_allowed(peer->native.pd, IBV_ACCESS_REMOTE_READ, native,
	                     request->source.length))
		return IBV_WC_REM_ACCESS_ERR;
	memcpy((void *)(uintptr_t)request->source.addr,
	       (const void *)(uintptr_t)native->wr.rdma.remote_addr, request->source.length);
	return IBV_WC_SUCCESS;
}

static enum ibv_wc_status execute(struct fake_queue_pair *pair, const struct fake_request *request)
{
	struct fake_queue_pair *peer = pair->peer;
	struct ibv_wc completion = {.opcode = IBV_WC_RECV};
	enum ibv_wc_status status = next_status;

	next_status = IBV_WC_SUCCESS;
	if (status != IBV_WC_SUCCESS)
		return status;
	if (request->native.opcode != IBV_WR_SEND) {
		status = request->native.opcode == IBV_WR_RDMA_READ ? execute_read(peer, request)
		                                                    : execute_write(peer, request);
		if (status == IBV_WC_REM_ACCESS_ERR || status == IBV_WC_REM_INV_REQ_ERR)
			fail_queue_pair(peer);
		return status;
	}
	if (peer->receive_count == 0)
		return IBV_WC_RNR_RETRY_EXC_ERR;
	return receive(peer, (const void *)(uintptr_t)request->source.addr, request->source.length,
	               &completion);
}

/* As far as the peer answers. */
static void run(struct fake_queue_pair *pair)
{
	while (!is_held && pair->native.state == IBV_QPS_RTS && pair->request_count > 0 &&
	       pair->peer != NULL && pair->peer->native.state == IBV_QPS_RTS) {
		const struct fake_request request = pair->requests[0];
		const enum ibv_wc_status status = execute(pair, &request);

		remove_request(pair);
		complete_request(pair, &request, status);
		if (status != IBV_WC_SUCCESS)
			fail_queue_pair(pair);
	}
}

void fake_hold(bool holds)
{
	LOCK();
	is_held = holds;
	for (struct fake_queue_pair *pair = queue_pairs; pair != NULL; pair = pair->next)
		run(pair);
	UNLOCK();
}

bool fake_deliver(struct ibv_qp *native, const void *bytes, uint32_t length)
{
	struct fake_queue_pair *pair = queue_pair_of(native);
	struct ibv_wc completion = {.opcode = IBV_WC_RECV};
	bool is_delivered = false;

	LOCK();
	if (pair->native.state == IBV_QPS_RTS && pair->receive_count > 0)
		is_delivered = receive(pair, bytes, length, &completion) == IBV_WC_SUCCESS;
	UNLOCK();
	return is_delivered;
}

/* ---- posting ---- */

static int post_one(struct fake_queue_pair *pair, const struct ibv_send_wr *request)
{
	if (pair->send_used >= pair->cap.max_send_wr) {
		fake_note("a send queue of %u overflowed", pair->cap.max_send_wr);
		return ENOMEM;
	}
	if (request->num_sge != 1)
		fake_note("a request without exactly one source");
	pair->send_used++;
	posts.request_count++;
	posts.signalled_count += (request->send_flags & IBV_SEND_SIGNALED) != 0;
	pair->requests[pair->request_count++] =
	        (struct fake_request){*request, request->sg_list[0]};
	return 0;
}

static int post_list(struct fake_queue_pair *pair, struct ibv_send_wr *request,
                     struct ibv_send_wr **bad, bool may_fail)
{
	int rc = 0;

	LOCK();
	posts.call_count++;
	for (; request != NULL && rc == 0; request = request->next) {
		*bad = request;
		rc = may_fail && fake_fails() ? errno : post_one(pair, request);
	}
	run(pair);
	if (pair->native.state == IBV_QPS_ERR)
		flush(pair);
	UNLOCK();
	return rc;
}

int fake_post_send(struct ibv_qp *native, struct ibv_send_wr *request, struct ibv_send_wr **bad)
{
	return post_list(queue_pair_of(native), request, bad, true);
}

int fake_post_recv(struct ibv_qp *native, struct ibv_recv_wr *request, struct ibv_recv_wr **bad)
{
	struct fake_queue_pair *pair = queue_pair_of(native);

	if (fake_fails()) {
		*bad = request;
		return errno;
	}
	LOCK();
	for (; request != NULL; request = request->next) {
		struct fake_receive receive = {.wr_id = request->wr_id};

		if (request->num_sge > 0)
			receive.target = request->sg_list[0];
		if (pair->receive_count == pair->cap.max_recv_wr)
			fake_note("a receive queue of %u overflowed", pair->cap.max_recv_wr);
		else
			pair->receives[pair->receive_count++] = receive;
	}
	if (pair->native.state == IBV_QPS_ERR)
		flush(pair);
	if (pair->peer != NULL)
		run(pair->peer);
	UNLOCK();
	return 0;
}

/* ---- ibv_wr_* ---- */

void fake_deny_extended_posts(void)
{
	has_no_extended_posts = true;
}

bool fake_has_extended_posts(void)
{
	return !has_no_extended_posts;
}

static void start_list(struct ibv_qp_ex *extended)
{
	queue_pair_of(&extended->qp_base)->list_count = 0;
}

static void add_write(struct ibv_qp_ex *extended, uint32_t key, uint64_t address)
{
	struct fake_queue_pair *pair = queue_pair_of(&extended->qp_base);
	struct ibv_send_wr request = {.wr_id = extended->wr_id,
	                              .sg_list = &pair->list_sources[pair->list_count],
	                              .opcode = IBV_WR_RDMA_WRITE,
	                              .send_flags = extended->wr_flags};

	request.wr.rdma.remote_addr = address;
	request.wr.rdma.rkey = key;
	if (pair->list_count == LIST_MAX)
		fake_note("more than %u requests in one list", LIST_MAX);
	else
		pair->list[pair->list_count++] = request;
}

static void add_write_with_immediate(struct ibv_qp_ex *extended, uint32_t key, uint64_t address,
                                     __be32 immediate)
{
	struct fake_queue_pair *pair = queue_pair_of(&extended->qp_base);

	add_write(extended, key, address);
	pair->list[pair->list_count - 1].opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	pair->list[pair->list_count - 1].imm_data = immediate;
}

static void set_source(struct ibv_qp_ex *extended, uint32_t key, uint64_t address, uint32_t length)
{
	struct fake_queue_pair *pair = queue_pair_of(&extended->qp_base);

	pair->list_sources[pair->list_count - 1] = (struct ibv_sge){address, length, key};
	pair->list[pair->list_count - 1].num_sge = 1;
}

/* All of it or nothing, as ibv_wr_post(3) says. */
static int complete_list(struct ibv_qp_ex *extended)
{
	struct fake_queue_pair *pair = queue_pair_of(&extended->qp_base);
	struct ibv_send_wr *bad;

	if (fake_fails())
		return errno;
	posts.extended_count += pair->list_count;
	for (unsigned i = 0; i + 1 < pair->list_count; i++)
		pair->list[i].next = &pair->list[i + 1];
	return post_list(pair, &pair->list[0], &bad, false);
}

void fake_extend_queue_pair(struct ibv_qp *native)
{
	struct fake_queue_pair *pair = queue_pair_of(native);

	pair->is_extended = true;
	pair->extended.wr_start = start_list;
	pair->extended.wr_rdma_write = add_write;
	pair->extended.wr_rdma_write_imm = add_write_with_immediate;
	pair->extended.wr_set_sge = set_source;
	pair->extended.wr_complete = complete_list;
}

struct ibv_qp_ex *ibv_qp_to_qp_ex(struct ibv_qp *native)
{
	struct fake_queue_pair *pair = queue_pair_of(native);

	return pair->is_extended ? &pair->extended : NULL;
}

/* ---- life ---- */

struct ibv_qp *fake_create_queue_pair(struct ibv_pd *pd, struct ibv_qp_init_attr *attributes)
{
	struct fake_queue_pair *pair = calloc(1, sizeof(*pair));
	struct fake_queue_pair **last = &queue_pairs;

	pair->native = (struct ibv_qp){.context = pd->context,
	                               .qp_context = attributes->qp_context,
	                               .pd = pd,
	                               .send_cq = attributes->send_cq,
	                               .recv_cq = attributes->recv_cq,
	                               .qp_num = next_number++,
	                               .state = IBV_QPS_INIT,
	                               .qp_type = attributes->qp_type};
	if (attributes->qp_type != IBV_QPT_RC || attributes->sq_sig_all != 0)
		fake_note("a queue pair that is not reliable or signals all");
	pair->cap = attributes->cap;
	pair->is_writable = true;
	pair->requests = calloc(attributes->cap.max_send_wr, sizeof(*pair->requests));
	pair->receives = calloc(attributes->cap.max_recv_wr, sizeof(*pair->receives));
	while (*last != NULL)
		last = &(*last)->next;
	*last = pair;
	fake_count(FAKE_QUEUE_PAIR, 1);
	return &pair->native;
}

void fake_destroy_queue_pair(struct ibv_qp *native)
{
	struct fake_queue_pair *pair = queue_pair_of(native);

	fake_forget(pair);
	if (pair->peer != NULL)
		pair->peer->peer = NULL;
	for (struct fake_queue_pair **place = &queue_pairs; *place != NULL;
	     place = &(*place)->next) {
		if (*place == pair) {
			*place = pair->next;
			break;
		}
	}
	fake_count(FAKE_QUEUE_PAIR, -1);
	free(pair->requests);
	free(pair->receives);
	free(pair);
}

void fake_hold_destroying(bool holds)
{
	LOCK();
	is_destroying_held = holds;
	pthread_cond_broadcast(&destroying);
	UNLOCK();
}

int ibv_destroy_qp(struct ibv_qp *native)
{
	LOCK();
	while (is_destroying_held)
		pthread_cond_wait(&destroying, &fake_lock);
	fake_destroy_queue_pair(native);
	UNLOCK();
	return 0;
}

void fake_join_queue_pairs(struct ibv_qp *one, struct ibv_qp *other)
{
	queue_pair_of(one)->peer = queue_pair_of(other);
	queue_pair_of(other)->peer = queue_pair_of(one);
	if (one->state == IBV_QPS_INIT)
		one->state = IBV_QPS_RTS;
	if (other->state == IBV_QPS_INIT)
		other->state = IBV_QPS_RTS;
}

int ibv_modify_qp(struct ibv_qp *native, struct ibv_qp_attr *attributes, int mask)
{
	struct fake_queue_pair *pair = queue_pair_of(native);

	/* A stop must not fail in a sweep: it has no answer to that but to go on. */
	if (mask == IBV_QP_MIN_RNR_TIMER && fake_fails())
		return errno;
	if (fake_is_gone())
		return EIO;
	LOCK();
	if (mask == IBV_QP_MIN_RNR_TIMER)
		pair->receiver_timer = attributes->min_rnr_timer;
	if (mask == IBV_QP_ACCESS_FLAGS)
		pair->is_writable = (attributes->qp_access_flags & IBV_ACCESS_REMOTE_WRITE) != 0;
	if (mask == IBV_QP_STATE && attributes->qp_state == IBV_QPS_ERR)
		fail_queue_pair(pair);
	UNLOCK();
	return 0;
}

int ibv_query_qp(struct ibv_qp *native, struct ibv_qp_attr *ret_attributes, int mask,
                 struct ibv_qp_init_attr *ret_init)
{
	(void)mask;
	(void)ret_init;
	ret_attributes->qp_state = native->state;
	return 0;
}
