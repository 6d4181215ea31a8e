#include "shell/service.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <tandem/memory.h>
#include <unistd.h>

#include "shell/request.h"
#include "shell/status.h"

#define IDLE_TIMEOUT     ((struct timeval){.tv_sec = 30})
#define ANSWER_BYTES_MAX ((size_t)1 << 16) /* kept for one who does not take them */

/* One operator's connection: any number of requests, one JSON line each, one JSON line back. */
struct tandem_admin {
	struct tandem_controller *controller;
	struct bufferevent *stream;
	bool is_ending; /* as soon as the last answer has left */
	bool is_paused; /* nothing is read until the answers have left */
	struct tandem_admin *next;
	struct tandem_admin **link;
};

static void end(struct tandem_admin *admin)
{
	*admin->link = admin->next;
	if (admin->next)
		admin->next->link = admin->link;
	admin->controller->admin_count--;
	bufferevent_free(admin->stream);
	tandem_memory_free(admin);
}

static struct json_object *answer(bool is_ok, const char *text)
{
	struct json_object *object = json_object_new_object();
	json_object_object_add(object, "ok", json_object_new_boolean(is_ok));
	if (text)
		json_object_object_add(object, is_ok ? "text" : "error",
		                       json_object_new_string(text));
	return object;
}

static struct json_object *answer_status(struct tandem_controller *controller,
                                         const struct tandem_pair *one)
{
	struct json_object *object = answer(true, NULL);
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < controller->pair_count; i++) {
		if (!one || one == &controller->pairs[i])
			json_object_array_add(list, tandem_status_of_pair(&controller->pairs[i]));
	}
	json_object_object_add(object, "node", json_object_new_string(controller->options.node));
	json_object_object_add(object, "process_id", json_object_new_int64(getpid()));
	tandem_status_add_timing(object, controller);
	json_object_object_add(object, "pairs", list);
	return object;
}

static struct json_object *answer_events(const struct tandem_controller *controller,
                                         const struct tandem_request *request)
{
	struct json_object *object = answer(true, NULL);
	json_object_object_add(object, "events",
	                       tandem_status_of_history(&controller->history,
	                                                request->has_pair ? request->pair : NULL));
	return object;
}

/* The operator's word goes through the table like everything else. */
static struct json_object *answer_word(struct tandem_pair *pair, enum tandem_event_type type,
                                       uint64_t generation)
{
	struct tandem_event event = {.type = type, .generation = generation};
	tandem_pair_feed(pair, &event);
	const char *text = pair->reply_text ? pair->reply_text : "nothing was done";
	bool is_ok = pair->reply_text && pair->reply_status == 0;
	return answer(is_ok, text);
}

/* Orders that need nothing but the pair. */
static const enum tandem_event_type plain_words[TANDEM_COMMAND_COUNT] = {
        [TANDEM_COMMAND_YANK] = TANDEM_EVENT_YANK,
        [TANDEM_COMMAND_SWITCHOVER] = TANDEM_EVENT_SWITCHOVER,
        [TANDEM_COMMAND_RESYNC] = TANDEM_EVENT_RESYNC,
        [TANDEM_COMMAND_PROTECT] = TANDEM_EVENT_PROTECT,
        [TANDEM_COMMAND_UNPROTECT] = TANDEM_EVENT_UNPROTECT,
        [TANDEM_COMMAND_FENCE_ACK] = TANDEM_EVENT_FENCE_ACK,
};

static bool is_plain(enum tandem_command command)
{
	return plain_words[command] != TANDEM_EVENT_TICK;
}

static struct json_object *answer_order(struct tandem_pair *pair,
                                        const struct tandem_request *request)
{
	if (!pair)
		return answer(false, request->has_pair ? "no such pair on this node"
		                                       : "the key 'pair' is missing");
	if (is_plain(request->command))
		return answer_word(pair, plain_words[request->command], 0);
	if (request->command == TANDEM_COMMAND_PROMOTE) {
		if (!request->has_generation)
			return answer(false, "the key 'generation' is missing: the one that "
			                     "'status' shows");
		return answer_word(pair, TANDEM_EVENT_PROMOTE, request->generation);
	}
	if (request->command == TANDEM_COMMAND_FORCE_PRIMARY) {
		if (!request->accepts_data_loss)
			return answer(false, "'accept_data_loss' must be true: what only the other "
			                     "node holds will be lost, and it must be off");
		return answer_word(pair, TANDEM_EVENT_FORCE, 0);
	}
	if (request->command == TANDEM_COMMAND_MAINTENANCE) {
		if (!request->has_on)
			return answer(false, "the key 'on' is missing: true or false");
		return answer_word(pair,
		                   request->is_on ? TANDEM_EVENT_MAINTENANCE_ON
		                                  : TANDEM_EVENT_MAINTENANCE_OFF,
		                   0);
	}
	return answer(false, "unknown order");
}

