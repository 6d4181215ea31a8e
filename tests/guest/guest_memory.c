/* Looks into a file of a guest's RAM (tests/guest/guest.c) and compares every page of the workload
 * with what it has to hold. The guest has to stand still, or what is found may be half written. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workload.h"

#define PLACES_MAX 4096u /* of one boot: 8 GiB of pages */

static const char help[] =
        "usage: guest_memory FILE [--boot ID] [--offset PAGE]\n"
        "\n"
        "FILE is the RAM of a guest that stands still. Tells what it holds as one line of JSON.\n"
        "  --boot ID      of several boots that left traces, that one (the guest tells its "
        "number)\n"
        "  --offset PAGE  only where that page of the workload begins in the file\n"
        "\n"
        "exit status: 0 every page is right, 1 some are not, 2 no workload is found\n"
        "\n"
        "example: guest_memory /dev/shm/ram --offset 17\n";

struct image {
	const uint8_t *bytes;
	uint64_t length;
	const struct workload_header *header;
	const struct workload_places *places[PLACES_MAX];
};

struct verdict {
	uint64_t wrong_count;
	uint64_t wrong_first;
	uint64_t torn_count; /* at most one: of the write that was interrupted */
};

static bool map_file(struct image *image, const char *path)
{
	struct stat status;
	const int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0 || fstat(file, &status) != 0 || status.st_size == 0)
		return false;
	image->length = (uint64_t)status.st_size;
	image->bytes = mmap(NULL, (size_t)image->length, PROT_READ, MAP_SHARED, file, 0);
	close(file);
	return image->bytes != MAP_FAILED;
}

static bool find_header(struct image *image, uint64_t boot)
{
	for (uint64_t at = 0; at + WORKLOAD_PAGE_BYTES <= image->length;
	     at += WORKLOAD_PAGE_BYTES) {
		const struct workload_header *found = (const void *)(image->bytes + at);
		if (found->magic != WORKLOAD_HEADER_MAGIC || (boot && found->life != boot) ||
		    !workload_is_valid(&found->workload))
			continue;
		if (image->header && image->header->life != found->life) {
			fprintf(stderr, "more than one boot left traces: name it with --boot\n");
			return false;
		}
		image->header = found;
	}
	if (!image->header)
		fprintf(stderr, "no guest's workload in this file\n");
	return image->header != NULL;
}

static bool find_places(struct image *image)
{
	const struct workload_header *header = image->header;
	const uint64_t page_count = header->workload.page_count;

	for (uint64_t at = 0; at + WORKLOAD_PAGE_BYTES <= image->length;
	     at += WORKLOAD_PAGE_BYTES) {
		const struct workload_places *found = (const void *)(image->bytes + at);
		const uint64_t first = found->life_and_first ^ header->life;
		if (found->magic == WORKLOAD_PLACES_MAGIC && first < page_count &&
		    first % WORKLOAD_PLACES == 0 && first / WORKLOAD_PLACES < PLACES_MAX)
			image->places[first / WORKLOAD_PLACES] = found;
	}
	for (uint64_t page = 0; page < page_count; page += WORKLOAD_PLACES) {
		if (page / WORKLOAD_PLACES < PLACES_MAX && image->places[page / WORKLOAD_PLACES])
			continue;
		fprintf(stderr, "the places of pages from %" PRIu64 " on are missing\n", page);
		return false;
	}
	return true;
}

/* RAM below 3 GiB, which is all that these guests have, begins at address 0. */
static const uint64_t *page_at(const struct image *image, uint64_t page, uint64_t *ret_offset)
{
	const uint64_t offset =
	        image->places[page / WORKLOAD_PLACES]->addresses[page % WORKLOAD_PLACES];

	if (offset % WORKLOAD_PAGE_BYTES != 0 || offset >= image->length)
		return NULL;
	*ret_offset = offset;
	return (const void *)(image->bytes + offset);
}

/* New up to the first word that is not, and from there on old. */
static bool is_torn(const struct workload *workload, uint64_t page, uint64_t version,
                    const uint64_t *words)
{
	uint64_t old[WORKLOAD_WORDS], expected;
	const unsigned from = workload_differs(workload, page, version + 1, words, &expected);

	workload_fill(workload, page, version, old);
	return memcmp(words + from, old + from, (WORKLOAD_WORDS - from) * sizeof(*words)) == 0;
}

static void judge_page(const struct image *image, uint64_t page, struct verdict *verdict)
{
	const struct workload_header *header = image->header;
	const struct workload *workload = &header->workload;
	const uint64_t version = workload_version(workload, page, header->done_count);
	uint64_t expected, offset;
	const uint64_t *words = page_at(image, page, &offset);

	if (words && workload_differs(workload, page, version, words, &expected) == WORKLOAD_WORDS)
		return;
	if (words && header->begun_count == header->done_count + 1 &&
	    page == workload_next(workload, header->done_count) &&
	    is_torn(workload, page, version, words)) {
		verdict->torn_count++;
		return;
	}
	if (verdict->wrong_count++ == 0)
		verdict->wrong_first = page;
}

static int judge(const struct image *image)
{
	const struct workload_header *header = image->header;
	struct verdict verdict = {.wrong_count = 0};

	for (uint64_t page = 0; page < header->workload.page_count; page++)
		judge_page(image, page, &verdict);
	printf("{\"boot\": \"%016" PRIx64 "\", \"step\": %" PRIu64 ", \"pages\": %" PRIu64
	       ", \"wrong_count\": %" PRIu64 ", \"torn_count\": %" PRIu64,
	       header->life, header->done_count, header->workload.page_count, verdict.wrong_count,
	       verdict.torn_count);
	if (verdict.wrong_count)
		printf(", \"wrong_first\": %" PRIu64, verdict.wrong_first);
	printf("}\n");
	return verdict.wrong_count ? 1 : 0;
}

static int tell_offset(const struct image *image, uint64_t page)
{
	uint64_t offset;

	if (page >= image->header->workload.page_count || !page_at(image, page, &offset)) {
		fprintf(stderr, "page %" PRIu64 " has no place in this file\n", page);
		return 2;
	}
	printf("{\"page\": %" PRIu64 ", \"offset\": %" PRIu64 "}\n", page, offset);
	return 0;
}

int main(int count, char **words)
{
	static struct image image;
	const char *boot = "0", *page = NULL;

	if (count == 2 && strcmp(words[1], "--help") == 0) {
		fputs(help, stdout);
		return 0;
	}
	if (count < 2 || count % 2 != 0) {
		fputs(help, stderr);
		return 2;
	}
	for (int i = 2; i < count; i += 2) {
		if (strcmp(words[i], "--boot") == 0)
			boot = words[i + 1];
		else if (strcmp(words[i], "--offset") == 0)
			page = words[i + 1];
		else {
			fputs(help, stderr);
			return 2;
		}
	}
	if (!map_file(&image, words[1])) {
		perror(words[1]);
		return 2;
	}
	if (!find_header(&image, strtoull(boot, NULL, 16)) || !find_places(&image))
		return 2;
	return page ? tell_offset(&image, strtoull(page, NULL, 10)) : judge(&image);
}
