#include "tracker_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tandem/memory.h>

#include "../core/bitmap.h"
#include "../core/layout.h"

static const char *const kind_names[] = {
        [TANDEM_TRACKER_AUTO] = "auto",
        [TANDEM_TRACKER_PAGEMAP] = "pagemap",
        [TANDEM_TRACKER_MARK] = "mark",
        [TANDEM_TRACKER_COMPARE] = "compare",
};

static const struct tandem_tracker_ops *const kind_ops[] = {
        [TANDEM_TRACKER_PAGEMAP] = &tandem_tracker_pagemap_ops,
        [TANDEM_TRACKER_MARK] = &tandem_tracker_mark_ops,
        [TANDEM_TRACKER_COMPARE] = &tandem_tracker_compare_ops,
};

const char *tandem_tracker_name(enum tandem_tracker kind)
{
	return kind_names[kind];
}

int tandem_tracker_parse(const char *name, enum tandem_tracker *ret_kind)
{
	for (unsigned kind = 0; kind < sizeof kind_names / sizeof *kind_names; kind++) {
		if (strcmp(name, kind_names[kind]) == 0) {
			*ret_kind = (enum tandem_tracker)kind;
			return 0;
		}
	}
	return TANDEM_E_CONFIG;
}

/* ---- opening ---- */

static int open_kind(struct tandem_region_tracker *tracker, enum tandem_tracker kind,
                     struct tandem_error *reterr_error)
{
	tracker->kind = kind;
	tracker->ops = kind_ops[kind];
	return tracker->ops->open(tracker, reterr_error);
}

static int open_any(struct tandem_region_tracker *tracker, enum tandem_tracker kind,
                    struct tandem_error *reterr_error)
{
	struct tandem_error error;

	if (kind != TANDEM_TRACKER_AUTO) {
		snprintf(tracker->text, sizeof tracker->text, "%s", kind_names[kind]);
		return open_kind(tracker, kind, reterr_error);
	}
	if (open_kind(tracker, TANDEM_TRACKER_PAGEMAP, &error) == 0) {
		snprintf(tracker->text, sizeof tracker->text, "pagemap");
		return 0;
	}
	tracker->ops->close(tracker);
	tandem_bitmap_zero(tracker->free_pages, tracker->page_count); /* what it took for zeros */
	snprintf(tracker->text, sizeof tracker->text, "compare, because %s failed: %.160s",
	         error.operation, error.detail);
	return open_kind(tracker, TANDEM_TRACKER_COMPARE, reterr_error);
}

/* After the first arming: what is a hole at a look and is written to later is found. */
static void open_holes(struct tandem_region_tracker *tracker)
{
	size_t used = strlen(tracker->text);

	if (tracker->backing.kind != TANDEM_BACKING_SHARED)
		return;
	tandem_holes_open(&tracker->holes_of_file, &tracker->backing, tracker->page_count);
	if (tracker->holes_of_file.fd < 0 && tracker->kind != TANDEM_TRACKER_COMPARE)
		snprintf(tracker->text + used, sizeof tracker->text - used,
		         "; holes of its file are not seen");
}

/* A chunk is 64 words of a map: 16 MiB. */
static uint64_t chunk_words(const struct tandem_region_tracker *tracker)
{
	return TANDEM_BITMAP_WORDS(TANDEM_BITMAP_WORDS(tracker->page_count));
}

static bool alloc_maps(struct tandem_region_tracker *tracker)
{
	size_t words = TANDEM_BITMAP_WORDS(tracker->page_count);

	tracker->marks = tandem_memory_alloc_array(words, sizeof *tracker->marks);
	tracker->free_marks = tandem_memory_alloc_array(words, sizeof *tracker->free_marks);
	tracker->touched =
	        tandem_memory_alloc_array(chunk_words(tracker), sizeof *tracker->touched);
	tracker->chunks = tandem_memory_alloc_array(chunk_words(tracker), sizeof *tracker->chunks);
	tracker->written = tandem_memory_alloc_array(words, sizeof *tracker->written);
	tracker->free_pages = tandem_memory_alloc_array(words, sizeof *tracker->free_pages);
	tracker->holes = tandem_memory_alloc_array(words, sizeof *tracker->holes);
	tracker->holes_now = tandem_memory_alloc_array(words, sizeof *tracker->holes_now);
	tracker->unmapped = tandem_memory_alloc_array(words, sizeof *tracker->unmapped);
	tracker->unmapped_now = tandem_memory_alloc_array(words, sizeof *tracker->unmapped_now);
	return tracker->touched != NULL && tracker->chunks != NULL && tracker->unmapped != NULL &&
	       tracker->unmapped_now != NULL && tracker->marks != NULL &&
	       tracker->free_marks != NULL && tracker->written != NULL &&
	       tracker->free_pages != NULL && tracker->holes != NULL && tracker->holes_now != NULL;
}

