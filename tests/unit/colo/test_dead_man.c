#include <criterion/criterion.h>

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/clock.h>

#include "shell/dead_man.h"

#define MS TANDEM_NS_PER_MS

/* What the child has done last, in memory that outlives it. */
struct diary {
	_Atomic uint64_t armed_end_ns;
	_Atomic uint64_t alive_ns;
};

static struct diary *diary;

static void begin(void)
{
	diary = mmap(NULL, sizeof *diary, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	             0);
	cr_assert(diary != MAP_FAILED);
}

/* Arms, then renews for a while, then only lives. */
static void live(uint64_t length_ns, unsigned renewal_count)
{
	struct tandem_dead_man dead_man;

	if (tandem_dead_man_open(&dead_man, NULL) != 0)
		_exit(3);
	for (;;) {
		uint64_t now_ns = tandem_clock_now_ns();
		bool is_due = now_ns + length_ns / 2 >= atomic_load(&diary->armed_end_ns);
		if (renewal_count > 0 && is_due) {
			if (!tandem_dead_man_arm(&dead_man, now_ns + length_ns))
				_exit(4);
			atomic_store(&diary->armed_end_ns, now_ns + length_ns);
			renewal_count--;
		}
		atomic_store(&diary->alive_ns, tandem_clock_now_ns());
	}
}

static pid_t start(uint64_t length_ns, unsigned renewal_count)
{
	pid_t child = fork();

	cr_assert_geq(child, 0);
	if (child == 0)
		live(length_ns, renewal_count);
	while (atomic_load(&diary->armed_end_ns) == 0)
		cr_assert_eq(waitpid(child, NULL, WNOHANG), 0);
	return child;
}

static void expect_killed(pid_t child)
{
	int status = 0;

	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %d", status);
}

Test(dead_man, ends_a_process_that_is_not_renewed, .init = begin)
{
	pid_t child = start(50 * MS, 1);

	expect_killed(child);
	cr_expect_lt(atomic_load(&diary->alive_ns), atomic_load(&diary->armed_end_ns) + 10 * MS,
	             "it lived on for %llu us",
	             (unsigned long long)(atomic_load(&diary->alive_ns) -
	                                  atomic_load(&diary->armed_end_ns)) /
	                     1000);
}

Test(dead_man, lets_a_renewed_process_live_and_ends_it_after_the_last_renewal, .init = begin)
{
	uint64_t started_ns = tandem_clock_now_ns();
	/* Half a length of it may be lost to a busy machine before a renewal comes too late. */
	pid_t child = start(1000 * MS, 3);

	expect_killed(child);
	cr_expect_gt(atomic_load(&diary->alive_ns), started_ns + 1400 * MS);
}

/* A stopped primary is the dangerous one: it would go on where it was. */
Test(dead_man, ends_a_stopped_process, .init = begin)
{
	pid_t child = start(200 * MS, 1);
	int status = 0;

	cr_assert_eq(kill(child, SIGSTOP), 0);
	cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
	cr_assert(WIFSTOPPED(status));
	expect_killed(child);
	cr_expect_lt(atomic_load(&diary->alive_ns), atomic_load(&diary->armed_end_ns));
}

Test(dead_man, an_end_that_is_past_arms_nothing)
{
	struct tandem_dead_man dead_man;

	cr_assert_eq(tandem_dead_man_open(&dead_man, NULL), 0);
	cr_expect(!tandem_dead_man_arm(&dead_man, tandem_clock_now_ns() - MS));
	cr_expect(tandem_dead_man_arm(&dead_man, tandem_clock_now_ns() + 1000000 * MS));
	cr_expect(tandem_dead_man_arm(&dead_man, tandem_clock_now_ns() + 1000 * MS),
	          "an earlier end changes nothing");
	cr_expect_gt(dead_man.end_ns, tandem_clock_now_ns() + 900000 * MS);
	tandem_dead_man_disarm(&dead_man);
	cr_expect_eq(dead_man.end_ns, 0);
	tandem_dead_man_close(&dead_man);
	cr_expect(!tandem_dead_man_arm(&dead_man, tandem_clock_now_ns() + MS));
}
