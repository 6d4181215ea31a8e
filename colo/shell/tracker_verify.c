#include "tracker_internal.h"

#include <stdatomic.h>
#include <string.h>
#include <xxhash.h>

#include <tandem/memory.h>

#include "../core/bitmap.h"
#include "../core/layout.h"
#include "zero.h"

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

/* Whether the page is what the last scan said. One that was freed may be anything: when somebody
 * writes to it it is told. A hole that is none any more must still be zeros; one that is, is not
 * read, for that would fill it. */
static bool is_true(struct tandem_region_tracker *tracker, uint64_t page)
{
	const uint8_t *memory = tracker->base + page * TANDEM_PAGE_BYTES;
	XXH128_hash_t *seen = tracker->seen, hash;

	if (tandem_bitmap_get(tracker->free_pages, page))
		return !tandem_bitmap_get(tracker->holes, page) ||
		       tandem_bitmap_get(tracker->holes_now, page) ||
		       tandem_is_zero(memory, TANDEM_PAGE_BYTES);
	hash = XXH3_128bits(memory, TANDEM_PAGE_BYTES);
	if (!tandem_bitmap_get(tracker->told, page) && !XXH128_isEqual(hash, seen[page]))
		return false;
	seen[page] = hash;
	return true;
}

int tandem_tracker_verify(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	if (tracker->seen == NULL)
		return 0;
	uint64_t used_count = atomic_load(&tracker->used_count);

	tandem_tracker_look(tracker);
	for (uint64_t page = 0; page < used_count; page++) {
		if (!is_true(tracker, page))
			return tandem_error_set(
			        reterr_error, TANDEM_E_UNSUPPORTED, "verify_every",
			        "page %llu at %p was written and the %s tracker did not tell: "
			        "mark it (tandem_mark_dirty), or use the compare tracker",
			        (unsigned long long)page,
			        (const void *)(tracker->base + page * TANDEM_PAGE_BYTES),
			        tandem_tracker_name(tracker->kind));
	}
	/* What is free or not in use stays told: its hash is not known. */
	memcpy(tracker->told, tracker->free_pages,
	       TANDEM_BITMAP_WORDS(tracker->page_count) * sizeof *tracker->told);
	tandem_bitmap_set_range(tracker->told, used_count, tracker->page_count - used_count);
	return 0;
}
