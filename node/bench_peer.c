#include "bench.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/log.h>
#include <tandem/memory.h>
#include <tandem/transport.h>

struct tandem_bench_peer {
	char directory[64];
	char images[64];
	struct tandem_transport *transport;
	struct tandem_listener *listener;
	struct tandem_standby *standby;
	pthread_t thread;
	bool has_thread;
	_Atomic bool is_ending;
};

/* A session that comes before the controller's word is refused, and comes again: no news here. */
static void say(void *argument, bool is_error, const char *line)
{
	(void)argument;
	(void)is_error;
	tandem_log(TANDEM_LOG_DEBUG, "%s", line);
}

static int activate(void *argument, const struct tandem_activation *activation,
                    struct tandem_error *reterr_error)
{
	(void)argument;
	(void)activation;
	return tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "activate",
	                        "the bench promotes nothing");
}

/* There is one primary; a session more is not for this peer. */
static void let_in_channels(struct tandem_bench_peer *peer)
{
	struct tandem_session *session;

	if (tandem_listener_accept(peer->listener, &session, NULL) == 0)
		tandem_session_free(session);
}

/* Waits for the HELLO of a session and gives both to the standby. */
static void greet(struct tandem_bench_peer *peer, struct tandem_session *session)
{
	static struct tandem_session_event event;
	uint64_t deadline_ns = tandem_clock_now_ns() + 2 * TANDEM_NS_PER_S;

	while (tandem_clock_now_ns() < deadline_ns) {
		struct pollfd descriptors[2] = {
		        {.fd = tandem_session_fd(session), .events = POLLIN},
		        {.fd = tandem_listener_fd(peer->listener), .events = POLLIN}};

		poll(descriptors, 2, 20);
		let_in_channels(peer);
		tandem_session_progress(session);
		if (!tandem_session_next_event(session, &event) ||
		    event.type == TANDEM_SESSION_CHANNEL_UP)
			continue;
		if (event.type != TANDEM_SESSION_MESSAGE)
			break;
		tandem_standby_offer(peer->standby, session, event.message, event.message_bytes);
		return;
	}
	tandem_session_free(session);
}

static void *run(void *argument)
{
	struct tandem_bench_peer *peer = argument;

	while (!atomic_load(&peer->is_ending)) {
		struct pollfd descriptor = {.fd = tandem_listener_fd(peer->listener),
		                            .events = POLLIN};
		struct tandem_session *session;

		poll(&descriptor, 1, 20);
		if (tandem_listener_accept(peer->listener, &session, NULL) == 0)
			greet(peer, session);
	}
	return NULL;
}

int tandem_bench_peer_new(const char *directory,
                          const struct tandem_bench_checkpoint_options *options,
                          struct tandem_bench_peer **ret_peer, uint16_t *ret_port,
                          struct tandem_error *reterr_error)
{
	struct tandem_bench_peer *peer = tandem_memory_alloc(sizeof *peer);
	struct tandem_transport_options transport_options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	int code;

	if (peer == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "bench", "no memory");
	snprintf(peer->directory, sizeof peer->directory, "%s", directory);
	snprintf(peer->images, sizeof peer->images, "/dev/shm%s", strrchr(directory, '/'));
	snprintf(transport_options.rails[0].address, sizeof transport_options.rails[0].address,
	         "%s", options->address);
	code = tandem_transport_open(options->provider, options->address, &peer->transport,
	                             reterr_error);
	if (code == 0)
		code = tandem_transport_listen(peer->transport, &transport_options, &peer->listener,
		                               reterr_error);
	if (code < 0) {
		tandem_bench_peer_free(peer);
		return code;
	}
	*ret_port = tandem_listener_port(peer->listener);
	*ret_peer = peer;
	return 0;
}

int tandem_bench_peer_start(struct tandem_bench_peer *peer, struct tandem_error *reterr_error)
{
	struct tandem_standby_options options = {.pair = "bench",
	                                         .run_directory = peer->directory,
	                                         .image_directory = peer->images,
	                                         .activate = activate,
	                                         .say = say};
	int code = tandem_standby_new(&options, &peer->standby, reterr_error), failure;

	if (code < 0)
		return code;
	failure = pthread_create(&peer->thread, NULL, run, peer);
	if (failure != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure,
		                              "pthread_create", "bench");
	peer->has_thread = true;
	return 0;
}

static void remove_images(const struct tandem_bench_peer *peer)
{
	char path[80];

	snprintf(path, sizeof path, "%s/bench", peer->images);
	rmdir(path);
	rmdir(peer->images);
}

struct tandem_bench_peer *tandem_bench_peer_free(struct tandem_bench_peer *peer)
{
	if (peer == NULL)
		return NULL;
	atomic_store(&peer->is_ending, true);
	if (peer->has_thread)
		pthread_join(peer->thread, NULL);
	tandem_standby_free(peer->standby);
	tandem_listener_free(peer->listener);
	tandem_transport_free(peer->transport);
	remove_images(peer);
	tandem_memory_free(peer);
	return NULL;
}
