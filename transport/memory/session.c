#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "memory/fabric.h"

static enum tandem_memory_side other(enum tandem_memory_side side)
{
	return side == TANDEM_SIDE_CONNECTING ? TANDEM_SIDE_LISTENING : TANDEM_SIDE_CONNECTING;
}

static const struct tandem_session_ops ops;

static void begin_channels(struct tandem_memory_session *session)
{
	const struct tandem_transport_options *options = &session->link->options;
	for (unsigned i = 0; i < options->channel_count; i++) {
		struct tandem_memory_channel *channel = &session->link->channels[i];
		channel->ends[TANDEM_SIDE_CONNECTING].state = TANDEM_CHANNEL_JOINING;
		channel->ends[TANDEM_SIDE_CONNECTING].rail =
		        (options->control_rail + i) % options->rail_count;
		channel->join_deadline_ns = UINT64_MAX; /* the session's holds */
	}
}

int tandem_memory_session_new(struct tandem_memory_link *link, enum tandem_memory_side side,
                              struct tandem_memory_session **ret_session,
                              struct tandem_error *reterr_error)
{
	struct tandem_memory_session *session = tandem_memory_alloc(sizeof(*session));
	if (!session)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "session", "%zu bytes",
		                        sizeof(*session));
	session->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (session->fd < 0) {
		tandem_memory_free(session);
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "eventfd",
		                              "a session");
	}
	session->head.ops = &ops;
	session->side = side;
	session->state = side == TANDEM_SIDE_LISTENING ? TANDEM_MEMORY_UP : TANDEM_MEMORY_JOINING;
	session->link = link;
	link->reference_count++;
	link->ends[side] = session;
	if (side == TANDEM_SIDE_CONNECTING)
		begin_channels(session);
	*ret_session = session;
	return 0;
}

/* ---- its descriptor ---- */

static bool is_peer_over(const struct tandem_memory_session *session)
{
	return session->link->is_over[other(session->side)];
}

static bool may_move(const struct tandem_memory_session *session)
{
	const struct tandem_memory_link *link = session->link;
	if (link->is_dropped)
		return true;
	if (tandem_fabric_is_held(link->fabric))
		return false;
	if (session->state == TANDEM_MEMORY_JOINING && !session->is_offered)
		return true;
	return is_peer_over(session) || tandem_memory_link_has_work(link, session->side) ||
	       tandem_memory_channels_may_move(session) || tandem_memory_beat_may_move(session);
}

static bool has_work(const struct tandem_memory_session *session)
{
	if (session->has_up_event || session->has_lost_event || session->beat.has_event ||
	    !tandem_event_queue_is_empty(&session->queue))
		return true;
	return session->state != TANDEM_MEMORY_OVER &&
	       (atomic_load(&session->is_yanked) || may_move(session));
}

void tandem_memory_session_refresh(struct tandem_memory_session *session)
{
	eventfd_t value;
	bool must_be_awake = has_work(session);
	if (!must_be_awake) {
		/* Yank writes too, from any thread: clear first, then look again. */
		eventfd_read(session->fd, &value);
		session->is_awake = false;
		must_be_awake = has_work(session);
	}
	tandem_memory_set_awake(session->fd, &session->is_awake, must_be_awake);
}

/* ---- its end ---- */

void tandem_memory_session_end(struct tandem_memory_session *session,
                               const struct tandem_error *cause)
{
	if (session->state == TANDEM_MEMORY_OVER)
		return;
	session->state = TANDEM_MEMORY_OVER;
	session->cause = *cause;
	session->has_lost_event = true;
	session->link->is_over[session->side] = true;
	/* The sources are the connecting side's, the targets the listening side's: with either gone
	 * nothing may land. */
	tandem_memory_link_clear_writes(session->link);
	tandem_memory_link_refresh(session->link);
}

static void end_for(struct tandem_memory_session *session, int code, const char *operation,
                    const char *reason)
{
	struct tandem_error cause;
	tandem_error_set(&cause, code, operation, "%s", reason);
	tandem_memory_session_end(session, &cause);
}

static void free_session(struct tandem_session *head)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	struct tandem_memory_link *link = session->link;
	link->is_over[session->side] = true;
	link->ends[session->side] = NULL;
	tandem_memory_link_clear_writes(link);
	tandem_memory_link_refresh(link);
	tandem_memory_link_unref(link);
	close(session->fd);
	tandem_memory_free(session);
}

/* ---- driving it ---- */

