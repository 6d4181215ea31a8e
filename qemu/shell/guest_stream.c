#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/memory.h>
#include <unistd.h>

#include "shell/guest_internal.h"

#define INPUT_BYTES       ((size_t)256 << 10)
#define DESCRIPTION_BYTES ((size_t)1 << 20) /* more than any machine's devices need */

static void arm(struct tandem_qemu_guest *guest, uint64_t left_ns)
{
	const struct timeval left = tandem_clock_timeval(left_ns);

	event_add(guest->deadline_timer, &left);
}

static void arm_deadline(struct tandem_qemu_guest *guest)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	const uint64_t deadline_ns = guest->peer.deadline_ns;

	if (deadline_ns == 0)
		event_del(guest->deadline_timer);
	else
		arm(guest, (deadline_ns > now_ns ? deadline_ns - now_ns : 0) + TANDEM_NS_PER_US);
}

static int code_of(enum tandem_qemu_cause cause)
{
	switch (cause) {
	case TANDEM_QEMU_CAUSE_NONE:
	case TANDEM_QEMU_CAUSE_STOPPED:
		return 0;
	case TANDEM_QEMU_CAUSE_STATE_BYTES:
	case TANDEM_QEMU_CAUSE_RETURN_PATH:
		return TANDEM_E_CONFIG;
	case TANDEM_QEMU_CAUSE_EPOCH:
		return TANDEM_E_USAGE;
	case TANDEM_QEMU_CAUSE_TIMEOUT:
		return TANDEM_E_TIMEOUT;
	case TANDEM_QEMU_CAUSE_CLOSED:
	case TANDEM_QEMU_CAUSE_EXITED:
		return TANDEM_E_PEER_LOST;
	case TANDEM_QEMU_CAUSE_STREAM:
	case TANDEM_QEMU_CAUSE_ORDER:
	case TANDEM_QEMU_CAUSE_STATE_LENGTH:
	case TANDEM_QEMU_CAUSE_COUNT:
		break;
	}
	return TANDEM_E_PROTOCOL;
}

static void describe(struct tandem_qemu_guest *guest)
{
	const struct tandem_qemu_end *end = &guest->peer.end;

	if (guest->end_error.code != 0)
		return; /* an earlier cause */
	if (end->cause == TANDEM_QEMU_CAUSE_STOPPED)
		return; /* nothing was seen and nothing needed */
	tandem_error_set(&guest->end_error, code_of(end->cause), "COLO",
	                 "%s: seen %.80s%s%llu, needed %.60s%s%llu",
	                 tandem_qemu_cause_text(end->cause), end->seen_text ? end->seen_text : "",
	                 end->seen_text ? " " : "", (unsigned long long)end->seen,
	                 end->needed_text ? end->needed_text : "", end->needed_text ? " " : "",
	                 (unsigned long long)end->needed);
}

/* QEMU has to read an answer sooner than it can ask again, so there is always room for one. */
static void answer(struct tandem_qemu_guest *guest, const struct tandem_qemu_action *action)
{
	uint8_t bytes[TANDEM_QEMU_ANSWER_BYTES_MAX];
	const size_t length = tandem_qemu_answer_write(action, bytes);

	if (guest->fd < 0 || length == 0 ||
	    send(guest->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length)
		return;
	tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_CLOSED, (uint64_t)errno);
}

static bool fails_before(const struct tandem_qemu_action *action)
{
	switch (action->type) {
	case TANDEM_QEMU_ANSWER_RECEIVED:
		return TANDEM_FAILPOINT_FIRES("qemu_received");
	case TANDEM_QEMU_KEEP:
		return TANDEM_FAILPOINT_FIRES("qemu_keep");
	case TANDEM_QEMU_ANSWER_LOADED:
		return TANDEM_FAILPOINT_FIRES("qemu_loaded");
	case TANDEM_QEMU_ANSWER_PONG:
	case TANDEM_QEMU_ANSWER_SHUT:
	case TANDEM_QEMU_ANSWER_READY:
	case TANDEM_QEMU_ANSWER_REPLY:
	case TANDEM_QEMU_DROP:
	case TANDEM_QEMU_RELEASE:
		break;
	}
	return false;
}

