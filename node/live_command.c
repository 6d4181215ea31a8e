#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live.h"

extern char **environ;

#define SCRIPT_BYTES 700

/* Where this program is, and the others with it: what $TANDEM_BIN_DIR will be. */
static void find_programs(char *ret_directory, size_t size)
{
	char path[PATH_MAX] = "";
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (length < 0)
		length = 0;
	path[length] = '\0';
	snprintf(ret_directory, size, "%s", dirname(path));
}

static bool is_assignment(const char *word, size_t length)
{
	const char *sign = memchr(word, '=', length);
	return sign && sign != word && !memchr(word, '/', (size_t)(sign - word));
}

/* The first word that names a program: behind "exec" and variables. */
static void first_word(const char *command, char *ret_word, size_t size)
{
	const char *at = command + strspn(command, " \t\r\n");
	size_t length = strcspn(at, " \t\r\n;|&<>()");
	while ((length == 4 && strncmp(at, "exec", 4) == 0) || is_assignment(at, length)) {
		at += length;
		at += strspn(at, " \t\r\n");
		length = strcspn(at, " \t\r\n;|&<>()");
	}
	snprintf(ret_word, size, "%.*s", (int)length, at);
}

/* The shell is asked itself, with the word as it stands: variables, PATH, its own commands. */
static bool asks_shell(const char *word)
{
	char directory[PATH_MAX], script[SCRIPT_BYTES + PATH_MAX];
	char shell[] = "sh", option[] = "-c";
	char *arguments[] = {shell, option, script, NULL};
	posix_spawn_file_actions_t files;
	pid_t process = 0;
	int status = -1;
	find_programs(directory, sizeof(directory));
	snprintf(script, sizeof(script),
	         "TANDEM_BIN_DIR='%s'; word=%.512s; case $word in */*) test -f $word && test -x "
	         "$word;; *) command -v -- $word > /dev/null 2>&1;; esac",
	         directory, word);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", 0, 0);
	int failure = posix_spawn(&process, "/bin/sh", &files, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&files);
	return failure == 0 && waitpid(process, &status, 0) == process && status == 0;
}

/* More than a plain word would be run, not looked for. */
static bool is_plain(const char *word)
{
	const char *variable = strchr(word, '$');
	bool is_known = !variable || strncmp(word, "$TANDEM_BIN_DIR/", 16) == 0;
	return word[0] != '\0' && !strpbrk(word, "`\\'\"*?[]{}~!#") && is_known &&
	       (!variable || !strchr(variable + 1, '$'));
}

bool tandem_live_finds_command(const char *command, char *ret_word, size_t word_bytes)
{
	first_word(command, ret_word, word_bytes);
	return !is_plain(ret_word) || asks_shell(ret_word);
}
