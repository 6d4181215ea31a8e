#include "rdma/attachment.h"

#include <errno.h>
#include <fcntl.h>

#include <tandem/memory.h>

#include "rdma/session.h"
#include "rdma/verbs.h"

static int open_completion_channel(struct tandem_rdma_session *session,
                                   struct tandem_rdma_attachment *attachment,
                                   struct tandem_error *reterr_error)
{
	int flags;
	int rc;

	attachment->completion_channel = ibv_create_comp_channel(attachment->context);
	rc = tandem_rdma_errno_of_object(attachment->completion_channel);
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "ibv_create_comp_channel",
		                         "no completion channel");
	flags = fcntl(attachment->completion_channel->fd, F_GETFL);
	if (flags < 0 ||
	    fcntl(attachment->completion_channel->fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fcntl",
		                              "completion channel to non-blocking");
	return tandem_rdma_session_watch(session, attachment->completion_channel->fd, reterr_error);
}

static int prepare_source(const struct tandem_rdma_attachment *attachment,
                          struct tandem_rdma_source *source, struct tandem_error *reterr_error)
{
	/* Access 0 is reading by the local device. */
	return tandem_rdma_registration_new(&source->extent, attachment->pd, 0,
	                                    &source->registrations[attachment->index],
	                                    reterr_error);
}

static void release_sources(struct tandem_rdma_session *session,
                            const struct tandem_rdma_attachment *attachment)
{
	for (unsigned i = 0; i < session->sources.count; i++) {
		struct tandem_rdma_registration **registration =
		        &session->sources.entries[i]->registrations[attachment->index];

		*registration = tandem_rdma_registration_free(*registration);
	}
}

static int collect_sources(struct tandem_rdma_session *session,
                           const struct tandem_rdma_attachment *attachment,
                           struct tandem_rdma_registration **list, unsigned *ret_count,
                           struct tandem_error *reterr_error)
{
	unsigned count = 0;

	for (unsigned i = 0; i < session->sources.count; i++) {
		struct tandem_rdma_source *source = session->sources.entries[i];
		int rc;

		if (source->registrations[attachment->index] != NULL)
			continue;
		rc = prepare_source(attachment, source, reterr_error);
		if (rc != 0)
			return rc;
		list[count++] = source->registrations[attachment->index];
	}
	*ret_count = count;
	return 0;
}

/* What is not registered for it yet. */
static int start_job(struct tandem_rdma_session *session, struct tandem_rdma_attachment *attachment,
                     struct tandem_error *reterr_error)
{
	struct tandem_rdma_registration **list;
	unsigned count = 0;
	int rc;

	if (session->sources.count == 0)
		return 0;
	list = tandem_memory_alloc_array(session->sources.count,
	                                 sizeof(struct tandem_rdma_registration *));
	if (list == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "register",
		                        "no memory for %u sources", session->sources.count);
	rc = collect_sources(session, attachment, list, &count, reterr_error);
	if (rc == 0 && count > 0)
		rc = tandem_rdma_job_start(list, count, session->wake_fd, &attachment->job,
		                           reterr_error);
	if (rc != 0)
		release_sources(session, attachment);
	tandem_memory_free(list);
	return rc;
}

static int open_new(struct tandem_rdma_session *session, struct tandem_rdma_attachment *attachment,
                    struct tandem_error *reterr_error)
{
	int rc;

	attachment->pd = ibv_alloc_pd(attachment->context);
	rc = tandem_rdma_errno_of_object(attachment->pd);
	if (rc != 0)
		return tandem_rdma_error(reterr_error, rc, 0, "ibv_alloc_pd",
		                         "no protection domain");
	rc = open_completion_channel(session, attachment, reterr_error);
	if (rc == 0)
		rc = tandem_rdma_session_watch(session, attachment->context->async_fd,
		                               reterr_error);
	if (rc == 0)
		rc = start_job(session, attachment, reterr_error);
	return rc;
}

static struct tandem_rdma_attachment *find(struct tandem_rdma_session *session,
                                           const struct ibv_context *context)
{
	for (unsigned i = 0; i < TANDEM_RDMA_ATTACHMENTS_MAX; i++) {
		if (session->attachments[i].context == context)
			return &session->attachments[i];
	}
	return NULL;
}

int tandem_rdma_attachment_open(struct tandem_rdma_session *session, struct ibv_context *context,
                                struct tandem_rdma_attachment **ret_attachment,
                                struct tandem_error *reterr_error)
{
	struct tandem_rdma_attachment *attachment = find(session, context);
	int rc = 0;

	if (attachment != NULL) {
		if (attachment->job == NULL)
			rc = start_job(session, attachment, reterr_error);
		if (rc == 0)
			*ret_attachment = attachment;
		return rc;
	}
	attachment = find(session, NULL);
	if (attachment == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_DEVICE, "join",
		                        "more than %d devices lead to the peer",
		                        TANDEM_RDMA_ATTACHMENTS_MAX);
	attachment->index = (unsigned)(attachment - session->attachments);
	attachment->context = context;
	rc = open_new(session, attachment, reterr_error);
	if (rc == 0)
		*ret_attachment = attachment;
	else
		tandem_rdma_attachment_close(session, attachment);
	return rc;
}

int tandem_rdma_attachment_pin(const struct tandem_rdma_attachment *attachment,
                               struct tandem_rdma_source *source, struct tandem_error *reterr_error)
{
	int rc = prepare_source(attachment, source, reterr_error);

	if (rc == 0)
		rc = tandem_rdma_registrations_pin(&source->registrations[attachment->index], 1,
		                                   NULL, reterr_error);
	return rc;
}

int tandem_rdma_attachment_settle(struct tandem_rdma_session *session,
                                  struct tandem_rdma_attachment *attachment,
                                  struct tandem_error *reterr_error)
{
	int rc;

	if (attachment->job == NULL)
		return 0;
	if (!tandem_rdma_job_is_done(attachment->job))
		return TANDEM_E_AGAIN;
	rc = tandem_rdma_job_end(attachment->job, reterr_error);
	attachment->job = NULL;
	if (rc != 0)
		release_sources(session, attachment);
	return rc;
}

void tandem_rdma_attachment_release(struct tandem_rdma_session *session,
                                    struct tandem_rdma_attachment *attachment)
{
	if (attachment->job != NULL) {
		tandem_rdma_job_cancel(attachment->job);
		tandem_rdma_job_end(attachment->job, NULL);
		attachment->job = NULL;
	}
	release_sources(session, attachment);
}

void tandem_rdma_attachment_close(struct tandem_rdma_session *session,
                                  struct tandem_rdma_attachment *attachment)
{
	if (attachment->context == NULL)
		return;
	tandem_rdma_attachment_release(session, attachment);
	tandem_rdma_session_unwatch(session, attachment->context->async_fd);
	if (attachment->completion_channel != NULL)
		ibv_destroy_comp_channel(attachment->completion_channel);
	if (attachment->pd != NULL)
		ibv_dealloc_pd(attachment->pd);
	*attachment = (struct tandem_rdma_attachment){0};
}
