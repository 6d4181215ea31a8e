#ifndef TANDEM_NODE_ENVIRONMENT_H
#define TANDEM_NODE_ENVIRONMENT_H

#include <stddef.h>
#include <tandem/error.h>

/* The environment of what tandemd starts: what it was given itself but its own TANDEM_ variables,
 * and those of the pair. */

/* Of one pair on this node; borrowed texts. */
struct tandem_places {
	const char *pair;
	const char *config_path; /* that this node was started with */
	const char *node;
	const char *run_directory;
	const char *bin_directory;
};

#define TANDEM_VARIABLES_MAX   10u
#define TANDEM_VARIABLE_BYTES  544u
#define TANDEM_ENVIRONMENT_MAX 512u

struct tandem_environment {
	size_t count;
	char variables[TANDEM_VARIABLES_MAX][TANDEM_VARIABLE_BYTES];
};

/* With TANDEM_PAIR, TANDEM_CONFIG, TANDEM_NODE, TANDEM_RUN_DIR and TANDEM_BIN_DIR; copies. */
void tandem_environment_init(struct tandem_environment *environment,
                             const struct tandem_places *places);
/* One more, "NAME=value". */
void tandem_environment_add(struct tandem_environment *environment, const char *format, ...)
        TANDEM_PRINTF(2, 3);
/* As posix_spawn(3) takes it; borrows from the environment. */
void tandem_environment_list(struct tandem_environment *environment,
                             char *ret_list[TANDEM_ENVIRONMENT_MAX]);

#endif
