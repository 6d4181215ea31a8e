#include "children.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <tandem/clock.h>
#include <tandem/stats_page.h>

#define COMMAND_BYTES 1100

#define RETRY_INTERVAL_NS  (200 * TANDEM_NS_PER_MS)
#define STATUS_NOT_STARTED (127 << 8) /* as the shell says it */
#define STATUS_HALTED      3          /* a program's way to say that another node leads */

struct child {
	struct tandem_standby *standby; /* NULL: the place is free */
	pid_t process;                  /* 0: waits for its next try */
	uint64_t retry_at_ns;
	uint64_t retry_until_ns;
	uint64_t incarnation; /* 0: it does not take over */
	char pair[TANDEM_NAME_BYTES];
	char run_directory[TANDEM_VARIABLE_BYTES];
	char command[COMMAND_BYTES];
	struct tandem_environment environment;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct child children[TANDEM_CHILDREN_MAX];

static void fill_activation(struct child *child, const struct tandem_activation *activation)
{
	struct tandem_environment *environment = &child->environment;

	tandem_environment_add(environment, "TANDEM_GENERATION=%llu",
	                       (unsigned long long)activation->generation);
	tandem_environment_add(environment, "TANDEM_EPOCH=%llu",
	                       (unsigned long long)activation->epoch);
	tandem_environment_add(environment, "TANDEM_INCARNATION=%llu",
	                       (unsigned long long)activation->incarnation);
	tandem_environment_add(environment, "TANDEM_IMAGE_DIR=%s", activation->image_directory);
	tandem_environment_add(environment, "TANDEM_STATE_FILE=%s", activation->state_file);
	child->incarnation = activation->incarnation;
}

static void fill(struct child *child, const struct tandem_child_options *options,
                 const struct tandem_activation *activation)
{
	const struct tandem_places *places = &options->places;

	tandem_environment_init(&child->environment, places);
	child->incarnation = 0;
	if (activation)
		fill_activation(child, activation);
	snprintf(child->command, sizeof child->command, "%s", options->command);
	snprintf(child->pair, sizeof child->pair, "%s", places->pair);
	snprintf(child->run_directory, sizeof child->run_directory, "%s", places->run_directory);
}

static int spawn(struct child *child)
{
	const char *const words[] = {"sh", "-c", child->command, NULL};

	return tandem_environment_spawn(&child->environment, "/bin/sh", words, NULL,
	                                &child->process);
}

static struct child *free_place(void)
{
	for (size_t index = 0; index < TANDEM_CHILDREN_MAX; index++) {
		if (children[index].standby == NULL)
			return &children[index];
	}
	return NULL;
}

int tandem_children_start(const struct tandem_child_options *options,
                          const struct tandem_activation *activation,
                          struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	struct child *child;
	int failure = 0;

	pthread_mutex_lock(&lock);
	child = free_place();
	if (child != NULL) {
		fill(child, options, activation);
		child->process = 0;
		child->retry_until_ns = tandem_clock_now_ns() + options->retry_ns;
		if (activation && options->go)
			child->process = options->go(options->argument, &child->environment);
		failure = child->process == 0 ? spawn(child) : 0;
		if (failure == 0)
			child->standby = standby;
	}
	pthread_mutex_unlock(&lock);
	if (child == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "activate",
		                        "more than %d programs run already", TANDEM_CHILDREN_MAX);
	if (failure != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure, "posix_spawn",
		                              "the command could not be started: %s",
		                              options->command);
	return 0;
}

/* One that has led is gone with its memory: another start would only be refused. */
static bool may_retry(const struct child *child, int status)
{
	bool is_failure = WIFSIGNALED(status) ||
	                  (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != STATUS_HALTED);

	return is_failure && child->incarnation != 0 &&
	       !tandem_stats_has_led(child->run_directory, child->pair, child->incarnation) &&
	       tandem_clock_now_ns() + RETRY_INTERVAL_NS < child->retry_until_ns;
}

/* A process that ended, or one that could not even be started until its time was over. */
static bool has_ended(const struct child *child, int *ret_status)
{
	*ret_status = STATUS_NOT_STARTED;
	if (child->standby == NULL)
		return false;
	if (child->process == 0)
		return tandem_clock_now_ns() >= child->retry_until_ns;
	return waitpid(child->process, ret_status, WNOHANG) == child->process;
}

bool tandem_children_reap(struct tandem_child_end *ret_end)
{
	bool is_found = false;
	int status;

	pthread_mutex_lock(&lock);
	for (size_t index = 0; index < TANDEM_CHILDREN_MAX && !is_found; index++) {
		struct child *child = &children[index];

		if (!has_ended(child, &status))
			continue;
		is_found = true;
		child->process = 0;
		child->retry_at_ns = tandem_clock_now_ns() + RETRY_INTERVAL_NS;
		*ret_end = (struct tandem_child_end){.standby = child->standby,
		                                     .status = status,
		                                     .was_promoted = child->incarnation != 0,
		                                     .is_retried = may_retry(child, status)};
		if (!ret_end->is_retried)
			child->standby = NULL;
	}
	pthread_mutex_unlock(&lock);
	return is_found;
}

void tandem_children_retry(void)
{
	uint64_t now_ns = tandem_clock_now_ns();

	pthread_mutex_lock(&lock);
	for (size_t index = 0; index < TANDEM_CHILDREN_MAX; index++) {
		struct child *child = &children[index];

		/* What cannot be started now is due again at the next call. */
		if (child->standby != NULL && child->process == 0 && now_ns >= child->retry_at_ns)
			child->retry_at_ns = spawn(child) == 0 ? UINT64_MAX : now_ns;
	}
	pthread_mutex_unlock(&lock);
}