static struct json_object *answer_request(struct tandem_controller *controller,
                                          const struct tandem_request *request)
{
	struct tandem_pair *pair =
	        request->has_pair ? tandem_pair_find(controller, request->pair) : NULL;
	if (request->has_pair && !pair)
		return answer(false, "no such pair on this node");
	if (request->command == TANDEM_COMMAND_STATUS)
		return answer_status(controller, pair);
	if (request->command == TANDEM_COMMAND_EVENTS)
		return answer_events(controller, request);
	return answer_order(pair, request);
}

static void answer_line(struct tandem_admin *admin, const char *line, size_t length)
{
	struct tandem_request request;
	struct tandem_error error;
	struct json_object *object;
	if (tandem_request_parse(line, length, &request, &error) != 0)
		object = answer(false, error.detail);
	else
		object = answer_request(admin->controller, &request);
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	bufferevent_write(admin->stream, text, strlen(text));
	bufferevent_write(admin->stream, "\n", 1);
	json_object_put(object);
}

static bool has_room(struct tandem_admin *admin)
{
	return evbuffer_get_length(bufferevent_get_output(admin->stream)) < ANSWER_BYTES_MAX;
}

static void on_read(struct bufferevent *stream, void *context)
{
	struct tandem_admin *admin = context;
	struct evbuffer *input = bufferevent_get_input(stream);
	size_t length = 0;
	char *line = NULL;
	while (has_room(admin) && (line = evbuffer_readln(input, &length, EVBUFFER_EOL_LF))) {
		answer_line(admin, line, length);
		free(line);
	}
	if (!has_room(admin)) {
		admin->is_paused = true;
		bufferevent_disable(stream, EV_READ);
		return;
	}
	if (evbuffer_get_length(input) <= TANDEM_REQUEST_BYTES_MAX)
		return;
	/* A line without an end: say so once, and read no more of it. */
	admin->is_ending = true;
	answer_line(admin, "", TANDEM_REQUEST_BYTES_MAX + 1);
	bufferevent_disable(stream, EV_READ);
	evbuffer_drain(input, evbuffer_get_length(input));
}

static void on_written(struct bufferevent *stream, void *context)
{
	struct tandem_admin *admin = context;
	if (admin->is_ending) {
		end(admin);
		return;
	}
	if (!admin->is_paused)
		return;
	admin->is_paused = false;
	bufferevent_enable(stream, EV_READ);
	on_read(stream, admin);
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
	(void)stream;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		end(context);
}

static void on_connect(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                       int from_length, void *context)
{
	struct tandem_controller *controller = context;
	struct tandem_admin *admin = NULL;
	(void)listener;
	(void)from;
	(void)from_length;
	if (controller->admin_count < TANDEM_ADMINS_MAX)
		admin = tandem_memory_alloc(sizeof(*admin));
	if (admin)
		admin->stream = bufferevent_socket_new(controller->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!admin || !admin->stream) {
		tandem_memory_free(admin);
		tandem_service_complain(controller, "an operator's connection was refused: too "
		                                    "many are open");
		close(fd);
		return;
	}
	struct timeval idle = IDLE_TIMEOUT;
	admin->controller = controller;
	admin->next = controller->admins;
	admin->link = &controller->admins;
	if (admin->next)
		admin->next->link = &admin->next;
	controller->admins = admin;
	controller->admin_count++;
	bufferevent_setcb(admin->stream, on_read, on_written, on_event, admin);
	bufferevent_set_timeouts(admin->stream, &idle, &idle);
	bufferevent_enable(admin->stream, EV_READ | EV_WRITE);
}

int tandem_admin_open(struct tandem_controller *controller, struct tandem_error *reterr_error)
{
	int fd = -1;
	int status = tandem_run_socket_listen(controller, TANDEM_ADMIN_SOCKET, SOCK_STREAM, &fd,
	                                      reterr_error);
	if (status != 0)
		return status;
	controller->admin_listener =
	        evconnlistener_new(controller->base, on_connect, controller,
	                           LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (controller->admin_listener)
		return 0;
	close(fd);
	return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "listen", "no listener");
}

void tandem_admin_close(struct tandem_controller *controller)
{
	if (controller->admin_listener)
		evconnlistener_free(controller->admin_listener);
	while (controller->admins)
		end(controller->admins);
}
