#include <poll.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "rdma/remains.h"
#include "rdma/session.h"
#include "rdma/thread.h"

/* How long the owner of a session waits for its queue pairs; a device that holds none needs less.
 */
#define GIVE_UP_NS UINT64_C(500000000)

/* What becomes of a session that is freed: its queue pairs first, which is where a device may take
 * its time [N21], then what they used. */

static bool has_queue_pair(const struct tandem_rdma_session *session)
{
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++) {
		if (session->channels[i].id != NULL && session->channels[i].id->qp != NULL)
			return true;
	}
	return session->remains != NULL;
}

static void destroy_queue_pairs(struct tandem_rdma_session *session)
{
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++)
		tandem_rdma_channel_destroy_queue_pair(&session->channels[i]);
	tandem_rdma_remains_wait(session);
}

/* The order is the one in which the objects need each other; each step goes on after a failure. */
static void free_rest(struct tandem_rdma_session *session)
{
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++)
		tandem_rdma_channel_close(&session->channels[i]);
	tandem_rdma_remains_settle(session);
	for (unsigned i = 0; i < TANDEM_RDMA_ATTACHMENTS_MAX; i++)
		tandem_rdma_attachment_close(session, &session->attachments[i]);
	tandem_rdma_sources_clear(&session->sources);
	for (unsigned i = 0; i < TANDEM_RDMA_CHANNELS_MAX; i++)
		tandem_rdma_channel_destroy_id(&session->channels[i]);
	if (session->cm_channel != NULL)
		rdma_destroy_event_channel(session->cm_channel);
	if (session->wake_fd >= 0)
		close(session->wake_fd);
	if (session->epoll_fd >= 0)
		close(session->epoll_fd);
	tandem_memory_free(session);
}

/* The owner's memory is its own again, though the device still holds queue pairs: they are in ERR,
 * and what was posted on them has come back. */
static void release_borrowed(struct tandem_rdma_session *session)
{
	for (unsigned i = 1; i <= session->channel_count; i++)
		tandem_rdma_channel_release_exposed(&session->channels[i]);
	for (unsigned i = 0; i < TANDEM_RDMA_ATTACHMENTS_MAX; i++)
		tandem_rdma_attachment_release(session, &session->attachments[i]);
}

/* Who comes last, this thread or the owner, does the rest. */
static void *run(void *argument)
{
	struct tandem_rdma_session *session = argument;

	destroy_queue_pairs(session);
	if (atomic_exchange(&session->ending, TANDEM_RDMA_ENDING_GIVEN_UP) ==
	    TANDEM_RDMA_ENDING_LEFT)
		free_rest(session);
	else
		tandem_rdma_session_wake(session);
	return NULL;
}

static void wait_given_up(struct tandem_rdma_session *session, uint64_t deadline_ns)
{
	struct pollfd wake = {.fd = session->wake_fd, .events = POLLIN};
	uint64_t now_ns = tandem_clock_now_ns();

	while (atomic_load(&session->ending) != TANDEM_RDMA_ENDING_GIVEN_UP &&
	       now_ns < deadline_ns) {
		poll(&wake, 1, (int)((deadline_ns - now_ns) / TANDEM_NS_PER_MS) + 1);
		tandem_rdma_session_clear_wake(session);
		now_ns = tandem_clock_now_ns();
	}
}

void tandem_rdma_session_end(struct tandem_rdma_session *session)
{
	pthread_t thread;

	if (!has_queue_pair(session) || !tandem_rdma_thread_start(&thread, run, session)) {
		destroy_queue_pairs(session);
		free_rest(session);
		return;
	}
	wait_given_up(session, tandem_clock_now_ns() + GIVE_UP_NS);
	if (atomic_load(&session->ending) != TANDEM_RDMA_ENDING_GIVEN_UP)
		release_borrowed(session);
	if (atomic_exchange(&session->ending, TANDEM_RDMA_ENDING_LEFT) ==
	    TANDEM_RDMA_ENDING_GIVEN_UP) {
		pthread_join(thread, NULL);
		free_rest(session);
		return;
	}
	pthread_detach(thread);
}
