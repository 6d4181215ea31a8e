#include <criterion/criterion.h>

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qemu_leash.h"

#define END_MS 10000

static void live(const void *argument)
{
	(void)argument;
	for (;;)
		pause();
}

static int open_process(pid_t process)
{
	const int fd = (int)syscall(SYS_pidfd_open, process, 0);

	cr_assert_geq(fd, 0);
	return fd;
}

static bool ends_within(int process_fd, int limit_ms)
{
	struct pollfd polled = {.fd = process_fd, .events = POLLIN};

	return poll(&polled, 1, limit_ms) == 1;
}

Test(qemu_leash, what_is_held_ends_with_its_holder)
{
	struct tandem_qemu_leash leash;
	struct tandem_error error = {.code = 0};

	cr_assert_eq(tandem_qemu_leash_open(&leash, live, NULL, &error), 0, "%s", error.detail);
	const int process = open_process(leash.process);
	cr_assert(!ends_within(process, 0));
	tandem_qemu_leash_close(&leash);
	cr_assert(ends_within(process, END_MS));
	close(process);
}

/* A guard that has no turn for a while. */
Test(qemu_leash, what_was_let_go_lives_though_the_answer_comes_late)
{
	struct tandem_qemu_leash leash;
	struct tandem_error error = {.code = 0};

	cr_assert_eq(tandem_qemu_leash_open(&leash, live, NULL, &error), 0, "%s", error.detail);
	const pid_t held = leash.process, guard = leash.guard;
	const int process = open_process(held), guard_end = open_process(guard);
	kill(guard, SIGSTOP);
	cr_assert_eq(tandem_qemu_leash_release(&leash, &error), TANDEM_E_TIMEOUT);
	tandem_qemu_leash_close(&leash);
	kill(guard, SIGCONT);
	cr_assert(ends_within(guard_end, END_MS));
	cr_assert(!ends_within(process, 0));
	kill(held, SIGKILL);
	close(process);
	close(guard_end);
}

Test(qemu_leash, what_was_not_held_in_time_is_not_ended_later)
{
	struct tandem_qemu_leash leash;
	struct tandem_error error = {.code = 0};
	const pid_t child = fork();

	if (child == 0)
		live(NULL);
	cr_assert_eq(tandem_qemu_leash_open(&leash, NULL, NULL, &error), 0, "%s", error.detail);
	const pid_t guard = leash.guard;
	const int process = open_process(child), guard_end = open_process(guard);
	kill(guard, SIGSTOP);
	cr_assert_eq(tandem_qemu_leash_hold(&leash, child, &error), TANDEM_E_TIMEOUT);
	tandem_qemu_leash_close(&leash);
	kill(guard, SIGCONT);
	cr_assert(ends_within(guard_end, END_MS));
	cr_assert(!ends_within(process, 0));
	kill(child, SIGKILL);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	close(process);
	close(guard_end);
}
