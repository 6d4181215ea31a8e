#include "descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "pair.h"

unsigned descriptors_count(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;
	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count;
}

bool descriptors_fall_to(unsigned count)
{
	uint64_t end_ns = tandem_clock_now_ns() + PAIR_WAIT_NS;
	while (descriptors_count() > count && tandem_clock_now_ns() < end_ns)
		poll(NULL, 0, 1);
	return descriptors_count() <= count;
}

static int taken[DESCRIPTORS_TAKEN_MAX];
static unsigned taken_count;
static struct rlimit limit;

int descriptors_take_all(void)
{
	struct rlimit lower;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return -1;
	lower = limit;
	lower.rlim_cur = DESCRIPTORS_TAKEN_MAX;
	if (setrlimit(RLIMIT_NOFILE, &lower) != 0)
		return -1;
	while (taken_count < DESCRIPTORS_TAKEN_MAX) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return 0;
		taken[taken_count++] = fd;
	}
	return -1;
}

void descriptors_give_back(void)
{
	while (taken_count > 0)
		close(taken[--taken_count]);
	setrlimit(RLIMIT_NOFILE, &limit);
}
