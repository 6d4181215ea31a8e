#include <tandem/qemu_guest.h>

#include <poll.h>
#include <string.h>
#include <tandem/memory.h>

#include "shell/guest_internal.h"

int tandem_qemu_guest_open(struct event_base *base, const struct tandem_qemu_guest_options *options,
                           const struct tandem_qemu_guest_handler *handler,
                           struct tandem_qemu_guest **ret_guest, struct tandem_error *reterr_error)
{
	struct tandem_qemu_guest *guest = tandem_memory_alloc(sizeof(*guest));
	int status;

	if (!guest)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "COLO", "no memory");
	guest->base = base;
	guest->options = *options;
	guest->handler = *handler;
	status = tandem_qemu_guest_stream_open(guest, reterr_error);
	if (status == 0)
		status = tandem_qemu_control_open(guest, reterr_error);
	if (status == 0)
		*ret_guest = guest;
	else
		tandem_qemu_guest_close(guest);
	return status;
}

void tandem_qemu_guest_captured(struct tandem_qemu_guest *guest, uint64_t epoch)
{
	if (guest->phase == TANDEM_QEMU_GUEST_PROTECTED)
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_CAPTURED, epoch);
}

const struct tandem_qemu_numbers *tandem_qemu_guest_version(const struct tandem_qemu_guest *guest)
{
	return &guest->version;
}

/* Before QEMU lets its guest go it ends the stream, however it is told to. */
bool tandem_qemu_guest_is_held(const struct tandem_qemu_guest *guest)
{
	struct pollfd stream = {.fd = guest->fd, .events = POLLRDHUP};

	return guest->fd >= 0 && poll(&stream, 1, 0) == 0;
}

void tandem_qemu_guest_kept(struct tandem_qemu_guest *guest, uint64_t epoch)
{
	if (guest->phase == TANDEM_QEMU_GUEST_PROTECTED)
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_KEPT, epoch);
}

void tandem_qemu_guest_stop(struct tandem_qemu_guest *guest)
{
	if (guest->phase == TANDEM_QEMU_GUEST_PROTECTED)
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_STOP, 0);
	else
		tandem_qemu_control_release(guest);
}

void tandem_qemu_guest_fail(struct tandem_qemu_guest *guest, const struct tandem_error *error)
{
	tandem_qemu_control_give_up(guest, error);
}

void tandem_qemu_guest_close(struct tandem_qemu_guest *guest)
{
	if (!guest)
		return;
	tandem_qemu_guest_stream_close(guest);
	if (guest->release_timer)
		event_free(guest->release_timer);
	tandem_qmp_close(guest->qmp);
	tandem_memory_free(guest);
}
