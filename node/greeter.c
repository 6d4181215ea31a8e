#include "greeter.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/control.h>
#include <tandem/log.h>
#include <tandem/memory.h>
#include <tandem/probe.h>
#include <tandem/rate.h>

#define GUESTS_MAX       64
#define HELLO_TIMEOUT_NS (2 * TANDEM_NS_PER_S)
#define FAREWELL_NS      (50 * TANDEM_NS_PER_MS)
#define DOORS_MAX        2
#define COMPLAINTS_MAX   16 /* lines a second about strangers */

/* A session that has not yet said which pair it is for. */
struct guest {
	struct tandem_greeter *greeter;
	struct tandem_session *session; /* NULL: the place is free */
	struct event *event;
	uint64_t deadline_ns;
	bool is_leaving;                /* it was told why it is refused */
	struct tandem_probe_host *host; /* it is a probe: the session is the host's */
};

struct door {
	struct tandem_greeter *greeter;
	struct tandem_transport *transport;
	struct tandem_listener *listener;
	struct event *event;
};

struct tandem_greeter {
	struct event_base *base;
	tandem_greeter_find *find;
	void *argument;
	struct door doors[DOORS_MAX];
	size_t door_count;
	struct guest guests[GUESTS_MAX];
	struct event *timer;
	struct tandem_rate complaints;
	struct tandem_key keys[TANDEM_KEYS_MAX]; /* what each listener has, in its order */
	unsigned key_count;
	bool is_probed; /* one of the guests is a probe */
};

static void tell_left_out(struct tandem_greeter *greeter)
{
	unsigned count = tandem_rate_refused(&greeter->complaints, tandem_clock_now_ns());

	if (count > 0)
		tandem_log(TANDEM_LOG_WARNING, "%u more sessions or connections were refused",
		           count);
}

static void complain(struct tandem_greeter *greeter, const char *format, ...) TANDEM_PRINTF(2, 3);
static void complain(struct tandem_greeter *greeter, const char *format, ...)
{
	char line[512];
	va_list arguments;

	tell_left_out(greeter);
	if (!tandem_rate_take(&greeter->complaints, COMPLAINTS_MAX, tandem_clock_now_ns()))
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	tandem_log(TANDEM_LOG_WARNING, "%s", line);
}

/* The place is free again; the session is the caller's. */
static struct tandem_session *see_off(struct guest *guest)
{
	struct tandem_session *session = guest->session;

	event_free(guest->event);
	guest->event = NULL;
	guest->session = NULL;
	guest->is_leaving = false;
	return session;
}

/* The place stays taken until the peer has read why, or a moment has passed. */
static void leave(struct guest *guest)
{
	guest->is_leaving = true;
	guest->deadline_ns = tandem_clock_now_ns() + FAREWELL_NS;
}

static void refuse(struct guest *guest, const char *pair, const char *reason)
{
	complain(guest->greeter, "session of %s refused: pair %s: %s",
	         tandem_session_peer_address(guest->session), pair, reason);
	leave(guest);
	tandem_standby_tell_stranger(guest->session, reason);
}

/* [S1]: whoever holds the key of one pair is a stranger to the others. The index is the place of
 * the first of equal keys, so the keys themselves are compared. */
static bool is_proven(const struct guest *guest, const struct tandem_key *key)
{
	const struct tandem_greeter *greeter = guest->greeter;
	unsigned index = tandem_session_key_index(guest->session);

	return index < greeter->key_count &&
	       tandem_mac_equal(greeter->keys[index].bytes, key->bytes, sizeof(key->bytes));
}

/* NULL and the reason why this session may not speak for the pair. */
static struct tandem_standby *find_standby(const struct guest *guest, const char *pair,
                                           const char **ret_reason)
{
	struct tandem_greeter *greeter = guest->greeter;
	struct tandem_key key;
	struct tandem_standby *standby = greeter->find(greeter->argument, pair, &key);

	if (standby == NULL)
		*ret_reason = "this node does not serve that pair";
	else if (!is_proven(guest, &key))
		*ret_reason = "the session was proven with the key of another pair";
	else
		return standby;
	return NULL;
}

/* [P1], [P2] */
static void begin_probe(struct guest *guest, const char *pair)
{
	struct tandem_greeter *greeter = guest->greeter;
	const char *reason = "another probe is under way on this node";
	bool is_welcome = find_standby(guest, pair, &reason) != NULL;
	struct tandem_error error;

	if (!is_welcome || greeter->is_probed) {
		complain(greeter, "probe of %s refused: pair %s: %s",
		         tandem_session_peer_address(guest->session), pair, reason);
		leave(guest);
		tandem_probe_refuse(guest->session, is_welcome, reason);
		return;
	}
	tandem_log(TANDEM_LOG_INFO, "pair %s: probed by %s", pair,
	           tandem_session_peer_address(guest->session));
	greeter->is_probed = true;
	if (tandem_probe_host_new(guest->session, &guest->host, &error) == 0)
		return;
	complain(greeter, "probe refused: pair %s: %s", pair, error.detail);
	greeter->is_probed = false;
	see_off(guest);
}

