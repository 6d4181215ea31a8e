#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tandem/memory.h>

#include "../core/bitmap.h"
#include "copy.h"
#include "digest.h"
#include "zero.h"

static int make_directory(const char *path, struct tandem_error *reterr_error)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "mkdir",
	                              "image directory %s", path);
}

static int make_parents(char *path, struct tandem_error *reterr_error)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int code = make_directory(path, reterr_error);
		*slash = '/';
		if (code < 0)
			return code;
	}
	return make_directory(path, reterr_error);
}

int tandem_image_init(struct tandem_image *image, const char *parent, const char *pair,
                      struct tandem_error *reterr_error)
{
	int length;

	memset(image, 0, sizeof *image);
	length = snprintf(image->directory, sizeof image->directory, "%s/%s", parent, pair);
	if (length < 0 || (size_t)length >= sizeof image->directory || parent[0] != '/')
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "image",
		                        "the image directory must be an absolute path of less than "
		                        "%zu characters: %s",
		                        sizeof image->directory, parent);
	return make_parents(image->directory, reterr_error);
}

static uint64_t region_bytes(const struct tandem_image *image, unsigned region)
{
	return image->layout.regions.entries[region].page_count * TANDEM_PAGE_BYTES;
}

void tandem_image_path(const struct tandem_image *image, unsigned region, char *path,
                       size_t path_bytes)
{
	snprintf(path, path_bytes, "%s/%s", image->directory,
	         image->layout.regions.entries[region].name);
}

/* [C30] The kernel grants a write lease to the only one who has the file open, mappings counted: a
 * program that was superseded and still runs on the file would write to our image. The signal that
 * tells of somebody who opens it meanwhile is one that is ignored. */
static bool is_ours_alone(int fd)
{
	bool is_alone = fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;

	return is_alone && fcntl(fd, F_SETLEASE, F_UNLCK) == 0;
}

/* A descriptor of what an earlier life left, or -1. */
static int open_old(const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat found;

	if (fd < 0)
		return -1;
	if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == geteuid() &&
	    found.st_nlink == 1 && (uint64_t)found.st_size == bytes &&
	    (found.st_mode & 07777) == 0600 && is_ours_alone(fd))
		return fd;
	close(fd);
	return -1;
}

static int open_file(const char *path, uint64_t bytes, bool takes_over, bool *ret_is_old)
{
	int fd = takes_over ? open_old(path, bytes) : -1;

	*ret_is_old = fd >= 0;
	if (fd >= 0)
		return fd;
	unlink(path);
	return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

/* What an earlier life left may have holes where nobody knows: it gets all its room at once. */
static int size_file(int fd, uint64_t bytes, bool is_old)
{
	if (is_old)
		return posix_fallocate(fd, 0, (off_t)bytes);
	return ftruncate(fd, (off_t)bytes) == 0 ? 0 : errno;
}

static int map_file(struct tandem_image *image, unsigned region, const char *path, bool *ret_is_old,
                    struct tandem_error *reterr_error)
{
	const uint64_t bytes = region_bytes(image, region);
	int failure, fd = open_file(path, bytes, image->takes_over, ret_is_old);
	void *memory;

	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open",
		                              "image file %s", path);
	failure = size_file(fd, bytes, *ret_is_old);
	memory = failure == 0 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
	                      : MAP_FAILED;
	if (failure == 0 && memory == MAP_FAILED)
		failure = errno;
	if (memory == MAP_FAILED) {
		close(fd);
		unlink(path);
		return tandem_image_tell_no_room(path, bytes, failure, reterr_error);
	}
	image->images[region] = memory;
	image->fds[region] = fd;
	return 0;
}

/* All pages of a new file are holes. */
static int note_holes(struct tandem_image *image, unsigned region,
                      struct tandem_error *reterr_error)
{
	const uint64_t page_count = image->layout.regions.entries[region].page_count;

	image->missing[region] = tandem_memory_alloc_array(TANDEM_BITMAP_WORDS(page_count) + 1,
	                                                   sizeof *image->missing[region]);
	if (image->missing[region] == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "image",
		                        "no memory for a list of its pages");
	tandem_bitmap_fill(image->missing[region], page_count);
	image->missing_pages += page_count;
	return 0;
}

static void state_path(const struct tandem_image *image, char *path, size_t path_bytes)
{
	snprintf(path, path_bytes, "%s/%s", image->directory, TANDEM_STATE_FILE);
}

static int make_region(struct tandem_image *image, unsigned region,
                       struct tandem_error *reterr_error)
{
	char path[256];
	bool is_old = false;
	int code;

	tandem_image_path(image, region, path, sizeof path);
	image->caches[region] = tandem_memory_map(region_bytes(image, region));
	if (image->caches[region] == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "cache",
		                        "region %s needs %llu MiB of memory",
		                        image->layout.regions.entries[region].name,
		                        (unsigned long long)(region_bytes(image, region) >> 20));
	code = map_file(image, region, path, &is_old, reterr_error);
	image->has_content = image->has_content || is_old;
	return code < 0 || is_old ? code : note_holes(image, region, reterr_error);
}

/* Its room, too: what is written at a promotion must not meet a full file system. */
static int make_state_file(struct tandem_image *image, struct tandem_error *reterr_error)
{
	char path[256];
	int fd, failure = 0;

	state_path(image, path, sizeof path);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open",
		                              "state file %s", path);
	if (image->layout.state_bytes_max > 0)
		failure = posix_fallocate(fd, 0, image->layout.state_bytes_max);
	close(fd);
	if (failure == 0)
		return 0;
	unlink(path);
	return tandem_error_set_errno(reterr_error, TANDEM_E_MEMORY, failure, "image",
	                              "%s needs %u bytes (state_bytes_max); make the file system "
	                              "larger",
	                              path, image->layout.state_bytes_max);
}

