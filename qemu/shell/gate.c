#include <tandem/qemu_gate.h>

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tandem/clock.h>
#include <tandem/memory.h>
#include <unistd.h>

#include "shell/gate_internal.h"

#define READS_AT_MARK   256    /* far more than a socket holds */
#define FRAMES_AT_ONCE  256    /* before others have their turn */
#define FORGOTTEN_MAX   65536u /* more than any tap holds */
#define SEND_ROOM_BYTES (1 << 20)

/* ---- out ---- */

static void send_out(struct tandem_qemu_gate *gate)
{
	size_t length;
	unsigned count = 0;

	while ((length = tandem_qemu_frames_peek(&gate->frames, gate->frame)) > 0) {
		if (count++ == FRAMES_AT_ONCE) {
			event_active(gate->outside_writable, EV_WRITE, 0);
			return;
		}
		const int status = tandem_qemu_outside_send(&gate->outside, gate->frame, length);

		if (status == EAGAIN) {
			event_add(gate->outside_writable, NULL);
			return;
		}
		if (status == 0)
			gate->counts.sent_count++;
		else
			gate->counts.lost_count++;
		tandem_qemu_frames_pop(&gate->frames);
	}
}

static void on_outside_writable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	send_out(context);
}

static void disconnect(struct tandem_qemu_gate *gate)
{
	if (gate->fd < 0)
		return;
	event_del(gate->readable);
	event_del(gate->writable);
	close(gate->fd);
	gate->fd = -1;
	gate->input_bytes = 0;
	gate->record_bytes = 0;
	gate->record_sent_bytes = 0;
	event_add(gate->outside_readable, NULL);
}

void tandem_qemu_gate_decode(struct tandem_qemu_gate *gate)
{
	enum tandem_qemu_frame_word word;
	size_t used = 0, length;

	while ((word = tandem_qemu_frame_take(gate->input + used, gate->input_bytes - used,
	                                      &length)) == TANDEM_QEMU_FRAME_WHOLE) {
		used += TANDEM_QEMU_FRAME_HEAD_BYTES;
		tandem_qemu_frames_add(&gate->frames, gate->input + used, length);
		used += length;
	}
	memmove(gate->input, gate->input + used, gate->input_bytes - used);
	gate->input_bytes -= used;
	if (word == TANDEM_QEMU_FRAME_FAULT) {
		gate->counts.fault_count++;
		disconnect(gate);
	}
}

/* False: there is nothing more now. */
static bool read_guest(struct tandem_qemu_gate *gate)
{
	const ssize_t got = recv(gate->fd, gate->input + gate->input_bytes,
	                         TANDEM_QEMU_GATE_INPUT_BYTES - gate->input_bytes, MSG_DONTWAIT);

	if (got > 0) {
		gate->input_bytes += (size_t)got;
		tandem_qemu_gate_decode(gate);
	} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		disconnect(gate);
	}
	return got > 0 && gate->fd >= 0;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qemu_gate *gate = context;

	(void)fd;
	(void)what;
	(void)read_guest(gate);
	send_out(gate); /* some of it may leave at once */
}

/* ---- in ---- */

/* False: QEMU has no room; it will be told the rest when it has. */
static bool give_guest(struct tandem_qemu_gate *gate)
{
	const ssize_t sent =
	        send(gate->fd, gate->record + gate->record_sent_bytes,
	             gate->record_bytes - gate->record_sent_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		gate->counts.missed_count++;
		disconnect(gate);
		return true;
	}
	if (sent > 0)
		gate->record_sent_bytes += (size_t)sent;
	if (gate->record_sent_bytes == gate->record_bytes)
		return true;
	event_del(gate->outside_readable);
	event_add(gate->writable, NULL);
	return false;
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qemu_gate *gate = context;

	(void)fd;
	(void)what;
	if (give_guest(gate))
		event_add(gate->outside_readable, NULL);
}