static struct tandem_region_tracker *alloc_tracker(void *base, size_t length,
                                                   struct tandem_error *reterr_error)
{
	struct tandem_region_tracker *tracker = tandem_memory_alloc(sizeof *tracker);

	if (tracker == NULL) {
		tandem_error_set(reterr_error, TANDEM_E_MEMORY, "tracker",
		                 "no memory for a tracker");
		return NULL;
	}
	tracker->base = base;
	tracker->length = length;
	tracker->watched = (uintptr_t)base;
	tracker->page_count = length / TANDEM_PAGE_BYTES;
	atomic_init(&tracker->used_count, tracker->page_count);
	tracker->userfault_fd = -1;
	tracker->pagemap_fd = -1;
	tracker->holes_of_file = TANDEM_HOLES_NONE;
	return tracker;
}

/* Frees it where it fails. */
static int open_tracker(struct tandem_region_tracker *tracker, enum tandem_tracker kind,
                        struct tandem_error *reterr_error)
{
	void *base = tracker->base;
	size_t length = tracker->length;
	int code = TANDEM_E_MEMORY;

	if (!alloc_maps(tracker))
		tandem_error_set(reterr_error, TANDEM_E_MEMORY, "tracker",
		                 "no memory for the maps of %llu pages",
		                 (unsigned long long)tracker->page_count);
	else
		code = tandem_backing_read(base, length, &tracker->backing, reterr_error);
	if (code == 0 && tracker->backing.kind == TANDEM_BACKING_GONE)
		code = tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "tracker",
		                        "%zu bytes at %p are not mapped, or not all of them; map "
		                        "the region before it is added",
		                        length, base);
	if (code == 0)
		code = open_any(tracker, kind, reterr_error);
	if (code < 0) {
		tandem_tracker_free(tracker);
		return code;
	}
	open_holes(tracker);
	return 0;
}

int tandem_tracker_new(enum tandem_tracker kind, void *base, size_t length,
                       struct tandem_region_tracker **ret_tracker,
                       struct tandem_error *reterr_error)
{
	struct tandem_region_tracker *tracker = alloc_tracker(base, length, reterr_error);
	int code = tracker == NULL ? TANDEM_E_MEMORY : open_tracker(tracker, kind, reterr_error);

	if (code == 0)
		*ret_tracker = tracker;
	return code;
}

int tandem_tracker_new_foreign(void *base, size_t length, const struct tandem_foreign *writer,
                               struct tandem_region_tracker **ret_tracker,
                               struct tandem_error *reterr_error)
{
	struct tandem_region_tracker *tracker = alloc_tracker(base, length, reterr_error);
	int code;

	if (tracker == NULL) {
		close(writer->userfault_fd);
		close(writer->pagemap_fd);
		return TANDEM_E_MEMORY;
	}
	tracker->userfault_fd = writer->userfault_fd;
	tracker->pagemap_fd = writer->pagemap_fd;
	tracker->watched = writer->address;
	tracker->is_foreign = true;
	tracker->is_exact_at_rest_only = writer->is_exact_at_rest_only;
	tracker->ops = &tandem_tracker_pagemap_ops;
	code = open_tracker(tracker, TANDEM_TRACKER_PAGEMAP, reterr_error);
	if (code == 0)
		*ret_tracker = tracker;
	return code;
}

struct tandem_region_tracker *tandem_tracker_free(struct tandem_region_tracker *tracker)
{
	if (tracker == NULL)
		return NULL;
	if (tracker->ops != NULL)
		tracker->ops->close(tracker);
	tandem_holes_close(&tracker->holes_of_file);
	tandem_memory_free((void *)tracker->marks);
	tandem_memory_free((void *)tracker->free_marks);
	tandem_memory_free((void *)tracker->touched);
	tandem_memory_free(tracker->chunks);
	tandem_memory_free(tracker->written);
	tandem_memory_free(tracker->free_pages);
	tandem_memory_free(tracker->holes);
	tandem_memory_free(tracker->holes_now);
	tandem_memory_free(tracker->unmapped);
	tandem_memory_free(tracker->unmapped_now);
	tandem_memory_free(tracker->told);
	tandem_memory_free(tracker->seen);
	tandem_memory_free(tracker);
	return NULL;
}

const char *tandem_tracker_text(const struct tandem_region_tracker *tracker)
{
	return tracker->text;
}

enum tandem_tracker tandem_tracker_kind(const struct tandem_region_tracker *tracker)
{
	return tracker->kind;
}

bool tandem_tracker_needs_quiescence(const struct tandem_region_tracker *tracker)
{
	return tracker->ops->needs_quiescence || tracker->is_exact_at_rest_only;
}

