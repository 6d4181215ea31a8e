#include "tandemctl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/controller.h>
#include <tandem/memory.h>
#include <tandem/unix_socket.h>

#define ANSWER_BYTES_MAX (8u << 20)
#define TIMEOUT_NS       (5 * TANDEM_NS_PER_S)
#define DEPTH_MAX        16

struct exchange {
	int fd;
	const char *path;
	uint64_t deadline_ns;
	struct tandem_error *error;
};

static int find_run_directory(const struct tandemctl *tandemctl, char *directory,
                              size_t directory_bytes, struct tandem_error *reterr_error)
{
	const char *path = tandemctl->path ? tandemctl->path : TANDEM_CONFIG_PATH_DEFAULT;
	struct tandem_config *config = NULL;
	const struct tandem_config_node *node = NULL;
	if (tandemctl->run_directory) {
		snprintf(directory, directory_bytes, "%s", tandemctl->run_directory);
		return 0;
	}
	int rc = tandem_config_load(path, &config, NULL, reterr_error);
	if (rc < 0)
		return tandem_error_wrap(reterr_error, rc, "configuration");
	rc = tandem_config_node(config, tandemctl->node, &node, reterr_error);
	if (rc == 0)
		snprintf(directory, directory_bytes, "%s", node->run_directory);
	tandem_config_free(config);
	return rc;
}

static int connect_to(struct exchange *exchange)
{
	struct sockaddr_un address;
	const int status = tandem_unix_address(exchange->path, &address, exchange->error);

	if (status != 0)
		return status;
	exchange->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (exchange->fd < 0)
		return tandem_error_set_errno(exchange->error, TANDEM_E_SYSTEM, errno, "socket",
		                              "%s", exchange->path);
	/* A local connect does not wait; EAGAIN says that too many do already. */
	if (connect(exchange->fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	return tandem_error_set_errno(exchange->error, TANDEM_E_SYSTEM, errno, "connect",
	                              "no controller answers (is tandem-failoverd running on this "
	                              "node, and may you reach its socket?): %s",
	                              exchange->path);
}

static int wait_for(struct exchange *exchange, short what)
{
	struct pollfd poll_fd = {.fd = exchange->fd, .events = what};
	for (;;) {
		uint64_t now_ns = tandem_clock_now_ns();
		if (now_ns >= exchange->deadline_ns)
			return tandem_error_set(exchange->error, TANDEM_E_TIMEOUT, "poll",
			                        "the controller at %s does not answer",
			                        exchange->path);
		uint64_t left_ms = (exchange->deadline_ns - now_ns) / TANDEM_NS_PER_MS + 1;
		int ready = poll(&poll_fd, 1, (int)left_ms);
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return tandem_error_set_errno(exchange->error, TANDEM_E_SYSTEM, errno,
			                              "poll", "%s", exchange->path);
	}
}

static int send_line(struct exchange *exchange, const char *text)
{
	size_t length = strlen(text);
	while (length > 0) {
		ssize_t count = send(exchange->fd, text, length, MSG_NOSIGNAL);
		if (count >= 0) {
			text += count;
			length -= (size_t)count;
		} else if (errno == EAGAIN) {
			int rc = wait_for(exchange, POLLOUT);
			if (rc < 0)
				return rc;
		} else if (errno != EINTR) {
			return tandem_error_set_errno(exchange->error, TANDEM_E_SYSTEM, errno,
			                              "send", "%s", exchange->path);
		}
	}
	return 0;
}

/* Reads until the line ends; `text` holds ANSWER_BYTES_MAX. */
static int receive_line(struct exchange *exchange, char *text, size_t *ret_length)
{
	size_t length = 0;
	while (length < ANSWER_BYTES_MAX) {
		ssize_t count = recv(exchange->fd, text + length, ANSWER_BYTES_MAX - length, 0);
		if (count > 0) {
			const char *end = memchr(text + length, '\n', (size_t)count);
			length += (size_t)count;
			if (end) {
				*ret_length = (size_t)(end - text);
				return 0;
			}
		} else if (count < 0 && errno == EAGAIN) {
			int rc = wait_for(exchange, POLLIN);
			if (rc < 0)
				return rc;
		} else if (count == 0 || errno != EINTR) {
			return tandem_error_set(exchange->error, TANDEM_E_SYSTEM, "recv",
			                        "the controller at %s closed the connection",
			                        exchange->path);
		}
	}
	return tandem_error_set(exchange->error, TANDEM_E_PROTOCOL, "recv",
	                        "an answer of more than %u bytes", ANSWER_BYTES_MAX);
}

static int parse(const char *text, size_t length, struct json_object **ret_answer,
                 struct tandem_error *reterr_error)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	if (!tokener)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "answer", "no memory");
	struct json_object *answer = json_tokener_parse_ex(tokener, text, (int)length);
	json_tokener_free(tokener);
	if (json_object_is_type(answer, json_type_object)) {
		*ret_answer = answer;
		return 0;
	}
	json_object_put(answer);
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "answer",
	                        "no JSON object in the controller's answer of %zu bytes", length);
}

static int converse(struct exchange *exchange, struct json_object *request,
                    struct json_object **ret_answer)
{
	size_t length = 0;
	char *text = tandem_memory_map(ANSWER_BYTES_MAX + 1);
	if (!text)
		return tandem_error_set(exchange->error, TANDEM_E_MEMORY, "answer", "no memory");
	int rc = connect_to(exchange);
	if (rc == 0)
		rc = send_line(exchange,
		               json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
	if (rc == 0)
		rc = send_line(exchange, "\n");
	if (rc == 0)
		rc = receive_line(exchange, text, &length);
	if (exchange->fd >= 0)
		close(exchange->fd);
	if (rc == 0)
		rc = parse(text, length, ret_answer, exchange->error);
	tandem_memory_unmap(text, ANSWER_BYTES_MAX + 1);
	return rc;
}

static int check_answer(struct json_object *answer, struct tandem_error *reterr_error)
{
	const char *text = json_object_get_string(json_object_object_get(answer, "error"));
	if (json_object_get_boolean(json_object_object_get(answer, "ok")))
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_REFUSED, "answer", "%s",
	                        text ? text : "refused without a reason");
}

int tandemctl_ask(const struct tandemctl *tandemctl, struct json_object *request,
                  struct json_object **ret_answer, struct tandem_error *reterr_error)
{
	char directory[512], path[600];
	struct json_object *answer = NULL;
	int rc = find_run_directory(tandemctl, directory, sizeof(directory), reterr_error);
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "%s/%s", directory, TANDEM_ADMIN_SOCKET);
	struct exchange exchange = {.fd = -1,
	                            .path = path,
	                            .deadline_ns = tandem_clock_now_ns() + TIMEOUT_NS,
	                            .error = reterr_error};
	rc = converse(&exchange, request, &answer);
	if (rc < 0)
		return rc;
	rc = check_answer(answer, reterr_error);
	if (rc < 0) {
		json_object_put(answer);
		return rc;
	}
	*ret_answer = answer;
	return 0;
}

int tandemctl_fail(const struct tandemctl *tandemctl, const struct tandem_error *error)
{
	if (!tandemctl->is_json) {
		fprintf(stderr, "tandemctl: %s\n", error->detail);
		return TANDEMCTL_FAILED;
	}
	struct json_object *object = json_object_new_object();
	json_object_object_add(object, "ok", json_object_new_boolean(false));
	json_object_object_add(object, "error", json_object_new_string(error->detail));
	json_object_object_add(object, "code",
	                       json_object_new_string(tandem_error_name(error->code)));
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
	return TANDEMCTL_FAILED;
}
