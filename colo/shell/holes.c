#include "holes.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "../core/bitmap.h"
#include "../core/layout.h"

/* A file without a part of a huge page at its end cannot have more blocks than bytes. Where there
 * are huge pages, a punched one may stay and be filled with zeros, and keep its blocks. */
#define HUGE_BYTES  (INT64_C(2) << 20)
#define BLOCK_BYTES 512

static bool is_on_tmpfs(int fd)
{
	struct statfs system;

	return fstatfs(fd, &system) == 0 && system.f_type == TMPFS_MAGIC;
}

/* The kernel tells nothing about what is done through the descriptors of its internal files, as a
 * memfd is one (since Linux 6.14); all others it does. */
static bool is_internal(int fd)
{
	int memory = memfd_create("tandem", MFD_CLOEXEC);
	struct stat internal, file;
	bool is_same = true;

	if (memory >= 0 && fstat(memory, &internal) == 0 && fstat(fd, &file) == 0)
		is_same = internal.st_dev == file.st_dev;
	if (memory >= 0)
		close(memory);
	return is_same;
}

static int open_watch(int fd)
{
	char path[64];
	int watch_fd;

	if (is_internal(fd))
		return -1;
	watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (watch_fd >= 0 && inotify_add_watch(watch_fd, path, IN_MODIFY) < 0) {
		close(watch_fd);
		return -1;
	}
	return watch_fd;
}

void tandem_holes_open(struct tandem_holes *holes, const struct tandem_backing *backing,
                       uint64_t page_count)
{
	*holes = TANDEM_HOLES_NONE;
	holes->fd = tandem_backing_open(backing);
	holes->offset = backing->offset;
	holes->page_count = page_count;
	if (holes->fd >= 0 && is_on_tmpfs(holes->fd))
		holes->watch_fd = open_watch(holes->fd);
	else
		tandem_holes_close(holes);
}

void tandem_holes_close(struct tandem_holes *holes)
{
	if (holes->fd >= 0)
		close(holes->fd);
	if (holes->watch_fd >= 0)
		close(holes->watch_fd);
	*holes = TANDEM_HOLES_NONE;
}

static bool has_news(int watch_fd)
{
	_Alignas(struct inotify_event) char events[4096];
	bool has_any = false;

	while (read(watch_fd, events, sizeof events) > 0)
		has_any = true;
	return has_any;
}

static bool is_full(const struct stat *file)
{
	return file->st_blksize == TANDEM_PAGE_BYTES && file->st_size % HUGE_BYTES == 0 &&
	       file->st_blocks * BLOCK_BYTES == file->st_size;
}

/* By the times of the file: a store through a mapping changes them too, so this finds an idle file
 * only; and a file without any hole. */
static bool may_have_changed(struct tandem_holes *holes)
{
	struct timespec clock;
	struct stat file;
	bool is_proven;

	clock_gettime(CLOCK_REALTIME_COARSE, &clock);
	if (fstat(holes->fd, &file) != 0)
		return true;
	is_proven = holes->is_clock_past && file.st_ctim.tv_sec == holes->changed_s &&
	            file.st_ctim.tv_nsec == holes->changed_ns && file.st_blocks == holes->blocks;
	is_proven |= is_full(&file) && file.st_blocks == holes->blocks;
	holes->changed_s = file.st_ctim.tv_sec;
	holes->changed_ns = file.st_ctim.tv_nsec;
	holes->blocks = file.st_blocks;
	holes->is_clock_past =
	        clock.tv_sec > file.st_ctim.tv_sec ||
	        (clock.tv_sec == file.st_ctim.tv_sec && clock.tv_nsec > file.st_ctim.tv_nsec);
	return !is_proven;
}

bool tandem_holes_may_be_new(struct tandem_holes *holes, bool is_told)
{
	bool is_first = !holes->has_looked;

	if (holes->fd < 0)
		return false;
	holes->has_looked = true;
	if (holes->watch_fd >= 0)
		return has_news(holes->watch_fd) || is_first;
	if (is_told)
		return is_first;
	return may_have_changed(holes) || is_first;
}

void tandem_holes_walk(struct tandem_holes *holes, uint64_t first, uint64_t count, uint64_t *map)
{
	off_t start = (off_t)holes->offset;
	off_t at = start + (off_t)(first * TANDEM_PAGE_BYTES);
	off_t end = at + (off_t)(count * TANDEM_PAGE_BYTES);

	while (at < end) {
		off_t data = lseek(holes->fd, at, SEEK_DATA);

		if (data < 0 && errno != ENXIO)
			return;
		if (data < 0 || data > end)
			data = end;
		tandem_bitmap_set_range(map, (uint64_t)(at - start) / TANDEM_PAGE_BYTES,
		                        (uint64_t)(data - at) / TANDEM_PAGE_BYTES);
		if (data == end)
			return;
		at = lseek(holes->fd, data, SEEK_HOLE);
		if (at < 0)
			return;
	}
}
