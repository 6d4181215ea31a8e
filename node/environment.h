#ifndef TANDEM_NODE_ENVIRONMENT_H
#define TANDEM_NODE_ENVIRONMENT_H

#include <spawn.h>
#include <stddef.h>
#include <sys/types.h>
#include <tandem/error.h>

/* What tandemd starts, and its environment: what it was given itself but its own TANDEM_ variables,
 * and those of the pair. */

/* Of one pair on this node; borrowed texts. */
struct tandem_places {
	const char *pair;
	const char *config_path; /* that this node was started with */
	const char *node;
	const char *run_directory;
	const char *bin_directory;
};

#define TANDEM_VARIABLES_MAX  10u
#define TANDEM_VARIABLE_BYTES 544u

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
/* Starts a program with it and no signal blocked. `actions` may be NULL. Returns 0, or an errno
 * with *ret_process 0. Any thread. */
TANDEM_MUST_CHECK int tandem_environment_spawn(struct tandem_environment *environment,
                                               const char *path, const char *const *words,
                                               const posix_spawn_file_actions_t *actions,
                                               pid_t *ret_process);
/* The same for the pair's tandem-qemu, with one option and its value (NULL: none). */
TANDEM_MUST_CHECK int tandem_environment_spawn_qemu(struct tandem_environment *environment,
                                                    const struct tandem_places *places,
                                                    const char *option, const char *value,
                                                    const posix_spawn_file_actions_t *actions,
                                                    pid_t *ret_process);

#endif
