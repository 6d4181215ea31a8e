#include "tracker_internal.h"

#include <xxhash.h>

#include <tandem/memory.h>

#include "../core/bitmap.h"
#include "../core/layout.h"

/* Does the tracker tell the truth? Of every page the hash that it had at the last look is kept, and
 * what was told since; a page that is another one now and was not told is a miss. */

int tandem_tracker_keep_account(struct tandem_region_tracker *tracker,
                                struct tandem_error *reterr_error)
{
	/* Itself the judge. */
	if (tracker->kind == TANDEM_TRACKER_COMPARE)
		return 0;
	tracker->told = tandem_memory_alloc_array(TANDEM_BITMAP_WORDS(tracker->page_count),
	                                          sizeof *tracker->told);
	tracker->seen = tandem_memory_alloc_array(tracker->page_count, sizeof(XXH128_hash_t));
	if (tracker->told == NULL || tracker->seen == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "verify_every",
		                        "no memory for the hashes of %llu pages",
		                        (unsigned long long)tracker->page_count);
	tandem_bitmap_fill(tracker->told, tracker->page_count);
	return 0;
}

/* A free page is not looked at: when it is none any more it was told. */
int tandem_tracker_verify(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	XXH128_hash_t *seen = tracker->seen;

	for (uint64_t page = 0; seen != NULL && page < tracker->page_count; page++) {
		const uint8_t *memory = tracker->base + page * TANDEM_PAGE_BYTES;
		XXH128_hash_t hash;

		if (tandem_bitmap_get(tracker->free_pages, page))
			continue;
		hash = XXH3_128bits(memory, TANDEM_PAGE_BYTES);
		if (!tandem_bitmap_get(tracker->told, page) && !XXH128_isEqual(hash, seen[page]))
			return tandem_error_set(
			        reterr_error, TANDEM_E_UNSUPPORTED, "verify_every",
			        "page %llu at %p was written and the %s tracker did not tell: "
			        "mark it (tandem_mark_dirty), or use the compare tracker",
			        (unsigned long long)page, (const void *)memory,
			        tandem_tracker_name(tracker->kind));
		seen[page] = hash;
	}
	/* What is free stays told: its hash is not known. */
	for (uint64_t word = 0; seen != NULL && word < TANDEM_BITMAP_WORDS(tracker->page_count);
	     word++)
		tracker->told[word] = tracker->free_pages[word];
	return 0;
}
