#include "rdma/core/send_ring.h"

struct tandem_rdma_send_ring tandem_rdma_send_ring_over(struct tandem_rdma_sent *entries,
                                                        unsigned capacity)
{
	return (struct tandem_rdma_send_ring){.entries = entries, .capacity = capacity};
}

unsigned tandem_rdma_send_ring_free_count(const struct tandem_rdma_send_ring *ring)
{
	return ring->capacity - (unsigned)(ring->taken_count - ring->completed_count);
}

bool tandem_rdma_send_ring_is_empty(const struct tandem_rdma_send_ring *ring)
{
	return ring->taken_count == ring->completed_count;
}

unsigned tandem_rdma_send_ring_unposted_count(const struct tandem_rdma_send_ring *ring)
{
	return (unsigned)(ring->taken_count - ring->posted_count);
}

unsigned tandem_rdma_send_ring_inflight_count(const struct tandem_rdma_send_ring *ring)
{
	return (unsigned)(ring->posted_count - ring->completed_count);
}

unsigned tandem_rdma_send_ring_next(const struct tandem_rdma_send_ring *ring)
{
	return (unsigned)(ring->taken_count % ring->capacity);
}

unsigned tandem_rdma_send_ring_take(struct tandem_rdma_send_ring *ring, uint64_t now_ns,
                                    bool ends_write)
{
	const unsigned index = tandem_rdma_send_ring_next(ring);

	if (tandem_rdma_send_ring_is_empty(ring))
		ring->progress_ns = now_ns;
	ring->entries[index] = (struct tandem_rdma_sent){now_ns, ends_write};
	ring->write_count += ends_write;
	ring->taken_count++;
	return index;
}

unsigned tandem_rdma_send_ring_unposted(const struct tandem_rdma_send_ring *ring, unsigned distance)
{
	return (unsigned)((ring->posted_count + distance) % ring->capacity);
}

void tandem_rdma_send_ring_post(struct tandem_rdma_send_ring *ring, unsigned count, uint64_t now_ns)
{
	if (count > 0 && tandem_rdma_send_ring_inflight_count(ring) == 0)
		ring->progress_ns = now_ns;
	ring->posted_count += count;
}

void tandem_rdma_send_ring_drop_unposted(struct tandem_rdma_send_ring *ring)
{
	while (ring->taken_count > ring->posted_count) {
		ring->taken_count--;
		ring->write_count -= ring->entries[ring->taken_count % ring->capacity].ends_write;
	}
}

bool tandem_rdma_send_ring_wants_signal(struct tandem_rdma_send_ring *ring, unsigned interval,
                                        bool is_last)
{
	ring->unsignalled_count++;
	if (!is_last && ring->unsignalled_count < interval)
		return false;
	ring->unsignalled_count = 0;
	return true;
}

bool tandem_rdma_send_ring_complete(struct tandem_rdma_send_ring *ring, unsigned index,
                                    uint64_t now_ns)
{
	unsigned first;
	unsigned distance;

	if (index >= ring->capacity)
		return false;
	first = (unsigned)(ring->completed_count % ring->capacity);
	distance = index >= first ? index - first : index + ring->capacity - first;
	if (distance >= tandem_rdma_send_ring_inflight_count(ring))
		return false;
	for (unsigned i = 0; i <= distance; i++) {
		const uint64_t place = (ring->completed_count + i) % ring->capacity;

		ring->write_count -= ring->entries[place].ends_write;
	}
	ring->completed_count += distance + 1;
	ring->progress_ns = now_ns;
	return true;
}

uint64_t tandem_rdma_send_ring_oldest_ns(const struct tandem_rdma_send_ring *ring)
{
	if (tandem_rdma_send_ring_is_empty(ring))
		return UINT64_MAX;
	return ring->entries[ring->completed_count % ring->capacity].taken_ns;
}