static void offer(struct tandem_memory_session *session)
{
	struct tandem_memory_link *link = session->link;
	unsigned rail = link->options.control_rail;
	struct tandem_memory_listener *listener = tandem_fabric_find(
	        link->fabric, link->options.rails[rail].address, link->options.port, NULL);
	if (!listener || listener->count == TANDEM_FABRIC_BACKLOG ||
	    link->fabric->lost_rail_mask >> rail & 1) {
		end_for(session, TANDEM_E_PEER_LOST, "connect", "nobody listens there");
		return;
	}
	listener->waiting[(listener->first + listener->count) % TANDEM_FABRIC_BACKLOG] = link;
	listener->count++;
	link->reference_count++;
	session->is_offered = true;
	tandem_memory_listener_refresh(listener);
}

/* [T2]. It is up with what could join, when nothing more is to be waited for. */
static void come_up(struct tandem_memory_session *session, bool is_late)
{
	unsigned joining_count = tandem_memory_channels_count(session, TANDEM_CHANNEL_JOINING);
	unsigned up_count = tandem_memory_channels_count(session, TANDEM_CHANNEL_UP);
	if (is_late && up_count == 0) {
		end_for(session, TANDEM_E_TIMEOUT, "connect", "nobody accepted in time");
		return;
	}
	if (joining_count > 0 && !is_late)
		return;
	if (up_count == 0) {
		struct tandem_error cause =
		        session->link->channels[0].ends[TANDEM_SIDE_CONNECTING].cause;
		tandem_error_wrap(&cause, cause.code, "no data channel could join");
		tandem_memory_session_end(session, &cause);
		return;
	}
	for (unsigned i = 0; i < session->link->options.channel_count; i++) {
		struct tandem_memory_channel *channel = &session->link->channels[i];
		struct tandem_memory_channel_end *end = &channel->ends[TANDEM_SIDE_CONNECTING];
		if (end->state != TANDEM_CHANNEL_UP) {
			end->state = TANDEM_CHANNEL_DOWN;
			end->has_ended = true; /* it may have been admitted too late */
			channel->join = TANDEM_JOIN_NONE;
		}
	}
	session->state = TANDEM_MEMORY_UP;
	session->has_up_event = true;
}

static void join(struct tandem_memory_session *session)
{
	uint64_t now_ns = tandem_clock_now_ns();
	if (!tandem_fabric_is_held(session->link->fabric)) {
		if (session->link->is_refused)
			end_for(session, TANDEM_E_REFUSED, "connect",
			        "the peer does not hold this side's key; both must have the same "
			        "key file");
		else if (is_peer_over(session))
			end_for(session, TANDEM_E_PEER_LOST, "connect", "the listener went away");
		else if (!session->is_offered)
			offer(session);
		else
			tandem_memory_channels_move(session, now_ns);
	}
	if (session->state == TANDEM_MEMORY_JOINING)
		come_up(session, now_ns >= session->join_deadline_ns);
}

/* [T4] */
static bool is_lonely(const struct tandem_memory_session *session)
{
	return session->side == TANDEM_SIDE_LISTENING &&
	       tandem_memory_channels_count(session, TANDEM_CHANNEL_UP) == 0;
}

/* When what this side waits for is overdue; UINT64_MAX when there is nothing. */
static uint64_t deadline_of_session(const struct tandem_memory_session *session)
{
	const struct tandem_memory_controls *controls =
	        session->link->controls[other(session->side)];
	if (is_lonely(session))
		return session->join_deadline_ns;
	return controls->count > 0 ? controls->moved_at_ns + session->peer_timeout_ns : UINT64_MAX;
}

static void end_overdue(struct tandem_memory_session *session)
{
	if (is_lonely(session))
		end_for(session, TANDEM_E_TIMEOUT, "join", "no data channel came in time");
	else
		end_for(session, TANDEM_E_TIMEOUT, "send", "what was posted does not land");
}

static void move(struct tandem_memory_session *session)
{
	struct tandem_memory_link *link = session->link;
	uint64_t now_ns = tandem_clock_now_ns();
	tandem_memory_link_land_controls(link, session, now_ns);
	if (session->side == TANDEM_SIDE_LISTENING) {
		tandem_memory_link_land_writes(link, session, now_ns);
		tandem_memory_link_land_late(link, session, now_ns);
	}
	tandem_memory_channels_move(session, now_ns);
	tandem_memory_beat_move(session, now_ns);
	if (session->state == TANDEM_MEMORY_OVER)
		return;
	if (!tandem_fabric_is_held(link->fabric) && is_peer_over(session) &&
	    !tandem_memory_link_has_work(link, session->side))
		end_for(session, TANDEM_E_PEER_LOST, "receive", "the peer has ended the session");
	else if (now_ns >= deadline_of_session(session))
		end_overdue(session);
}

