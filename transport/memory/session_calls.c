#include <stdio.h>

#include <tandem/clock.h>

#include "memory/fabric.h"

static bool is_over(const struct tandem_memory_session *session)
{
	return session->state == TANDEM_MEMORY_OVER || atomic_load(&session->is_yanked);
}

int tandem_memory_session_expose(struct tandem_session *head, unsigned memory_id, void *base,
                                 size_t length, struct tandem_error *reterr_error)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	struct tandem_memory_target *target = &session->targets[memory_id];
	const struct tandem_memory_control control = {.memory_id = memory_id,
	                                              .exposed_bytes = length};
	if (session->side != TANDEM_SIDE_LISTENING)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "only the listening side exposes memory");
	if (is_over(session))
		return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "expose",
		                        "the session has ended");
	if (target->bytes > 0)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "expose",
		                        "memory %u is exposed already", memory_id);
	/* There is room: the queue has a place for each id, and each id comes once. */
	if (!tandem_memory_link_add_control(session->link, TANDEM_SIDE_CONNECTING, &control, NULL,
	                                    tandem_clock_now_ns()))
		return tandem_error_set(reterr_error, TANDEM_E_AGAIN, "expose",
		                        "the queue is full");
	*target = (struct tandem_memory_target){.base = base, .bytes = length};
	tandem_memory_link_refresh(session->link);
	return 0;
}

int tandem_memory_session_register(struct tandem_session *head, const void *base, size_t length,
                                   struct tandem_error *reterr_error)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	if (session->side != TANDEM_SIDE_CONNECTING)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "register",
		                        "only the connecting side writes");
	if (!tandem_range_table_add(&session->sources, base, length))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "register",
		                        "more than %u ranges", TANDEM_RANGES_MAX);
	return 0;
}

uint64_t tandem_memory_session_exposed_bytes(const struct tandem_session *head, unsigned memory_id)
{
	const struct tandem_memory_session *session = tandem_memory_session_of_const(head);
	return session->side == TANDEM_SIDE_CONNECTING ? session->targets[memory_id].bytes : 0;
}

int tandem_memory_session_send(struct tandem_session *head, const void *message,
                               size_t message_bytes)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	const struct tandem_memory_control control = {.message_bytes = message_bytes};
	enum tandem_memory_side to = session->side == TANDEM_SIDE_CONNECTING
	                                     ? TANDEM_SIDE_LISTENING
	                                     : TANDEM_SIDE_CONNECTING;
	if (is_over(session))
		return TANDEM_E_PEER_LOST;
	if (session->state == TANDEM_MEMORY_JOINING ||
	    !tandem_memory_link_add_control(session->link, to, &control, message,
	                                    tandem_clock_now_ns()))
		return TANDEM_E_AGAIN;
	tandem_memory_link_refresh(session->link);
	return 0;
}

static const struct tandem_memory_channel_end *end_of(const struct tandem_memory_session *session,
                                                      unsigned channel)
{
	return &session->link->channels[channel].ends[session->side];
}

static int check_writes(struct tandem_memory_session *session, unsigned channel,
                        const struct tandem_write *writes, unsigned count)
{
	if (session->side != TANDEM_SIDE_CONNECTING)
		return TANDEM_E_USAGE;
	if (is_over(session))
		return TANDEM_E_PEER_LOST;
	if (session->state == TANDEM_MEMORY_JOINING ||
	    end_of(session, channel)->state != TANDEM_CHANNEL_UP)
		return TANDEM_E_CHANNEL_LOST;
	for (unsigned i = 0; i < count; i++) {
		if (!tandem_range_table_holds(&session->sources, writes[i].source,
		                              writes[i].length))
			return TANDEM_E_USAGE;
	}
	return 0;
}

int tandem_memory_session_write(struct tandem_session *head, unsigned channel,
                                const struct tandem_write *writes, unsigned count,
                                unsigned *ret_taken_count)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	uint64_t now_ns = tandem_clock_now_ns();
	unsigned taken_count = 0;
	int status = check_writes(session, channel, writes, count);
	if (status != 0)
		return status;
	while (taken_count < count) {
		const struct tandem_memory_write item = {.write = writes[taken_count]};
		if (!tandem_memory_link_add_write(session->link, channel, &item, now_ns))
			break;
		taken_count++;
	}
	tandem_memory_link_refresh(session->link);
	*ret_taken_count = taken_count;
	return 0;
}

int tandem_memory_session_notify(struct tandem_session *head, unsigned channel,
                                 const struct tandem_write *write, uint32_t immediate)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	const struct tandem_memory_write item = {
	        .write = *write, .notifies = true, .immediate = immediate};
	int status = check_writes(session, channel, write, 1);
	if (status != 0)
		return status;
	if (!tandem_memory_link_add_write(session->link, channel, &item, tandem_clock_now_ns()))
		return TANDEM_E_AGAIN;
	tandem_memory_link_refresh(session->link);
	return 0;
}

unsigned tandem_memory_session_inflight_count(const struct tandem_session *head, unsigned channel)
{
	const struct tandem_memory_session *session = tandem_memory_session_of_const(head);
	bool is_writer = session->side == TANDEM_SIDE_CONNECTING &&
	                 session->state == TANDEM_MEMORY_UP &&
	                 end_of(session, channel)->state == TANDEM_CHANNEL_UP;
	return is_writer ? session->link->channels[channel].count : 0;
}