const uint64_t *tandem_tracker_free_pages(const struct tandem_region_tracker *tracker)
{
	return tracker->free_pages;
}

bool tandem_tracker_take_moved(struct tandem_region_tracker *tracker)
{
	bool has_moved = tracker->has_moved;

	tracker->has_moved = false;
	return has_moved;
}

/* ---- scanning ---- */

/* Words of a map. */
struct chunk {
	uint64_t first;
	uint64_t end;
};

/* The next chunk of the scan behind this one; false: there is none. */
static bool next_chunk(const struct tandem_region_tracker *tracker, struct chunk *chunk)
{
	uint64_t words = TANDEM_BITMAP_WORDS(tracker->page_count);
	uint64_t count = TANDEM_BITMAP_WORDS(words);
	uint64_t index = tandem_bitmap_next(tracker->chunks, count, (chunk->end + 63) / 64);

	chunk->first = index * 64;
	chunk->end = chunk->first + 64 < words ? chunk->first + 64 : words;
	return index < count;
}

#define FOR_EACH_CHUNK(tracker, chunk) for (struct chunk chunk = {0}; next_chunk(tracker, &chunk);)

static void take_chunks(struct tandem_region_tracker *tracker)
{
	for (uint64_t word = 0; word < chunk_words(tracker); word++)
		tracker->chunks[word] = atomic_exchange(&tracker->touched[word], 0);
}

/* A mark is cleared before the page is read (4.2): a store that is marked later is pushed again. */
static void take_marks(struct tandem_region_tracker *tracker)
{
	FOR_EACH_CHUNK(tracker, chunk)
	{
		for (uint64_t word = chunk.first; word < chunk.end; word++) {
			if (atomic_load(&tracker->marks[word]) != 0)
				tracker->written[word] |= atomic_exchange(&tracker->marks[word], 0);
		}
	}
}

void tandem_tracker_look(struct tandem_region_tracker *tracker)
{
	if (tracker->holes_of_file.fd < 0)
		return;
	tandem_bitmap_zero(tracker->holes_now, tracker->page_count);
	tandem_holes_walk(&tracker->holes_of_file, 0, tracker->page_count, tracker->holes_now);
	tracker->has_looked = true;
}

/* What became free and was not written after that. Taken when what was written has been taken: a
 * free mark is older than a store that was found (mark_free makes it first, the program stores
 * last), so none can be taken without it and hide it. */
static uint64_t take_free_marks(struct tandem_region_tracker *tracker, uint64_t word)
{
	uint64_t marks = atomic_load_explicit(&tracker->free_marks[word], memory_order_relaxed);

	if (marks == 0)
		return 0;
	marks = atomic_exchange_explicit(&tracker->free_marks[word], 0, memory_order_acq_rel);
	return marks & ~tracker->written[word];
}

/* A hole is zeros, whatever was written there before. One that was filled without a store that is
 * seen, by a read or past the mapping, is dirty. */
static uint64_t take_holes(struct tandem_region_tracker *tracker, uint64_t word)
{
	uint64_t before = tracker->holes[word], now = tracker->holes_now[word];
	uint64_t news = (now & ~before & ~tracker->free_pages[word]) | (before & ~now);

	tracker->has_moved |= (now & ~before) != 0;
	tracker->holes[word] = now;
	tracker->free_pages[word] = (tracker->free_pages[word] | now) & ~(before & ~now);
	return news;
}

/* What is rare alone is asked about: half of the words of a region that is written to here and
 * there have a page, and a processor cannot guess which. */
static void conclude_word(struct tandem_region_tracker *tracker, uint64_t word)
{
	uint64_t freed = take_free_marks(tracker, word);

	tracker->free_pages[word] &= ~tracker->written[word];
	tracker->holes[word] &= ~tracker->written[word];
	if (freed != 0 || tracker->has_looked) {
		uint64_t news = freed & ~tracker->free_pages[word];

		tracker->free_pages[word] |= freed;
		if (tracker->has_looked)
			news |= take_holes(tracker, word);
		tracker->written[word] |= news;
	}
	if (tracker->told != NULL)
		tracker->told[word] |= tracker->written[word];
}

static void conclude(struct tandem_region_tracker *tracker, struct tandem_page_set *dirty,
                     uint64_t first_page)
{
	FOR_EACH_CHUNK(tracker, chunk)
	{
		for (uint64_t word = chunk.first; word < chunk.end; word++)
			conclude_word(tracker, word);
		tandem_page_set_add_words(dirty, first_page + chunk.first * 64,
		                          tracker->written + chunk.first,
		                          (chunk.end - chunk.first) * 64);
	}
}

