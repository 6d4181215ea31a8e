#include "shell/qmp.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/unix_socket.h>
#include <unistd.h>

#define SLOT_COUNT (TANDEM_QMP_COMMANDS_MAX + TANDEM_QMP_OUT_OF_BAND_COMMANDS_MAX)
#define NAME_BYTES 64

enum stage {
	STAGE_GREETING,
	STAGE_CAPABILITIES,
	STAGE_READY,
	STAGE_ENDED,
};

/* A command that QEMU has not answered. */
struct slot {
	struct tandem_qmp *qmp;
	struct event *timer;
	uint64_t id;
	uint64_t timeout_ns;
	bool is_used;
	bool is_told; /* its time was over: the answer is still awaited, for nobody */
	tandem_qmp_answer answer;
	void *context;
	char command[NAME_BYTES];
};

struct tandem_qmp {
	struct bufferevent *stream;
	struct event *start_timer;
	struct tandem_qmp_handler handler;
	enum stage stage;
	struct tandem_qemu_numbers version;
	uint64_t id_first; /* of its own commands */
	uint64_t start_timeout_ns;
	unsigned told_depth; /* calls to others under way: it is freed behind the last one */
	bool is_closed;
	struct slot slots[SLOT_COUNT]; /* those of commands out of band last */
};

/* Of all conversations: QEMU answers in the next one what the one before it did not wait for. */
static _Atomic uint64_t id_next = 1;

static void destroy(struct tandem_qmp *qmp)
{
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		if (qmp->slots[i].timer)
			event_free(qmp->slots[i].timer);
	}
	if (qmp->start_timer)
		event_free(qmp->start_timer);
	if (qmp->stream)
		bufferevent_free(qmp->stream);
	tandem_memory_free(qmp);
}

static void enter(struct tandem_qmp *qmp)
{
	qmp->told_depth++;
}

static void leave(struct tandem_qmp *qmp)
{
	qmp->told_depth--;
	if (qmp->told_depth == 0 && qmp->is_closed)
		destroy(qmp);
}

static void tell(struct slot *slot, struct json_object *value, const struct tandem_error *error)
{
	if (slot->is_told || slot->qmp->is_closed)
		return;
	slot->is_told = true;
	slot->answer(slot->context, value, error);
}

static void free_slot(struct slot *slot)
{
	event_del(slot->timer);
	slot->is_used = false;
}

/* Between enter() and leave(). */
static void end(struct tandem_qmp *qmp, const struct tandem_error *error)
{
	if (qmp->stage == STAGE_ENDED)
		return;
	qmp->stage = STAGE_ENDED;
	event_del(qmp->start_timer);
	bufferevent_disable(qmp->stream, EV_READ | EV_WRITE);
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		if (!qmp->slots[i].is_used)
			continue;
		free_slot(&qmp->slots[i]);
		tell(&qmp->slots[i], NULL, error);
	}
	if (!qmp->is_closed)
		qmp->handler.on_end(qmp->handler.context, error);
}

static void end_because(struct tandem_qmp *qmp, int code, const char *why)
{
	struct tandem_error error;

	tandem_error_set(&error, code, "QMP", "%s", why);
	end(qmp, &error);
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
	struct slot *slot = context;
	struct tandem_qmp *qmp = slot->qmp;
	struct tandem_error error;

	(void)fd;
	(void)what;
	tandem_error_set(&error, TANDEM_E_TIMEOUT, slot->command,
	                 "QEMU did not answer its control socket within %llu ms",
	                 (unsigned long long)(slot->timeout_ns / TANDEM_NS_PER_MS));
	enter(qmp);
	tell(slot, NULL, &error);
	leave(qmp);
}

static void on_start_timeout(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qmp *qmp = context;
	struct tandem_error error;

	(void)fd;
	(void)what;
	tandem_error_set(&error, TANDEM_E_TIMEOUT, "QMP",
	                 "QEMU did not begin to speak on its control socket within %llu ms; is "
	                 "somebody else connected to it?",
	                 (unsigned long long)(qmp->start_timeout_ns / TANDEM_NS_PER_MS));
	enter(qmp);
	end(qmp, &error);
	leave(qmp);
}

static struct slot *find_free(struct tandem_qmp *qmp, bool is_out_of_band)
{
	const unsigned first = is_out_of_band ? TANDEM_QMP_COMMANDS_MAX : 0;
	const unsigned last = is_out_of_band ? SLOT_COUNT : TANDEM_QMP_COMMANDS_MAX;

