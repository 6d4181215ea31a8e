#include <criterion/criterion.h>

#include <tandem/failpoint.h>
#include <tandem/clock.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Loads `value` in a child whose messages go to `ret_said`, and passes `name` `count` times; how
 * the child ended. Its exit status is the mask of the passages that fired. */
static int run_child_and_hear(const char *value, const char *name, int count, char *ret_said,
                              size_t said_bytes)
{
	int pipe_fds[2], status = 0;

	cr_assert_eq(pipe(pipe_fds), 0);
	pid_t child = fork();
	if (child == 0) {
		int fired = 0;
		setpgid(0, 0);
		setenv("TANDEM_FAILPOINT", value, 1);
		dup2(pipe_fds[1], STDERR_FILENO);
		tandem_failpoint_load();
		for (int i = 0; i < count; i++)
			fired |= (int)TANDEM_FAILPOINT_FIRES(name) << i;
		_exit(fired);
	}
	close(pipe_fds[1]);
	cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
	if (WIFSTOPPED(status)) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	ssize_t said = read(pipe_fds[0], ret_said, said_bytes - 1);
	ret_said[said > 0 ? said : 0] = '\0';
	close(pipe_fds[0]);
	return status;
}

static int run_child(const char *value, const char *name, int count)
{
	char said[4096];
	return run_child_and_hear(value, name, count, said, sizeof(said));
}

static int is_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static int is_exit(int status, int code)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

Test(failpoint, kills_at_the_counted_passage_only)
{
	cr_assert(is_killed(run_child("seal:kill:3", "seal", 3)));
	cr_assert(is_exit(run_child("seal:kill:3", "seal", 2), 0));
	cr_assert(is_exit(run_child("seal:kill:1", "push", 5), 0));
	cr_assert(is_killed(run_child("seal:killgroup:1", "seal", 1)));
	cr_assert(is_killed(run_child("seal:kill", "seal", 1)));
}

Test(failpoint, stops)
{
	static const char *const values[] = {"seal:stop:1", "seal:stopgroup:1"};
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		int status = run_child(values[i], "seal", 1);
		cr_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "%s", values[i]);
	}
}

Test(failpoint, delays)
{
	uint64_t start_ns = tandem_clock_now_ns();
	cr_assert(is_exit(run_child("seal:delay=50", "seal", 1), 0));
	cr_assert_geq(tandem_clock_now_ns() - start_ns, 50 * TANDEM_NS_PER_MS);
}

Test(failpoint, tells_the_caller_to_fail_once_or_from_then_on)
{
	cr_assert(is_exit(run_child("tracker:error:2", "tracker", 4), 2));
	cr_assert(is_exit(run_child("tracker:error:2+", "tracker", 4), 14));
#ifdef TANDEM_SEEDED_FAULTS
	cr_assert(is_exit(run_child("rearm:skip", "rearm", 2), 1));
#else
	cr_assert(is_exit(run_child("rearm:skip", "rearm", 0), 2));
#endif
}

Test(failpoint, unset_is_not_armed)
{
	unsetenv("TANDEM_FAILPOINT");
	tandem_failpoint_load();
	cr_assert_eq(tandem_failpoint_armed, 0);
}

Test(failpoint, is_told_and_not_handed_on)
{
	char said[4096];
	run_child_and_hear("seal:kill:9", "seal", 0, said, sizeof(said));
	cr_assert(strstr(said, "TANDEM_FAILPOINT is armed: seal:kill:9"), "%s", said);
	setenv("TANDEM_FAILPOINT", "seal:kill:9", 1);
	tandem_failpoint_load();
	cr_assert(tandem_failpoint_armed);
	cr_assert_null(getenv("TANDEM_FAILPOINT"));
}

Test(failpoint, an_unknown_name_ends_the_program_and_lists_the_others)
{
	char said[4096];
	cr_assert(is_exit(run_child_and_hear("sael:kill:1", "seal", 1, said, sizeof(said)), 2));
	cr_assert(strstr(said, " seal ") && strstr(said, " standby_apply "), "%s", said);
}

Test(failpoint, unreadable_values_end_the_program)
{
	static const char *const values[] = {"seal",
	                                     "seal:",
	                                     "seal:die:1",
	                                     ":kill:1",
	                                     "seal:kill:",
	                                     "seal:kill:0",
	                                     "seal:kill:1x",
	                                     "seal:kill:1++",
	                                     "seal:kill:-1",
	                                     "seal:kill:99999999999999999999",
	                                     "seal:delay",
	                                     "seal:delay=",
	                                     "seal:delay=60001",
	                                     "seal:error",
	                                     "seal:skip",
	                                     "tracker:skip"};
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		cr_assert(is_exit(run_child(values[i], "seal", 1), 2), "%s", values[i]);
}
