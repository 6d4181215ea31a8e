#include "mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int mapfile_name(const struct tandem_kv_options *options, struct tandem_kv_mapfile *file,
                        struct tandem_error *reterr_error)
{
	int length;

	if (options->is_takeover)
		length = snprintf(file->path, sizeof(file->path), "%s/map",
		                  options->image_directory);
	else if (options->map_path)
		length = snprintf(file->path, sizeof(file->path), "%s", options->map_path);
	else
		length = snprintf(file->path, sizeof(file->path), "/dev/shm/tandem-kv.%s.%ld",
		                  options->pair, (long)getpid());
	file->is_fresh = !options->is_takeover && !options->map_path;
	if (length < 0 || (size_t)length >= sizeof(file->path))
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "map",
		                        "the path is too long");
	return 0;
}

static int mapfile_lock(const struct tandem_kv_mapfile *file, struct tandem_error *reterr_error)
{
	if (flock(file->file, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "flock",
		                        "%s is in use by another process", file->path);
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "flock", "%s",
	                              file->path);
}

/* An existing map keeps its size: LMDB would cut the file to the size it is told. */
static int mapfile_size(struct tandem_kv_mapfile *file, const struct tandem_kv_options *options,
                        struct tandem_error *reterr_error)
{
	struct stat status;
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

	if (fstat(file->file, &status) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fstat", "%s",
		                              file->path);
	size_t bytes = (size_t)status.st_size;
	if (bytes == 0 && !options->is_takeover) {
		file->bytes = options->map_bytes;
		return 0;
	}
	if (!S_ISREG(status.st_mode) || bytes % page_bytes != 0 || bytes < TANDEM_KV_MAP_BYTES_MIN)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "map",
		                        "%s has %zu bytes, which no map of tandem-kv has",
		                        file->path, bytes);
	if (options->is_map_bytes_given && bytes != options->map_bytes)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "map",
		                        "%s has %zu MiB; leave --map-size out or give that",
		                        file->path, bytes >> 20);
	file->bytes = bytes;
	return 0;
}

int tandem_kv_mapfile_open(const struct tandem_kv_options *options,
                           struct tandem_kv_mapfile *ret_file, struct tandem_error *reterr_error)
{
	struct tandem_kv_mapfile file = TANDEM_KV_MAPFILE_NONE;
	int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;

	int result = mapfile_name(options, &file, reterr_error);
	if (result != 0)
		return result;
	if (!options->is_takeover)
		flags |= O_CREAT;
	if (file.is_fresh)
		flags |= O_EXCL;
	file.file = open(file.path, flags, 0600);
	if (file.file < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open", "%s",
		                              file.path);
	result = mapfile_lock(&file, reterr_error);
	if (result == 0)
		result = mapfile_size(&file, options, reterr_error);
	if (result != 0) {
		tandem_kv_mapfile_close(&file);
		return result;
	}
	*ret_file = file;
	return 0;
}

/* An image has its memory already, and asking again takes longer than a take-over should. */
static bool mapfile_is_allocated(const struct tandem_kv_mapfile *file)
{
	struct stat status;

	return fstat(file->file, &status) == 0 && (size_t)status.st_blocks * 512 >= file->bytes;
}

int tandem_kv_mapfile_settle(struct tandem_kv_mapfile *file, struct tandem_error *reterr_error)
{
	int error = 0;

	if (!mapfile_is_allocated(file))
		error = posix_fallocate(file->file, 0, (off_t)file->bytes);
	if (error != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, error, "fallocate",
		                              "%s needs %zu MiB; enlarge its file system or take a "
		                              "smaller --map-size",
		                              file->path, file->bytes >> 20);
	if (file->is_fresh && unlink(file->path) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "unlink", "%s",
		                              file->path);
	file->is_unlinked = file->is_fresh;
	return 0;
}

void tandem_kv_mapfile_close(struct tandem_kv_mapfile *file)
{
	if (file->file < 0)
		return;
	if (file->is_fresh && !file->is_unlinked)
		(void)unlink(file->path);
	close(file->file);
	file->file = -1;
}