static void on_outside_readable(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qemu_gate *gate = context;
	bool goes_on = true;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < FRAMES_AT_ONCE && goes_on; i++) {
		const size_t length = tandem_qemu_outside_recv(
		        &gate->outside, gate->record + TANDEM_QEMU_FRAME_HEAD_BYTES,
		        TANDEM_QEMU_FRAME_BYTES_MAX);

		if (length == 0)
			return;
		if (gate->fd < 0) {
			gate->counts.missed_count++;
			continue;
		}
		tandem_qemu_frame_head(length, gate->record);
		gate->record_bytes = TANDEM_QEMU_FRAME_HEAD_BYTES + length;
		gate->record_sent_bytes = 0;
		goes_on = give_guest(gate);
	}
}

/* Frames may go on coming. */
void tandem_qemu_gate_forget(struct tandem_qemu_gate *gate)
{
	for (unsigned i = 0; i < FORGOTTEN_MAX; i++) {
		if (tandem_qemu_outside_recv(&gate->outside,
		                             gate->record + TANDEM_QEMU_FRAME_HEAD_BYTES,
		                             TANDEM_QEMU_FRAME_BYTES_MAX) == 0)
			return;
		gate->counts.missed_count++;
	}
}

/* ---- epochs ---- */

void tandem_qemu_gate_let(struct tandem_qemu_gate *gate)
{
	tandem_qemu_frames_open(&gate->frames);
	send_out(gate);
}

void tandem_qemu_gate_leave(struct tandem_qemu_gate *gate)
{
	tandem_qemu_frames_leave(&gate->frames);
	send_out(gate);
}

/* QEMU sent before it stopped its guest and handed over its state, so all of it is in the socket.
 */
void tandem_qemu_gate_mark(struct tandem_qemu_gate *gate)
{
	for (unsigned i = 0; i < READS_AT_MARK && gate->fd >= 0 && read_guest(gate); i++)
		;
	tandem_qemu_frames_mark(&gate->frames);
}

void tandem_qemu_gate_promise(struct tandem_qemu_gate *gate, uint64_t ticket)
{
	tandem_qemu_frames_promise(&gate->frames, ticket);
}

void tandem_qemu_gate_release(struct tandem_qemu_gate *gate, uint64_t released_ticket)
{
	tandem_qemu_frames_release(&gate->frames, released_ticket);
	send_out(gate);
}

void tandem_qemu_gate_count(const struct tandem_qemu_gate *gate,
                            struct tandem_qemu_gate_counts *ret_counts)
{
	*ret_counts = gate->counts;
	ret_counts->taken_count = gate->frames.taken_count + gate->frames.dropped_count;
	ret_counts->dropped_count = gate->frames.dropped_count;
	ret_counts->is_open = gate->frames.is_open;
	ret_counts->held_bytes = tandem_qemu_frames_held_bytes(&gate->frames);
}

/* ---- its sockets ---- */

bool tandem_qemu_gate_is_connected(const struct tandem_qemu_gate *gate)
{
	return gate->fd >= 0;
}

void tandem_qemu_gate_await(const struct tandem_qemu_gate *gate, uint64_t deadline_ns)
{
	struct pollfd door = {.fd = evconnlistener_get_fd(gate->listener), .events = POLLIN};
	bool is_over = gate->fd >= 0;

	while (!is_over) {
		const uint64_t now_ns = tandem_clock_now_ns();
		const uint64_t left_ns = now_ns < deadline_ns ? deadline_ns - now_ns : 0;

		is_over = poll(&door, 1, (int)(left_ns / TANDEM_NS_PER_MS)) >= 0 || errno != EINTR;
	}
}

bool tandem_qemu_gate_connect(struct tandem_qemu_gate *gate, int fd)
{
	const int room_bytes = SEND_ROOM_BYTES;

	if (gate->fd >= 0 ||
	    event_assign(gate->readable, gate->base, fd, EV_READ | EV_PERSIST, on_readable, gate) !=
	            0 ||
	    event_assign(gate->writable, gate->base, fd, EV_WRITE, on_writable, gate) != 0) {
		close(fd);
		return false;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room_bytes, sizeof(room_bytes));
	gate->fd = fd;
	event_add(gate->readable, NULL);
	return true;
}

static void on_connect(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                       int from_length, void *context)
{
	(void)listener;
	(void)from;
	(void)from_length;
	(void)tandem_qemu_gate_connect(context, fd);
}

