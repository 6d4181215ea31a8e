#include "environment.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tandem/assert.h>

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

void tandem_environment_list(struct tandem_environment *environment,
                             char *ret_list[TANDEM_ENVIRONMENT_MAX])
{
	size_t count = 0;

	for (size_t index = 0; index < environment->count; index++)
		ret_list[count++] = environment->variables[index];
	for (char **variable = environ; *variable && count < TANDEM_ENVIRONMENT_MAX - 1;
	     variable++) {
		if (strncmp(*variable, "TANDEM_", 7) != 0)
			ret_list[count++] = *variable;
	}
	ret_list[count] = NULL;
}
