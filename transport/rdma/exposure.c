#include <stdint.h>
#include <unistd.h>

#include "rdma/session.h"

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
	if (session->exposures[memory_id].registration != NULL)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "memory id %u is taken", memory_id);
	if ((uintptr_t)base % (uintptr_t)sysconf(_SC_PAGESIZE) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "memory %u does not begin at a page", memory_id);
	if (tandem_rdma_expose_piece_count(length, session->piece_bytes) == 0)
		return tandem_error_set(
		        reterr_error, TANDEM_E_USAGE, "expose",
		        "memory %u has %zu bytes, allowed are 1 to %llu", memory_id, length,
		        (unsigned long long)session->piece_bytes * TANDEM_RDMA_PIECES_MAX);
	return 0;
}

static int check_open(const struct tandem_rdma_session *session, const char *operation,
                      struct tandem_error *reterr_error)
{
	if (session->state == TANDEM_RDMA_UP || session->state == TANDEM_RDMA_JOINING)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, operation,
	                        "the session with %s has ended", session->peer_text);
}

int tandem_rdma_session_expose(struct tandem_session *head, unsigned memory_id, void *base,
                               size_t length, struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	struct tandem_rdma_registration *registration;
	int rc;

	rc = check_exposure(session, memory_id, base, length, reterr_error);
	if (rc == 0)
		rc = check_open(session, "expose", reterr_error);
	if (rc == 0)
		rc = tandem_rdma_registration_new(base, length, session->piece_bytes, &registration,
		                                  reterr_error);
	if (rc != 0)
		return rc;
	rc = tandem_rdma_registration_pin(registration, session->pd,
	                                  IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
	                                  reterr_error);
	if (rc != 0) {
		tandem_rdma_registration_free(registration);
		return tandem_error_wrap(reterr_error, rc, "expose memory %u", memory_id);
	}
	session->exposures[memory_id].registration = registration;
	session->unannounced_count++;
	tandem_rdma_control_pump(session);
	return 0;
}

int tandem_rdma_session_register(struct tandem_session *head, const void *base, size_t length,
                                 struct tandem_error *reterr_error)
{
	struct tandem_rdma_session *session = tandem_rdma_session_of(head);
	struct tandem_rdma_registration *registration;
	int rc;

	if (session->is_listening_side || length == 0)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "register",
		                        "only the connecting side registers, 1 byte or more");
	rc = check_open(session, "register", reterr_error);
	if (rc == 0)
		rc = tandem_rdma_registration_new(base, length, session->piece_bytes, &registration,
		                                  reterr_error);
	if (rc != 0)
		return rc;
	/* While the device is not known yet it is noted only, and pinned when it is. Access 0 is
	 * reading by the local device. */
	if (session->pd != NULL)
		rc = tandem_rdma_registration_pin(registration, session->pd, 0, reterr_error);
	if (rc == 0 && tandem_rdma_sources_add(&session->sources, registration) != 0)
		rc = tandem_error_set(reterr_error, TANDEM_E_MEMORY, "register",
		                      "no memory for one more source");
	if (rc != 0)
		tandem_rdma_registration_free(registration);
	return rc;
}
