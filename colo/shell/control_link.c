#include "control_link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/life.h>
#include <tandem/memory.h>
#include <tandem/unix_socket.h>

#define REATTACH_INTERVAL_NS (200 * TANDEM_NS_PER_MS)

struct tandem_control_link {
	/* written at creation */
	char path[108];
	struct tandem_control_message attach;
	struct tandem_control_callbacks callbacks;
	uint64_t report_interval_ns;
	/* any thread: replaced under `lock`, so that a sender never meets a closed descriptor */
	pthread_mutex_t lock;
	int fd;
	/* the thread's */
	pthread_t thread;
	bool has_thread;
	int wake_fd;
	_Atomic bool is_ending;
	_Atomic bool is_report_wanted;
};

static int connect_to(const char *path, struct tandem_error *reterr_error)
{
	struct sockaddr_un address;
	const int status = tandem_unix_address(path, &address, reterr_error);

	if (status != 0)
		return status;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "socket",
		                              "control socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "connect",
	                       "no controller at %s (is tandem-failoverd running, and is the run "
	                       "directory right?)",
	                       path);
	close(fd);
	return TANDEM_E_SYSTEM;
}

static bool send_on(int fd, const struct tandem_control_message *message)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];

	tandem_control_encode(message, bytes);
	return send(fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof bytes;
}

/* 1: a message; 0: nothing yet; negative: the line is dead. */
static int receive_on(int fd, struct tandem_control_message *ret_message)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES + 1];
	ssize_t length = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

	if (length < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : TANDEM_E_SYSTEM;
	if (length == 0)
		return TANDEM_E_PEER_LOST;
	return tandem_control_decode(bytes, (size_t)length, ret_message) < 0 ? TANDEM_E_PROTOCOL
	                                                                     : 1;
}

/* [L1] */
static int wait_welcome(int fd, uint64_t deadline_ns, struct tandem_control_message *ret_welcome,
                        struct tandem_error *reterr_error)
{
	for (;;) {
		struct pollfd descriptor = {.fd = fd, .events = POLLIN};
		int received = receive_on(fd, ret_welcome);

		if (received < 0)
			return tandem_error_set(
			        reterr_error, received, "control socket",
			        "the controller ended the connection before WELCOME");
		if (received == 1 && ret_welcome->type == TANDEM_CONTROL_WELCOME)
			return 0;
		if (received == 1 && ret_welcome->type == TANDEM_CONTROL_HALT)
			return tandem_error_set(reterr_error, TANDEM_E_NOT_LEADER, "attach", "%s",
			                        ret_welcome->text);
		if (received == 1 && ret_welcome->type == TANDEM_CONTROL_FAILED)
			return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "attach", "%s",
			                        ret_welcome->text);
		if (tandem_clock_now_ns() >= deadline_ns)
			return tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, "attach",
			                        "the controller did not answer in time");
		poll(&descriptor, 1, 10);
	}
}

int tandem_control_link_open(const char *run_directory, const struct tandem_control_message *attach,
                             uint64_t timeout_ns, struct tandem_control_link **ret_link,
                             struct tandem_control_message *ret_welcome,
                             struct tandem_error *reterr_error)
{
	struct tandem_control_link *link = tandem_memory_alloc(sizeof *link);
	int length, code;

	if (link == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "attach",
		                        "no memory for the control link");
	pthread_mutex_init(&link->lock, NULL);
	link->fd = -1;
	link->attach = *attach;
	link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	length = snprintf(link->path, sizeof link->path, "%s/%s", run_directory,
	                  TANDEM_CONTROL_SOCKET);
	if (link->wake_fd < 0 || length < 0 || (size_t)length >= sizeof link->path)
		code = tandem_error_set(
		        reterr_error, TANDEM_E_USAGE, "attach",
		        "the run directory's name is too long (%d bytes, at most %zu): %s", length,
		        sizeof link->path - 1, run_directory);
	else
		code = link->fd = connect_to(link->path, reterr_error);
	if (code >= 0 && !send_on(link->fd, attach))
		code = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "send",
		                              "ATTACH");
	if (code >= 0)
		code = wait_welcome(link->fd, tandem_clock_now_ns() + timeout_ns, ret_welcome,
		                    reterr_error);
	if (code < 0) {
		tandem_control_link_free(link);
		return code;
	}
	*ret_link = link;
	return 0;
}

