#include <criterion/criterion.h>

#include <tandem/failpoint.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Passes `name` `count` times in a child and gives how the child ended. */
static int run_child(const char *value, const char *name, int count)
{
	pid_t child = fork();
	if (child == 0) {
		setpgid(0, 0);
		setenv("TANDEM_FAILPOINT", value, 1);
		close(STDERR_FILENO);
		tandem_failpoint_load();
		for (int i = 0; i < count; i++)
			TANDEM_FAILPOINT(name);
		_exit(0);
	}
	int status = 0;
	cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
	if (WIFSTOPPED(status)) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return status;
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
}

Test(failpoint, stops)
{
	static const char *const values[] = {"seal:stop:1", "seal:stopgroup:1"};
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		int status = run_child(values[i], "seal", 1);
		cr_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "%s", values[i]);
	}
}

Test(failpoint, unset_is_not_armed)
{
	unsetenv("TANDEM_FAILPOINT");
	tandem_failpoint_load();
	cr_assert_eq(tandem_failpoint_armed, 0);
}

Test(failpoint, unreadable_values_end_the_program)
{
	static const char *const values[] = {
	        "seal",         "seal:kill",    "seal:die:1",
	        ":kill:1",      "seal:kill:",   "seal:kill:0",
	        "seal:kill:1x", "seal:kill:-1", "seal:kill:99999999999999999999"};
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		cr_assert(is_exit(run_child(values[i], "seal", 1), 2), "%s", values[i]);
}
