/* Preloaded into a program of a test: its wall clock is off, and what it does to files below one
 * directory fails, as the page that HOST_FAULTS names says at the moment. Only regular files and
 * directories are hit, which is why libfiu does not serve (it fails eventfds and sockets, too), and
 * only the wall clock, which is why libfaketime does not: its timerfd_settime moves timers of the
 * monotonic clock. rows_host.py has the page's layout. */

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum call {
	CALL_OPEN_TO_READ = 1,
	CALL_OPEN_TO_WRITE = 2,
	CALL_WRITE = 4,
	CALL_SYNC = 8,
	CALL_NAME = 16, /* link, rename, unlink, mkdir */
	CALL_ALLOCATE = 32,
};

static volatile struct page {
	int64_t wall_offset_ns;
	uint32_t calls;
	int32_t error;
	_Atomic uint32_t hit_count; /* calls that failed, and times that were off */
	char directory[252];
} nothing, *page = &nothing;

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("HOST_FAULTS");
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
	void *memory =
	        fd < 0 ? MAP_FAILED
	               : mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (memory != MAP_FAILED)
		page = memory;
}

static bool is_below(const char *path)
{
	char directory[sizeof(page->directory)];

	for (size_t i = 0; i < sizeof(directory); i++)
		directory[i] = page->directory[i];
	return directory[0] != 0 && strncmp(path, directory, strlen(directory)) == 0;
}

static bool fails_at(enum call call, const char *path)
{
	if ((page->calls & call) == 0 || !is_below(path))
		return false;
	page->hit_count++;
	errno = page->error;
	return true;
}

static bool fails_on(enum call call, int fd)
{
	char link[64], path[4096];

	if ((page->calls & call) == 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return false;
	path[length] = 0;
	return fails_at(call, path);
}

/* ---- the clock ---- */

static int read_clock(clockid_t clock, struct timespec *ret_time)
{
	int status = (int)syscall(SYS_clock_gettime, clock, ret_time);

	if (status != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return status;
	if (page->wall_offset_ns != 0)
		page->hit_count++;
	int64_t nanoseconds = ret_time->tv_nsec + page->wall_offset_ns % 1000000000;
	ret_time->tv_sec += page->wall_offset_ns / 1000000000;
	ret_time->tv_sec += nanoseconds >= 1000000000 ? 1 : nanoseconds < 0 ? -1 : 0;
	ret_time->tv_nsec = (nanoseconds + 1000000000) % 1000000000;
	return 0;
}

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	return read_clock(clock, ret_time);
}

int gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
	struct timespec now = {0};
	int status = read_clock(CLOCK_REALTIME, &now);

	(void)zone;
	*ret_time = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
	return status;
}

time_t time(time_t *ret_time)
{
	struct timespec now = {0};

	read_clock(CLOCK_REALTIME, &now);
	if (ret_time)
		*ret_time = now.tv_sec;
	return now.tv_sec;
}

/* ---- files ---- */

static int open_at(int folder, const char *path, int flags, mode_t mode)
{
	bool is_writing = (flags & (O_ACCMODE | O_CREAT)) != O_RDONLY;

	if (fails_at(is_writing ? CALL_OPEN_TO_WRITE : CALL_OPEN_TO_READ, path))
		return -1;
	return (int)syscall(SYS_openat, folder, path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments)
{
	return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	mode_t mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	mode_t mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_at(AT_FDCWD, path, flags, mode);
}

DIR *opendir(const char *path)
{
	DIR *(*real)(const char *);

	*(void **)&real = dlsym(RTLD_NEXT, "opendir");
	return fails_at(CALL_OPEN_TO_READ, path) ? NULL : real(path);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	return fails_on(CALL_WRITE, fd) ? -1 : syscall(SYS_write, fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	return fails_on(CALL_WRITE, fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
	return pwrite(fd, bytes, length, offset);
}

int fsync(int fd)
{
	return fails_on(CALL_SYNC, fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
	int kept = errno;
	bool has_failed =
	        fails_on(CALL_ALLOCATE, fd) || syscall(SYS_fallocate, fd, 0, offset, length) != 0;
	int status = has_failed ? errno : 0;

	errno = kept;
	return status;
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
	return posix_fallocate(fd, offset, length);
}

int link(const char *from, const char *to)
{
	return fails_at(CALL_NAME, to) ? -1 : (int)syscall(SYS_link, from, to);
}

int rename(const char *from, const char *to)
{
	return fails_at(CALL_NAME, to) ? -1 : (int)syscall(SYS_rename, from, to);
}

int unlink(const char *path)
{
	return fails_at(CALL_NAME, path) ? -1 : (int)syscall(SYS_unlink, path);
}

int mkdir(const char *path, mode_t mode)
{
	return fails_at(CALL_NAME, path) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}