static void end_probe(struct guest *guest)
{
	guest->host = tandem_probe_host_free(guest->host);
	guest->greeter->is_probed = false;
	see_off(guest);
}

static void hand_over(struct guest *guest, const struct tandem_session_event *hello)
{
	char pair[TANDEM_NAME_BYTES];
	const char *reason = "";
	struct tandem_standby *standby;

	if (tandem_probe_pair(hello->message, hello->message_bytes, pair) != NULL) {
		begin_probe(guest, pair);
		return;
	}
	if (tandem_standby_hello_pair(hello->message, hello->message_bytes, pair) == NULL) {
		complain(guest->greeter,
		         "session of %s refused: its first message is no HELLO of this version",
		         tandem_session_peer_address(guest->session));
		tandem_session_free(see_off(guest));
		return;
	}
	standby = find_standby(guest, pair, &reason);
	if (standby != NULL)
		tandem_standby_offer(standby, see_off(guest), hello->message, hello->message_bytes);
	else
		refuse(guest, pair, reason);
}

static void on_guest(evutil_socket_t fd, short what, void *argument)
{
	static struct tandem_session_event event;
	struct guest *guest = argument;

	(void)fd;
	(void)what;
	if (guest->host != NULL) {
		if (!tandem_probe_host_progress(guest->host))
			end_probe(guest);
		return;
	}
	tandem_session_progress(guest->session);
	do {
		if (!tandem_session_next_event(guest->session, &event))
			return;
		/* [T15] Who serves the session asks for their state. */
	} while (event.type == TANDEM_SESSION_CHANNEL_UP ||
	         event.type == TANDEM_SESSION_CHANNEL_LOST);
	if (guest->is_leaving && event.type != TANDEM_SESSION_LOST)
		return;
	if (event.type == TANDEM_SESSION_MESSAGE) {
		hand_over(guest, &event);
		return;
	}
	if (!guest->is_leaving)
		complain(guest->greeter, "session of %s ended before HELLO: %s",
		         tandem_session_peer_address(guest->session),
		         event.type == TANDEM_SESSION_LOST ? event.error.detail
		                                           : "it wrote before it was welcome");
	tandem_session_free(see_off(guest));
}

static void seat(struct tandem_greeter *greeter, struct tandem_session *session)
{
	for (size_t index = 0; index < GUESTS_MAX; index++) {
		struct guest *guest = &greeter->guests[index];

		if (guest->session != NULL)
			continue;
		guest->event = event_new(greeter->base, tandem_session_fd(session),
		                         EV_READ | EV_PERSIST, on_guest, guest);
		if (guest->event == NULL)
			break;
		guest->session = session;
		guest->deadline_ns = tandem_clock_now_ns() + HELLO_TIMEOUT_NS;
		event_add(guest->event, NULL);
		on_guest(-1, 0, guest); /* the HELLO may be here already */
		return;
	}
	complain(greeter, "session of %s refused: %d others wait for their HELLO",
	         tandem_session_peer_address(session), GUESTS_MAX);
	tandem_session_free(session);
}

