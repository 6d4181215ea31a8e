#include "memory.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PLACE_BITS    ((UINT64_C(1) << 55) - 1)
#define PLACE_PRESENT (UINT64_C(1) << 63)

/* Pages that stay where they are: in small pages, locked, written once. */
static void *map_pages(uint64_t count)
{
	const size_t length = (size_t)count * WORKLOAD_PAGE_BYTES;
	uint8_t *pages =
	        mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return NULL;
	madvise(pages, length, MADV_NOHUGEPAGE);
	if (mlock(pages, length) != 0)
		return NULL;
	for (uint64_t i = 0; i < count; i++)
		((volatile uint8_t *)pages)[i * WORKLOAD_PAGE_BYTES] = 0;
	return pages;
}

static bool find_place(int pagemap, const void *page, uint64_t *ret_address)
{
	uint64_t entry;
	const off_t offset = (off_t)((uintptr_t)page / WORKLOAD_PAGE_BYTES * sizeof(entry));

	if (pread(pagemap, &entry, sizeof(entry), offset) != sizeof(entry))
		return false;
	*ret_address = (entry & PLACE_BITS) * WORKLOAD_PAGE_BYTES;
	return (entry & PLACE_PRESENT) != 0 && *ret_address != 0;
}

static bool write_places(const struct memory *memory, struct workload_places *places)
{
	const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const struct workload_header *header = memory->header;
	bool is_good = pagemap >= 0;

	for (uint64_t page = 0; is_good && page < header->workload.page_count; page++) {
		struct workload_places *own = &places[page / WORKLOAD_PLACES];
		own->life_and_first = header->life ^ (page - page % WORKLOAD_PLACES);
		own->magic = WORKLOAD_PLACES_MAGIC;
		is_good = find_place(pagemap, memory->pages[page],
		                     &own->addresses[page % WORKLOAD_PLACES]);
	}
	if (pagemap >= 0)
		close(pagemap);
	return is_good;
}

bool memory_make(struct memory *memory, const struct workload *workload, uint64_t life)
{
	const uint64_t page_count = workload->page_count;
	struct workload_places *places = map_pages(page_count / WORKLOAD_PLACES + 1);

	memory->header = map_pages(1);
	memory->pages = map_pages(page_count);
	if (!places || !memory->header || !memory->pages)
		return false;
	for (uint64_t page = 0; page < page_count; page++)
		workload_fill(workload, page, 0, memory->pages[page]);
	memory->header->life = life;
	memory->header->workload = *workload;
	if (!write_places(memory, places))
		return false;
	atomic_signal_fence(memory_order_seq_cst);
	memory->header->magic = WORKLOAD_HEADER_MAGIC;
	return true;
}

static void check_page(struct memory *memory, uint64_t page)
{
	const struct workload_header *header = memory->header;
	const volatile uint64_t *words = memory->pages[page];
	struct memory_fault fault = {
	        .page = page,
	        .version = workload_version(&header->workload, page, header->done_count),
	};

	memory->checked_count++;
	fault.word =
	        workload_differs(&header->workload, page, fault.version, words, &fault.expected);
	if (fault.word == WORKLOAD_WORDS)
		return;
	fault.found = words[fault.word];
	memory->wrong_count++;
	memory->on_wrong(memory->argument, &fault);
}

void memory_write(struct memory *memory, uint64_t count)
{
	struct workload_header *header = memory->header;
	volatile uint64_t *begun = &header->begun_count, *done = &header->done_count;

	for (uint64_t i = 0; i < count; i++) {
		const uint64_t page = workload_next(&header->workload, *done);
		const uint64_t version =
		        workload_version(&header->workload, page, header->done_count) + 1;

		check_page(memory, page);
		*begun += 1;
		workload_fill(&header->workload, page, version, memory->pages[page]);
		*done += 1;
	}
}

void memory_check(struct memory *memory, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		check_page(memory, memory->cursor);
		memory->cursor = (memory->cursor + 1) % memory->header->workload.page_count;
	}
}