/* What only marks tell, and no look at the backing, is where something was marked. */
static void widen(struct tandem_region_tracker *tracker)
{
	if (tracker->kind != TANDEM_TRACKER_MARK || tracker->has_looked)
		tandem_bitmap_fill(tracker->chunks, TANDEM_BITMAP_WORDS(tracker->page_count));
}

int tandem_tracker_scan(struct tandem_region_tracker *tracker, struct tandem_page_set *dirty,
                        uint64_t first_page, struct tandem_error *reterr_error)
{
	int code;

	FOR_EACH_CHUNK(tracker, chunk)
	memset(tracker->written + chunk.first, 0,
	       (chunk.end - chunk.first) * sizeof *tracker->written);
	tracker->has_looked = false;
	take_chunks(tracker);
	take_marks(tracker);
	code = tracker->ops->scan(tracker, reterr_error);
	widen(tracker);
	if (code == 0)
		conclude(tracker, dirty, first_page);
	return code;
}

/* ---- the program's words ---- */

/* The bits of `word` that lie between two pages. */
static uint64_t bits_between(uint64_t word, uint64_t first, uint64_t end)
{
	uint64_t low = first > word * 64 ? first - word * 64 : 0;
	uint64_t high = end < word * 64 + 64 ? end - word * 64 : 64;

	return (high == 64 ? UINT64_MAX : (UINT64_C(1) << high) - 1) & ~((UINT64_C(1) << low) - 1);
}

/* After the marks: a scan that has taken the chunk without them leaves them to the next one. */
static void touch(struct tandem_region_tracker *tracker, uint64_t first, uint64_t end)
{
	for (uint64_t chunk = first / 64 / 64; chunk <= (end - 1) / 64 / 64; chunk++) {
		uint64_t bit = UINT64_C(1) << chunk % 64;

		if ((atomic_load(&tracker->touched[chunk / 64]) & bit) == 0)
			atomic_fetch_or(&tracker->touched[chunk / 64], bit);
	}
}

/* A batch for each thread was measured to be no cheaper than the atomic operation: 3 to 4 ns. */
void tandem_tracker_mark(struct tandem_region_tracker *tracker, size_t offset, size_t length)
{
	uint64_t first = offset / TANDEM_PAGE_BYTES;
	uint64_t end = (offset + length + TANDEM_PAGE_BYTES - 1) / TANDEM_PAGE_BYTES;

	if (length == 0)
		return;
	for (uint64_t word = first / 64; word <= (end - 1) / 64; word++)
		atomic_fetch_or(&tracker->marks[word], bits_between(word, first, end));
	touch(tracker, first, end);
}

/* A scan takes the marks before it looks at the length. */
void tandem_tracker_use(struct tandem_region_tracker *tracker, uint64_t page_count)
{
	atomic_store(&tracker->used_count, page_count);
}

/* The free mark first, then what was written before is forgotten: whoever finds the mark with
 * nothing written finds a page that nobody has written to since. */
void tandem_tracker_mark_free(struct tandem_region_tracker *tracker, size_t offset, size_t length)
{
	uint64_t first = (offset + TANDEM_PAGE_BYTES - 1) / TANDEM_PAGE_BYTES;
	uint64_t end = (offset + length) / TANDEM_PAGE_BYTES;

	if (first >= end)
		return;
	if (tracker->kind == TANDEM_TRACKER_COMPARE) {
		/* A store that brings back what was there would not be seen. */
		memset(tracker->base + first * TANDEM_PAGE_BYTES, 0,
		       (end - first) * TANDEM_PAGE_BYTES);
		return;
	}
	for (uint64_t word = first / 64; word <= (end - 1) / 64; word++)
		atomic_fetch_or(&tracker->free_marks[word], bits_between(word, first, end));
	for (uint64_t word = first / 64; word <= (end - 1) / 64; word++)
		atomic_fetch_and(&tracker->marks[word], ~bits_between(word, first, end));
	touch(tracker, first, end);
	tracker->ops->forget(tracker, first, end - first);
}

/* ---- mark: only what the program says ---- */

static int open_marks(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	(void)tracker;
	(void)reterr_error;
	return 0;
}

static int scan_marks(struct tandem_region_tracker *tracker, struct tandem_error *reterr_error)
{
	(void)reterr_error;
	if (tandem_holes_may_be_new(&tracker->holes_of_file, true))
		tandem_tracker_look(tracker);
	return 0;
}

static void forget_marks(struct tandem_region_tracker *tracker, uint64_t page, uint64_t count)
{
	(void)tracker;
	(void)page;
	(void)count;
}

static void close_marks(struct tandem_region_tracker *tracker)
{
	(void)tracker;
}

const struct tandem_tracker_ops tandem_tracker_mark_ops = {
        .open = open_marks,
        .scan = scan_marks,
        .forget = forget_marks,
        .close = close_marks,
};