int tandem_memory_session_fence(struct tandem_session *head, uint64_t deadline_ns,
                                struct tandem_error *reterr_error)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	struct tandem_error cause;
	(void)deadline_ns; /* nothing is waited for */
	if (session->side != TANDEM_SIDE_LISTENING)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "fence",
		                        "only the listening side exposes memory");
	if (!is_over(session)) {
		tandem_memory_link_land_writes(session->link, session, tandem_clock_now_ns());
		session->drains_controls = true;
	}
	tandem_error_set(&cause, TANDEM_E_YANKED, "fence", "fenced by this side");
	tandem_memory_session_end(session, &cause);
	return 0;
}

static void fence_end(struct tandem_memory_session *session, unsigned index)
{
	struct tandem_memory_channel *channel = &session->link->channels[index];
	struct tandem_memory_channel_end *end = &channel->ends[TANDEM_SIDE_LISTENING];
	if (end->state == TANDEM_CHANNEL_UP) {
		tandem_memory_link_land_writes(session->link, session, tandem_clock_now_ns());
		tandem_error_set(&end->cause, TANDEM_E_CHANNEL_LOST, "fence", "it was fenced");
		end->has_ended = true;
	}
	end->state = TANDEM_CHANNEL_DOWN;
	/* The rest is still under way, and never arrives. */
	tandem_memory_channel_clear(channel);
	if (tandem_memory_channels_count(session, TANDEM_CHANNEL_UP) == 0)
		session->join_deadline_ns =
		        tandem_clock_now_ns() + session->connect_timeout_ns; /* [T4] */
}

int tandem_memory_session_fence_channel(struct tandem_session *head, unsigned channel,
                                        uint64_t deadline_ns, struct tandem_error *reterr_error)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	(void)deadline_ns; /* nothing is waited for */
	if (session->side != TANDEM_SIDE_LISTENING)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "fence",
		                        "only the listening side exposes memory");
	if (!is_over(session))
		fence_end(session, channel);
	tandem_fabric_refresh(session->link->fabric);
	return 0;
}

int tandem_memory_session_restore(struct tandem_session *head, unsigned index,
                                  struct tandem_error *reterr_error)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	const struct tandem_transport_options *options = &session->link->options;
	struct tandem_memory_channel *channel = &session->link->channels[index];
	struct tandem_memory_channel_end *end = &channel->ends[TANDEM_SIDE_CONNECTING];
	if (session->side != TANDEM_SIDE_CONNECTING)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "restore",
		                        "only the connecting side joins");
	if (is_over(session))
		return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "restore",
		                        "the session has ended");
	if (session->state == TANDEM_MEMORY_JOINING || end->state == TANDEM_CHANNEL_UP ||
	    end->state == TANDEM_CHANNEL_JOINING)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "restore",
		                        "data channel %u is %s", index,
		                        tandem_channel_state_text(end->state));
	end->state = TANDEM_CHANNEL_JOINING;
	channel->join = TANDEM_JOIN_NONE;
	channel->join_deadline_ns = tandem_clock_now_ns() + options->connect_timeout_ns;
	tandem_memory_link_refresh(session->link);
	return 0;
}

void tandem_memory_session_channel_status(const struct tandem_session *head, unsigned index,
                                          struct tandem_channel_status *ret_status)
{
	const struct tandem_memory_session *session = tandem_memory_session_of_const(head);
	const struct tandem_memory_channel *channel = &session->link->channels[index];
	const struct tandem_memory_channel_end *end = end_of(session, index);
	unsigned inflight_count = tandem_memory_session_inflight_count(head, index);
	*ret_status = (struct tandem_channel_status){
	        .state = end->state,
	        .rail = end->rail,
	        .bytes = end->bytes,
	        .inflight_count = inflight_count,
	        .oldest_posted_ns =
	                inflight_count > 0 ? channel->writes[channel->first].posted_ns : 0,
	        .lost_count = end->lost_count,
	        .first_error = end->first_error,
	};
}

void tandem_memory_session_break_channel(struct tandem_session *head, unsigned index)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	struct tandem_error cause;
	if (is_over(session))
		return;
	tandem_error_set(&cause, TANDEM_E_CHANNEL_LOST, "break",
	                 "data channel %u was broken by this side", index);
	tandem_memory_channel_end(session, index, &cause);
	tandem_fabric_refresh(session->link->fabric);
}

void tandem_memory_session_describe(const struct tandem_session *head, char *text,
                                    size_t text_bytes)
{
	const struct tandem_memory_session *session = tandem_memory_session_of_const(head);
	unsigned pending_count = 0;
	for (unsigned i = 0; i < session->link->options.channel_count; i++)
		pending_count += session->link->channels[i].count;
	snprintf(text, text_bytes, "memory, %s, %u of %u data channels up, %u writes pending",
	         session->state == TANDEM_MEMORY_JOINING ? "joining"
	         : session->state == TANDEM_MEMORY_UP    ? "up"
	                                                 : "lost",
	         tandem_memory_channels_count(session, TANDEM_CHANNEL_UP),
	         session->link->options.channel_count, pending_count);
}