static int make_events(struct tandem_qemu_gate *gate, struct tandem_error *reterr_error)
{
	const int outside = gate->outside.fd;

	gate->room = tandem_memory_map(gate->room_bytes);
	gate->frame = tandem_memory_alloc(TANDEM_QEMU_FRAME_BYTES_MAX);
	gate->record = tandem_memory_alloc(TANDEM_QEMU_GATE_RECORD_BYTES);
	gate->input = tandem_memory_alloc(TANDEM_QEMU_GATE_INPUT_BYTES);
	gate->readable = event_new(gate->base, -1, 0, on_readable, gate);
	gate->writable = event_new(gate->base, -1, 0, on_writable, gate);
	gate->outside_writable =
	        event_new(gate->base, outside, EV_WRITE, on_outside_writable, gate);
	gate->outside_readable =
	        event_new(gate->base, outside, EV_READ | EV_PERSIST, on_outside_readable, gate);
	if (!gate->room || !gate->frame || !gate->record || !gate->input || !gate->readable ||
	    !gate->writable || !gate->outside_writable || !gate->outside_readable ||
	    event_add(gate->outside_readable, NULL) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "gate",
		                        "no memory for the %zu bytes that it may hold",
		                        gate->room_bytes);
	tandem_qemu_frames_init(&gate->frames, gate->room, gate->room_bytes);
	return 0;
}

int tandem_qemu_gate_begin(struct tandem_qemu_gate *gate, const char *path, int fd,
                           struct tandem_error *reterr_error)
{
	const int status = make_events(gate, reterr_error);

	if (status == 0)
		gate->listener =
		        evconnlistener_new(gate->base, on_connect, gate,
		                           LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (gate->listener) {
		memcpy(gate->socket_path, path, strlen(path) + 1);
		return 0;
	}
	close(fd);
	return status != 0 ? status
	                   : tandem_error_set(reterr_error, TANDEM_E_MEMORY, "gate", "no memory");
}

int tandem_qemu_gate_new(struct event_base *base, const struct tandem_qemu_gate_options *options,
                         struct tandem_qemu_gate **ret_gate, struct tandem_error *reterr_error)
{
	struct tandem_qemu_gate *gate = tandem_memory_alloc(sizeof(*gate));

	if (!gate)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "gate", "no memory");
	gate->base = base;
	gate->fd = -1;
	gate->outside.fd = -1;
	gate->room_bytes = options->room_bytes;
	snprintf(gate->outside_name, sizeof(gate->outside_name), "%s", options->outside);
	*ret_gate = gate;
	return 0;
}

int tandem_qemu_gate_open(struct event_base *base, const struct tandem_qemu_gate_options *options,
                          struct tandem_qemu_gate **ret_gate, struct tandem_error *reterr_error)
{
	struct tandem_qemu_gate *gate = NULL;
	int fd;
	int status = tandem_qemu_gate_new(base, options, &gate, reterr_error);

	if (status == 0)
		status = tandem_qemu_outside_open(&gate->outside, options->outside,
		                                  options->outside_path, reterr_error);
	if (status == 0)
		status = tandem_unix_listen(options->socket_path, SOCK_STREAM | SOCK_NONBLOCK, 1,
		                            &fd, reterr_error);
	if (status == 0)
		status = tandem_qemu_gate_begin(gate, options->socket_path, fd, reterr_error);
	if (status == 0)
		*ret_gate = gate;
	else
		tandem_qemu_gate_close(gate);
	return status;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

void tandem_qemu_gate_yield(struct tandem_qemu_gate *gate)
{
	gate->socket_path[0] = 0;
	gate->outside.path[0] = 0;
	tandem_qemu_gate_close(gate);
}

void tandem_qemu_gate_close(struct tandem_qemu_gate *gate)
{
	if (!gate)
		return;
	disconnect(gate);
	if (gate->listener)
		evconnlistener_free(gate->listener);
	if (gate->socket_path[0] != 0)
		(void)unlink(gate->socket_path);
	free_event(gate->readable);
	free_event(gate->writable);
	free_event(gate->outside_readable);
	free_event(gate->outside_writable);
	tandem_qemu_outside_close(&gate->outside);
	tandem_memory_free(gate->input);
	tandem_memory_free(gate->record);
	tandem_memory_free(gate->frame);
	if (gate->room)
		tandem_memory_unmap(gate->room, gate->room_bytes);
	tandem_memory_free(gate);
}
