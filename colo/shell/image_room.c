#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include <tandem/failpoint.h>

#include "../core/bitmap.h"

#define HOW_TO_MAKE_ROOM "make the file system larger (for /dev/shm: mount -o remount,size=...)"

int tandem_image_tell_no_room(const char *path, uint64_t bytes, int failure,
                              struct tandem_error *reterr_error)
{
	const char *fix = failure == ENOMEM
	                          ? "free memory, or raise the limit of this process (prlimit --as)"
	                          : HOW_TO_MAKE_ROOM;

	return tandem_error_set_errno(reterr_error, TANDEM_E_MEMORY, failure, "image",
	                              "%s needs %llu MiB; %s", path,
	                              (unsigned long long)(bytes >> 20), fix);
}

static uint64_t pages_of(const struct tandem_image *image, unsigned region)
{
	return image->layout.regions.entries[region].page_count;
}

static int tell_which(const struct tandem_image *image, unsigned region, int failure,
                      struct tandem_error *reterr_error)
{
	char path[256];

	tandem_image_path(image, region, path, sizeof path);
	return tandem_image_tell_no_room(path, pages_of(image, region) * TANDEM_PAGE_BYTES, failure,
	                                 reterr_error);
}

/* A process that is stopped and goes on interrupts the call, which has then done nothing. */
static int allocate(int fd, uint64_t first, uint64_t page_count)
{
	int failure;

	if (TANDEM_FAILPOINT_FIRES("standby_room"))
		return ENOSPC;
	do {
		failure = posix_fallocate(fd, (off_t)(first * TANDEM_PAGE_BYTES),
		                          (off_t)(page_count * TANDEM_PAGE_BYTES));
	} while (failure == EINTR);
	return failure;
}

/* Of pages from `first` up to `end`, so many at most; *ret_taken had none before. */
static int take(struct tandem_image *image, unsigned region, uint64_t first, uint64_t end,
                uint64_t most, uint64_t *ret_taken, struct tandem_error *reterr_error)
{
	uint64_t *missing = image->missing[region];

	*ret_taken = 0;
	while (*ret_taken < most && (first = tandem_bitmap_next(missing, end, first)) < end) {
		uint64_t next = first + 1;
		int failure;

		while (next < end && next - first < most - *ret_taken &&
		       tandem_bitmap_get(missing, next))
			next++;
		failure = allocate(image->fds[region], first, next - first);
		if (failure != 0)
			return tell_which(image, region, failure, reterr_error);
		tandem_bitmap_clear_range(missing, first, next - first);
		image->missing_pages -= next - first;
		*ret_taken += next - first;
		first = next;
	}
	return 0;
}

int tandem_image_reserve(struct tandem_image *image, const struct tandem_run *runs,
                         uint32_t run_count, struct tandem_error *reterr_error)
{
	int code = 0;

	for (uint32_t run = 0; code == 0 && run < run_count && image->missing_pages > 0; run++) {
		unsigned region = tandem_layout_region(&image->layout, runs[run].first_page);
		uint64_t first = runs[run].first_page - image->layout.first_page[region];
		uint64_t taken;

		if (runs[run].kind == TANDEM_RUN_DATA && image->missing[region] != NULL)
			code = take(image, region, first, first + runs[run].page_count,
			            runs[run].page_count, &taken, reterr_error);
	}
	return code;
}

int tandem_image_reserve_more(struct tandem_image *image, uint64_t page_count,
                              struct tandem_error *reterr_error)
{
	while (page_count > 0 && image->missing_pages > 0) {
		const unsigned region = image->room_region;
		const uint64_t end = pages_of(image, region);
		uint64_t taken = 0;
		int code = 0;

		if (image->missing[region] != NULL)
			code = take(image, region, image->room_page, end, page_count, &taken,
			            reterr_error);
		if (code < 0)
			return code;
		page_count -= taken;
		if (image->missing[region] != NULL)
			image->room_page =
			        tandem_bitmap_next(image->missing[region], end, image->room_page);
		if (image->missing[region] == NULL || image->room_page == end) {
			image->room_region++;
			image->room_page = 0;
		}
	}
	return 0;
}

int tandem_image_check_room(const struct tandem_image *image, struct tandem_error *reterr_error)
{
	const uint64_t needed = image->missing_pages * TANDEM_PAGE_BYTES;
	struct statvfs found;
	uint64_t there;

	if (statvfs(image->directory, &found) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "statvfs",
		                              "image directory %s", image->directory);
	there = (uint64_t)found.f_bavail * found.f_frsize;
	if (found.f_blocks == 0 || there >= needed) /* a tmpfs of size 0 has no limit */
		return 0;
	return tandem_error_set_errno(reterr_error, TANDEM_E_MEMORY, ENOSPC, "image",
	                              "%s needs %llu KiB, and %llu are free; %s", image->directory,
	                              (unsigned long long)(needed >> 10),
	                              (unsigned long long)(there >> 10), HOW_TO_MAKE_ROOM);
}
