#ifndef TANDEM_BENCH_UPLOAD_H
#define TANDEM_BENCH_UPLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <tandem/error.h>

/* A client in a process of its own that sends a file without end at a steady rate, over TCP on
 * loopback. What could not be sent while nobody took it follows as fast as it can. */
struct tandem_bench_upload {
	int fd; /* where it arrives, non-blocking */
	pid_t client;
};

/* Before this process has threads. Errors: TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_bench_upload_open(uint64_t rate_bytes_s,
                                               struct tandem_bench_upload *ret_upload,
                                               struct tandem_error *reterr_error);
void tandem_bench_upload_close(struct tandem_bench_upload *upload);

/* The server's side: a cache of buffers of 64 KiB behind a table with a line for each; the oldest
 * buffer is taken for the next 64 KiB. Pure. */
#define TANDEM_BENCH_BUFFER_BYTES ((size_t)64 << 10)

struct tandem_bench_cache {
	uint8_t *table; /* 64 bytes for each buffer */
	uint8_t *buffers;
	uint64_t buffer_count;
	uint64_t filled_count; /* buffers, ever */
	size_t filled_bytes;   /* of the one that is being filled */
};

/* `region` has at least 1 MiB. */
struct tandem_bench_cache tandem_bench_cache_in(uint8_t *region, uint64_t region_bytes);
/* Where the next bytes go, at most *ret_room. */
uint8_t *tandem_bench_cache_place(const struct tandem_bench_cache *cache, size_t *ret_room);
/* `length` bytes are there, at most that room. */
void tandem_bench_cache_fill(struct tandem_bench_cache *cache, size_t length);

#endif
