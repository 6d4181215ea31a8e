#include <tandem/qemu_gate.h>

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tandem/memory.h>
#include <unistd.h>

#include "shell/gate_internal.h"

enum { OUTSIDE, LISTENER, CONTENT, QEMU, FDS_MAX }; /* QEMU last: it may not be connected */

/* What one process tells another of a gate, beside descriptors. The content is a file: what QEMU
 * has yet to be given of a frame, and then what came from it, as it came: frames, the last one in
 * part.
 */
struct hand {
	uint64_t content_bytes;
	uint32_t record_bytes; /* of that */
	uint32_t fd_count;
	char outside[TANDEM_UNIX_PATH_BYTES];
};

union control {
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

/* ---- giving ---- */

static bool put(int fd, const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		const ssize_t written = write(fd, bytes, length);

		if (written <= 0)
			return false;
		bytes += written;
		length -= (size_t)written;
	}
	return true;
}

/* What is held is of a guest that nobody else goes on with. */
static bool put_held(const struct tandem_qemu_gate *gate, int fd)
{
	struct tandem_qemu_frames held = gate->frames;
	uint8_t head[TANDEM_QEMU_FRAME_HEAD_BYTES];
	bool is_put = true;
	size_t length;

	tandem_qemu_frames_leave(&held);
	while (is_put && (length = tandem_qemu_frames_peek(&held, gate->frame)) > 0) {
		tandem_qemu_frame_head(length, head);
		is_put = put(fd, head, sizeof(head)) && put(fd, gate->frame, length);
		tandem_qemu_frames_pop(&held);
	}
	return is_put;
}

static size_t rest_bytes(const struct tandem_qemu_gate *gate)
{
	return gate->record_bytes - gate->record_sent_bytes;
}

/* -1 with errno. */
static int make_content(const struct tandem_qemu_gate *gate)
{
	const int fd = memfd_create("tandem-gate", MFD_CLOEXEC);

	if (fd >= 0 && put(fd, gate->record + gate->record_sent_bytes, rest_bytes(gate)) &&
	    put_held(gate, fd) && put(fd, gate->input, gate->input_bytes))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool send_hand(int link, const struct hand *hand, const int *fds)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)hand, .iov_len = sizeof(*hand)};
	const size_t fds_bytes = hand->fd_count * sizeof(*fds);
	union control control = {.bytes = {0}};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = control.bytes,
	                         .msg_controllen = CMSG_SPACE(fds_bytes)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(fds_bytes);
	memcpy(CMSG_DATA(header), fds, fds_bytes);
	ssize_t sent;

	do /* with a limit the kernel does not go on by itself after a signal */
		sent = sendmsg(link, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)sizeof(*hand);
}

int tandem_qemu_gate_give(const struct tandem_qemu_gate *gate, int link,
                          struct tandem_error *reterr_error)
{
	const int content_fd = make_content(gate);
	const int fds[FDS_MAX] = {[OUTSIDE] = gate->outside.fd,
	                          [LISTENER] = evconnlistener_get_fd(gate->listener),
	                          [CONTENT] = content_fd,
	                          [QEMU] = gate->fd};
	struct hand hand = {.record_bytes = (uint32_t)rest_bytes(gate),
	                    .fd_count = gate->fd >= 0 ? FDS_MAX : QEMU};
	struct stat about;
	bool is_given = content_fd >= 0 && fstat(content_fd, &about) == 0;

	memcpy(hand.outside, gate->outside_name, sizeof(hand.outside));
	if (is_given) {
		hand.content_bytes = (uint64_t)about.st_size;
		is_given = send_hand(link, &hand, fds);
	}
	const int failure = errno;
	if (content_fd >= 0)
		close(content_fd);
	return is_given ? 0
	                : tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure, "gate",
	                                         "that to %.60s cannot be handed over",
	                                         gate->outside_name);
}

/* ---- taking ---- */

struct taken {
	struct hand hand;
	int fds[FDS_MAX]; /* -1: none, or taken by what it was for */
};

static int take_fd(struct taken *taken, unsigned which)
{
	const int fd = taken->fds[which];

	taken->fds[which] = -1;
	return fd;
}

static void close_all(struct taken *taken)
{
	for (unsigned i = 0; i < FDS_MAX; i++) {
		if (taken->fds[i] >= 0)
			close(taken->fds[i]);
	}
}

