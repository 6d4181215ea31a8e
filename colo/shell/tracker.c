#include "tracker.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <tandem/memory.h>

#include "../core/bitmap.h"
#include "../core/layout.h"

static const char *const kind_names[] = {
        [TANDEM_TRACKER_AUTO] = "auto",
        [TANDEM_TRACKER_PAGEMAP] = "pagemap",
        [TANDEM_TRACKER_MARK] = "mark",
        [TANDEM_TRACKER_COMPARE] = "compare",
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

static int open_kind(struct tandem_region_tracker *tracker, enum tandem_tracker kind,
                     struct tandem_error *reterr_error)
{
	tracker->kind = kind;
	tracker->ops = NULL;
	if (kind == TANDEM_TRACKER_PAGEMAP)
		tracker->ops = &tandem_tracker_pagemap_ops;
	else if (kind == TANDEM_TRACKER_COMPARE)
		tracker->ops = &tandem_tracker_compare_ops;
	return tracker->ops == NULL ? 0 : tracker->ops->open(tracker, reterr_error);
}

static int open_any(struct tandem_region_tracker *tracker, enum tandem_tracker kind,
                    struct tandem_error *reterr_error)
{
	struct tandem_error error;
	int code;

	if (kind != TANDEM_TRACKER_AUTO) {
		code = open_kind(tracker, kind, reterr_error);
		snprintf(tracker->text, sizeof tracker->text, "%s", kind_names[kind]);
		return code;
	}
	if (open_kind(tracker, TANDEM_TRACKER_PAGEMAP, &error) == 0) {
		snprintf(tracker->text, sizeof tracker->text, "pagemap");
		return 0;
	}
	tracker->ops->close(tracker);
	snprintf(tracker->text, sizeof tracker->text, "compare, because %s failed: %s",
	         error.operation, error.detail);
	return open_kind(tracker, TANDEM_TRACKER_COMPARE, reterr_error);
}

int tandem_tracker_new(enum tandem_tracker kind, void *base, size_t length,
                       struct tandem_region_tracker **ret_tracker,
                       struct tandem_error *reterr_error)
{
	struct tandem_region_tracker *tracker = tandem_memory_alloc(sizeof *tracker);
	int code = TANDEM_E_MEMORY;

	if (tracker == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "tracker",
		                        "no memory for a tracker");
	tracker->base = base;
	tracker->length = length;
	tracker->page_count = length / TANDEM_PAGE_BYTES;
	tracker->userfault_fd = -1;
	tracker->pagemap_fd = -1;
	tracker->marks = tandem_memory_alloc_array(TANDEM_BITMAP_WORDS(tracker->page_count),
	                                           sizeof *tracker->marks);
	if (tracker->marks == NULL)
		tandem_error_set(reterr_error, TANDEM_E_MEMORY, "tracker",
		                 "no memory for %llu page marks",
		                 (unsigned long long)tracker->page_count);
	else
		code = open_any(tracker, kind, reterr_error);
	if (code < 0) {
		tandem_tracker_free(tracker);
		return code;
	}
	*ret_tracker = tracker;
	return 0;
}

struct tandem_region_tracker *tandem_tracker_free(struct tandem_region_tracker *tracker)
{
	if (tracker == NULL)
		return NULL;
	if (tracker->ops != NULL)
		tracker->ops->close(tracker);
	tandem_memory_free((void *)tracker->marks);
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
	return tracker->ops != NULL && tracker->ops->needs_quiescence;
}

/* A mark is cleared before the page is read (4.2): a store that is marked later is pushed again. */
static void take_marks(struct tandem_region_tracker *tracker, uint64_t *dirty, uint64_t first_page)
{
	for (uint64_t word = 0; word < TANDEM_BITMAP_WORDS(tracker->page_count); word++) {
		if (atomic_load_explicit(&tracker->marks[word], memory_order_relaxed) == 0)
			continue;
		uint64_t bits =
		        atomic_exchange_explicit(&tracker->marks[word], 0, memory_order_acq_rel);

		while (bits != 0) {
			unsigned bit = (unsigned)__builtin_ctzll(bits);

			tandem_bitmap_set(dirty, first_page + word * 64 + bit);
			bits &= bits - 1;
		}
	}
}

int tandem_tracker_scan(struct tandem_region_tracker *tracker, uint64_t *dirty, uint64_t first_page,
                        struct tandem_error *reterr_error)
{
	take_marks(tracker, dirty, first_page);
	return tracker->ops == NULL ? 0
	                            : tracker->ops->scan(tracker, dirty, first_page, reterr_error);
}

void tandem_tracker_mark(struct tandem_region_tracker *tracker, size_t offset, size_t length)
{
	uint64_t last = (offset + length - 1) / TANDEM_PAGE_BYTES;

	if (length == 0)
		return;
	for (uint64_t page = offset / TANDEM_PAGE_BYTES; page <= last; page++)
		atomic_fetch_or_explicit(&tracker->marks[page / 64], UINT64_C(1) << (page % 64),
		                         memory_order_release);
}
