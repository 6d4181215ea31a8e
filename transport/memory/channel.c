#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "memory/fabric.h"

/* Data channels: how they join, end and join again [T3], [T15], [T16], [T17]. */

static struct tandem_memory_channel_end *own_end(const struct tandem_memory_session *session,
                                                 unsigned channel)
{
	return &session->link->channels[channel].ends[session->side];
}

static const struct tandem_memory_channel_end *peer_end(const struct tandem_memory_session *session,
                                                        unsigned channel)
{
	enum tandem_memory_side peer = session->side == TANDEM_SIDE_CONNECTING
	                                       ? TANDEM_SIDE_LISTENING
	                                       : TANDEM_SIDE_CONNECTING;
	return &session->link->channels[channel].ends[peer];
}

unsigned tandem_memory_channels_count(const struct tandem_memory_session *session,
                                      enum tandem_channel_state state)
{
	unsigned count = 0;
	for (unsigned i = 0; i < session->link->options.channel_count; i++)
		count += own_end(session, i)->state == state;
	return count;
}

static bool has_loss_to_take(const struct tandem_memory_session *session, unsigned channel)
{
	return tandem_event_queue_has_channel_lost(&session->queue, channel);
}

static void tell_loss(struct tandem_memory_session *session, unsigned channel,
                      const struct tandem_error *cause)
{
	/* One that is to be taken still says it all. */
	if (session->state == TANDEM_MEMORY_UP && !has_loss_to_take(session, channel))
		tandem_event_queue_add_channel_lost(&session->queue, channel, cause);
}

/* ---- the end of one ---- */

/* The writer may change the sources of what it lost while the path still holds it: the path gets
 * copies. What there is no memory for is lost on the way. */
static void keep_copies(struct tandem_memory_channel *channel)
{
	for (unsigned i = 0; i < channel->count; i++) {
		struct tandem_memory_write *item =
		        &channel->writes[(channel->first + i) % channel->capacity];
		if (item->copy)
			continue; /* of a loss before this one */
		item->copy = tandem_memory_alloc(item->write.length);
		if (!item->copy) {
			channel->count = i;
			return;
		}
		memcpy(item->copy, item->write.source, item->write.length);
		item->write.source = item->copy;
	}
}

static void end_last(struct tandem_memory_session *session, unsigned channel,
                     const struct tandem_error *cause)
{
	struct tandem_error last = *cause;
	tandem_error_wrap(&last, last.code, "data channel %u, the last one", channel);
	tandem_memory_session_end(session, &last);
}

void tandem_memory_channel_end(struct tandem_memory_session *session, unsigned index,
                               const struct tandem_error *cause)
{
	struct tandem_memory_channel *channel = &session->link->channels[index];
	struct tandem_memory_channel_end *end = own_end(session, index);
	if (end->state != TANDEM_CHANNEL_UP && end->state != TANDEM_CHANNEL_JOINING)
		return;
	end->state = TANDEM_CHANNEL_LOST;
	end->has_ended = true;
	end->cause = *cause;
	if (end->lost_count++ == 0)
		end->first_error = *cause;
	if (session->side == TANDEM_SIDE_CONNECTING) {
		channel->join = TANDEM_JOIN_NONE;
		if (channel->ends[TANDEM_SIDE_LISTENING].state == TANDEM_CHANNEL_DOWN)
			tandem_memory_channel_clear(channel);
		else
			keep_copies(channel);
	}
	if (tandem_memory_channels_count(session, TANDEM_CHANNEL_UP) > 0)
		tell_loss(session, index, cause);
	else if (session->state == TANDEM_MEMORY_UP)
		end_last(session, index, cause);
}

/* ---- the connecting side joins ---- */

static void fail(struct tandem_memory_session *session, unsigned channel, int code,
                 const char *reason)
{
	struct tandem_error cause;
	tandem_error_set(&cause, code, "join", "data channel %u: %s", channel, reason);
	tandem_memory_channel_end(session, channel, &cause);
}

