#include "controller.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <tandem/memory.h>

#define KEPT_MAX   256u
#define PATIENCE_S 20

struct controller {
	int listener, wake;
	pthread_t thread;
	_Atomic bool is_ending;

	pthread_mutex_t lock; /* all below */
	struct tandem_control_settings settings;
	pthread_cond_t changed;
	int connection;
	uint64_t incarnation;
	struct tandem_control_message report;
	unsigned kept_count;
	struct tandem_control_message kept[KEPT_MAX];
};

static void send_locked(struct controller *controller, const struct tandem_control_message *message)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];

	tandem_control_encode(message, bytes);
	if (controller->connection >= 0 &&
	    send(controller->connection, bytes, sizeof bytes, MSG_NOSIGNAL) < 0)
		perror("controller: send");
}

static void keep(struct controller *controller, const struct tandem_control_message *message)
{
	if (message->type == TANDEM_CONTROL_REPORT &&
	    (message->text[0] == '\0' || message->status != 0))
		controller->report = *message;
	else if (controller->kept_count < KEPT_MAX)
		controller->kept[controller->kept_count++] = *message;
	pthread_cond_broadcast(&controller->changed);
}

void controller_verify_every(struct controller *controller, uint32_t verify_every)
{
	pthread_mutex_lock(&controller->lock);
	controller->settings.verify_every = verify_every;
	pthread_mutex_unlock(&controller->lock);
}

static void hang_up_locked(struct controller *controller)
{
	if (controller->connection >= 0)
		close(controller->connection);
	controller->connection = -1;
}

static void on_packet(struct controller *controller)
{
	struct tandem_control_message message,
	        welcome = {.type = TANDEM_CONTROL_WELCOME, .settings = controller->settings};
	uint8_t bytes[TANDEM_CONTROL_BYTES + 1];
	ssize_t length = recv(controller->connection, bytes, sizeof bytes, MSG_DONTWAIT);

	if (length <= 0) {
		hang_up_locked(controller);
		return;
	}
	if (tandem_control_decode(bytes, (size_t)length, &message) < 0) {
		fprintf(stderr, "controller: a packet that cannot be read\n");
		return;
	}
	if (message.type == TANDEM_CONTROL_ATTACH) {
		controller->incarnation = message.incarnation;
		send_locked(controller, &welcome);
	}
	keep(controller, &message);
}

static void *run(void *argument)
{
	struct controller *controller = argument;

	while (!atomic_load(&controller->is_ending)) {
		struct pollfd descriptors[3] = {{.fd = controller->wake, .events = POLLIN},
		                                {.fd = controller->listener, .events = POLLIN},
		                                {.fd = -1, .events = POLLIN}};
		uint64_t count;

		pthread_mutex_lock(&controller->lock);
		descriptors[2].fd = controller->connection;
		pthread_mutex_unlock(&controller->lock);
		poll(descriptors, 3, 1000);
		if (descriptors[0].revents != 0 && read(controller->wake, &count, sizeof count) < 0)
			continue;
		pthread_mutex_lock(&controller->lock);
		if (descriptors[2].revents != 0 && controller->connection == descriptors[2].fd)
			on_packet(controller);
		if (descriptors[1].revents != 0) {
			hang_up_locked(controller);
			controller->connection =
			        accept4(controller->listener, NULL, NULL, SOCK_CLOEXEC);
		}
		pthread_mutex_unlock(&controller->lock);
	}
	return NULL;
}

static int listen_at(const char *run_directory)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", run_directory,
	                      TANDEM_CONTROL_SOCKET);

	if (length < 0 || (size_t)length >= sizeof address.sun_path)
		return -1;
	unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4) != 0)
		perror(address.sun_path);
	return fd;
}

static void init_condition(struct controller *controller)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&controller->changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

struct controller *controller_new(const char *run_directory,
                                  const struct tandem_control_settings *settings)
{
	struct controller *controller = tandem_memory_alloc(sizeof *controller);

	controller->settings = *settings;
	controller->connection = -1;
	controller->wake = eventfd(0, EFD_CLOEXEC);
	controller->listener = listen_at(run_directory);
	pthread_mutex_init(&controller->lock, NULL);
	init_condition(controller);
	pthread_create(&controller->thread, NULL, run, controller);
	return controller;
}

