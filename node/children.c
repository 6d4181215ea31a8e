#include "children.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

#define VARIABLES_MAX   9
#define VARIABLE_BYTES  320
#define ENVIRONMENT_MAX 512

struct child {
	pid_t process;
	struct tandem_standby *standby;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct child children[TANDEM_CHILDREN_MAX];

struct environment {
	char variables[VARIABLES_MAX][VARIABLE_BYTES];
	char *list[ENVIRONMENT_MAX];
	size_t count;
};

static void fill_variables(struct environment *environment, const char *node,
                           const char *run_directory, const char *bin_directory,
                           const struct tandem_activation *activation)
{
	char(*variables)[VARIABLE_BYTES] = environment->variables;

	snprintf(variables[0], VARIABLE_BYTES, "TANDEM_PAIR=%s", activation->pair);
	snprintf(variables[1], VARIABLE_BYTES, "TANDEM_GENERATION=%llu",
	         (unsigned long long)activation->generation);
	snprintf(variables[2], VARIABLE_BYTES, "TANDEM_EPOCH=%llu",
	         (unsigned long long)activation->epoch);
	snprintf(variables[3], VARIABLE_BYTES, "TANDEM_INCARNATION=%llu",
	         (unsigned long long)activation->incarnation);
	snprintf(variables[4], VARIABLE_BYTES, "TANDEM_IMAGE_DIR=%s", activation->image_directory);
	snprintf(variables[5], VARIABLE_BYTES, "TANDEM_STATE_FILE=%s", activation->state_file);
	snprintf(variables[6], VARIABLE_BYTES, "TANDEM_RUN_DIR=%s", run_directory);
	snprintf(variables[7], VARIABLE_BYTES, "TANDEM_BIN_DIR=%s", bin_directory);
	snprintf(variables[8], VARIABLE_BYTES, "TANDEM_NODE=%s", node);
}

static void fill_environment(struct environment *environment)
{
	for (size_t index = 0; index < VARIABLES_MAX; index++)
		environment->list[environment->count++] = environment->variables[index];
	for (char **variable = environ;
	     *variable != NULL && environment->count < ENVIRONMENT_MAX - 1; variable++) {
		if (strncmp(*variable, "TANDEM_", 7) != 0)
			environment->list[environment->count++] = *variable;
	}
	environment->list[environment->count] = NULL;
}

static int spawn(const char *command, char *const *variables, pid_t *ret_process)
{
	char shell[] = "sh", option[] = "-c", line[1100];
	char *arguments[] = {shell, option, line, NULL};
	posix_spawnattr_t attributes;
	sigset_t none;
	int failure;

	snprintf(line, sizeof line, "%s", command);
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	failure = posix_spawn(ret_process, "/bin/sh", NULL, &attributes, arguments, variables);
	posix_spawnattr_destroy(&attributes);
	return failure;
}

static struct child *free_slot(void)
{
	for (size_t index = 0; index < TANDEM_CHILDREN_MAX; index++) {
		if (children[index].process == 0)
			return &children[index];
	}
	return NULL;
}

int tandem_children_start(const char *command, const char *node, const char *run_directory,
                          const char *bin_directory, const struct tandem_activation *activation,
                          struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	struct environment environment = {.count = 0};
	struct child *slot;
	int failure = 0;

	fill_variables(&environment, node, run_directory, bin_directory, activation);
	fill_environment(&environment);
	pthread_mutex_lock(&lock);
	slot = free_slot();
	if (slot != NULL)
		failure = spawn(command, environment.list, &slot->process);
	if (slot != NULL && failure == 0)
		slot->standby = standby;
	else if (slot != NULL)
		slot->process = 0;
	pthread_mutex_unlock(&lock);
	if (slot == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "activate",
		                        "more than %d programs run already", TANDEM_CHILDREN_MAX);
	if (failure != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure, "posix_spawn",
		                              "the promote command could not be started: %s",
		                              command);
	return 0;
}

struct tandem_standby *tandem_children_reap(int *ret_status)
{
	struct tandem_standby *standby = NULL;

	pthread_mutex_lock(&lock);
	for (size_t index = 0; index < TANDEM_CHILDREN_MAX && standby == NULL; index++) {
		if (children[index].process == 0 || waitpid(children[index].process, ret_status,
		                                            WNOHANG) != children[index].process)
			continue;
		standby = children[index].standby;
		children[index].process = 0;
	}
	pthread_mutex_unlock(&lock);
	return standby;
}
