#include <stdint.h>
#include <unistd.h>

#include <tandem/memory.h>

#include "rdma/session.h"

#define WRITABLE (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)

static int check_exposure(const struct tandem_rdma_session *session, unsigned memory_id,
                          const void *base, size_t length, struct tandem_error *reterr_error)
{
	if (!session->is_listening_side)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "only the listening side exposes memory");
	if (memory_id >= TANDEM_MEMORY_IDS_MAX)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "memory id %u is not below %d", memory_id,
		                        TANDEM_MEMORY_IDS_MAX);
	if (session->exposures[memory_id].base != NULL)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "memory id %u is taken", memory_id);
	if ((uintptr_t)base % (uintptr_t)sysconf(_SC_PAGESIZE) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "memory %u does not begin at a page", memory_id);
	if (tandem_rdma_expose_piece_count(length, session->piece_bytes) == 0 ||
	    tandem_rdma_expose_piece_count(length, session->piece_bytes) >
	            TANDEM_RDMA_PIECES_ALL_MAX - session->exposed_piece_count)
		return tandem_error_set(
		        reterr_error, TANDEM_E_USAGE, "expose",
		        "memory %u has %zu bytes, allowed are 1 to %llu, and %llu of all",
		        memory_id, length,
		        (unsigned long long)session->piece_bytes * TANDEM_RDMA_PIECES_MAX,
		        (unsigned long long)session->piece_bytes * TANDEM_RDMA_PIECES_ALL_MAX);
	return 0;
}

static int check_open(const struct tandem_rdma_session *session, const char *operation,
                      struct tandem_error *reterr_error)
{
	if (session->state == TANDEM_RDMA_UP || session->state == TANDEM_RDMA_JOINING)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, operation,
	                        "the session with %s has ended", tandem_rdma_session_peer(session));
}

/* ---- for the channels that have their keys ---- */

static int prepare(struct tandem_rdma_channel *channel, unsigned memory_id,
                   struct tandem_error *reterr_error)
{
	return tandem_rdma_registration_new(&channel->session->exposures[memory_id], channel->pd,
	                                    WRITABLE, &channel->exposed[memory_id].registration,
	                                    reterr_error);
}

/* Others get it when their own registration is done. */
static bool wants_now(const struct tandem_rdma_channel *channel)
{
	return channel->has_keys && channel->exposed != NULL &&
	       (channel->state == TANDEM_CHANNEL_UP || channel->state == TANDEM_CHANNEL_JOINING);
}

static int pin_everywhere(struct tandem_rdma_session *session, unsigned memory_id,
                          struct tandem_error *reterr_error)
{
	struct tandem_rdma_registration *list[TANDEM_CHANNELS_MAX];
	unsigned count = 0;
	int rc = 0;

	for (unsigned i = 1; i <= session->channel_count && rc == 0; i++) {
		struct tandem_rdma_channel *channel = &session->channels[i];

		if (!wants_now(channel))
			continue;
		rc = prepare(channel, memory_id, reterr_error);
		if (rc == 0)
			list[count++] = channel->exposed[memory_id].registration;
	}
	if (rc == 0 && count > 0)
		rc = tandem_rdma_registrations_pin(list, count, NULL, reterr_error);
	if (rc != 0)
		tandem_error_wrap(reterr_error, rc, "expose memory %u to %u data channels",
		                  memory_id, count);
	return rc;
}

static void expose_to(struct tandem_rdma_session *session, unsigned memory_id, bool is_done)
{
	for (unsigned i = 1; i <= session->channel_count; i++) {
		struct tandem_rdma_channel *channel = &session->channels[i];
		struct tandem_rdma_exposed *exposed;

		if (!wants_now(channel))
			continue;
		exposed = &channel->exposed[memory_id];
		if (is_done)
			channel->unannounced_count++;
		else
			exposed->registration =
			        tandem_rdma_registration_free(exposed->registration);
	}
}

int tandem_rdma_session_expose(struct tandem_session *head, unsigned memory_id, void *base,
                               size_t length, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	int rc;

	rc = check_exposure(session, memory_id, base, length, reterr_error);
	if (rc == 0)
		rc = check_open(session, "expose", reterr_error);
	if (rc != 0)
		return rc;
	session->exposures[memory_id] =
	        (struct tandem_rdma_extent){base, length, session->piece_bytes};
	rc = pin_everywhere(session, memory_id, reterr_error);
	expose_to(session, memory_id, rc == 0);
	if (rc != 0) {
		session->exposures[memory_id] = (struct tandem_rdma_extent){0};
		return rc;
	}
	session->exposed_piece_count +=
	        tandem_rdma_expose_piece_count(length, session->piece_bytes);
	tandem_rdma_control_pump(session);
	return 0;
}

