#ifndef TANDEM_RDMA_SEND_RING_H
#define TANDEM_RDMA_SEND_RING_H

#include <stdbool.h>
#include <stdint.h>

/* What was taken to be sent on one queue pair: first the posted, of which the device has not said
 * that they are complete, then those that wait for the peer's credit. A queue pair completes in
 * order, so that a completion of one request stands for all before it, signalled or not. Pure. */
struct tandem_rdma_sent {
	uint64_t taken_ns;
	bool ends_write; /* false: a part of a write whose last part comes later */
};

struct tandem_rdma_send_ring {
	struct tandem_rdma_sent *entries; /* borrowed, `capacity` of them */
	unsigned capacity;
	uint64_t taken_count; /* requests ever taken, posted and completed */
	uint64_t posted_count;
	uint64_t completed_count;
	unsigned write_count;       /* whole writes taken and not complete */
	unsigned unsignalled_count; /* requests since the last signalled one */
	uint64_t progress_ns;       /* when something last moved */
};

struct tandem_rdma_send_ring tandem_rdma_send_ring_over(struct tandem_rdma_sent *entries,
                                                        unsigned capacity);
unsigned tandem_rdma_send_ring_free_count(const struct tandem_rdma_send_ring *ring);
bool tandem_rdma_send_ring_is_empty(const struct tandem_rdma_send_ring *ring);
unsigned tandem_rdma_send_ring_unposted_count(const struct tandem_rdma_send_ring *ring);
unsigned tandem_rdma_send_ring_inflight_count(const struct tandem_rdma_send_ring *ring);

/* The index that the next take gives. */
unsigned tandem_rdma_send_ring_next(const struct tandem_rdma_send_ring *ring);
/* Takes one request; there is room. Gives its index. */
unsigned tandem_rdma_send_ring_take(struct tandem_rdma_send_ring *ring, uint64_t now_ns,
                                    bool ends_write);
/* The index of the request that is `distance` after the first unposted one. */
unsigned tandem_rdma_send_ring_unposted(const struct tandem_rdma_send_ring *ring,
                                        unsigned distance);
/* The device took the first `count` of the unposted. */
void tandem_rdma_send_ring_post(struct tandem_rdma_send_ring *ring, unsigned count,
                                uint64_t now_ns);
/* The unposted will never be posted. */
void tandem_rdma_send_ring_drop_unposted(struct tandem_rdma_send_ring *ring);

/* True for one request in `interval` and for the last of a call; counts this one. */
bool tandem_rdma_send_ring_wants_signal(struct tandem_rdma_send_ring *ring, unsigned interval,
                                        bool is_last);
/* The request at `index` and all before it are complete. False where none there is posted. */
bool tandem_rdma_send_ring_complete(struct tandem_rdma_send_ring *ring, unsigned index,
                                    uint64_t now_ns);
/* When the oldest was taken; UINT64_MAX when there is none. */
uint64_t tandem_rdma_send_ring_oldest_ns(const struct tandem_rdma_send_ring *ring);

#endif
