#include "bench.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/control.h>
#include <tandem/log.h>
#include <tandem/memory.h>
#include <tandem/unix_socket.h>

struct tandem_bench_controller {
	struct tandem_control_settings settings;
	int listener_fd;
	int program_fd;
	int standby_fd;
	bool is_ready; /* the program */
	_Atomic uint64_t session_up_ns;
	uint64_t generation;
	pthread_t thread;
	bool has_thread;
	_Atomic bool is_ending;
};

static void tell(int fd, struct tandem_control_message *message)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];

	memcpy(message->pair, "bench", sizeof "bench");
	tandem_control_encode(message, bytes);
	if (fd >= 0 && send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) < 0)
		perror("tandem-bench: control socket");
}

static void tell_lead(struct tandem_bench_controller *controller, bool is_pair)
{
	struct tandem_control_message message = {.type = TANDEM_CONTROL_STAND_BY,
	                                         .generation = controller->generation,
	                                         .is_pair = is_pair};

	tell(controller->standby_fd, &message);
	message.type = TANDEM_CONTROL_LEAD;
	tell(controller->program_fd, &message);
}

/* A program leads when its standby is there. */
static void try_lead(struct tandem_bench_controller *controller)
{
	if (!controller->is_ready || controller->standby_fd < 0 || controller->generation != 0)
		return;
	controller->generation = 1;
	tell_lead(controller, false);
}

static void answer(struct tandem_bench_controller *controller, int fd,
                   const struct tandem_control_message *message)
{
	struct tandem_control_message welcome = {
	        .type = TANDEM_CONTROL_WELCOME, .settings = controller->settings, .generation = 1};

	switch ((int)message->type) {
	case TANDEM_CONTROL_ATTACH:
		if (message->kind == TANDEM_CONTROL_KIND_PROGRAM)
			controller->program_fd = fd;
		else
			controller->standby_fd = fd;
		tell(fd, &welcome);
		try_lead(controller);
		return;
	case TANDEM_CONTROL_READY:
		controller->is_ready = true;
		try_lead(controller);
		return;
	case TANDEM_CONTROL_SESSION_UP:
		if (fd == controller->program_fd)
			atomic_store(&controller->session_up_ns, tandem_clock_now_ns());
		return;
	case TANDEM_CONTROL_COPIED:
		controller->generation++;
		tell_lead(controller, true);
		return;
	case TANDEM_CONTROL_REPORT:
		if (message->text[0] != '\0')
			tandem_log(TANDEM_LOG_WARNING, "%s", message->text);
		return;
	case TANDEM_CONTROL_SESSION_LOST:
		tandem_log(TANDEM_LOG_DEBUG, "session lost: %s", message->text);
		return;
	default:
		return;
	}
}

static void serve(struct tandem_bench_controller *controller, int fd)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	struct tandem_control_message message;
	ssize_t length = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

	if (length > 0 && tandem_control_decode(bytes, (size_t)length, &message) == 0)
		answer(controller, fd, &message);
}

static void *run(void *argument)
{
	struct tandem_bench_controller *controller = argument;
	struct pollfd descriptors[3] = {{.fd = controller->listener_fd, .events = POLLIN}};
	nfds_t count = 1;

	while (!atomic_load(&controller->is_ending)) {
		poll(descriptors, count, 20);
		for (nfds_t index = 1; index < count; index++)
			serve(controller, descriptors[index].fd);
		if ((descriptors[0].revents & POLLIN) != 0 && count < 3) {
			descriptors[count].fd = accept(controller->listener_fd, NULL, NULL);
			descriptors[count++].events = POLLIN;
		}
	}
	for (nfds_t index = 1; index < count; index++)
		close(descriptors[index].fd);
	return NULL;
}

static void fill_settings(struct tandem_control_settings *settings,
                          const struct tandem_bench_checkpoint_options *options, uint16_t port)
{
	*settings = TANDEM_CONTROL_SETTINGS_DEFAULT;
	snprintf(settings->node, sizeof settings->node, "bench");
	snprintf(settings->provider, sizeof settings->provider, "%s", options->provider);
	snprintf(settings->tracker, sizeof settings->tracker, "%s", options->tracker);
	snprintf(settings->rails[0].local_address, sizeof settings->rails[0].local_address, "%s",
	         options->address);
	snprintf(settings->rails[0].peer_address, sizeof settings->rails[0].peer_address, "%s",
	         options->address);
	settings->peer_port = port;
	settings->channel_count = (uint16_t)options->channel_count;
	settings->staging_bytes = tandem_bench_staging_bytes(options);
	settings->is_capture_auto = strcmp(options->capture.mode, "auto") == 0;
	settings->push_interval_ns = options->capture.push_interval_ns;
	settings->push_rate_max = options->capture.push_rate_bytes_s;
	settings->pause_budget_ns = options->capture.budget_ns;
	settings->slows_program = options->capture.slows_program;
	settings->overload_wait_ns = TANDEM_NS_PER_S;
	settings->state_bytes_max = 4096;
	settings->connect_timeout_ns = 5 * TANDEM_NS_PER_S;
	settings->commit_timeout_ns = 20 * TANDEM_NS_PER_S;
	settings->ping_interval_ns = 100 * TANDEM_NS_PER_MS;
	settings->report_interval_ns = TANDEM_NS_PER_S;
	settings->reconnect_interval_ns = 20 * TANDEM_NS_PER_MS;
}

int tandem_bench_controller_new(const char *directory,
                                const struct tandem_bench_checkpoint_options *options,
                                uint16_t port, struct tandem_bench_controller **ret_controller,
                                struct tandem_error *reterr_error)
{
	struct tandem_bench_controller *controller = tandem_memory_alloc(sizeof *controller);
	char path[PATH_MAX];
	int failure;

	if (controller == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "bench", "no memory");
	controller->listener_fd = controller->program_fd = controller->standby_fd = -1;
	fill_settings(&controller->settings, options, port);
	snprintf(path, sizeof path, "%s/%s", directory, TANDEM_CONTROL_SOCKET);
	failure =
	        tandem_unix_listen(path, SOCK_SEQPACKET, 4, &controller->listener_fd, reterr_error);
	if (failure != 0) {
		tandem_bench_controller_free(controller);
		return failure;
	}
	failure = pthread_create(&controller->thread, NULL, run, controller);
	controller->has_thread = failure == 0;
	if (failure != 0) {
		tandem_bench_controller_free(controller);
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure,
		                              "pthread_create", "bench");
	}
	*ret_controller = controller;
	return 0;
}

uint64_t tandem_bench_controller_session_up_ns(const struct tandem_bench_controller *controller)
{
	return atomic_load(&controller->session_up_ns);
}

struct tandem_bench_controller *tandem_bench_controller_free(
        struct tandem_bench_controller *controller)
{
	if (controller == NULL)
		return NULL;
	atomic_store(&controller->is_ending, true);
	if (controller->has_thread)
		pthread_join(controller->thread, NULL);
	if (controller->listener_fd >= 0)
		close(controller->listener_fd);
	tandem_memory_free(controller);
	return NULL;
}
