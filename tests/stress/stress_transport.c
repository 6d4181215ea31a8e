#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/random.h>
#include <tandem/transport.h>

/* A yank from one thread at any moment of a session that another drives: for thread sanitizer.
 * stress_transport ROUNDS */

#define MEMORY_BYTES ((size_t)1 << 20)
#define PAGE         4096
#define WAIT_NS      (UINT64_C(20) * TANDEM_NS_PER_S)

struct side {
	struct tandem_session *session;
	bool is_up;
	bool is_lost;
};

struct round {
	struct tandem_listener *listener;
	struct side listening;
	struct side connecting;
	uint8_t *memory;
	uint8_t *source;
	unsigned yank_after; /* turns of the driver */
	atomic_uint turn_count;
	atomic_bool may_end; /* the driver is done */
	struct tandem_session *victim;
};

static void *yank_at_turn(void *argument)
{
	struct round *round = argument;
	while (atomic_load(&round->turn_count) < round->yank_after && !atomic_load(&round->may_end))
		;
	tandem_session_yank(round->victim);
	tandem_session_yank(round->victim);
	return NULL;
}

static void serve(struct side *side)
{
	static struct tandem_session_event event;
	if (!side->session)
		return;
	tandem_session_progress(side->session);
	while (tandem_session_next_event(side->session, &event)) {
		side->is_up = side->is_up || event.type == TANDEM_SESSION_UP;
		side->is_lost = side->is_lost || event.type == TANDEM_SESSION_LOST;
	}
}

static void accept_and_expose(struct round *round)
{
	struct tandem_session *session;
	/* Data channels join by way of the listener. */
	if (tandem_listener_accept(round->listener, &session, NULL) != 0)
		return;
	round->listening.session = session;
	if (tandem_session_expose(round->listening.session, 0, round->memory, MEMORY_BYTES, NULL))
		round->listening.is_lost = true;
}

static void post(struct round *round)
{
	struct tandem_session *session = round->connecting.session;
	struct tandem_write writes[16];
	unsigned taken_count;
	for (unsigned i = 0; i < 16; i++)
		writes[i] = (struct tandem_write){
		        .offset = i * PAGE, .source = round->source + i * PAGE, .length = PAGE};
	if (tandem_session_exposed_bytes(session, 0) == 0)
		return;
	for (unsigned i = 0; i < tandem_session_channel_count(session); i++) {
		if (tandem_session_write(session, i, writes, 16, &taken_count) != 0)
			return;
	}
	/* A full queue is no failure here. */
	if (tandem_session_send(session, writes, sizeof(writes)) == TANDEM_E_USAGE)
		abort();
}

static bool drive(struct round *round)
{
	uint64_t end_ns = tandem_clock_now_ns() + WAIT_NS;
	while (!round->connecting.is_lost && tandem_clock_now_ns() < end_ns) {
		atomic_fetch_add(&round->turn_count, 1);
		accept_and_expose(round);
		serve(&round->listening);
		serve(&round->connecting);
		if (round->connecting.is_up)
			post(round);
	}
	return round->connecting.is_lost;
}

static bool run(struct tandem_transport *transport, struct round *round, unsigned yank_after)
{
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	pthread_t thread;
	snprintf(options.rails[0].address, sizeof(options.rails[0].address), "127.0.0.1");
	options.connect_timeout_ns = options.peer_timeout_ns = WAIT_NS;
	options.write_depth = 64;
	if (tandem_transport_listen(transport, &options, &round->listener, NULL) != 0)
		return false;
	options.port = tandem_listener_port(round->listener);
	if (tandem_transport_connect(transport, &options, &round->connecting.session, NULL) != 0 ||
	    tandem_session_register(round->connecting.session, round->source, MEMORY_BYTES, NULL) !=
	            0)
		return false;
	round->yank_after = yank_after;
	round->victim = round->connecting.session;
	if (pthread_create(&thread, NULL, yank_at_turn, round) != 0)
		return false;
	bool is_lost = drive(round);
	atomic_store(&round->may_end, true);
	pthread_join(thread, NULL);
	return is_lost;
}

static bool run_round(struct tandem_transport *transport, unsigned yank_after)
{
	struct round round = {.memory = tandem_memory_map(MEMORY_BYTES),
	                      .source = tandem_memory_map(MEMORY_BYTES)};
	bool is_passed = round.memory && round.source && run(transport, &round, yank_after);
	tandem_session_free(round.connecting.session);
	tandem_session_free(round.listening.session);
	tandem_listener_free(round.listener);
	tandem_memory_unmap(round.memory, MEMORY_BYTES);
	tandem_memory_unmap(round.source, MEMORY_BYTES);
	return is_passed;
}

int main(int argument_count, char **arguments)
{
	unsigned long rounds = argument_count == 2 ? strtoul(arguments[1], NULL, 10) : 0;
	struct tandem_transport *transport = NULL;
	uint64_t seed = 3;
	if (rounds == 0 || tandem_transport_open("tcp", "127.0.0.1", &transport, NULL) != 0) {
		fprintf(stderr, "usage: %s ROUNDS\n", arguments[0]);
		return 2;
	}
	for (unsigned long i = 0; i < rounds; i++) {
		unsigned yank_after = (unsigned)(tandem_random_next(&seed) % 60);
		if (!run_round(transport, yank_after)) {
			printf("round %lu: not lost after a yank at turn %u\n", i, yank_after);
			return 1;
		}
	}
	tandem_transport_free(transport);
	printf("%lu rounds passed\n", rounds);
	return 0;
}
