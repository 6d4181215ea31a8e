#ifndef TANDEM_TESTS_FAKE_RDMA_H
#define TANDEM_TESTS_FAKE_RDMA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/rdma_cma.h>

/* A device and its connection management in this process: the functions of librdmacm and libibverbs
 * that the provider calls, defined by the test program. It places writes by key, flushes, counts
 * queue entries as a device does and notes every misuse. One lock; usable by several threads. */

#define FAKE_DEVICES         2  /* 127.1.0.0/16 is served by the second, all else by the first */
#define FAKE_PRIVATE_REQUEST 56 /* what a receiver sees, padded with zeros */
#define FAKE_PRIVATE_REJECT  148
#define FAKE_PRIVATE_ACCEPT  196

/* A fresh device; what is left of the one before is forgotten. */
void fake_reset(void);

/* The call number `number` from now on (1 is the next) fails with `os_errno`; 0 ends it. */
void fake_fail_call(uint64_t number, int os_errno);
/* Calls that may fail, since the reset. */
uint64_t fake_call_count(void);
/* Objects that exist. */
unsigned fake_live_count(void);
/* The same when none is expected: a session that was freed may have left its end to a thread. */
unsigned fake_left_count(void);
/* Those that are registrations. */
unsigned fake_registration_count(void);
/* What was done wrongly so far, "" for nothing. */
const char *fake_misuse(void);

/* ---- the device's behaviour ---- */

/* ibv_wr_* is not known: requests are posted as lists. */
void fake_deny_extended_posts(void);
/* No request is executed, as if the peer were frozen; ending it executes them. */
void fake_hold(bool is_held);
/* The next arming of a completion queue ends the hold, just before it arms. */
void fake_release_when_armed(void);
/* The next request that is executed completes with this status and its queue pair goes to ERR. */
void fake_fail_request(enum ibv_wc_status status);
/* ibv_dereg_mr fails while it is so. */
void fake_keep_registrations(bool keeps);
/* Registering memory that a peer may write waits until it is false again. */
void fake_hold_registering(bool is_held);
/* How many wait so. */
unsigned fake_held_registering_count(void);
/* Registering fails with ENOMEM above so many bytes in all. */
void fake_limit_registered(uint64_t bytes);
/* A queue pair is not given up until it is false again. */
void fake_hold_destroying(bool is_held);
/* An asynchronous event of the device, on `queue_pair` where the type names one. */
void fake_raise(enum ibv_event_type type, struct ibv_qp *queue_pair);
/* One without a queue pair, of that device. */
void fake_raise_on(unsigned device, enum ibv_event_type type);
/* The devices are pulled out: every id and every watcher is told, nothing that was posted comes
 * back, and all that can fail does, with EIO; what exists can still be destroyed. */
void fake_remove_device(void);
void fake_remove_gid(bool is_removed);
void fake_set_port_state(enum ibv_port_state state);
void fake_set_mtu(enum ibv_mtu mtu);
/* What the device allows; changed before a session opens it. */
struct ibv_device_attr *fake_limits(void);
/* Posts made with ibv_post_send, requests in them, and how many of those were signalled. */
struct fake_posts {
	unsigned call_count;
	unsigned request_count;
	unsigned signalled_count;
	unsigned extended_count; /* requests that came by ibv_wr_* */
};
struct fake_posts fake_posts(void);
/* Every rdma_connect so far and the last one's parameters; the last ACK timeout option. */
struct rdma_conn_param fake_last_connect(void);
uint8_t fake_last_ack_timeout(void);

/* The minimal RNR timer that was set on a queue pair. */
uint8_t fake_receiver_timer(struct ibv_qp *queue_pair);

/* The queue pair of the other side of `queue_pair`, NULL where none is connected. */
struct ibv_qp *fake_peer_of(struct ibv_qp *queue_pair);
/* The other side of an id without a queue pair of its own takes its place as ready. */
bool fake_connect_bare(struct rdma_cm_id *id);
/* Delivers `bytes` into the next receive of `queue_pair` as if its peer had sent them. */
bool fake_deliver(struct ibv_qp *queue_pair, const void *bytes, uint32_t length);
/* A live queue pair by order of creation since the reset, NULL where there is none. */
struct ibv_qp *fake_queue_pair(unsigned number);

/* ---- between the files of the fake ---- */

struct fake_channel;
struct fake_queue_pair;

struct fake_id {
	struct rdma_cm_id native;
	struct fake_id *next;
	struct fake_channel *channel;
	struct fake_id *peer;
	bool is_listening;
	bool is_connected;
	unsigned reported_count; /* events that were read and not acknowledged */
};

enum fake_object {
	FAKE_CHANNEL,
	FAKE_ID,
	FAKE_PD,
	FAKE_COMPLETION_CHANNEL,
	FAKE_QUEUE,
	FAKE_REGISTRATION,
	FAKE_QUEUE_PAIR,
	FAKE_OBJECTS,
};

extern pthread_mutex_t fake_lock; /* recursive */
extern struct ibv_context fake_contexts[FAKE_DEVICES];
void fake_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fake_count(enum fake_object object, int change);
unsigned fake_count_of(enum fake_object object);
/* True, and errno set, when this call is to fail. */
bool fake_fails(void);
bool fake_is_gone(void); /* after fake_remove_device() */
/* Tells every id that its device is gone. */
void fake_remove_ids(void);
void fake_reset_cm(void);
void fake_reset_verbs(void);
void fake_reset_queue_pairs(void);
/* Ties the queue pairs of two ids, once both are connected. */
void fake_join_queue_pairs(struct ibv_qp *one, struct ibv_qp *other);
/* With a key of the protection domain, for a peer's access of that kind. */
bool fake_is_allowed(const struct ibv_pd *pd, int access, const struct ibv_send_wr *request,
                     uint32_t length);
/* Appends to a completion queue; `retired_count` entries of the send queue are free when it is
 * polled. */
void fake_complete(struct ibv_cq *queue, const struct ibv_wc *completion,
                   struct fake_queue_pair *owner, unsigned retired_count);
void fake_retire(struct fake_queue_pair *owner, unsigned count);
/* Forgets completions of a queue pair that is destroyed. */
void fake_forget(struct fake_queue_pair *owner);
int fake_post_send(struct ibv_qp *native, struct ibv_send_wr *request, struct ibv_send_wr **bad);
int fake_post_recv(struct ibv_qp *native, struct ibv_recv_wr *request, struct ibv_recv_wr **bad);
struct ibv_qp *fake_create_queue_pair(struct ibv_pd *pd, struct ibv_qp_init_attr *attributes);
void fake_destroy_queue_pair(struct ibv_qp *native);
bool fake_has_extended_posts(void);
/* It takes ibv_wr_* from now on. */
void fake_extend_queue_pair(struct ibv_qp *native);

#endif
