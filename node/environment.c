#include "environment.h"

#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <tandem/assert.h>

#define ENVIRONMENT_MAX 512u

extern char **environ;

void tandem_environment_init(struct tandem_environment *environment,
                             const struct tandem_places *places)
{
	environment->count = 0;
	tandem_environment_add(environment, "TANDEM_PAIR=%s", places->pair);
	tandem_environment_add(environment, "TANDEM_RUN_DIR=%s", places->run_directory);
	tandem_environment_add(environment, "TANDEM_BIN_DIR=%s", places->bin_directory);
	tandem_environment_add(environment, "TANDEM_NODE=%s", places->node);
	tandem_environment_add(environment, "TANDEM_CONFIG=%s", places->config_path);
}

void tandem_environment_add(struct tandem_environment *environment, const char *format, ...)
{
	va_list arguments;

	TANDEM_ASSERT(environment->count < TANDEM_VARIABLES_MAX);
	va_start(arguments, format);
	vsnprintf(environment->variables[environment->count++], TANDEM_VARIABLE_BYTES, format,
	          arguments);
	va_end(arguments);
}

/* As posix_spawn(3) takes it; borrows from the environment. */
static void list(struct tandem_environment *environment, char *ret_list[ENVIRONMENT_MAX])
{
	size_t count = 0;

	for (size_t index = 0; index < environment->count; index++)
		ret_list[count++] = environment->variables[index];
	for (char **variable = environ; *variable && count < ENVIRONMENT_MAX - 1; variable++) {
		if (strncmp(*variable, "TANDEM_", 7) != 0)
			ret_list[count++] = *variable;
	}
	ret_list[count] = NULL;
}

int tandem_environment_spawn(struct tandem_environment *environment, const char *path,
                             const char *const *words, const posix_spawn_file_actions_t *actions,
                             pid_t *ret_process)
{
	char *variables[ENVIRONMENT_MAX];
	posix_spawnattr_t attributes;
	sigset_t none;

	list(environment, variables);
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	const int failure = posix_spawn(ret_process, path, actions, &attributes,
	                                (char *const *)(uintptr_t)words, variables);
	posix_spawnattr_destroy(&attributes);
	if (failure != 0)
		*ret_process = 0;
	return failure;
}

int tandem_environment_spawn_qemu(struct tandem_environment *environment,
                                  const struct tandem_places *places, const char *option,
                                  const char *value, const posix_spawn_file_actions_t *actions,
                                  pid_t *ret_process)
{
	char path[PATH_MAX];
	const char *words[] = {path,         "--config", places->config_path, "--node",
	                       places->node, "--pair",   places->pair,        option,
	                       value,        NULL};

	snprintf(path, sizeof path, "%.4000s/tandem-qemu", places->bin_directory);
	return tandem_environment_spawn(environment, path, words, actions, ret_process);
}