int tandem_image_make(struct tandem_image *image, const struct tandem_layout *layout,
                      struct tandem_error *reterr_error)
{
	tandem_image_done(image, true);
	image->layout = *layout;
	image->is_made = true;
	image->has_content = false;
	image->missing_pages = 0;
	image->room_region = 0;
	image->room_page = 0;
	for (unsigned region = 0; region < layout->regions.count; region++) {
		int code = make_region(image, region, reterr_error);

		if (code < 0) {
			tandem_image_done(image, true);
			return code;
		}
	}
	int code = tandem_image_check_room(image, reterr_error);

	if (code == 0)
		code = make_state_file(image, reterr_error);
	if (code < 0)
		tandem_image_done(image, true);
	return code;
}

static bool has_files(const char *path)
{
	DIR *directory = opendir(path);
	bool is_found = false;

	if (directory == NULL)
		return false;
	for (struct dirent *entry = readdir(directory); entry != NULL && !is_found;
	     entry = readdir(directory))
		is_found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(directory);
	return is_found;
}

int tandem_image_keep(struct tandem_image *image, uint64_t generation,
                      char ret_kept[TANDEM_IMAGE_KEPT_BYTES], struct tandem_error *reterr_error)
{
	ret_kept[0] = '\0';
	if (image->is_made || !has_files(image->directory))
		return 0;
	snprintf(ret_kept, TANDEM_IMAGE_KEPT_BYTES, "%s.kept-%llu", image->directory,
	         (unsigned long long)generation);
	if (rename(image->directory, ret_kept) != 0)
		return tandem_error_set_errno(
		        reterr_error, TANDEM_E_SYSTEM, errno, "rename",
		        "what this node led cannot be kept as %s; make room for "
		        "that name, or set on_rejoin to resync",
		        ret_kept);
	return make_directory(image->directory, reterr_error);
}

static bool has_room(const struct tandem_image *image, unsigned region, uint64_t page)
{
	return image->missing[region] == NULL || !tandem_bitmap_get(image->missing[region], page);
}

/* What nobody wrote to stays without memory. */
static void clear_page(uint8_t *page)
{
	if (!tandem_is_zero(page, TANDEM_PAGE_BYTES))
		memset(page, 0, TANDEM_PAGE_BYTES);
}

static void clear(struct tandem_image *image, unsigned region, uint64_t first, uint64_t page_count)
{
	for (uint64_t page = first; page < first + page_count; page++) {
		if (has_room(image, region, page))
			clear_page(image->images[region] + page * TANDEM_PAGE_BYTES);
		clear_page(image->caches[region] + page * TANDEM_PAGE_BYTES);
	}
}

void tandem_image_apply(struct tandem_image *image, const struct tandem_run *run)
{
	unsigned region = tandem_layout_region(&image->layout, run->first_page);
	uint64_t first = run->first_page - image->layout.first_page[region];
	uint64_t offset = first * TANDEM_PAGE_BYTES;

	if (run->kind == TANDEM_RUN_DATA)
		tandem_copy_around(image->images[region] + offset, image->caches[region] + offset,
		                   (size_t)run->page_count * TANDEM_PAGE_BYTES);
	else
		clear(image, region, first, run->page_count);
}

void tandem_image_digest(const struct tandem_image *image, uint64_t page, uint64_t seed,
                         uint8_t *ret_digest)
{
	static const uint8_t zeros[TANDEM_PAGE_BYTES];
	unsigned region = tandem_layout_region(&image->layout, page);
	uint64_t index = page - image->layout.first_page[region];

	if (index >= image->layout.regions.entries[region].page_count)
		memset(ret_digest, 0, TANDEM_DIGEST_BYTES);
	else if (has_room(image, region, index))
		tandem_digest_page(image->images[region] + index * TANDEM_PAGE_BYTES, seed,
		                   ret_digest);
	else
		tandem_digest_page(zeros, seed, ret_digest);
}

int tandem_image_write_state(const struct tandem_image *image, const void *state,
                             size_t state_bytes, struct tandem_error *reterr_error)
{
	char path[256];
	ssize_t written = 0;
	int fd;

	state_path(image, path, sizeof path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open",
		                              "state file %s", path);
	for (size_t done = 0; done < state_bytes && written >= 0; done += (size_t)written)
		written = write(fd, (const uint8_t *)state + done, state_bytes - done);
	if (written >= 0)
		written = ftruncate(fd, (off_t)state_bytes);
	close(fd);
	if (written < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "write",
		                              "state file %s", path);
	return 0;
}

static void unmap_image(struct tandem_image *image, unsigned region, bool is_unlinking)
{
	char path[256];

	if (image->images[region] == NULL)
		return;
	munmap(image->images[region], region_bytes(image, region));
	image->images[region] = NULL;
	close(image->fds[region]);
	tandem_memory_free(image->missing[region]);
	image->missing[region] = NULL;
	tandem_image_path(image, region, path, sizeof path);
	if (is_unlinking)
		unlink(path);
}

void tandem_image_done(struct tandem_image *image, bool is_unlinking)
{
	char path[256];

	if (!image->is_made)
		return;
	state_path(image, path, sizeof path);
	if (is_unlinking)
		unlink(path);
	for (unsigned region = 0; region < image->layout.regions.count; region++) {
		unmap_image(image, region, is_unlinking);
		if (image->caches[region] != NULL)
			tandem_memory_unmap(image->caches[region], region_bytes(image, region));
		image->caches[region] = NULL;
	}
	image->is_made = false;
}

void tandem_image_abandon_caches(struct tandem_image *image)
{
	memset(image->caches, 0, sizeof image->caches);
}
