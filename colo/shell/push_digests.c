#include "push_internal.h"

#include <string.h>
#include <sys/mman.h>

#include "../core/bitmap.h"
#include "digest.h"

void tandem_push_take_digests(struct tandem_push *push, uint64_t seed, uint64_t first_page,
                              uint32_t page_count, const uint8_t *digests)
{
	memcpy(push->digests + first_page * TANDEM_DIGEST_BYTES, digests,
	       (size_t)page_count * TANDEM_DIGEST_BYTES);
	push->digest_seed = seed;
	push->digest_count = first_page + page_count;
}

/* Their memory goes back: they are 1/256 of the regions, and needed for one copy. */
void tandem_push_forget_digests(struct tandem_push *push)
{
	if (push->digest_count > 0)
		(void)madvise(push->digests, push->digests_bytes, MADV_DONTNEED);
	push->digest_count = 0;
}

/* [C29]. Of a page that was written before in this copy the image is not what will be applied. */
bool tandem_push_is_in_image(struct tandem_push *push, uint64_t page, const uint8_t *memory)
{
	static const uint8_t zeros[TANDEM_PAGE_BYTES];
	uint8_t digest[TANDEM_DIGEST_BYTES];

	if (tandem_bitmap_get(push->open.recorded, page))
		return false;
	if (push->skips_zeros && memory == NULL)
		return true;
	if (page >= push->digest_count)
		return false;
	tandem_digest_page(memory != NULL ? memory : zeros, push->digest_seed, digest);
	if (memcmp(digest, push->digests + page * TANDEM_DIGEST_BYTES, sizeof digest) != 0)
		return false;
	push->equal_pages++;
	return true;
}
