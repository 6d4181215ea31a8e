#include "fake_session.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct fake_session *of(const struct tandem_session *session)
{
	return (struct fake_session *)(uintptr_t)session;
}

static unsigned channel_count(const struct tandem_session *session)
{
	(void)session;
	return FAKE_CHANNELS;
}

/* Always readable: a wait is a turn. */
static int fd(const struct tandem_session *session)
{
	static int readable = -1;

	(void)session;
	if (readable < 0)
		readable = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	return readable;
}

static void progress(struct tandem_session *session)
{
	struct fake_session *fake = of(session);

	if (++fake->progress_count == fake->unstick_at)
		fake->stuck_mask = 0;
	for (unsigned channel = 0; channel < FAKE_CHANNELS; channel++) {
		if ((fake->stuck_mask & 1u << channel) == 0)
			fake->inflight[channel] = 0;
	}
}

static int register_source(struct tandem_session *session, const void *base, size_t length,
                           struct tandem_error *reterr_error)
{
	(void)session;
	(void)base;
	(void)length;
	(void)reterr_error;
	return 0;
}

static uint64_t exposed_bytes(const struct tandem_session *session, unsigned memory_id)
{
	(void)session;
	(void)memory_id;
	return UINT64_C(1) << 40;
}

static int write_some(struct tandem_session *session, unsigned channel,
                      const struct tandem_write *writes, unsigned count, unsigned *ret_taken_count)
{
	struct fake_session *fake = of(session);
	unsigned taken = 0;

	if ((fake->lost_mask & 1u << channel) != 0)
		return TANDEM_E_CHANNEL_LOST;
	while (taken < count && fake->inflight[channel] < fake->depth &&
	       fake->write_count[channel] < FAKE_WRITES_MAX) {
		fake->writes[channel][fake->write_count[channel]++] = writes[taken++];
		fake->inflight[channel]++;
	}
	*ret_taken_count = taken;
	return 0;
}

static int notify(struct tandem_session *session, unsigned channel,
                  const struct tandem_write *write, uint32_t immediate)
{
	unsigned taken;

	(void)immediate;
	if (write_some(session, channel, write, 1, &taken) < 0)
		return TANDEM_E_CHANNEL_LOST;
	return taken == 1 ? 0 : TANDEM_E_AGAIN;
}

static unsigned inflight_count(const struct tandem_session *session, unsigned channel)
{
	const struct fake_session *fake = of(session);

	return (fake->lost_mask & 1u << channel) != 0 ? 0 : fake->inflight[channel];
}

static int restore(struct tandem_session *session, unsigned channel,
                   struct tandem_error *reterr_error)
{
	struct fake_session *fake = of(session);

	(void)reterr_error;
	fake->restored_mask |= 1u << channel;
	return fake->restore_code;
}

static void channel_status(const struct tandem_session *session, unsigned channel,
                           struct tandem_channel_status *ret_status)
{
	const struct fake_session *fake = of(session);

	ret_status->state =
	        (fake->lost_mask & 1u << channel) != 0 ? TANDEM_CHANNEL_LOST : TANDEM_CHANNEL_UP;
	ret_status->rail = channel % 2;
	ret_status->bytes = 100 + channel;
	ret_status->inflight_count = fake->inflight[channel];
	ret_status->oldest_posted_ns = 7;
	ret_status->lost_count = channel;
	if (ret_status->state == TANDEM_CHANNEL_LOST)
		tandem_error_set(&ret_status->first_error, TANDEM_E_PEER_LOST, "write", "cut");
}

static void beat(struct tandem_session *session)
{
	of(session)->beat_count++;
}

static int read_beat(struct tandem_session *session, uint64_t timeout_ns)
{
	(void)timeout_ns;
	of(session)->read_count++;
	return of(session)->read_code;
}

static const struct tandem_session_ops ops = {
        .channel_count = channel_count,
        .fd = fd,
        .progress = progress,
        .register_source = register_source,
        .exposed_bytes = exposed_bytes,
        .write = write_some,
        .notify = notify,
        .inflight_count = inflight_count,
        .beat = beat,
        .read_beat = read_beat,
        .restore = restore,
        .channel_status = channel_status,
};

void fake_session_init(struct fake_session *fake, unsigned depth)
{
	memset(fake, 0, sizeof *fake);
	fake->head.ops = &ops;
	fake->depth = depth;
}