static void replace_fd(struct tandem_control_link *link, int fd)
{
	pthread_mutex_lock(&link->lock);
	if (link->fd >= 0)
		close(link->fd);
	link->fd = fd;
	pthread_mutex_unlock(&link->lock);
}

void tandem_control_link_send(struct tandem_control_link *link,
                              const struct tandem_control_message *message)
{
	struct tandem_control_message copy = *message;

	memcpy(copy.pair, link->attach.pair, sizeof copy.pair);
	copy.kind = link->attach.kind;
	copy.incarnation = link->attach.incarnation;
	pthread_mutex_lock(&link->lock);
	if (link->fd >= 0)
		send_on(link->fd, &copy);
	pthread_mutex_unlock(&link->lock);
}

/* [L3] */
static void reattach(struct tandem_control_link *link)
{
	int fd = connect_to(link->path, NULL);

	if (fd < 0)
		return;
	if (!send_on(fd, &link->attach)) {
		close(fd);
		return;
	}
	replace_fd(link, fd);
	link->callbacks.on_attached(link->callbacks.argument);
}

static void report(struct tandem_control_link *link)
{
	struct tandem_control_message message = {.type = TANDEM_CONTROL_REPORT};

	link->callbacks.on_report(link->callbacks.argument, &message);
	tandem_control_link_send(link, &message);
}

/* [L7] */
static void read_orders(struct tandem_control_link *link)
{
	struct tandem_control_message message;
	int received;

	while ((received = receive_on(link->fd, &message)) == 1)
		link->callbacks.on_message(link->callbacks.argument, &message);
	if (received < 0)
		replace_fd(link, -1);
}

void tandem_control_link_look(struct tandem_control_link *link,
                              void (*on_message)(void *argument,
                                                 const struct tandem_control_message *message),
                              void *argument)
{
	struct tandem_control_message message;

	while (link->fd >= 0 && receive_on(link->fd, &message) == 1)
		on_message(argument, &message);
}

static void *run_link(void *argument)
{
	struct tandem_control_link *link = argument;
	uint64_t report_at_ns = 0, attach_at_ns = 0, wake_count;

	if (link->callbacks.life != NULL)
		tandem_life_begin(link->callbacks.life);
	while (!atomic_load(&link->is_ending)) {
		uint64_t now_ns = tandem_clock_now_ns();

		if (link->fd < 0 && now_ns >= attach_at_ns) {
			attach_at_ns = now_ns + REATTACH_INTERVAL_NS;
			reattach(link);
		}
		if (atomic_exchange(&link->is_report_wanted, false) || now_ns >= report_at_ns) {
			report_at_ns = now_ns + link->report_interval_ns;
			report(link);
		}
		struct pollfd descriptors[] = {{.fd = link->wake_fd, .events = POLLIN},
		                               {.fd = link->fd, .events = POLLIN}};
		poll(descriptors, 2, (int)((report_at_ns - now_ns) / TANDEM_NS_PER_MS) + 1);
		if (descriptors[0].revents != 0)
			(void)!read(link->wake_fd, &wake_count, sizeof wake_count);
		if (link->fd >= 0)
			read_orders(link);
	}
	if (link->callbacks.life != NULL)
		tandem_life_end(link->callbacks.life);
	return NULL;
}

int tandem_control_link_start(struct tandem_control_link *link,
                              const struct tandem_control_callbacks *callbacks,
                              uint64_t report_interval_ns, struct tandem_error *reterr_error)
{
	sigset_t all, before;
	int failure;

	link->callbacks = *callbacks;
	link->report_interval_ns = report_interval_ns;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failure = pthread_create(&link->thread, NULL, run_link, link);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failure != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure,
		                              "pthread_create", "control link");
	link->has_thread = true;
	return 0;
}

static bool wake(struct tandem_control_link *link)
{
	const uint64_t one = 1;

	return write(link->wake_fd, &one, sizeof one) == (ssize_t)sizeof one;
}

void tandem_control_link_report(struct tandem_control_link *link)
{
	atomic_store(&link->is_report_wanted, true);
	(void)wake(link);
}

struct tandem_control_link *tandem_control_link_free(struct tandem_control_link *link)
{
	if (link == NULL)
		return NULL;
	atomic_store(&link->is_ending, true);
	if (link->has_thread && wake(link))
		pthread_join(link->thread, NULL);
	if (link->fd >= 0)
		close(link->fd);
	if (link->wake_fd >= 0)
		close(link->wake_fd);
	pthread_mutex_destroy(&link->lock);
	tandem_memory_free(link);
	return NULL;
}