static void wake(struct controller *controller)
{
	uint64_t one = 1;

	if (write(controller->wake, &one, sizeof one) < 0)
		perror("controller: wake");
}

void controller_configure(struct controller *controller,
                          const struct tandem_control_settings *settings)
{
	pthread_mutex_lock(&controller->lock);
	controller->settings = *settings;
	pthread_mutex_unlock(&controller->lock);
}

struct controller *controller_free(struct controller *controller)
{
	if (controller == NULL)
		return NULL;
	atomic_store(&controller->is_ending, true);
	wake(controller);
	pthread_join(controller->thread, NULL);
	hang_up_locked(controller);
	close(controller->listener);
	close(controller->wake);
	pthread_cond_destroy(&controller->changed);
	pthread_mutex_destroy(&controller->lock);
	tandem_memory_free(controller);
	return NULL;
}

void controller_hang_up(struct controller *controller)
{
	pthread_mutex_lock(&controller->lock);
	hang_up_locked(controller);
	controller->kept_count = 0;
	pthread_mutex_unlock(&controller->lock);
	wake(controller);
}

void controller_send(struct controller *controller, const struct tandem_control_message *message)
{
	pthread_mutex_lock(&controller->lock);
	send_locked(controller, message);
	pthread_mutex_unlock(&controller->lock);
}

void controller_lead(struct controller *controller, uint64_t generation, bool is_pair)
{
	struct tandem_control_message message = {.type = TANDEM_CONTROL_LEAD,
	                                         .kind = TANDEM_CONTROL_KIND_PROGRAM,
	                                         .generation = generation,
	                                         .is_pair = is_pair};

	controller_send(controller, &message);
}

void controller_stand_by(struct controller *controller, uint64_t generation,
                         uint64_t owner_incarnation)
{
	struct tandem_control_message message = {.type = TANDEM_CONTROL_STAND_BY,
	                                         .kind = TANDEM_CONTROL_KIND_STANDBY,
	                                         .generation = generation,
	                                         .peer_incarnation = owner_incarnation};

	controller_send(controller, &message);
}

static struct timespec patience(void)
{
	struct timespec deadline;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += PATIENCE_S;
	return deadline;
}

/* Index behind the first kept message of that type, 0 for none. */
static unsigned find(const struct controller *controller, enum tandem_control_type type)
{
	for (unsigned index = 0; index < controller->kept_count; index++) {
		if (controller->kept[index].type == type)
			return index + 1;
	}
	return 0;
}

bool controller_wait(struct controller *controller, enum tandem_control_type type,
                     struct tandem_control_message *ret_message)
{
	struct timespec deadline = patience();
	unsigned end;
	int waited = 0;

	pthread_mutex_lock(&controller->lock);
	while ((end = find(controller, type)) == 0 && waited == 0)
		waited = pthread_cond_timedwait(&controller->changed, &controller->lock, &deadline);
	if (end > 0) {
		if (ret_message != NULL)
			*ret_message = controller->kept[end - 1];
		controller->kept_count -= end;
		memmove(controller->kept, controller->kept + end,
		        controller->kept_count * sizeof *controller->kept);
	}
	pthread_mutex_unlock(&controller->lock);
	if (end == 0)
		fprintf(stderr, "controller: no %s came\n", tandem_control_type_name(type));
	return end > 0;
}

bool controller_has(struct controller *controller, enum tandem_control_type type)
{
	bool is_there;

	pthread_mutex_lock(&controller->lock);
	is_there = find(controller, type) > 0;
	pthread_mutex_unlock(&controller->lock);
	return is_there;
}

bool controller_wait_report(struct controller *controller,
                            bool (*is_good)(const struct tandem_control_message *report,
                                            uint64_t value),
                            uint64_t value)
{
	struct timespec deadline = patience();
	int waited = 0;
	bool is_met;

	pthread_mutex_lock(&controller->lock);
	while (!(is_met = is_good(&controller->report, value)) && waited == 0)
		waited = pthread_cond_timedwait(&controller->changed, &controller->lock, &deadline);
	pthread_mutex_unlock(&controller->lock);
	return is_met;
}

uint64_t controller_incarnation(struct controller *controller)
{
	uint64_t incarnation;

	pthread_mutex_lock(&controller->lock);
	incarnation = controller->incarnation;
	pthread_mutex_unlock(&controller->lock);
	return incarnation;
}