/* ---- for a channel that has joined [T17] ---- */

static int collect(struct tandem_rdma_channel *channel, struct tandem_rdma_registration **list,
                   unsigned *ret_count, struct tandem_error *reterr_error)
{
	unsigned count = 0;
	int rc = 0;

	for (unsigned id = 0; id < TANDEM_MEMORY_IDS_MAX && rc == 0; id++) {
		if (channel->session->exposures[id].base == NULL ||
		    channel->exposed[id].registration != NULL)
			continue;
		rc = prepare(channel, id, reterr_error);
		if (rc == 0)
			list[count++] = channel->exposed[id].registration;
	}
	*ret_count = count;
	return rc;
}

static int start_job(struct tandem_rdma_channel *channel, struct tandem_error *reterr_error)
{
	struct tandem_rdma_registration *list[TANDEM_MEMORY_IDS_MAX];
	unsigned count;
	int rc = collect(channel, list, &count, reterr_error);

	if (rc != 0)
		return rc;
	if (count == 0) {
		channel->has_keys = true;
		channel->owes_ready = true;
		tandem_rdma_control_pump(channel->session);
		return 0;
	}
	channel->unannounced_count += count;
	return tandem_rdma_job_start(list, count, channel->session->wake_fd, &channel->job,
	                             reterr_error);
}

void tandem_rdma_exposures_register(struct tandem_rdma_channel *channel)
{
	struct tandem_error cause;
	int rc = 0;

	if (channel->join_state != TANDEM_RDMA_CHANNEL_JOINED || channel->has_keys)
		return;
	if (channel->job != NULL && !tandem_rdma_job_is_done(channel->job))
		return;
	if (channel->job != NULL) {
		rc = tandem_rdma_job_end(channel->job, &cause);
		channel->job = NULL;
	}
	/* What was exposed meanwhile comes next. */
	if (rc == 0)
		rc = start_job(channel, &cause);
	if (rc != 0)
		tandem_rdma_channel_lose(channel, &cause);
}

/* ---- the connecting side ---- */

uint64_t tandem_rdma_session_exposed_bytes(const struct tandem_session *head, unsigned memory_id)
{
	return tandem_rdma_session_of_const(head)->known_bytes[memory_id];
}

void tandem_rdma_exposures_count(struct tandem_rdma_session *session, unsigned memory_id)
{
	uint64_t bytes = UINT64_MAX;

	for (unsigned i = 1; i <= session->channel_count; i++) {
		const struct tandem_rdma_channel *channel = &session->channels[i];
		uint64_t channel_bytes;

		if (channel->state != TANDEM_CHANNEL_UP || channel->peer_memories == NULL)
			continue;
		channel_bytes =
		        tandem_rdma_peer_memory_bytes(&channel->peer_memories->entries[memory_id]);
		if (channel_bytes < bytes)
			bytes = channel_bytes;
	}
	/* Where no channel is up it stays as it was. */
	if (bytes != UINT64_MAX)
		session->known_bytes[memory_id] = bytes;
}

static int pin_source(struct tandem_rdma_session *session, struct tandem_rdma_source *source,
                      struct tandem_error *reterr_error)
{
	int rc = 0;

	for (unsigned i = 0; i < TANDEM_RDMA_ATTACHMENTS_MAX && rc == 0; i++) {
		if (session->attachments[i].context != NULL)
			rc = tandem_rdma_attachment_pin(&session->attachments[i], source,
			                                reterr_error);
	}
	return rc;
}

/* While a device is not known yet it is noted only, and registered there when it is. */
int tandem_rdma_session_register(struct tandem_session *head, const void *base, size_t length,
                                 struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	struct tandem_rdma_source *source;
	int rc;

	if (session->is_listening_side || length == 0)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "register",
		                        "only the connecting side registers, 1 byte or more");
	rc = check_open(session, "register", reterr_error);
	if (rc != 0)
		return rc;
	source = tandem_memory_alloc(sizeof(*source));
	if (source == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "register",
		                        "no memory for one more source");
	source->extent = (struct tandem_rdma_extent){base, length, session->piece_bytes};
	rc = pin_source(session, source, reterr_error);
	if (rc == 0 && tandem_rdma_sources_add(&session->sources, source) != 0)
		rc = tandem_error_set(reterr_error, TANDEM_E_MEMORY, "register",
		                      "no memory for one more source");
	if (rc != 0)
		tandem_rdma_source_free(source);
	return rc;
}