static void act(struct tandem_qemu_guest *guest, const struct tandem_qemu_action *action)
{
	if (fails_before(action))
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_CLOSED, 0);
	switch (action->type) {
	case TANDEM_QEMU_KEEP:
		guest->handler.on_epoch(guest->handler.context, action->value, guest->state,
		                        guest->state_bytes);
		return;
	case TANDEM_QEMU_DROP:
		guest->handler.on_torn(guest->handler.context, action->value);
		return;
	case TANDEM_QEMU_RELEASE:
		describe(guest);
		if (guest->is_shared)
			guest->handler.on_release(guest->handler.context);
		tandem_qemu_guest_stream_end(guest);
		tandem_qemu_control_release(guest);
		return;
	case TANDEM_QEMU_ANSWER_PONG:
	case TANDEM_QEMU_ANSWER_SHUT:
	case TANDEM_QEMU_ANSWER_READY:
	case TANDEM_QEMU_ANSWER_REPLY:
	case TANDEM_QEMU_ANSWER_RECEIVED:
	case TANDEM_QEMU_ANSWER_LOADED:
		answer(guest, action);
		return;
	}
}

static void step(struct tandem_qemu_guest *guest, struct tandem_qemu_event *event)
{
	const uint64_t deadline_ns = guest->peer.deadline_ns;
	struct tandem_qemu_step step;

	event->now_ns = tandem_clock_now_ns();
	tandem_qemu_peer_step(&guest->peer, event, &step);
	if (guest->peer.deadline_ns != deadline_ns)
		arm_deadline(guest);
	for (unsigned i = 0; i < step.action_count; i++)
		act(guest, &step.actions[i]);
}

void tandem_qemu_guest_stream_tell(struct tandem_qemu_guest *guest,
                                   enum tandem_qemu_event_type type, uint64_t value)
{
	struct tandem_qemu_event event = {.type = type, .value = value};

	step(guest, &event);
}

/* ---- from bytes to items ---- */

static void keep_state(struct tandem_qemu_guest *guest, const struct tandem_qemu_item *item)
{
	if (item->type == TANDEM_QEMU_SIZE)
		guest->state_bytes = 0;
	if (item->type != TANDEM_QEMU_DEVICES && item->type != TANDEM_QEMU_DEVICES_END)
		return;
	/* The peer lets only a size pass for which there is room. */
	if (item->byte_count > guest->state_room_bytes - guest->state_bytes)
		return;
	memcpy(guest->state + guest->state_bytes, item->bytes, item->byte_count);
	guest->state_bytes += item->byte_count;
}

static void hand_over_blocks(struct tandem_qemu_guest *guest)
{
	if (guest->handler.on_blocks(guest->handler.context, &guest->stream, guest->opening.bytes,
	                             guest->opening.length, &guest->end_error) != 0)
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_STOP, 0);
}

static void hand_over(struct tandem_qemu_guest *guest, const struct tandem_qemu_item *item)
{
	if (item->type == TANDEM_QEMU_SET_UP)
		hand_over_blocks(guest);
	else if (item->type == TANDEM_QEMU_PAGE)
		guest->handler.on_page(guest->handler.context, item->block, item->offset_bytes,
		                       item->bytes);
	else if (item->type == TANDEM_QEMU_FILL)
		guest->handler.on_fill(guest->handler.context, item->block, item->offset_bytes,
		                       (uint8_t)item->value);
}

static bool fails_at(const struct tandem_qemu_guest *guest, enum tandem_qemu_item_type type)
{
	if (type == TANDEM_QEMU_REQUEST)
		return TANDEM_FAILPOINT_FIRES("qemu_request");
	if (type == TANDEM_QEMU_SEND)
		return TANDEM_FAILPOINT_FIRES("qemu_send");
	if (type == TANDEM_QEMU_PAGE && guest->peer.stage == TANDEM_QEMU_PEER_RAM)
		return TANDEM_FAILPOINT_FIRES("qemu_page");
	if (type == TANDEM_QEMU_SIZE)
		return TANDEM_FAILPOINT_FIRES("qemu_size");
	return (type == TANDEM_QEMU_DEVICES || type == TANDEM_QEMU_DEVICES_END) &&
	       TANDEM_FAILPOINT_FIRES("qemu_state");
}