	for (unsigned i = first; i < last; i++) {
		if (!qmp->slots[i].is_used)
			return &qmp->slots[i];
	}
	return NULL;
}

static struct slot *find(struct tandem_qmp *qmp, uint64_t id)
{
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		if (qmp->slots[i].is_used && qmp->slots[i].id == id)
			return &qmp->slots[i];
	}
	return NULL;
}

static int write_command(struct tandem_qmp *qmp, const struct slot *slot, bool is_out_of_band,
                         struct json_object *arguments)
{
	struct json_object *object = json_object_new_object();

	if (!object) {
		json_object_put(arguments);
		return -1;
	}
	json_object_object_add(object, is_out_of_band ? "exec-oob" : "execute",
	                       json_object_new_string(slot->command));
	if (arguments)
		json_object_object_add(object, "arguments", arguments);
	json_object_object_add(object, "id", json_object_new_int64((int64_t)slot->id));
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	const int status = !text || bufferevent_write(qmp->stream, text, strlen(text)) != 0 ||
	                                   bufferevent_write(qmp->stream, "\n", 1) != 0
	                           ? -1
	                           : 0;
	json_object_put(object);
	return status;
}

struct command {
	const char *name;
	struct json_object *arguments;
	bool is_out_of_band;
	uint64_t timeout_ns;
	tandem_qmp_answer answer;
	void *context;
};

static int send_command(struct tandem_qmp *qmp, const struct command *command,
                        struct tandem_error *reterr_error)
{
	struct slot *slot = find_free(qmp, command->is_out_of_band);
	const struct timeval timeout = tandem_clock_timeval(command->timeout_ns);
	const size_t name_bytes = strlen(command->name);

	if (!slot || name_bytes >= NAME_BYTES) {
		json_object_put(command->arguments);
		return tandem_error_set(reterr_error, slot ? TANDEM_E_USAGE : TANDEM_E_AGAIN, "QMP",
		                        "%.40s: %s", command->name,
		                        slot ? "a name of fewer than 64 characters is needed"
		                             : "4 such commands wait for QEMU's answer; it takes "
		                               "one more when it has answered");
	}
	slot->id = atomic_fetch_add(&id_next, 1);
	slot->is_told = false;
	slot->timeout_ns = command->timeout_ns;
	slot->answer = command->answer;
	slot->context = command->context;
	memcpy(slot->command, command->name, name_bytes + 1);
	if (event_add(slot->timer, &timeout) != 0 ||
	    write_command(qmp, slot, command->is_out_of_band, command->arguments) != 0) {
		event_del(slot->timer);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "QMP", "no memory");
	}
	slot->is_used = true;
	return 0;
}

static void on_capabilities(void *context, struct json_object *value,
                            const struct tandem_error *error)
{
	struct tandem_qmp *qmp = context;

	(void)value;
	if (error) {
		end(qmp, error);
		return;
	}
	event_del(qmp->start_timer);
	qmp->stage = STAGE_READY;
	qmp->handler.on_ready(qmp->handler.context, &qmp->version);
}

static void on_greeting(struct tandem_qmp *qmp, const struct tandem_qmp_message *message)
{
	struct json_object *arguments, *list;
	struct tandem_error error;

	if (qmp->stage != STAGE_GREETING) {
		end_because(qmp, TANDEM_E_PROTOCOL, "QEMU greeted twice");
		return;
	}
	if (!message->has_out_of_band) {
		end_because(qmp, TANDEM_E_UNSUPPORTED,
		            "QEMU offers no commands out of band here, and without them a guest "
		            "cannot be freed from a stalled peer: give it a socket of its own, "
		            "-qmp unix:PATH,server=on,wait=off");
		return;
	}
	qmp->version = message->version;
	qmp->stage = STAGE_CAPABILITIES;
	arguments = json_object_new_object();
	list = json_object_new_array();
	json_object_array_add(list, json_object_new_string("oob"));
	json_object_object_add(arguments, "enable", list);
	if (send_command(qmp,
	                 &(struct command){.name = "qmp_capabilities",
	                                   .arguments = arguments,
	                                   .timeout_ns = qmp->start_timeout_ns,
	                                   .answer = on_capabilities,
	                                   .context = qmp},
	                 &error) != 0)
		end(qmp, &error);
}