static void ask(struct tandem_memory_session *session, unsigned index)
{
	struct tandem_memory_link *link = session->link;
	unsigned rail = own_end(session, index)->rail;
	const struct tandem_memory_listener *listener = tandem_fabric_find(
	        link->fabric, link->options.rails[rail].address, link->options.port, NULL);
	if (link->fabric->lost_rail_mask >> rail & 1)
		fail(session, index, TANDEM_E_PEER_LOST, "its rail is lost");
	else if (link->fabric->refused_mask >> index & 1)
		fail(session, index, TANDEM_E_REFUSED, "the fabric refuses it");
	else if (!listener)
		fail(session, index, TANDEM_E_PEER_LOST, "nobody listens there");
	else if (listener != link->listener)
		fail(session, index, TANDEM_E_REFUSED, "who listens there does not know it");
	else
		link->channels[index].join = TANDEM_JOIN_ASKED;
}

static bool may_ask(const struct tandem_memory_session *session, unsigned index)
{
	return session->link->channels[index].join == TANDEM_JOIN_NONE &&
	       session->link->ends[TANDEM_SIDE_LISTENING] && !has_loss_to_take(session, index);
}

static void go_on(struct tandem_memory_session *session, unsigned index, uint64_t now_ns)
{
	struct tandem_memory_channel *channel = &session->link->channels[index];
	if (may_ask(session, index))
		ask(session, index);
	else if (channel->join == TANDEM_JOIN_ADMITTED) {
		channel->join = TANDEM_JOIN_NONE;
		own_end(session, index)->state = TANDEM_CHANNEL_UP;
		if (session->state == TANDEM_MEMORY_UP)
			tandem_event_queue_add_channel_up(&session->queue, index);
	} else if (channel->join == TANDEM_JOIN_REFUSED)
		tandem_memory_channel_end(session, index, &channel->refusal);
	else if (channel->join == TANDEM_JOIN_ASKED && !session->link->listener)
		fail(session, index, TANDEM_E_PEER_LOST, "the listener went away");
	else if (now_ns >= channel->join_deadline_ns)
		fail(session, index, TANDEM_E_TIMEOUT, "nobody accepted it in time");
}

static bool may_go_on(const struct tandem_memory_session *session, unsigned index)
{
	const struct tandem_memory_channel *channel = &session->link->channels[index];
	return may_ask(session, index) || channel->join == TANDEM_JOIN_ADMITTED ||
	       channel->join == TANDEM_JOIN_REFUSED ||
	       (channel->join == TANDEM_JOIN_ASKED && !session->link->listener);
}

/* ---- both sides, in progress ---- */

static bool is_told_of_end(const struct tandem_memory_session *session, unsigned channel)
{
	enum tandem_channel_state state = own_end(session, channel)->state;
	return peer_end(session, channel)->has_ended &&
	       (state == TANDEM_CHANNEL_UP ||
	        (state == TANDEM_CHANNEL_JOINING &&
	         session->link->channels[channel].join == TANDEM_JOIN_ADMITTED));
}

static void hear_of_end(struct tandem_memory_session *session, unsigned channel)
{
	struct tandem_error cause = peer_end(session, channel)->cause;
	tandem_error_wrap(&cause, cause.code, "the peer ended data channel %u", channel);
	cause.code = TANDEM_E_PEER_LOST;
	tandem_memory_channel_end(session, channel, &cause);
}

static uint64_t deadline_of(const struct tandem_memory_session *session, unsigned index)
{
	const struct tandem_memory_channel *channel = &session->link->channels[index];
	if (session->side != TANDEM_SIDE_CONNECTING)
		return UINT64_MAX;
	if (own_end(session, index)->state == TANDEM_CHANNEL_JOINING)
		return channel->join_deadline_ns;
	if (own_end(session, index)->state == TANDEM_CHANNEL_UP && channel->count > 0)
		return channel->moved_at_ns + session->peer_timeout_ns;
	return UINT64_MAX;
}

static void end_overdue(struct tandem_memory_session *session, unsigned index)
{
	struct tandem_error cause;
	const struct tandem_memory_channel *channel = &session->link->channels[index];
	tandem_error_set(&cause, TANDEM_E_TIMEOUT, "write",
	                 "data channel %u: %u writes do not land", index, channel->count);
	tandem_memory_channel_end(session, index, &cause);
}

static void move_one(struct tandem_memory_session *session, unsigned index, uint64_t now_ns)
{
	bool is_held = tandem_fabric_is_held(session->link->fabric);
	if (!is_held && is_told_of_end(session, index))
		hear_of_end(session, index);
	if (session->side != TANDEM_SIDE_CONNECTING)
		return;
	if (own_end(session, index)->state == TANDEM_CHANNEL_JOINING) {
		if (!is_held)
			go_on(session, index, now_ns);
		else if (now_ns >= deadline_of(session, index))
			fail(session, index, TANDEM_E_TIMEOUT, "no answer in time");
	} else if (now_ns >= deadline_of(session, index))
		end_overdue(session, index);
}

