#include "flood.h"

#include <poll.h>
#include <string.h>
#include <time.h>

#include <tandem/clock.h>

#define PAGE       4096
#define BATCH      16
#define QUIET_MS   1
#define FULL_TURNS 30
#define NS_PER_S   UINT64_C(1000000000)

size_t flood_part_bytes(const struct pair *pair)
{
	return PAIR_MEMORY_BYTES / pair->options.channel_count / PAGE * PAGE;
}

static void set_writes(const struct pair *pair, unsigned channel, struct tandem_write *writes)
{
	const size_t part_bytes = flood_part_bytes(pair);

	for (unsigned i = 0; i < BATCH; i++)
		writes[i] = (struct tandem_write){.offset = channel * part_bytes +
		                                            (i * PAGE) % part_bytes,
		                                  .source = pair->source + i * PAGE,
		                                  .length = PAGE};
}

/* How many were taken: none where all queues are full, or where there is nothing to write to. */
static unsigned write_all(const struct pair *pair)
{
	struct tandem_session *session = pair->connecting.session;
	struct tandem_write writes[BATCH];
	unsigned count = 0;

	if (tandem_session_exposed_bytes(session, 0) != PAIR_MEMORY_BYTES)
		return 0;
	for (unsigned channel = 0; channel < pair->options.channel_count; channel++) {
		unsigned taken_count = 0;

		set_writes(pair, channel, writes);
		/* What is full or lost shows in the events. */
		if (tandem_session_write(session, channel, writes, BATCH, &taken_count) != 0)
			continue;
		count += taken_count;
		count += tandem_session_notify(session, channel, &writes[0], channel) == 0;
	}
	return count;
}

static void note_lost(struct flood *flood, const struct tandem_error *error)
{
	pthread_mutex_lock(&flood->lock);
	flood->lost_count++;
	flood->lost_ns = tandem_clock_now_ns();
	flood->error = *error;
	pthread_cond_broadcast(&flood->is_changed);
	pthread_mutex_unlock(&flood->lock);
}

static void note_turn(struct flood *flood, unsigned taken_count)
{
	pthread_mutex_lock(&flood->lock);
	flood->quiet_turn_count = taken_count == 0 ? flood->quiet_turn_count + 1 : 0;
	if (flood->quiet_turn_count == FULL_TURNS)
		pthread_cond_broadcast(&flood->is_changed);
	pthread_mutex_unlock(&flood->lock);
}

static void wait_for_work(struct tandem_session *session)
{
	struct pollfd descriptor = {.fd = tandem_session_fd(session), .events = POLLIN};

	poll(&descriptor, 1, QUIET_MS);
}

static void *run(void *argument)
{
	struct flood *flood = argument;
	struct tandem_session *session = flood->pair->connecting.session;
	struct tandem_session_event *event = &flood->event;

	while (!atomic_load(&flood->may_end)) {
		const unsigned taken_count = write_all(flood->pair);

		tandem_session_progress(session);
		while (tandem_session_next_event(session, event)) {
			if (event->type == TANDEM_SESSION_LOST)
				note_lost(flood, &event->error);
		}
		note_turn(flood, taken_count);
		if (taken_count == 0)
			wait_for_work(session);
	}
	return NULL;
}

static int init_lock(struct flood *flood)
{
	pthread_condattr_t attributes;
	int rc = pthread_condattr_init(&attributes);

	if (rc == 0)
		rc = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	if (rc == 0)
		rc = pthread_cond_init(&flood->is_changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return rc == 0 ? pthread_mutex_init(&flood->lock, NULL) : rc;
}

int flood_start(struct flood *flood, struct pair *pair)
{
	memset(flood, 0, sizeof(*flood));
	flood->pair = pair;
	if (pair->source != NULL)
		memset(pair->source, FLOOD_CONTENT, PAIR_MEMORY_BYTES);
	if (init_lock(flood) != 0)
		return -1;
	pair->connecting.is_silent = true;
	return pthread_create(&flood->thread, NULL, run, flood) == 0 ? 0 : -1;
}

static bool is_lost(const struct flood *flood)
{
	return flood->lost_count > 0;
}

static bool is_full(const struct flood *flood)
{
	return flood->quiet_turn_count >= FULL_TURNS;
}

static int wait_until(struct flood *flood, bool (*test)(const struct flood *flood),
                      uint64_t deadline_ns)
{
	const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
	                                  .tv_nsec = (long)(deadline_ns % NS_PER_S)};
	int rc = 0;

	pthread_mutex_lock(&flood->lock);
	while (!test(flood) && rc == 0)
		rc = pthread_cond_timedwait(&flood->is_changed, &flood->lock, &deadline);
	rc = test(flood) ? 0 : -1;
	pthread_mutex_unlock(&flood->lock);
	return rc;
}

int flood_wait_lost(struct flood *flood, uint64_t deadline_ns)
{
	return wait_until(flood, is_lost, deadline_ns);
}

int flood_wait_full(struct flood *flood, uint64_t deadline_ns)
{
	return wait_until(flood, is_full, deadline_ns);
}

void flood_end(struct flood *flood)
{
	if (flood_wait_lost(flood, 0) != 0)
		tandem_session_yank(flood->pair->connecting.session);
	atomic_store(&flood->may_end, true);
	pthread_join(flood->thread, NULL);
	flood->pair->connecting.is_silent = false;
	pthread_cond_destroy(&flood->is_changed);
	pthread_mutex_destroy(&flood->lock);
}
