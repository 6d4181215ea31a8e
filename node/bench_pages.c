#include "bench_pages.h"

#include <tandem/memory.h>
#include <tandem/random.h>

#define SEED       1
#define HOT_TENTHS 9 /* of the writes, in one tenth of the pages */

static void shuffle(struct tandem_bench_pages *pages)
{
	for (uint64_t page = 0; page < pages->page_count; page++)
		pages->order[page] = page;
	for (uint64_t left = pages->page_count; left > 1; left--) {
		uint64_t other = tandem_random_next(&pages->random) % left;
		uint64_t page = pages->order[left - 1];

		pages->order[left - 1] = pages->order[other];
		pages->order[other] = page;
	}
}

int tandem_bench_pages_make(enum tandem_bench_writes writes, uint64_t page_count,
                            struct tandem_bench_pages *ret_pages, struct tandem_error *reterr_error)
{
	*ret_pages = (struct tandem_bench_pages){
	        .writes = writes, .page_count = page_count, .random = SEED};
	ret_pages->order = tandem_memory_alloc_array(page_count, sizeof *ret_pages->order);
	if (ret_pages->order == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "pages",
		                        "no memory for the order of %llu pages",
		                        (unsigned long long)page_count);
	shuffle(ret_pages);
	return 0;
}

void tandem_bench_pages_clear(struct tandem_bench_pages *pages)
{
	tandem_memory_free(pages->order);
	*pages = (struct tandem_bench_pages){.order = NULL};
}

static uint64_t next_hot(struct tandem_bench_pages *pages)
{
	const uint64_t hot_count = pages->page_count / 10;
	const uint64_t random = tandem_random_next(&pages->random);

	if (random % 10 < HOT_TENTHS)
		return pages->order[random / 10 % hot_count];
	return pages->order[hot_count + random / 10 % (pages->page_count - hot_count)];
}

uint64_t tandem_bench_pages_next(struct tandem_bench_pages *pages)
{
	const uint64_t index = pages->cursor;

	if (pages->writes == TANDEM_BENCH_WRITES_HOT)
		return next_hot(pages);
	pages->cursor = (pages->cursor + 1) % pages->page_count;
	return pages->writes == TANDEM_BENCH_WRITES_RANDOM ? pages->order[index] : index;
}