static void take_item(struct tandem_qemu_guest *guest, const struct tandem_qemu_item *item,
                      const uint8_t *bytes)
{
	struct tandem_qemu_event event = {.type = TANDEM_QEMU_EVENT_ITEM, .item = item};
	const bool is_opening = !guest->stream.at.is_set_up || item->type == TANDEM_QEMU_SET_UP;

	if (fails_at(guest, item->type)) {
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_CLOSED, 0);
		return;
	}
	if (is_opening && !tandem_qemu_opening_add(&guest->opening, item, bytes)) {
		tandem_error_set(&guest->end_error, TANDEM_E_PROTOCOL, "COLO",
		                 "the opening of QEMU's stream is longer than %zu bytes",
		                 TANDEM_QEMU_OPENING_BYTES);
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_STOP, 0);
		return;
	}
	keep_state(guest, item);
	step(guest, &event);
	if (guest->phase == TANDEM_QEMU_GUEST_PROTECTED)
		hand_over(guest, item);
}

/* False: more bytes are needed. */
static bool take_first_state(struct tandem_qemu_guest *guest)
{
	size_t description_bytes;
	const size_t state_bytes = tandem_qemu_device_state_bytes(guest->state, guest->state_bytes,
	                                                          &description_bytes);

	if (state_bytes == 0 && guest->state_bytes < guest->state_room_bytes)
		return false;
	if (state_bytes > 0)
		guest->state_bytes = state_bytes;
	tandem_qemu_stream_device_done(&guest->stream);
	tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_STATE, guest->state_bytes);
	return true;
}

static bool is_first_state(const struct tandem_qemu_guest *guest)
{
	return guest->stream.at.place == TANDEM_QEMU_AT_FIRST_DEVICES;
}

static void begin_first_state(struct tandem_qemu_guest *guest, size_t used_bytes)
{
	guest->state_bytes = guest->input_bytes - used_bytes;
	memcpy(guest->state, guest->input + used_bytes, guest->state_bytes);
	guest->input_bytes = 0;
	(void)take_first_state(guest);
}

static void decode(struct tandem_qemu_guest *guest)
{
	size_t used_bytes = 0;

	while (guest->phase == TANDEM_QEMU_GUEST_PROTECTED) {
		const uint8_t *bytes = guest->input + used_bytes;
		struct tandem_qemu_item item;

		tandem_qemu_stream_take(&guest->stream, bytes, guest->input_bytes - used_bytes,
		                        &item);
		if (item.type == TANDEM_QEMU_MORE)
			break;
		used_bytes += item.used_bytes;
		take_item(guest, &item, bytes);
		if (guest->phase == TANDEM_QEMU_GUEST_PROTECTED && is_first_state(guest)) {
			begin_first_state(guest, used_bytes);
			return;
		}
	}
	memmove(guest->input, guest->input + used_bytes, guest->input_bytes - used_bytes);
	guest->input_bytes -= used_bytes;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qemu_guest *guest = context;
	const bool is_state = is_first_state(guest);
	uint8_t *to =
	        is_state ? guest->state + guest->state_bytes : guest->input + guest->input_bytes;
	const size_t room = is_state ? guest->state_room_bytes - guest->state_bytes
	                             : INPUT_BYTES - guest->input_bytes;
	const ssize_t got = read(fd, to, room);

	(void)what;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_CLOSED,
		                              got < 0 ? (uint64_t)errno : 0);
	} else if (is_state) {
		guest->state_bytes += (size_t)got;
		(void)take_first_state(guest);
	} else {
		guest->input_bytes += (size_t)got;
		decode(guest);
	}
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qemu_guest *guest = context;

	(void)fd;
	(void)what;
	if (guest->fd < 0) {
		tandem_error_set(
		        &guest->end_error, TANDEM_E_TIMEOUT, "migrate",
		        "QEMU did not connect to %s within %llu ms: it has to run as the same user "
		        "as this program, whom alone that socket lets in",
		        guest->stream_path,
		        (unsigned long long)(guest->options.command_timeout_ns / TANDEM_NS_PER_MS));
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_STOP, 0);
		return;
	}
	tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_TIME, 0);
	if (guest->peer.deadline_ns != 0)
		arm_deadline(guest); /* the timer's clock was a little early */
}

