#ifndef TANDEM_BENCH_BARE_H
#define TANDEM_BENCH_BARE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <tandem/error.h>

/* What a pause is measured by, in the same run and on the same pages: the kernel's calls and the
 * processor's stores, without anything of the library's. One thread. */

#define TANDEM_BENCH_BARE_SOCKETS_MAX 16

struct tandem_bench_bare_range {
	const uint8_t *start;
	size_t length;
};

/* The sockets of a plain send, to a process that stores what arrives. */
struct tandem_bench_bare_link {
	unsigned count;
	int fds[TANDEM_BENCH_BARE_SOCKETS_MAX];
	pid_t receiver;
	struct iovec *parts;
	size_t part_capacity;
};

struct tandem_bench_bare {
	struct tandem_bench_bare_range *ranges; /* that the last scan found */
	size_t range_count;
	/* private */
	void *found; /* the kernel's list */
	size_t found_capacity;
	int pagemap_fd;
	uint8_t *copy;
	size_t bytes_max;
	struct tandem_bench_bare_link link;
};

/* For at most `bytes_max` dirty bytes and `socket_count` sockets. Before this process has threads.
 * Errors: TANDEM_E_SYSTEM, TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_bench_bare_open(size_t bytes_max, unsigned socket_count,
                                             struct tandem_bench_bare *ret_bare,
                                             struct tandem_error *reterr_error);
/* Allowed after a failed open. */
void tandem_bench_bare_close(struct tandem_bench_bare *bare);

/* Finds what was written, protects it again, and keeps the list: one PAGEMAP_SCAN. What it takes
 * the tracker does not see any more. Errors: TANDEM_E_UNSUPPORTED (the region is not protected by
 * userfaultfd). */
TANDEM_MUST_CHECK int tandem_bench_bare_scan(struct tandem_bench_bare *bare, uint8_t *region,
                                             size_t region_bytes, uint64_t *ret_ns,
                                             struct tandem_error *reterr_error);
/* One copy of the ranges with stores that pass the caches by; the time. */
uint64_t tandem_bench_bare_copy(struct tandem_bench_bare *bare);
/* Sends the ranges; ends when the receiver has stored the last byte and its answer is here. */
TANDEM_MUST_CHECK int tandem_bench_bare_send(struct tandem_bench_bare *bare, uint64_t *ret_ns,
                                             struct tandem_error *reterr_error);

/* The link alone. */
TANDEM_MUST_CHECK int tandem_bench_bare_link_open(size_t bytes_max, unsigned count,
                                                  struct tandem_bench_bare_link *ret_link,
                                                  struct tandem_error *reterr_error);
void tandem_bench_bare_link_close(struct tandem_bench_bare_link *link);
TANDEM_MUST_CHECK int tandem_bench_bare_link_send(struct tandem_bench_bare_link *link,
                                                  const struct tandem_bench_bare_range *ranges,
                                                  size_t range_count, uint64_t *ret_ns,
                                                  struct tandem_error *reterr_error);

#endif
