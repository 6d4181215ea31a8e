#include <tandem/stats_page.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVED ".next" /* after the file's name */

static int make_path(const char *directory, const char *pair, char path[PATH_MAX],
                     struct tandem_error *reterr_error)
{
	int length = snprintf(path, PATH_MAX - sizeof(RESERVED), "%s/%s.stats", directory, pair);
	if (length < 0 || length >= (int)(PATH_MAX - sizeof(RESERVED)) || pair[0] == 0 ||
	    strchr(pair, '/'))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "stats",
		                        "no file can be named '%.64s/%.64s.stats'", directory,
		                        pair);
	return 0;
}

static int fail(struct tandem_error *reterr_error, const char *operation, const char *path)
{
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, operation, "%.160s",
	                              path);
}

/* All of it now: a full file system must not end the engine, or who reads, by SIGBUS later. */
static int open_new(const char *path, int *ret_fd, struct tandem_error *reterr_error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(reterr_error, "open", path);
	int failure = posix_fallocate(fd, 0, sizeof(struct tandem_stats));
	if (failure != 0) {
		close(fd);
		unlink(path);
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure, "allocate",
		                              "%zu bytes for %.160s", sizeof(struct tandem_stats),
		                              path);
	}
	*ret_fd = fd;
	return 0;
}

static int map_new(int fd, const char *path, struct tandem_stats **ret_stats,
                   struct tandem_error *reterr_error)
{
	void *memory =
	        mmap(NULL, sizeof(struct tandem_stats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return fail(reterr_error, "mmap", path);
	struct tandem_stats *stats = memory;
	stats->magic = TANDEM_STATS_MAGIC;
	*ret_stats = stats;
	return 0;
}

static int spell_reserved(const char *path, char reserved[PATH_MAX])
{
	return snprintf(reserved, PATH_MAX, "%s" RESERVED, path);
}

int tandem_stats_reserve(const char *directory, const char *pair, struct tandem_error *reterr_error)
{
	char path[PATH_MAX], reserved[PATH_MAX];
	int fd = -1, status = make_path(directory, pair, path, reterr_error);
	if (status != 0)
		return status;
	spell_reserved(path, reserved);
	if (unlink(reserved) != 0 && errno != ENOENT)
		return fail(reterr_error, "unlink", reserved);
	status = open_new(reserved, &fd, reterr_error);
	if (status == 0)
		close(fd);
	return status;
}

/* -1 when there is none, or one of another version. */
static int take_reserved(const char *path)
{
	char reserved[PATH_MAX];
	struct stat file;
	spell_reserved(path, reserved);
	int fd = open(reserved, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	if (fstat(fd, &file) == 0 && file.st_size == sizeof(struct tandem_stats) &&
	    rename(reserved, path) == 0)
		return fd;
	close(fd);
	return -1;
}

int tandem_stats_create(const char *directory, const char *pair, struct tandem_stats **ret_stats,
                        struct tandem_error *reterr_error)
{
	char path[PATH_MAX];
	int status = make_path(directory, pair, path, reterr_error);
	if (status != 0)
		return status;
	/* Anew, not truncated: a reader that still maps the old one must not be hit by SIGBUS. */
	if (unlink(path) != 0 && errno != ENOENT)
		return fail(reterr_error, "unlink", path);
	int fd = take_reserved(path);
	if (fd < 0)
		status = open_new(path, &fd, reterr_error);
	if (status != 0)
		return status;
	status = map_new(fd, path, ret_stats, reterr_error);
	close(fd);
	return status;
}

static int map_existing(int fd, const char *path, const struct tandem_stats **ret_stats,
                        struct tandem_error *reterr_error)
{
	struct stat file;
	if (fstat(fd, &file) != 0)
		return fail(reterr_error, "fstat", path);
	if (file.st_size != sizeof(struct tandem_stats))
		return tandem_error_set(reterr_error, TANDEM_E_VERSION, "stats",
		                        "%.120s has %lld bytes, this version has %zu", path,
		                        (long long)file.st_size, sizeof(struct tandem_stats));
	void *memory = mmap(NULL, sizeof(struct tandem_stats), PROT_READ, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return fail(reterr_error, "mmap", path);
	const struct tandem_stats *stats = memory;
	if (stats->magic != TANDEM_STATS_MAGIC) {
		tandem_stats_close(stats);
		return tandem_error_set(reterr_error, TANDEM_E_VERSION, "stats",
		                        "%.120s does not begin as this version's files do", path);
	}
	*ret_stats = stats;
	return 0;
}

int tandem_stats_open(const char *directory, const char *pair,
                      const struct tandem_stats **ret_stats, struct tandem_error *reterr_error)
{
	char path[PATH_MAX];
	int status = make_path(directory, pair, path, reterr_error);
	if (status != 0)
		return status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(reterr_error, "open", path);
	status = map_existing(fd, path, ret_stats, reterr_error);
	close(fd);
	return status;
}

bool tandem_stats_has_led(const char *directory, const char *pair, uint64_t incarnation)
{
	const struct tandem_stats *stats;
	if (tandem_stats_open(directory, pair, &stats, NULL) < 0)
		return false;
	bool has_led = stats->incarnation == incarnation && atomic_load(&stats->generation) != 0;
	tandem_stats_close(stats);
	return has_led;
}

void tandem_stats_close(const struct tandem_stats *stats)
{
	/* munmap(2) takes a pointer to non-const even for a mapping that is read only. */
	if (stats)
		munmap((void *)(uintptr_t)stats, sizeof(*stats));
}
