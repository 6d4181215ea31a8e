#include <unistd.h>

#include "provider.h"

unsigned tandem_session_channel_count(const struct tandem_session *session)
{
	return session->ops->channel_count(session);
}

const char *tandem_session_peer_address(const struct tandem_session *session)
{
	return session->ops->peer_address(session);
}

int tandem_session_fd(const struct tandem_session *session)
{
	return session->ops->fd(session);
}

bool tandem_session_lands_in_calls(const struct tandem_session *session)
{
	return session->ops->lands_in_calls;
}

uint64_t tandem_session_deadline_ns(const struct tandem_session *session)
{
	return session->ops->deadline_ns(session);
}

void tandem_session_progress(struct tandem_session *session)
{
	session->ops->progress(session);
}

bool tandem_session_next_event(struct tandem_session *session,
                               struct tandem_session_event *ret_event)
{
	return session->ops->next_event(session, ret_event);
}

int tandem_session_expose(struct tandem_session *session, unsigned memory_id, void *base,
                          size_t length, struct tandem_error *reterr_error)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	if (memory_id >= TANDEM_MEMORY_IDS_MAX)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "memory id %u is above %u", memory_id,
		                        TANDEM_MEMORY_IDS_MAX - 1);
	if (!base || length == 0 || (uintptr_t)base % page != 0)
		return tandem_error_set(
		        reterr_error, TANDEM_E_USAGE, "expose",
		        "memory %u: %zu bytes at %p; it must begin on a page and not "
		        "be empty",
		        memory_id, length, base);
	return session->ops->expose(session, memory_id, base, length, reterr_error);
}

int tandem_session_register(struct tandem_session *session, const void *base, size_t length,
                            struct tandem_error *reterr_error)
{
	if (!base || length == 0)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "register",
		                        "%zu bytes at %p; it must not be empty", length, base);
	return session->ops->register_source(session, base, length, reterr_error);
}

uint64_t tandem_session_exposed_bytes(const struct tandem_session *session, unsigned memory_id)
{
	return memory_id < TANDEM_MEMORY_IDS_MAX ? session->ops->exposed_bytes(session, memory_id)
	                                         : 0;
}

int tandem_session_send(struct tandem_session *session, const void *message, size_t message_bytes)
{
	if (!message || message_bytes == 0 || message_bytes > TANDEM_MESSAGE_BYTES_MAX)
		return TANDEM_E_USAGE;
	return session->ops->send(session, message, message_bytes);
}

static bool is_write_sound(const struct tandem_session *session, const struct tandem_write *write)
{
	if (!write->source || write->length == 0 || write->length > TANDEM_WRITE_BYTES_MAX)
		return false;
	uint64_t exposed_bytes = tandem_session_exposed_bytes(session, write->memory_id);
	return write->length <= exposed_bytes && write->offset <= exposed_bytes - write->length;
}

int tandem_session_write(struct tandem_session *session, unsigned channel,
                         const struct tandem_write *writes, unsigned count,
                         unsigned *ret_taken_count)
{
	if (channel >= session->ops->channel_count(session))
		return TANDEM_E_USAGE;
	for (unsigned i = 0; i < count; i++) {
		if (!is_write_sound(session, &writes[i]))
			return TANDEM_E_USAGE;
	}
	return session->ops->write(session, channel, writes, count, ret_taken_count);
}

int tandem_session_notify(struct tandem_session *session, unsigned channel,
                          const struct tandem_write *write, uint32_t immediate)
{
	if (channel >= session->ops->channel_count(session) || !is_write_sound(session, write))
		return TANDEM_E_USAGE;
	return session->ops->notify(session, channel, write, immediate);
}

unsigned tandem_session_inflight_count(const struct tandem_session *session, unsigned channel)
{
	return channel < session->ops->channel_count(session)
	               ? session->ops->inflight_count(session, channel)
	               : 0;
}

void tandem_session_beat(struct tandem_session *session)
{
	if (session->ops->beat)
		session->ops->beat(session);
}

int tandem_session_read_beat(struct tandem_session *session, uint64_t timeout_ns)
{
	return session->ops->read_beat ? session->ops->read_beat(session, timeout_ns)
	                               : TANDEM_E_USAGE;
}

void tandem_session_yank(struct tandem_session *session)
{
	session->ops->yank(session);
}

int tandem_session_fence(struct tandem_session *session, uint64_t deadline_ns,
                         struct tandem_error *reterr_error)
{
	return session->ops->fence(session, deadline_ns, reterr_error);
}

int tandem_session_fence_channel(struct tandem_session *session, unsigned channel,
                                 uint64_t deadline_ns, struct tandem_error *reterr_error)
{
	if (channel >= session->ops->channel_count(session))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "fence",
		                        "the session has no data channel %u", channel);
	return session->ops->fence_channel(session, channel, deadline_ns, reterr_error);
}

int tandem_session_restore(struct tandem_session *session, unsigned channel,
                           struct tandem_error *reterr_error)
{
	if (channel >= session->ops->channel_count(session))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "restore",
		                        "the session has no data channel %u", channel);
	return session->ops->restore(session, channel, reterr_error);
}

void tandem_session_channel_status(const struct tandem_session *session, unsigned channel,
                                   struct tandem_channel_status *ret_status)
{
	*ret_status = (struct tandem_channel_status){.state = TANDEM_CHANNEL_DOWN};
	if (channel < session->ops->channel_count(session))
		session->ops->channel_status(session, channel, ret_status);
}

unsigned tandem_session_key_index(const struct tandem_session *session)
{
	return session->ops->key_index(session);
}

void tandem_session_break_channel(struct tandem_session *session, unsigned channel)
{
	if (channel < session->ops->channel_count(session))
		session->ops->break_channel(session, channel);
}

const char *tandem_channel_state_text(enum tandem_channel_state state)
{
	static const char *const texts[] = {
#define X(name, text) [TANDEM_CHANNEL_##name] = text,
	        TANDEM_CHANNEL_STATE_TABLE(X)
#undef X
	};
	return state < TANDEM_CHANNEL_STATE_COUNT ? texts[state] : "unknown";
}

void tandem_session_describe(const struct tandem_session *session, char *text, size_t text_bytes)
{
	session->ops->describe(session, text, text_bytes);
}

struct tandem_session *tandem_session_free(struct tandem_session *session)
{
	if (session)
		session->ops->free(session);
	return NULL;
}
