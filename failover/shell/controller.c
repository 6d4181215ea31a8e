#include <tandem/controller.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/random.h>
#include <unistd.h>

#include "shell/metrics.h"
#include "shell/register.h"
#include "shell/service.h"

#define LOCK_NAME "failoverd.lock"

void tandem_service_complain(struct tandem_controller *controller, const char *line)
{
	uint64_t now_ns = tandem_clock_now_ns();
	if (controller->complained_ns != 0 && now_ns < controller->complained_ns + TANDEM_NS_PER_S)
		return;
	controller->complained_ns = now_ns;
	if (controller->options.on_decision)
		controller->options.on_decision(controller->options.context, true, line);
}

static int lock_directory(struct tandem_controller *controller, struct tandem_error *reterr_error)
{
	char path[TANDEM_CONTROLLER_PATH_BYTES + sizeof(LOCK_NAME) + 1];
	const char *directory = controller->options.run_directory;
	int status = tandem_register_prepare(directory, reterr_error);
	if (status != 0)
		return status;
	snprintf(path, sizeof(path), "%s/%s", directory, LOCK_NAME);
	controller->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (controller->lock_fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open",
		                              "%.160s", path);
	if (flock(controller->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "flock",
		                              "%.160s: does another controller run here?", path);
	return 0;
}

static int open_pairs(struct tandem_controller *controller,
                      const struct tandem_controller_options *options,
                      struct tandem_error *reterr_error)
{
	controller->pairs =
	        tandem_memory_alloc_array(options->pair_count, sizeof(*controller->pairs));
	if (!controller->pairs)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "controller",
		                        "no memory for %zu pairs", options->pair_count);
	for (size_t i = 0; i < options->pair_count; i++) {
		controller->pair_count = i + 1;
		int status = tandem_pair_open(&controller->pairs[i], controller, &options->pairs[i],
		                              reterr_error);
		if (status != 0)
			return status;
	}
	return 0;
}

static int open_all(struct tandem_controller *controller,
                    const struct tandem_controller_options *options,
                    struct tandem_error *reterr_error)
{
	int status = lock_directory(controller, reterr_error);
	if (status == 0)
		status = open_pairs(controller, options, reterr_error);
	if (status == 0)
		status = tandem_links_open(controller, options, reterr_error);
	if (status == 0)
		status = tandem_watch_open_vigil(controller, reterr_error);
	if (status == 0)
		status = tandem_planes_open(controller, reterr_error);
	if (status == 0)
		status = tandem_admin_open(controller, reterr_error);
	if (status == 0)
		status = tandem_metrics_open(controller, reterr_error);
	if (status == 0 && options->watchdog_path[0] != 0)
		status = tandem_watchdog_open(controller->base, options->watchdog_path,
		                              options->watchdog_timeout_s, &controller->watchdog,
		                              reterr_error);
	return status;
}

int tandem_controller_new(struct event_base *base, const struct tandem_controller_options *options,
                          struct tandem_controller **ret_controller,
                          struct tandem_error *reterr_error)
{
	int status = tandem_controller_options_validate(options, reterr_error);
	if (status != 0)
		return status;
	struct tandem_controller *controller = tandem_memory_alloc(sizeof(*controller));
	if (!controller)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "controller", "no memory");
	controller->base = base;
	controller->options = *options;
	controller->options.pairs = NULL; /* each pair has its own copy */
	controller->lock_fd = -1;
	controller->instance = tandem_random_unique();
	status = open_all(controller, options, reterr_error);
	if (status != 0) {
		tandem_controller_free(controller);
		return status;
	}
	*ret_controller = controller;
	return 0;
}

void tandem_controller_free(struct tandem_controller *controller)
{
	if (!controller)
		return;
	tandem_metrics_close(controller);
	tandem_watchdog_free(controller->watchdog);
	tandem_admin_close(controller);
	tandem_planes_close(controller);
	tandem_links_close(controller);
	tandem_vigil_free(controller->vigil);
	for (size_t i = 0; i < controller->pair_count; i++)
		tandem_pair_close(&controller->pairs[i]);
	tandem_memory_free(controller->pairs);
	if (controller->lock_fd >= 0)
		close(controller->lock_fd);
	tandem_memory_free(controller);
}