static void on_answer(struct tandem_qmp *qmp, const struct tandem_qmp_message *message)
{
	struct slot *slot = message->has_id ? find(qmp, message->id) : NULL;
	struct tandem_error error;

	if (!slot && message->has_id && message->id < qmp->id_first)
		return; /* to a conversation before this one */
	if (!slot) {
		tandem_error_set(&error, TANDEM_E_PROTOCOL, "QMP",
		                 "QEMU answered what it was not asked: %.40s %.120s",
		                 message->name ? message->name : "",
		                 message->detail ? message->detail : "");
		end(qmp, &error);
		return;
	}
	free_slot(slot);
	if (message->type == TANDEM_QMP_ANSWER) {
		tell(slot, message->value, NULL);
		return;
	}
	tandem_error_set(&error, TANDEM_E_REFUSED, slot->command, "QEMU refused: %.40s: %.160s",
	                 message->name, message->detail);
	tell(slot, NULL, &error);
}

static void on_message(struct tandem_qmp *qmp, const struct tandem_qmp_message *message)
{
	switch (message->type) {
	case TANDEM_QMP_GREETING:
		on_greeting(qmp, message);
		return;
	case TANDEM_QMP_ANSWER:
	case TANDEM_QMP_REFUSAL:
		on_answer(qmp, message);
		return;
	case TANDEM_QMP_EVENT:
		/* None is due before QEMU takes commands. */
		if (qmp->stage == STAGE_READY)
			qmp->handler.on_event(qmp->handler.context, message->name, message->value);
		return;
	}
}

static void take_line(struct tandem_qmp *qmp, const char *line, size_t length)
{
	struct tandem_qmp_message message;
	struct tandem_error error;

	if (tandem_qmp_message_parse(line, length, &message, &error) != 0) {
		end(qmp, &error);
		return;
	}
	on_message(qmp, &message);
	tandem_qmp_message_end(&message);
}

static void on_read(struct bufferevent *stream, void *context)
{
	struct tandem_qmp *qmp = context;
	struct evbuffer *input = bufferevent_get_input(stream);
	size_t length = 0;
	char *line = NULL;

	enter(qmp);
	while (!qmp->is_closed && qmp->stage != STAGE_ENDED &&
	       (line = evbuffer_readln(input, &length, EVBUFFER_EOL_CRLF))) {
		take_line(qmp, line, length);
		free(line);
	}
	if (!qmp->is_closed && evbuffer_get_length(input) >= TANDEM_QMP_LINE_BYTES_MAX)
		end_because(qmp, TANDEM_E_PROTOCOL,
		            "QEMU's control socket sent a line that did not end within 1 MiB");
	leave(qmp);
}

static void on_socket(struct bufferevent *stream, short what, void *context)
{
	struct tandem_qmp *qmp = context;
	struct tandem_error error;

	(void)stream;
	if (what & BEV_EVENT_ERROR)
		tandem_error_set_errno(&error, TANDEM_E_PEER_LOST, EVUTIL_SOCKET_ERROR(), "QMP",
		                       "the connection to QEMU's control socket failed");
	else
		tandem_error_set(&error, TANDEM_E_PEER_LOST, "QMP",
		                 "QEMU closed its control socket");
	enter(qmp);
	end(qmp, &error);
	leave(qmp);
}

static bool make_timers(struct tandem_qmp *qmp, struct event_base *base)
{
	bool is_whole = true;

	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		qmp->slots[i].qmp = qmp;
		qmp->slots[i].timer = evtimer_new(base, on_timeout, &qmp->slots[i]);
		is_whole = is_whole && qmp->slots[i].timer;
	}
	qmp->start_timer = evtimer_new(base, on_start_timeout, qmp);
	return is_whole && qmp->start_timer;
}

/* NULL: no memory, and the socket is closed. */
static struct tandem_qmp *create(struct event_base *base, int fd)
{
	struct tandem_qmp *qmp = tandem_memory_alloc(sizeof(*qmp));

	if (qmp)
		qmp->stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!qmp || !qmp->stream) {
		close(fd);
		tandem_memory_free(qmp);
		return NULL;
	}
	if (make_timers(qmp, base))
		return qmp;
	destroy(qmp);
	return NULL;
}

