#include "push_internal.h"

#include <string.h>
#include <sys/mman.h>

#include <tandem/memory.h>

#include "../core/bitmap.h"
#include "copy.h"

static uint64_t region_pages(const struct tandem_push *push)
{
	uint64_t page_count = 0;

	for (unsigned region = 0; region < push->layout.regions.count; region++)
		page_count += push->layout.regions.entries[region].page_count;
	return page_count;
}

/* Here and now, for a capture must not wait for the kernel to find it. */
static uint8_t *make_memory(size_t bytes)
{
	uint8_t *memory = tandem_memory_map(bytes);

	if (memory == NULL)
		return NULL;
	(void)madvise(memory, bytes, MADV_HUGEPAGE); /* a wish */
	memset(memory, 0, bytes);
	return memory;
}

int tandem_stage_init(struct tandem_push *push)
{
	struct tandem_stage *stage = &push->stage;
	uint64_t words = TANDEM_BITMAP_WORDS(push->layout.page_count) + 1;
	uint64_t pages = push->staging_bytes / TANDEM_PAGE_BYTES;

	if (pages > region_pages(push))
		pages = region_pages(push);
	if (pages == 0)
		return 0;
	stage->bytes = pages * TANDEM_PAGE_BYTES;
	stage->memory = make_memory(stage->bytes);
	stage->left.page_count = push->layout.page_count;
	stage->left.words = tandem_memory_alloc_array(words, sizeof *stage->left.words);
	stage->held = tandem_memory_alloc_array(words, sizeof *stage->held);
	stage->slots_before = tandem_memory_alloc_array(words, sizeof *stage->slots_before);
	return stage->memory == NULL || stage->left.words == NULL || stage->held == NULL ||
	                       stage->slots_before == NULL
	               ? TANDEM_E_MEMORY
	               : 0;
}

void tandem_stage_done(struct tandem_push *push)
{
	struct tandem_stage *stage = &push->stage;

	if (stage->memory != NULL)
		tandem_memory_unmap(stage->memory, stage->bytes);
	tandem_memory_free(stage->left.words);
	tandem_memory_free(stage->held);
	tandem_memory_free(stage->slots_before);
	memset(stage, 0, sizeof *stage);
}

const uint8_t *tandem_stage_page(const struct tandem_stage *stage, uint64_t page)
{
	uint64_t held = stage->held[page / 64];
	uint64_t bit = UINT64_C(1) << (page % 64);
	uint64_t slot =
	        stage->slots_before[page / 64] + (unsigned)__builtin_popcountll(held & (bit - 1));

	return (held & bit) != 0 ? stage->memory + slot * TANDEM_PAGE_BYTES : NULL;
}

/* Slots that are given away, and up to where: some are kept for pages that would make the pause
 * wait for APPLIED. */
struct filling {
	uint64_t used;
	uint64_t used_ready; /* of them, for pages that may be pushed now */
	uint64_t ready_max;
	uint64_t all_max;
};

static struct filling plan(const struct tandem_push *push)
{
	struct filling filling = {.all_max = push->stage.bytes / TANDEM_PAGE_BYTES};
	uint64_t waiting = 0;

	for (uint64_t word = 0;
	     push->is_last_kept && word < TANDEM_BITMAP_WORDS(push->layout.page_count); word++)
		waiting += (unsigned)__builtin_popcountll(push->to_push.words[word] &
		                                          push->last.recorded[word]);
	filling.ready_max = waiting < filling.all_max ? filling.all_max - waiting : 0;
	return filling;
}

/* False when there is no room. */
static bool stage_page(struct tandem_push *push, struct filling *filling, uint64_t page)
{
	struct tandem_stage *stage = &push->stage;
	bool is_ready = !tandem_push_must_wait(push, page);
	unsigned region = tandem_layout_region(&push->layout, page);

	if (!tandem_push_is_zero(push, region, page)) {
		if (filling->used == filling->all_max ||
		    (is_ready && filling->used_ready == filling->ready_max))
			return false;
		tandem_copy_around(stage->memory + filling->used * TANDEM_PAGE_BYTES,
		                   tandem_push_page(push, region, page), TANDEM_PAGE_BYTES);
		tandem_bitmap_set(stage->held, page);
		filling->used++;
		filling->used_ready += is_ready;
	}
	tandem_page_set_add(&stage->left, page);
	tandem_page_set_remove(&push->to_push, page);
	return true;
}

bool tandem_push_stage(struct tandem_push *push)
{
	struct tandem_stage *stage = &push->stage;
	struct filling filling = plan(push);
	bool is_all = true;

	tandem_page_set_empty(&stage->left);
	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(push->layout.page_count); word++) {
		uint64_t bits = push->to_push.words[word];

		stage->held[word] = 0;
		stage->slots_before[word] = (uint32_t)filling.used;
		for (; bits != 0; bits &= bits - 1)
			is_all &= stage_page(push, &filling,
			                     word * 64 + (unsigned)__builtin_ctzll(bits));
	}
	tandem_copy_publish();
	return is_all;
}

void tandem_push_unstage(struct tandem_push *push)
{
	if (push->stage.memory == NULL)
		return;
	tandem_page_set_add_words(&push->to_push, 0, push->stage.left.words,
	                          push->layout.page_count);
	tandem_page_set_empty(&push->stage.left);
}
