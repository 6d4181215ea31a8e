#include "tcp/outbox.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <tandem/error.h>
#include <tandem/memory.h>

#define FRAMES_PER_CALL 64

int tandem_tcp_outbox_init(struct tandem_tcp_outbox *outbox, unsigned capacity)
{
	outbox->entries = tandem_memory_alloc_array(capacity, sizeof(*outbox->entries));
	if (!outbox->entries)
		return TANDEM_E_MEMORY;
	outbox->capacity = capacity;
	return 0;
}

void tandem_tcp_outbox_done(struct tandem_tcp_outbox *outbox)
{
	tandem_memory_free(outbox->entries);
	*outbox = (struct tandem_tcp_outbox){0};
}

static struct tandem_tcp_outbox_entry *entry_at(struct tandem_tcp_outbox *outbox, unsigned index)
{
	return &outbox->entries[(outbox->first + index) % outbox->capacity];
}

bool tandem_tcp_outbox_add(struct tandem_tcp_outbox *outbox, struct tandem_frame *frame,
                           const void *payload, uint64_t now_ns)
{
	if (outbox->count == outbox->capacity)
		return false;
	struct tandem_tcp_outbox_entry *entry = entry_at(outbox, outbox->count);
	frame->sequence = outbox->sequence++;
	tandem_frame_encode(frame, entry->header);
	entry->payload = payload;
	entry->payload_bytes = frame->length;
	if (outbox->count == 0)
		outbox->moved_at_ns = now_ns;
	outbox->count++;
	outbox->payload_count += frame->length > 0;
	outbox->pending_bytes += TANDEM_FRAME_BYTES + frame->length;
	return true;
}

/* Two pieces a frame, without the first `skip` bytes of the first. */
static size_t gather(struct tandem_tcp_outbox *outbox, size_t budget_bytes, struct iovec *pieces,
                     unsigned *ret_piece_count)
{
	size_t skip = outbox->first_sent_bytes;
	size_t total = 0;
	unsigned piece_count = 0;
	for (unsigned i = 0; i < outbox->count && i < FRAMES_PER_CALL && total < budget_bytes;
	     i++) {
		struct tandem_tcp_outbox_entry *entry = entry_at(outbox, i);
		struct iovec parts[2] = {{.iov_base = entry->header, .iov_len = TANDEM_FRAME_BYTES},
		                         /* sendmsg(2) reads only; its type cannot say so. */
		                         {.iov_base = (void *)(uintptr_t)entry->payload,
		                          .iov_len = entry->payload_bytes}};
		for (unsigned part = 0; part < 2; part++) {
			size_t cut = skip < parts[part].iov_len ? skip : parts[part].iov_len;
			skip -= cut;
			if (parts[part].iov_len == cut)
				continue;
			parts[part].iov_base = (uint8_t *)parts[part].iov_base + cut;
			parts[part].iov_len -= cut;
			total += parts[part].iov_len;
			pieces[piece_count++] = parts[part];
		}
	}
	*ret_piece_count = piece_count;
	return total;
}

static void drop_sent(struct tandem_tcp_outbox *outbox, size_t sent_bytes)
{
	outbox->pending_bytes -= sent_bytes;
	outbox->first_sent_bytes += sent_bytes;
	while (outbox->count > 0) {
		struct tandem_tcp_outbox_entry *entry = entry_at(outbox, 0);
		size_t whole_bytes = TANDEM_FRAME_BYTES + entry->payload_bytes;
		if (outbox->first_sent_bytes < whole_bytes)
			break;
		outbox->first_sent_bytes -= whole_bytes;
		outbox->payload_count -= entry->payload_bytes > 0;
		outbox->first = (outbox->first + 1) % outbox->capacity;
		outbox->count--;
	}
}

int tandem_tcp_outbox_flush(struct tandem_tcp_outbox *outbox, int fd, size_t budget_bytes,
                            uint64_t now_ns)
{
	struct iovec pieces[2 * FRAMES_PER_CALL];
	while (outbox->count > 0 && budget_bytes > 0) {
		unsigned piece_count;
		size_t wanted_bytes = gather(outbox, budget_bytes, pieces, &piece_count);
		struct msghdr message = {.msg_iov = pieces, .msg_iovlen = piece_count};
		ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : errno;
		if (sent > 0)
			outbox->moved_at_ns = now_ns;
		drop_sent(outbox, (size_t)sent);
		if ((size_t)sent < wanted_bytes)
			return 0; /* the kernel is full */
		budget_bytes -= wanted_bytes < budget_bytes ? wanted_bytes : budget_bytes;
	}
	return 0;
}

void tandem_tcp_outbox_clear(struct tandem_tcp_outbox *outbox)
{
	outbox->count = 0;
	outbox->payload_count = 0;
	outbox->pending_bytes = 0;
	outbox->first_sent_bytes = 0;
}
