#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <tandem/pagemap_abi.h>
#include <unistd.h>

#include "qemu_inject.h"

#define BYTES 4096u

/* What the child's threads do, seen by both. */
struct world {
	_Atomic unsigned long spins;
	_Atomic unsigned sleeps;
	_Atomic bool is_ready;
};

static struct world *world;

/* One thread is in the processor all the time, one in the kernel. */
static void *spin(void *argument)
{
	(void)argument;
	for (;;)
		atomic_fetch_add(&world->spins, 1);
	return NULL;
}

static void be_child(bool is_alone)
{
	pthread_t thread;
	char byte;
	int ends[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!is_alone && pthread_create(&thread, NULL, spin, NULL) != 0)
		_exit(1);
	atomic_store(&world->is_ready, true);
	if (pipe(ends) == 0)
		(void)!read(ends[0], &byte, 1);
	_exit(2);
}

static pid_t start(bool is_alone)
{
	world = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const pid_t child = fork();

	if (child == 0)
		be_child(is_alone);
	while (!atomic_load(&world->is_ready))
		continue;
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	munmap(world, BYTES);
}

static unsigned count_descriptors(pid_t process)
{
	unsigned count = 0;
	char path[64];

	for (unsigned fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%u", process, fd);
		count += access(path, F_OK) == 0;
	}
	return count;
}

#if defined(__x86_64__)

/* The first thread is traced by somebody else, as on a leash. */
Test(qemu_inject, a_descriptor_of_the_other_address_space_and_no_trace_of_it)
{
	const pid_t child = start(false);
	const unsigned before = count_descriptors(child);
	struct uffdio_api api = {.api = UFFD_API,
	                         .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP |
	                                     TANDEM_UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
	                                     TANDEM_UFFD_FEATURE_WP_ASYNC};
	struct tandem_error error = {.code = 0};
	int fd = -1;

	cr_assert_eq(ptrace(PTRACE_SEIZE, child, 0, 0), 0);
	if (tandem_qemu_userfault_open(child, &fd, &error) != 0)
		cr_skip("no tracing here");
	if (ioctl(fd, UFFDIO_API, &api) != 0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	struct uffdio_register range = {.range = {.start = (uintptr_t)world, .len = BYTES},
	                                .mode = UFFDIO_REGISTER_MODE_WP};
	cr_expect_eq(ioctl(fd, UFFDIO_REGISTER, &range), 0, "it has that memory there, too");
	cr_expect_eq(count_descriptors(child), before, "the other process has no more open");
	const unsigned long spins = atomic_load(&world->spins);
	while (atomic_load(&world->spins) == spins)
		continue;
	cr_expect_eq(waitpid(child, NULL, WNOHANG | __WALL), 0, "the first thread never stopped");
	close(fd);
	end(child);
}

Test(qemu_inject, a_thread_beside_the_first_is_needed)
{
	const pid_t child = start(true);
	struct tandem_error error = {.code = 0};
	int fd = -1;

	cr_expect_eq(tandem_qemu_userfault_open(child, &fd, &error), TANDEM_E_SYSTEM);
	cr_expect_not_null(strstr(error.detail, "CAP_SYS_PTRACE"), "%s", error.detail);
	cr_expect_eq(fd, -1);
	end(child);
}

#endif
