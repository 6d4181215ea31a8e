#include "rdma/source.h"

#include <string.h>

#include <tandem/memory.h>

#define FIRST_CAPACITY 16

static int grow(struct tandem_rdma_sources *sources)
{
	const unsigned capacity = sources->capacity == 0 ? FIRST_CAPACITY : 2 * sources->capacity;
	struct tandem_rdma_source **entries;

	entries = tandem_memory_alloc_array(capacity, sizeof(struct tandem_rdma_source *));
	if (entries == NULL)
		return TANDEM_E_MEMORY;
	if (sources->count > 0)
		memcpy(entries, sources->entries, sources->count * sizeof(*entries));
	tandem_memory_free(sources->entries);
	sources->entries = entries;
	sources->capacity = capacity;
	return 0;
}

/* How many begin at or before `address`. */
static unsigned count_up_to(const struct tandem_rdma_sources *sources, uintptr_t address)
{
	unsigned low = 0;
	unsigned high = sources->count;

	while (low < high) {
		const unsigned middle = low + (high - low) / 2;

		if ((uintptr_t)sources->entries[middle]->extent.base <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int tandem_rdma_sources_add(struct tandem_rdma_sources *sources, struct tandem_rdma_source *source)
{
	unsigned place;

	if (sources->count == sources->capacity && grow(sources) != 0)
		return TANDEM_E_MEMORY;
	place = count_up_to(sources, (uintptr_t)source->extent.base);
	memmove(&sources->entries[place + 1], &sources->entries[place],
	        (sources->count - place) * sizeof(sources->entries[0]));
	sources->entries[place] = source;
	sources->count++;
	return 0;
}

static bool holds(const struct tandem_rdma_source *source, const void *bytes, uint64_t length)
{
	const uintptr_t base = (uintptr_t)source->extent.base;
	const uintptr_t start = (uintptr_t)bytes;

	return start >= base && start - base <= source->extent.length &&
	       length <= source->extent.length - (start - base);
}

struct tandem_rdma_source *tandem_rdma_sources_find(struct tandem_rdma_sources *sources,
                                                    const void *bytes, uint64_t length)
{
	unsigned place;

	if (sources->last_hit < sources->count &&
	    holds(sources->entries[sources->last_hit], bytes, length))
		return sources->entries[sources->last_hit];
	/* Registrations may overlap; the nearest that begins before is the usual answer. */
	for (place = count_up_to(sources, (uintptr_t)bytes); place > 0; place--) {
		if (!holds(sources->entries[place - 1], bytes, length))
			continue;
		sources->last_hit = place - 1;
		return sources->entries[place - 1];
	}
	return NULL;
}

struct tandem_rdma_source *tandem_rdma_source_free(struct tandem_rdma_source *source)
{
	if (source == NULL)
		return NULL;
	for (unsigned i = 0; i < TANDEM_RDMA_ATTACHMENTS_MAX; i++)
		tandem_rdma_registration_free(source->registrations[i]);
	tandem_memory_free(source);
	return NULL;
}

void tandem_rdma_sources_clear(struct tandem_rdma_sources *sources)
{
	for (unsigned i = 0; i < sources->count; i++)
		tandem_rdma_source_free(sources->entries[i]);
	tandem_memory_free(sources->entries);
	*sources = (struct tandem_rdma_sources){0};
}
