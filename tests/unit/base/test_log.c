#include <criterion/criterion.h>

#include <tandem/log.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Runs the caller's lines with standard error in a pipe and gives what was written. */
static int saved, pipe_end;

static void begin(void)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	pipe_end = ends[0];
}

static void end(char *text, size_t text_bytes)
{
	dup2(saved, STDERR_FILENO);
	ssize_t length = read(pipe_end, text, text_bytes - 1);
	text[length > 0 ? length : 0] = 0;
	close(pipe_end);
	close(saved);
}

Test(log, a_line_has_time_level_name_and_text)
{
	char text[4096];
	begin();
	tandem_log_open("tester");
	tandem_log(TANDEM_LOG_WARNING, "value %d", 7);
	end(text, sizeof(text));
	cr_assert_eq(strlen(text), strlen("2026-11-21T06:40:00.123Z warning tester: value 7\n"));
	cr_assert_eq(text[10], 'T');
	cr_assert_eq(text[23], 'Z');
	cr_assert_str_eq(text + 24, " warning tester: value 7\n");
}

Test(log, debug_is_quiet_unless_asked_for)
{
	char text[4096];
	unsetenv("TANDEM_LOG");
	begin();
	tandem_log_open("tester");
	tandem_log(TANDEM_LOG_DEBUG, "hidden");
	setenv("TANDEM_LOG", "debug", 1);
	tandem_log_open("tester");
	tandem_log(TANDEM_LOG_DEBUG, "shown");
	tandem_log_set_level(TANDEM_LOG_ERROR);
	tandem_log(TANDEM_LOG_WARNING, "hidden");
	end(text, sizeof(text));
	cr_assert(strstr(text, "shown"));
	cr_assert(!strstr(text, "hidden"));
}

Test(log, a_line_stays_one_line_and_bounded)
{
	char text[4096], wide[3000];
	memset(wide, 'x', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = 0;
	begin();
	tandem_log(TANDEM_LOG_INFO, "a\nb\033[1mc");
	tandem_log(TANDEM_LOG_INFO, "%s", wide);
	end(text, sizeof(text));
	char *first = strchr(text, '\n');
	cr_assert(first && strstr(text, "a b [1mc"));
	char *second = strchr(first + 1, '\n');
	cr_assert(second && second[1] == 0);
	cr_assert_leq(second - first, 1024);
}