static void progress(struct tandem_session *head)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	if (atomic_load(&session->is_yanked))
		end_for(session, TANDEM_E_YANKED, "yank", "yanked by this side");
	if (session->link->is_dropped)
		end_for(session, TANDEM_E_PEER_LOST, "receive",
		        "the fabric has dropped the session");
	if (session->state == TANDEM_MEMORY_JOINING)
		join(session);
	if (session->state == TANDEM_MEMORY_UP)
		move(session);
	tandem_fabric_refresh(session->link->fabric);
}

static uint32_t up_mask(const struct tandem_memory_session *session)
{
	uint32_t mask = 0;
	for (unsigned i = 0; i < session->link->options.channel_count; i++) {
		if (session->link->channels[i].ends[session->side].state == TANDEM_CHANNEL_UP)
			mask |= UINT32_C(1) << i;
	}
	return mask;
}

static bool take_event(struct tandem_memory_session *session,
                       struct tandem_session_event *ret_event)
{
	if (session->has_up_event) {
		session->has_up_event = false;
		ret_event->type = TANDEM_SESSION_UP;
		ret_event->channel_mask = up_mask(session);
		return true;
	}
	if (session->drains_controls)
		tandem_memory_link_land_controls(session->link, session, tandem_clock_now_ns());
	if (tandem_event_queue_take(&session->queue, ret_event) ||
	    tandem_memory_beat_take(session, ret_event))
		return true;
	if (!session->has_lost_event)
		return false;
	session->has_lost_event = false;
	session->drains_controls = false;
	ret_event->type = TANDEM_SESSION_LOST;
	ret_event->error = session->cause;
	return true;
}

static bool next_event(struct tandem_session *head, struct tandem_session_event *ret_event)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	bool has_event = take_event(session, ret_event);
	bool is_loss = has_event && ret_event->type == TANDEM_SESSION_CHANNEL_LOST;
	/* A channel may join again when its loss was taken. */
	if (is_loss)
		tandem_fabric_refresh(session->link->fabric);
	else
		tandem_memory_session_refresh(session);
	return has_event;
}

static void yank(struct tandem_session *head)
{
	struct tandem_memory_session *session = tandem_memory_session_of(head);
	atomic_store(&session->is_yanked, true);
	eventfd_write(session->fd, 1);
}

/* ---- what it says about itself ---- */

static unsigned channel_count(const struct tandem_session *head)
{
	return tandem_memory_session_of_const(head)->link->options.channel_count;
}

static const char *peer_address(const struct tandem_session *head)
{
	return tandem_memory_session_of_const(head)->side == TANDEM_SIDE_CONNECTING
	               ? "memory:listening"
	               : "memory:connecting";
}

static int fd(const struct tandem_session *head)
{
	return tandem_memory_session_of_const(head)->fd;
}

static uint64_t deadline_ns(const struct tandem_session *head)
{
	const struct tandem_memory_session *session = tandem_memory_session_of_const(head);
	switch (session->state) {
	case TANDEM_MEMORY_JOINING:
		return session->join_deadline_ns;
	case TANDEM_MEMORY_UP: {
		uint64_t session_ns = deadline_of_session(session);
		uint64_t channels_ns = tandem_memory_channels_deadline_ns(session);
		uint64_t beat_ns = tandem_memory_beat_deadline_ns(session);
		uint64_t earlier_ns = session_ns < channels_ns ? session_ns : channels_ns;
		return earlier_ns < beat_ns ? earlier_ns : beat_ns;
	}
	case TANDEM_MEMORY_OVER:
		break;
	}
	return UINT64_MAX;
}

static unsigned key_index(const struct tandem_session *head)
{
	return tandem_memory_session_of_const(head)->key_index;
}

static const struct tandem_session_ops ops = {
        .channel_count = channel_count,
        .peer_address = peer_address,
        .fd = fd,
        .deadline_ns = deadline_ns,
        .progress = progress,
        .next_event = next_event,
        .expose = tandem_memory_session_expose,
        .register_source = tandem_memory_session_register,
        .exposed_bytes = tandem_memory_session_exposed_bytes,
        .send = tandem_memory_session_send,
        .write = tandem_memory_session_write,
        .notify = tandem_memory_session_notify,
        .inflight_count = tandem_memory_session_inflight_count,
        .beat = tandem_memory_session_beat,
        .read_beat = tandem_memory_session_read_beat,
        .yank = yank,
        .fence = tandem_memory_session_fence,
        .fence_channel = tandem_memory_session_fence_channel,
        .restore = tandem_memory_session_restore,
        .channel_status = tandem_memory_session_channel_status,
        .key_index = key_index,
        .break_channel = tandem_memory_session_break_channel,
        .describe = tandem_memory_session_describe,
        .free = free_session,
};