/* ---- its socket ---- */

static void on_connect(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                       int from_length, void *context)
{
	struct tandem_qemu_guest *guest = context;

	(void)from;
	(void)from_length;
	if (guest->fd >= 0 || guest->phase != TANDEM_QEMU_GUEST_PROTECTED ||
	    event_assign(guest->readable, guest->base, fd, EV_READ | EV_PERSIST, on_readable,
	                 guest) != 0) {
		close(fd);
		return;
	}
	guest->fd = fd;
	event_del(guest->deadline_timer);
	evconnlistener_disable(listener);
	event_add(guest->readable, NULL);
}

static int listen_for_qemu(struct tandem_qemu_guest *guest, struct tandem_error *reterr_error)
{
	const char *path = guest->options.stream_path;
	int fd;
	int status = tandem_unix_listen(path, SOCK_STREAM | SOCK_NONBLOCK, 1, &fd, reterr_error);

	if (status != 0)
		return status;
	memcpy(guest->stream_path, path, strlen(path) + 1);
	guest->listener = evconnlistener_new(guest->base, on_connect, guest,
	                                     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (guest->listener)
		return 0;
	close(fd);
	return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "COLO", "no memory");
}

int tandem_qemu_guest_stream_open(struct tandem_qemu_guest *guest,
                                  struct tandem_error *reterr_error)
{
	guest->fd = -1;
	guest->state_room_bytes = guest->options.state_bytes_max + DESCRIPTION_BYTES;
	guest->input = tandem_memory_alloc(INPUT_BYTES);
	guest->state = tandem_memory_alloc(guest->state_room_bytes);
	guest->readable = event_new(guest->base, -1, 0, on_readable, guest);
	guest->deadline_timer = evtimer_new(guest->base, on_deadline, guest);
	if (!guest->input || !guest->state || !guest->readable || !guest->deadline_timer)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "COLO",
		                        "no memory for %zu bytes of device state",
		                        guest->state_room_bytes);
	return listen_for_qemu(guest, reterr_error);
}

void tandem_qemu_guest_stream_begin(struct tandem_qemu_guest *guest)
{
	tandem_qemu_stream_init(&guest->stream);
	tandem_qemu_peer_init(&guest->peer,
	                      &(struct tandem_qemu_peer_options){
	                              .has_return_path = guest->rule.has_return_path,
	                              .state_bytes_max = guest->options.state_bytes_max,
	                              .pause_timeout_ns = guest->options.pause_timeout_ns,
	                      });
	arm(guest, guest->options.command_timeout_ns);
}

void tandem_qemu_guest_stream_end(struct tandem_qemu_guest *guest)
{
	event_del(guest->deadline_timer);
	if (guest->listener) {
		evconnlistener_free(guest->listener);
		guest->listener = NULL;
		(void)unlink(guest->stream_path);
	}
	if (guest->fd < 0)
		return;
	event_del(guest->readable);
	close(guest->fd);
	guest->fd = -1;
}

void tandem_qemu_guest_stream_close(struct tandem_qemu_guest *guest)
{
	if (guest->readable && guest->deadline_timer)
		tandem_qemu_guest_stream_end(guest);
	if (guest->readable)
		event_free(guest->readable);
	if (guest->deadline_timer)
		event_free(guest->deadline_timer);
	tandem_memory_free(guest->input);
	tandem_memory_free(guest->state);
}