static void on_door(evutil_socket_t fd, short what, void *argument)
{
	struct door *door = argument;

	(void)fd;
	(void)what;
	for (unsigned count = 0; count < GUESTS_MAX; count++) {
		struct tandem_session *session;
		struct tandem_error error;
		int code = tandem_listener_accept(door->listener, &session, &error);

		if (code == TANDEM_E_AGAIN)
			return;
		if (code == 0)
			seat(door->greeter, session);
		else
			complain(door->greeter, "connection refused: %s", error.detail);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct tandem_greeter *greeter = argument;
	uint64_t now_ns = tandem_clock_now_ns();

	(void)fd;
	(void)what;
	tell_left_out(greeter);
	for (size_t index = 0; index < greeter->door_count; index++)
		on_door(-1, 0, &greeter->doors[index]);
	for (size_t index = 0; index < GUESTS_MAX; index++) {
		struct guest *guest = &greeter->guests[index];

		if (guest->host != NULL)
			on_guest(-1, 0, guest);
		if (guest->session == NULL || guest->host != NULL || now_ns < guest->deadline_ns)
			continue;
		if (!guest->is_leaving)
			complain(greeter, "session of %s ended: no HELLO within %llu ms",
			         tandem_session_peer_address(guest->session),
			         (unsigned long long)(HELLO_TIMEOUT_NS / TANDEM_NS_PER_MS));
		tandem_session_free(see_off(guest));
	}
}

static int open_door(struct tandem_greeter *greeter, const char *provider,
                     const struct tandem_greeter_options *options,
                     struct tandem_error *reterr_error)
{
	struct door *door = &greeter->doors[greeter->door_count];
	struct tandem_transport_options transport_options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	const char *address = options->rails[0].address;
	int code = tandem_transport_open(provider, address, &door->transport, reterr_error);

	if (code < 0)
		return code;
	greeter->door_count++;
	door->greeter = greeter;
	memcpy(transport_options.rails, options->rails, sizeof transport_options.rails);
	transport_options.rail_count = options->rail_count;
	transport_options.port = options->port;
	memcpy(transport_options.keys, options->keys, sizeof transport_options.keys);
	transport_options.key_count = options->key_count;
	code = tandem_transport_listen(door->transport, &transport_options, &door->listener,
	                               reterr_error);
	if (code < 0)
		return tandem_error_wrap(reterr_error, code, "listen on %s port %u", address,
		                         options->port);
	door->event = event_new(greeter->base, tandem_listener_fd(door->listener),
	                        EV_READ | EV_PERSIST, on_door, door);
	if (door->event == NULL || event_add(door->event, NULL) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "event_new", "no memory");
	for (unsigned i = 0; i < options->rail_count; i++)
		tandem_log(TANDEM_LOG_INFO, "listening on %s port %u by %s: %s",
		           options->rails[i].address, options->port, provider,
		           tandem_transport_capabilities(door->transport)->detail);
	return 0;
}

static int open_doors(struct tandem_greeter *greeter, const struct tandem_greeter_options *options,
                      struct tandem_error *reterr_error)
{
	struct tandem_error error;
	int code = 0;

	if (options->uses_rdma) {
		code = open_door(greeter, "rdma", options, &error);
		if (code < 0 &&
		    (options->needs_rdma || tandem_error_class(code) != TANDEM_CLASS_DEVICE)) {
			if (reterr_error != NULL)
				*reterr_error = error;
			return code;
		}
		if (code < 0)
			tandem_log(TANDEM_LOG_INFO, "no RDMA here, TCP only: %s", error.detail);
	}
	return options->uses_tcp ? open_door(greeter, "tcp", options, reterr_error) : 0;
}

int tandem_greeter_new(struct event_base *base, const struct tandem_greeter_options *options,
                       tandem_greeter_find *find, void *argument,
                       struct tandem_greeter **ret_greeter, struct tandem_error *reterr_error)
{
	struct tandem_greeter *greeter = tandem_memory_alloc(sizeof *greeter);
	struct timeval interval = {.tv_usec = 100000};
	int code;

	if (greeter == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "greeter", "no memory");
	greeter->base = base;
	greeter->find = find;
	greeter->argument = argument;
	memcpy(greeter->keys, options->keys, sizeof greeter->keys);
	greeter->key_count = options->key_count;
	for (size_t index = 0; index < GUESTS_MAX; index++)
		greeter->guests[index].greeter = greeter;
	greeter->timer = event_new(base, -1, EV_PERSIST, on_timer, greeter);
	if (greeter->timer == NULL || event_add(greeter->timer, &interval) != 0)
		code = tandem_error_set(reterr_error, TANDEM_E_MEMORY, "event_new", "no memory");
	else
		code = open_doors(greeter, options, reterr_error);
	if (code < 0) {
		tandem_greeter_free(greeter);
		return code;
	}
	*ret_greeter = greeter;
	return 0;
}

struct tandem_greeter *tandem_greeter_free(struct tandem_greeter *greeter)
{
	if (greeter == NULL)
		return NULL;
	for (size_t index = 0; index < GUESTS_MAX; index++) {
		if (greeter->guests[index].host != NULL)
			end_probe(&greeter->guests[index]);
		else if (greeter->guests[index].session != NULL)
			tandem_session_free(see_off(&greeter->guests[index]));
	}
	for (size_t index = 0; index < DOORS_MAX; index++) {
		if (greeter->doors[index].event != NULL)
			event_free(greeter->doors[index].event);
		tandem_listener_free(greeter->doors[index].listener);
		tandem_transport_free(greeter->doors[index].transport);
	}
	if (greeter->timer != NULL)
		event_free(greeter->timer);
	tandem_memory_free(greeter);
	return NULL;
}
