#include "bench_bare.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/pagemap_abi.h>

#define PAGE_BYTES 4096u

/* ---- scan ---- */

/* The bytes of all. */
static uint64_t keep(struct tandem_bench_bare *bare, const uint8_t *region, uint64_t start,
                     size_t count)
{
	const struct tandem_page_region *found = bare->found;
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++) {
		bare->ranges[i] = (struct tandem_bench_bare_range){
		        .start = region + (found[i].start - start),
		        .length = (size_t)(found[i].end - found[i].start)};
		bytes += bare->ranges[i].length;
	}
	bare->range_count = count;
	return bytes;
}

int tandem_bench_bare_scan(struct tandem_bench_bare *bare, uint8_t *region, size_t region_bytes,
                           uint64_t *ret_ns, struct tandem_error *reterr_error)
{
	const uint64_t start = (uintptr_t)region;
	struct tandem_pm_scan_arg scan = {.size = sizeof scan,
	                                  .flags = TANDEM_PM_SCAN_WP_MATCHING |
	                                           TANDEM_PM_SCAN_CHECK_WPASYNC,
	                                  .start = start,
	                                  .end = start + region_bytes,
	                                  .vec = (uintptr_t)bare->found,
	                                  .vec_len = bare->found_capacity,
	                                  .category_mask = TANDEM_PAGE_IS_WRITTEN,
	                                  .return_mask = TANDEM_PAGE_IS_WRITTEN};
	const uint64_t begin_ns = tandem_clock_now_ns();
	const int count = ioctl(bare->pagemap_fd, TANDEM_PAGEMAP_SCAN, &scan);

	*ret_ns = tandem_clock_now_ns() - begin_ns;
	if (count < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_UNSUPPORTED, errno,
		                              "PAGEMAP_SCAN",
		                              "--bare needs the tracker pagemap, Linux 6.7");
	/* walk_end stays where the kernel's own buffer was full; room in ours says that it went on.
	 */
	if ((size_t)count < bare->found_capacity &&
	    keep(bare, region, start, (size_t)count) <= bare->bytes_max)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "PAGEMAP_SCAN",
	                        "more than the %zu bytes of a row were written", bare->bytes_max);
}

/* ---- copy ---- */

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void stream_avx2(uint8_t *to, const uint8_t *from,
                                                        size_t length)
{
	for (size_t at = 0; at < length; at += 4 * sizeof(__m256i)) {
		const __m256i *source = (const __m256i *)(const void *)(from + at);
		__m256i *target = (__m256i *)(void *)(to + at);
		const __m256i first = _mm256_load_si256(source);
		const __m256i second = _mm256_load_si256(source + 1);
		const __m256i third = _mm256_load_si256(source + 2);
		const __m256i fourth = _mm256_load_si256(source + 3);

		_mm256_stream_si256(target, first);
		_mm256_stream_si256(target + 1, second);
		_mm256_stream_si256(target + 2, third);
		_mm256_stream_si256(target + 3, fourth);
	}
	_mm_sfence();
}

static void stream(uint8_t *to, const uint8_t *from, size_t length)
{
	if (__builtin_cpu_supports("avx2"))
		stream_avx2(to, from, length);
	else
		memcpy(to, from, length);
}
#else
static void stream(uint8_t *to, const uint8_t *from, size_t length)
{
	memcpy(to, from, length);
}
#endif

uint64_t tandem_bench_bare_copy(struct tandem_bench_bare *bare)
{
	const uint64_t begin_ns = tandem_clock_now_ns();
	size_t at = 0;

	for (size_t i = 0; i < bare->range_count; i++) {
		stream(bare->copy + at, bare->ranges[i].start, bare->ranges[i].length);
		at += bare->ranges[i].length;
	}
	return tandem_clock_now_ns() - begin_ns;
}

/* ---- send ---- */

int tandem_bench_bare_send(struct tandem_bench_bare *bare, uint64_t *ret_ns,
                           struct tandem_error *reterr_error)
{
	return tandem_bench_bare_link_send(&bare->link, bare->ranges, bare->range_count, ret_ns,
	                                   reterr_error);
}

/* ---- life ---- */

static int make_room(struct tandem_bench_bare *bare, struct tandem_error *reterr_error)
{
	bare->found_capacity = bare->bytes_max / PAGE_BYTES + 1;
	bare->found =
	        tandem_memory_alloc_array(bare->found_capacity, sizeof(struct tandem_page_region));
	bare->ranges = tandem_memory_alloc_array(bare->found_capacity, sizeof *bare->ranges);
	bare->copy = tandem_memory_map(bare->bytes_max);
	if (bare->found == NULL || bare->ranges == NULL || bare->copy == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "bare",
		                        "no memory for a copy of %zu MiB", bare->bytes_max >> 20);
	/* Every page is there before the first measurement. */
	memset(bare->found, 1, bare->found_capacity * sizeof(struct tandem_page_region));
	memset(bare->ranges, 1, bare->found_capacity * sizeof *bare->ranges);
	memset(bare->copy, 1, bare->bytes_max);
	return 0;
}

int tandem_bench_bare_open(size_t bytes_max, unsigned socket_count,
                           struct tandem_bench_bare *ret_bare, struct tandem_error *reterr_error)
{
	int code;

	*ret_bare = (struct tandem_bench_bare){.bytes_max = bytes_max, .pagemap_fd = -1};
	/* The receiver's process needs none of the room. */
	code = tandem_bench_bare_link_open(bytes_max, socket_count, &ret_bare->link, reterr_error);
	if (code == 0)
		code = make_room(ret_bare, reterr_error);
	if (code < 0)
		return code;
	ret_bare->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (ret_bare->pagemap_fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open",
		                              "/proc/self/pagemap");
	return 0;
}

void tandem_bench_bare_close(struct tandem_bench_bare *bare)
{
	tandem_bench_bare_link_close(&bare->link);
	tandem_memory_free(bare->found);
	tandem_memory_free(bare->ranges);
	if (bare->copy != NULL)
		tandem_memory_unmap(bare->copy, bare->bytes_max);
	if (bare->pagemap_fd >= 0)
		close(bare->pagemap_fd);
	*bare = (struct tandem_bench_bare){.pagemap_fd = -1};
}
