#include "tracker_internal.h"

#include <stdatomic.h>
#include <xxhash.h>

#include <tandem/memory.h>

#include "../core/bitmap.h"
#include "../core/layout.h"

/* A 128-bit hash of every page, every epoch. The hash and the push must see the same bytes, so
 * scans need a quiescent program: a page that changes between its hash and its push, and back
 * again, would be missed. */

static int open_compare(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	tracker->hashes = tandem_memory_alloc_array(tracker->page_count, sizeof(XXH128_hash_t));
	if (tracker->hashes == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "compare tracker",
		                        "no memory for the hashes of %llu pages",
		                        (unsigned long long)tracker->page_count);
	return 0;
}

/* A hole is zeros; reading it would fill it with memory. */
static int scan_compare(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	static const uint8_t zeros[TANDEM_PAGE_BYTES];
	const XXH128_hash_t of_zeros = XXH3_128bits(zeros, sizeof zeros);
	XXH128_hash_t *hashes = tracker->hashes;
	uint64_t used_count = atomic_load(&tracker->used_count);

	(void)reterr_error;
	tandem_tracker_look(tracker);
	for (uint64_t page = 0; page < used_count; page++) {
		XXH128_hash_t hash = of_zeros;

		if (!tracker->has_looked || !tandem_bitmap_get(tracker->holes_now, page))
			hash = XXH3_128bits(tracker->base + page * TANDEM_PAGE_BYTES,
			                    TANDEM_PAGE_BYTES);
		if (XXH128_isEqual(hash, hashes[page]))
			continue;
		hashes[page] = hash;
		tandem_bitmap_set(tracker->written, page);
	}
	return 0;
}

static void close_compare(struct tandem_region_tracker *tracker)
{
	tandem_memory_free(tracker->hashes);
	tracker->hashes = NULL;
}

const struct tandem_tracker_ops tandem_tracker_compare_ops = {
        .open = open_compare,
        .scan = scan_compare,
        .close = close_compare,
        .needs_quiescence = true,
};