int tandem_qmp_open(struct event_base *base, int fd, uint64_t start_timeout_ns,
                    const struct tandem_qmp_handler *handler, struct tandem_qmp **ret_qmp,
                    struct tandem_error *reterr_error)
{
	const struct timeval timeout = tandem_clock_timeval(start_timeout_ns);
	struct tandem_qmp *qmp;

	if (evutil_make_socket_nonblocking(fd) != 0) {
		tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "QMP",
		                       "the socket cannot be used");
		close(fd);
		return TANDEM_E_SYSTEM;
	}
	qmp = create(base, fd);
	if (!qmp)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "QMP", "no memory");
	if (event_add(qmp->start_timer, &timeout) != 0) {
		destroy(qmp);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "QMP", "no memory");
	}
	qmp->handler = *handler;
	qmp->id_first = atomic_load(&id_next);
	qmp->start_timeout_ns = start_timeout_ns;
	bufferevent_setcb(qmp->stream, on_read, NULL, on_socket, qmp);
	bufferevent_setwatermark(qmp->stream, EV_READ, 0, TANDEM_QMP_LINE_BYTES_MAX);
	bufferevent_enable(qmp->stream, EV_READ | EV_WRITE);
	*ret_qmp = qmp;
	return 0;
}

int tandem_qmp_connect(struct event_base *base, const char *path, uint64_t start_timeout_ns,
                       const struct tandem_qmp_handler *handler, struct tandem_qmp **ret_qmp,
                       struct tandem_error *reterr_error)
{
	struct sockaddr_un address;
	const int status = tandem_unix_address(path, &address, reterr_error);

	if (status != 0)
		return status;
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "QMP",
		                       "nobody listens at %.120s: QEMU is started with -qmp "
		                       "unix:PATH,server=on,wait=off",
		                       path);
		if (fd >= 0)
			close(fd);
		return TANDEM_E_SYSTEM;
	}
	return tandem_qmp_open(base, fd, start_timeout_ns, handler, ret_qmp, reterr_error);
}

static int execute(struct tandem_qmp *qmp, const struct command *command,
                   struct tandem_error *reterr_error)
{
	if (qmp->stage == STAGE_READY)
		return send_command(qmp, command, reterr_error);
	json_object_put(command->arguments);
	return tandem_error_set(reterr_error, TANDEM_E_USAGE, "QMP",
	                        qmp->stage == STAGE_ENDED ? "%.40s: the conversation has ended"
	                                                  : "%.40s: QEMU has not greeted yet",
	                        command->name);
}

int tandem_qmp_execute(struct tandem_qmp *qmp, const char *command, struct json_object *arguments,
                       uint64_t timeout_ns, tandem_qmp_answer answer, void *context,
                       struct tandem_error *reterr_error)
{
	return execute(qmp,
	               &(struct command){.name = command,
	                                 .arguments = arguments,
	                                 .timeout_ns = timeout_ns,
	                                 .answer = answer,
	                                 .context = context},
	               reterr_error);
}

int tandem_qmp_execute_out_of_band(struct tandem_qmp *qmp, const char *command,
                                   struct json_object *arguments, uint64_t timeout_ns,
                                   tandem_qmp_answer answer, void *context,
                                   struct tandem_error *reterr_error)
{
	return execute(qmp,
	               &(struct command){.name = command,
	                                 .arguments = arguments,
	                                 .is_out_of_band = true,
	                                 .timeout_ns = timeout_ns,
	                                 .answer = answer,
	                                 .context = context},
	               reterr_error);
}

int tandem_qmp_yank(struct tandem_qmp *qmp, uint64_t timeout_ns, tandem_qmp_answer answer,
                    void *context, struct tandem_error *reterr_error)
{
	struct json_object *arguments = json_object_new_object();
	struct json_object *list = json_object_new_array();
	struct json_object *instance = json_object_new_object();

	json_object_object_add(instance, "type", json_object_new_string("migration"));
	json_object_array_add(list, instance);
	json_object_object_add(arguments, "instances", list);
	return tandem_qmp_execute_out_of_band(qmp, "yank", arguments, timeout_ns, answer, context,
	                                      reterr_error);
}

void tandem_qmp_close(struct tandem_qmp *qmp)
{
	if (!qmp)
		return;
	enter(qmp);
	qmp->is_closed = true;
	leave(qmp);
}