void tandem_memory_channels_move(struct tandem_memory_session *session, uint64_t now_ns)
{
	for (unsigned i = 0; i < session->link->options.channel_count; i++) {
		if (session->state != TANDEM_MEMORY_OVER)
			move_one(session, i, now_ns);
	}
}

bool tandem_memory_channels_may_move(const struct tandem_memory_session *session)
{
	for (unsigned i = 0; i < session->link->options.channel_count; i++) {
		if (is_told_of_end(session, i))
			return true;
		if (session->side == TANDEM_SIDE_CONNECTING &&
		    own_end(session, i)->state == TANDEM_CHANNEL_JOINING && may_go_on(session, i))
			return true;
	}
	return false;
}

uint64_t tandem_memory_channels_deadline_ns(const struct tandem_memory_session *session)
{
	uint64_t earliest_ns = UINT64_MAX;
	for (unsigned i = 0; i < session->link->options.channel_count; i++) {
		uint64_t deadline_ns = deadline_of(session, i);
		if (deadline_ns < earliest_ns)
			earliest_ns = deadline_ns;
	}
	return earliest_ns;
}

/* ---- the listening side admits ---- */

static bool asks(const struct tandem_memory_link *link, unsigned index)
{
	const struct tandem_memory_session *session = link->ends[TANDEM_SIDE_LISTENING];
	return link->channels[index].join == TANDEM_JOIN_ASKED && session &&
	       session->state == TANDEM_MEMORY_UP && !has_loss_to_take(session, index);
}

bool tandem_memory_channels_ask(const struct tandem_memory_listener *listener)
{
	for (const struct tandem_memory_link *link = listener->fabric->links; link;
	     link = link->next) {
		for (unsigned i = 0; link->listener == listener && i < link->options.channel_count;
		     i++) {
			if (asks(link, i))
				return true;
		}
	}
	return false;
}

static void admit(struct tandem_memory_link *link, unsigned index)
{
	struct tandem_memory_session *session = link->ends[TANDEM_SIDE_LISTENING];
	struct tandem_memory_channel *channel = &link->channels[index];
	struct tandem_memory_channel_end *end = &channel->ends[TANDEM_SIDE_LISTENING];
	unsigned rail = channel->ends[TANDEM_SIDE_CONNECTING].rail;
	channel->join = TANDEM_JOIN_ADMITTED;
	channel->ends[TANDEM_SIDE_CONNECTING].has_ended = end->has_ended = false;
	tandem_memory_channel_clear(channel);
	tandem_fabric_find(link->fabric, link->options.rails[rail].address, link->options.port,
	                   &end->rail);
	end->state = TANDEM_CHANNEL_UP;
	tandem_event_queue_add_channel_up(&session->queue, index);
}

/* [T3] */
static int decide(struct tandem_memory_link *link, unsigned index,
                  struct tandem_error *reterr_error)
{
	struct tandem_memory_channel *channel = &link->channels[index];
	enum tandem_channel_state state = channel->ends[TANDEM_SIDE_LISTENING].state;
	if (state == TANDEM_CHANNEL_DOWN) {
		admit(link, index);
		return 0;
	}
	channel->join = TANDEM_JOIN_REFUSED;
	tandem_error_set(&channel->refusal, TANDEM_E_REFUSED, "join",
	                 "data channel %u is refused: the listening side has it %s", index,
	                 state == TANDEM_CHANNEL_UP ? "up" : "lost and not fenced");
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "join",
	                        "data channel %u is %s; it joins when it is fenced", index,
	                        tandem_channel_state_text(state));
}

int tandem_memory_channels_admit(struct tandem_memory_listener *listener,
                                 struct tandem_error *reterr_error)
{
	int result = TANDEM_E_AGAIN;
	for (struct tandem_memory_link *link = listener->fabric->links; link; link = link->next) {
		for (unsigned i = 0; i < link->options.channel_count; i++) {
			if (link->listener == listener && asks(link, i) &&
			    decide(link, i, reterr_error) != 0)
				result = TANDEM_E_PROTOCOL;
		}
		tandem_memory_link_refresh(link);
	}
	return result;
}
