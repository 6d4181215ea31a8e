#include "configuration.h"

#include <libgen.h>
#include <stdio.h>
#include <tandem/log.h>
#include <unistd.h>

#define LINE_BYTES 768

static void log_mistakes(const char *path, const struct tandem_config_mistakes *mistakes,
                         const struct tandem_error *error)
{
	char line[LINE_BYTES];
	for (size_t i = 0; i < mistakes->count; i++) {
		tandem_config_mistake_format(path, &mistakes->list[i], line, sizeof(line));
		tandem_log(TANDEM_LOG_ERROR, "%s", line);
	}
	if (mistakes->count == 0)
		tandem_log(TANDEM_LOG_ERROR, "%s: %s", error->operation, error->detail);
}

int tandem_node_configure(const char *path, const char *name, struct tandem_config **ret_config,
                          const struct tandem_config_node **ret_node)
{
	struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
	struct tandem_error error = {.code = 0};
	struct tandem_config *config = NULL;
	int rc = tandem_config_load(path, &config, &mistakes, &error);
	if (rc < 0)
		log_mistakes(path, &mistakes, &error);
	tandem_config_mistakes_clear(&mistakes);
	if (rc < 0)
		return rc;
	rc = tandem_config_node(config, name, ret_node, &error);
	if (rc < 0) {
		tandem_log(TANDEM_LOG_ERROR, "%s", error.detail);
		tandem_config_free(config);
		return rc;
	}
	*ret_config = config;
	return 0;
}

void tandem_node_find_programs(char ret_directory[PATH_MAX])
{
	char path[PATH_MAX];
	const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	ret_directory[0] = 0;
	if (length <= 0)
		return;
	path[length] = 0;
	snprintf(ret_directory, PATH_MAX, "%s", dirname(path));
}
