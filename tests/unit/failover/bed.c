#include "bed.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <tandem/clock.h>
#include <unistd.h>

#define WAIT_NS (20 * TANDEM_NS_PER_S)

struct bed bed;

static void on_decision(void *context, bool is_alarm, const char *line)
{
	(void)context;
	if (!is_alarm)
		return;
	bed.complaint_count++;
	snprintf(bed.complaint, sizeof(bed.complaint), "%s", line);
	size_t length = strlen(bed.complaints);
	snprintf(bed.complaints + length, sizeof(bed.complaints) - length, "%s\n", line);
}

static void take_messages(struct bed_plane *plane)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES + 1];
	for (;;) {
		ssize_t length = recv(plane->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (length == 0)
			plane->is_closed = true;
		if (length <= 0)
			return;
		cr_assert(plane->count < BED_MESSAGES_MAX);
		cr_assert(tandem_control_decode(bytes, (size_t)length,
		                                &plane->got[plane->count++]) == 0);
	}
}

static void on_beat(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	for (unsigned i = 0; i < 4; i++) {
		if (bed.planes[i].fd < 0)
			continue;
		take_messages(&bed.planes[i]);
		bed_say(&bed.planes[i], bed.planes[i].report);
	}
}

static int bind_any(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert(bind(fd, (struct sockaddr *)&address, length) == 0);
	cr_assert(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* Two ports that nobody has now: the first is held until the second is another. */
static void find_ports(uint16_t ret_ports[2])
{
	int first = bind_any(&ret_ports[0]), second = bind_any(&ret_ports[1]);
	close(first);
	close(second);
}

/* Fields and their texts all lie in `bed`, which a compiler takes for an overlap. */
static void spell(char *ret_text, size_t size, const char *place)
{
	char directory[DIRECTORY_BYTES];
	memcpy(directory, bed.directory, sizeof(directory));
	snprintf(ret_text, size, "%s/%s", directory, place);
}

static void fill_node(unsigned node, const uint16_t ports[2])
{
	struct tandem_controller_pair *pair = &bed.pairs[node];
	struct tandem_controller_options *options = &bed.options[node];
	*pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
	snprintf(pair->name, sizeof(pair->name), "kv");
	snprintf(pair->peer_node, sizeof(pair->peer_node), "%s", node == 0 ? "b" : "a");
	snprintf(pair->first_owner, sizeof(pair->first_owner), "a");
	spell(pair->arbiter_path, sizeof(pair->arbiter_path), "shared");
	pair->link_count = 1;
	snprintf(pair->links[0].local_address, sizeof(pair->links[0].local_address), "127.0.0.1");
	snprintf(pair->links[0].peer_address, sizeof(pair->links[0].peer_address), "127.0.0.1");
	pair->links[0].local_port = ports[node];
	pair->links[0].peer_port = ports[1 - node];
	memset(pair->key, 7, sizeof(pair->key));
	*options = TANDEM_CONTROLLER_OPTIONS_DEFAULT;
	snprintf(options->node, sizeof(options->node), "%s", node == 0 ? "a" : "b");
	spell(options->run_directory, sizeof(options->run_directory),
	      node == 0 ? "run-a" : "run-b");
	options->pairs = pair;
	options->pair_count = 1;
	options->on_decision = on_decision;
	snprintf(options->memory_lock_refusal, sizeof(options->memory_lock_refusal),
	         "the test asked for none");
}

int bed_start_controller(unsigned node, struct tandem_error *reterr_error)
{
	return tandem_controller_new(bed.base, &bed.options[node], &bed.controllers[node],
	                             reterr_error);
}

void bed_end_controller(unsigned node)
{
	tandem_controller_free(bed.controllers[node]);
	bed.controllers[node] = NULL;
}

void bed_begin(void)
{
	struct timeval interval = {.tv_usec = 10000};
	uint16_t ports[2];
	struct tandem_error error = {0};
	find_ports(ports);
	directory_make(bed.directory);
	bed.base = event_base_new();
	bed.beat = event_new(bed.base, -1, EV_PERSIST, on_beat, NULL);
	event_add(bed.beat, &interval);
	for (unsigned i = 0; i < 4; i++)
		bed.planes[i].fd = -1;
	for (unsigned node = 0; node < 2; node++) {
		fill_node(node, ports);
		cr_assert(bed_start_controller(node, &error) == 0, "%s", error.detail);
	}
}

void bed_end(void)
{
	for (unsigned i = 0; i < 4; i++)
		bed_hang_up(&bed.planes[i]);
	for (unsigned node = 0; node < 2; node++)
		bed_end_controller(node);
	event_free(bed.beat);
	event_base_free(bed.base);
	directory_remove(bed.directory);
}

void bed_wait_until(bool (*holds)(void), const char *what)
{
	uint64_t end_ns = tandem_clock_now_ns() + WAIT_NS;
	while (!holds()) {
		cr_assert(tandem_clock_now_ns() < end_ns, "waited in vain for %s; last: %s", what,
		          bed.complaint);
		event_base_loop(bed.base, EVLOOP_ONCE);
	}
}

int bed_connect(unsigned node, const char *name, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/run-%s/%s",
	                      bed.directory, node == 0 ? "a" : "b", name);
	cr_assert(length > 0 && (size_t)length < sizeof(address.sun_path));
	cr_assert(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

/* ---- data planes ---- */

void bed_say(struct bed_plane *plane, struct tandem_control_message message)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	snprintf(message.pair, sizeof(message.pair), "kv");
	message.kind = plane->attach.kind;
	message.incarnation = plane->attach.incarnation;
	tandem_control_encode(&message, bytes);
	/* A controller that ended does not take it, and that is no failure of the test. */
	ssize_t sent = send(plane->fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)sent;
}

struct bed_plane *bed_attach(unsigned node, enum tandem_control_kind kind, uint64_t incarnation)
{
	struct bed_plane *plane = bed.planes;
	while (plane->fd >= 0)
		plane++;
	*plane = (struct bed_plane){.fd = bed_connect(node, TANDEM_CONTROL_SOCKET, SOCK_SEQPACKET),
	                            .attach = {.type = TANDEM_CONTROL_ATTACH,
	                                       .kind = kind,
	                                       .incarnation = incarnation,
	                                       .process_id = (uint32_t)getpid()},
	                            .report = {.type = TANDEM_CONTROL_REPORT}};
	bed_say(plane, plane->attach);
	return plane;
}

void bed_hang_up(struct bed_plane *plane)
{
	if (plane->fd >= 0)
		close(plane->fd);
	plane->fd = -1;
}

static struct bed_plane *wanted_plane;
static enum tandem_control_type wanted_type;
static const struct tandem_control_message *found;

static bool has_message(void)
{
	found = NULL;
	for (size_t i = 0; i < wanted_plane->count; i++) {
		if (wanted_plane->got[i].type == wanted_type)
			found = &wanted_plane->got[i];
	}
	return found != NULL;
}

const struct tandem_control_message *bed_wait(struct bed_plane *plane,
                                              enum tandem_control_type type)
{
	wanted_plane = plane;
	wanted_type = type;
	bed_wait_until(has_message, tandem_control_type_name(type));
	return found;
}

/* ---- the operator ---- */

static int answer_fd;
static size_t answer_length;
static char answer_text[400000];

static bool has_line(void)
{
	ssize_t length = recv(answer_fd, answer_text + answer_length,
	                      sizeof(answer_text) - 1 - answer_length, MSG_DONTWAIT);
	if (length > 0)
		answer_length += (size_t)length;
	answer_text[answer_length] = 0;
	return strchr(answer_text, '\n') != NULL;
}

struct json_object *bed_ask(unsigned node, const char *line)
{
	answer_fd = bed_connect(node, TANDEM_ADMIN_SOCKET, SOCK_STREAM);
	answer_length = 0;
	cr_assert(send(answer_fd, line, strlen(line), 0) == (ssize_t)strlen(line));
	cr_assert(send(answer_fd, "\n", 1, 0) == 1);
	bed_wait_until(has_line, "an answer to the operator");
	close(answer_fd);
	struct json_object *object = json_tokener_parse(answer_text);
	cr_assert(object != NULL, "%s", answer_text);
	return object;
}

static unsigned wanted_node;
static const char *wanted_state;

static bool has_state(void)
{
	struct json_object *answer = bed_ask(wanted_node, "{\"command\":\"status\"}");
	struct json_object *pair =
	        json_object_array_get_idx(json_object_object_get(answer, "pairs"), 0);
	const char *state = json_object_get_string(json_object_object_get(pair, "state"));
	bool has = strcmp(state, wanted_state) == 0;
	json_object_put(answer);
	return has;
}

void bed_wait_state(unsigned node, const char *state)
{
	wanted_node = node;
	wanted_state = state;
	bed_wait_until(has_state, state);
}