/* As many descriptors as there are, whatever the packet says. */
static unsigned read_fds(struct msghdr *message, struct taken *taken)
{
	const struct cmsghdr *header = CMSG_FIRSTHDR(message);

	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
		return 0;
	const size_t fds_bytes = header->cmsg_len - CMSG_LEN(0);
	memcpy(taken->fds, CMSG_DATA(header), fds_bytes); /* no more than there is room for */
	return (unsigned)(fds_bytes / sizeof(taken->fds[0]));
}

static int recv_hand(int link, struct taken *taken, struct tandem_error *reterr_error)
{
	struct iovec part = {.iov_base = &taken->hand, .iov_len = sizeof(taken->hand)};
	union control control;
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = control.bytes,
	                         .msg_controllen = sizeof(control.bytes)};
	const struct hand *hand = &taken->hand;
	ssize_t got;

	do
		got = recvmsg(link, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);

	if (got <= 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM,
		                              got == 0 ? ECONNRESET : errno, "gate",
		                              "the process that has it has not handed it over");
	const unsigned fd_count = read_fds(&message, taken);
	if (got != (ssize_t)sizeof(*hand) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    fd_count != hand->fd_count || fd_count < QEMU ||
	    hand->record_bytes > TANDEM_QEMU_GATE_RECORD_BYTES ||
	    hand->record_bytes > hand->content_bytes ||
	    memchr(hand->outside, 0, sizeof(hand->outside)) == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "gate",
		                        "the process that has it is of another version of Tandem: "
		                        "it lets go of it when QEMU ends");
	return 0;
}

/* Everything as if QEMU had just sent it. Of a card that is not connected nothing is in part. */
static bool get_content(struct tandem_qemu_gate *gate, int fd, const struct hand *hand)
{
	ssize_t got = pread(fd, gate->record, hand->record_bytes, 0);
	off_t at = (off_t)hand->record_bytes;

	if (got != (ssize_t)hand->record_bytes)
		return false;
	while ((got = pread(fd, gate->input + gate->input_bytes,
	                    TANDEM_QEMU_GATE_INPUT_BYTES - gate->input_bytes, at)) > 0) {
		at += got;
		gate->input_bytes += (size_t)got;
		tandem_qemu_gate_decode(gate);
	}
	if (gate->fd < 0)
		gate->input_bytes = 0;
	if (gate->fd < 0 || hand->record_bytes == 0)
		return got == 0;
	gate->record_bytes = hand->record_bytes;
	event_del(gate->outside_readable);
	event_add(gate->writable, NULL);
	return got == 0;
}

static int fill(struct tandem_qemu_gate *gate, const struct tandem_qemu_gate_options *options,
                struct taken *taken, struct tandem_error *reterr_error)
{
	int status;

	if (strcmp(taken->hand.outside, options->outside) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "gate",
		                        "the guest's card leads to %.60s, and %.60s is wanted: say "
		                        "user:%.60s, or start the guest anew",
		                        taken->hand.outside, options->outside, taken->hand.outside);
	status = tandem_qemu_outside_adopt(&gate->outside, options->outside, options->outside_path,
	                                   take_fd(taken, OUTSIDE), reterr_error);
	if (status == 0)
		status = tandem_qemu_gate_begin(gate, options->socket_path,
		                                take_fd(taken, LISTENER), reterr_error);
	if (status != 0)
		return status;
	tandem_qemu_gate_let(gate);
	if (taken->hand.fd_count == FDS_MAX)
		(void)tandem_qemu_gate_connect(gate, take_fd(taken, QEMU));
	if (!get_content(gate, taken->fds[CONTENT], &taken->hand))
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "gate",
		                        "what was under way in it cannot be read");
	return 0;
}

int tandem_qemu_gate_take(struct event_base *base, const struct tandem_qemu_gate_options *options,
                          int link, struct tandem_qemu_gate **ret_gate,
                          struct tandem_error *reterr_error)
{
	struct taken taken = {.fds = {-1, -1, -1, -1}};
	struct tandem_qemu_gate *gate = NULL;
	int status = recv_hand(link, &taken, reterr_error);

	if (status == 0)
		status = tandem_qemu_gate_new(base, options, &gate, reterr_error);
	if (status == 0)
		status = fill(gate, options, &taken, reterr_error);
	close_all(&taken);
	if (status == 0)
		*ret_gate = gate;
	else if (gate)
		tandem_qemu_gate_yield(gate); /* whose it is still has it */
	return status;
}
