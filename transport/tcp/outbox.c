#include "tcp/outbox.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <tandem/crc32c.h>
#include <tandem/error.h>
#include <tandem/memory.h>

/* What lingers until there is so much of it: the kernel's cost for the last, partial segment of a
 * call is that of a whole one. */
#define RIPE_BYTES ((size_t)512 << 10)

/* More than a call can give the kernel of pages, and few enough to gather again when it took a part
 * of them. */
#define PIECES_PER_CALL 192

int tandem_tcp_outbox_init(struct tandem_tcp_outbox *outbox, unsigned capacity)
{
	outbox->entries = tandem_memory_alloc_array(capacity, sizeof(*outbox->entries));
	outbox->extents = tandem_memory_alloc_array(capacity, sizeof(*outbox->extents));
	if (!outbox->entries || !outbox->extents)
		return TANDEM_E_MEMORY;
	outbox->capacity = capacity;
	return 0;
}

void tandem_tcp_outbox_done(struct tandem_tcp_outbox *outbox)
{
	tandem_memory_free(outbox->entries);
	tandem_memory_free(outbox->extents);
	*outbox = (struct tandem_tcp_outbox){0};
}

void tandem_tcp_outbox_sign(struct tandem_tcp_outbox *outbox, const struct tandem_secrets *secrets,
                            bool is_listening_side)
{
	outbox->secrets = secrets;
	outbox->is_listening_side = is_listening_side;
	outbox->tag_bytes = TANDEM_TAG_BYTES;
}

static struct tandem_tcp_outbox_entry *entry_at(struct tandem_tcp_outbox *outbox, unsigned index)
{
	return &outbox->entries[(outbox->first + index) % outbox->capacity];
}

static struct tandem_tcp_outbox_entry *append(struct tandem_tcp_outbox *outbox, const void *payload,
                                              uint32_t payload_bytes, uint64_t now_ns)
{
	struct tandem_tcp_outbox_entry *entry = entry_at(outbox, outbox->count);
	entry->payload = payload;
	entry->payload_bytes = payload_bytes;
	entry->extent_count = 0;
	entry->head_bytes = 0;
	entry->posted_ns = now_ns;
	outbox->count++;
	outbox->payload_count += payload_bytes > 0;
	outbox->pending_bytes += payload_bytes;
	return entry;
}

static void seal(struct tandem_tcp_outbox *outbox, struct tandem_tcp_outbox_entry *entry,
                 struct tandem_frame *frame)
{
	frame->sequence = outbox->sequence++;
	tandem_frame_encode(frame, entry->header);
	entry->extent_count = frame->extent_count;
	entry->head_bytes = TANDEM_FRAME_BYTES + frame->extent_count * TANDEM_EXTENT_BYTES;
	outbox->pending_bytes += entry->head_bytes + outbox->tag_bytes;
	if (outbox->secrets)
		tandem_message_tag(outbox->secrets, outbox->is_listening_side, frame->sequence,
		                   entry->header, TANDEM_FRAME_BYTES, entry->payload, frame->length,
		                   entry->tag);
}

bool tandem_tcp_outbox_add(struct tandem_tcp_outbox *outbox, struct tandem_frame *frame,
                           const void *payload, uint64_t now_ns)
{
	if (outbox->count == outbox->capacity)
		return false;
	if (outbox->count == 0)
		outbox->moved_at_ns = now_ns;
	seal(outbox, append(outbox, payload, frame->length, now_ns), frame);
	outbox->may_linger = false;
	return true;
}

/* How many of the first writes make one frame: one memory, and a table that does not wrap. */
static unsigned batch_of(const struct tandem_tcp_outbox *outbox, const struct tandem_write *writes,
                         unsigned count)
{
	unsigned place = (outbox->first + outbox->count) % outbox->capacity;
	unsigned most = outbox->capacity - outbox->count;
	unsigned batch = 0;
	if (most > outbox->capacity - place)
		most = outbox->capacity - place;
	if (most > TANDEM_EXTENTS_MAX)
		most = TANDEM_EXTENTS_MAX;
	while (batch < count && batch < most && writes[batch].memory_id == writes[0].memory_id)
		batch++;
	return batch;
}

unsigned tandem_tcp_outbox_add_batch(struct tandem_tcp_outbox *outbox, struct tandem_frame *frame,
                                     const struct tandem_write *writes, unsigned count,
                                     uint64_t now_ns)
{
	const unsigned batch = batch_of(outbox, writes, count);
	const unsigned place = (outbox->first + outbox->count) % outbox->capacity;
	if (batch == 0)
		return 0;
	if (outbox->count == 0)
		outbox->moved_at_ns = now_ns;
	frame->type = TANDEM_FRAME_BATCH;
	frame->extent_count = batch;
	frame->length = 0;
	for (unsigned i = 0; i < batch; i++) {
		const struct tandem_extent extent = {.offset = writes[i].offset,
		                                     .length = writes[i].length};
		tandem_extent_encode(&extent, outbox->extents[place + i]);
		append(outbox, writes[i].source, writes[i].length, now_ns);
		frame->length += writes[i].length;
	}
	frame->table_checksum =
	        tandem_crc32c(0, outbox->extents[place], (size_t)batch * TANDEM_EXTENT_BYTES);
	seal(outbox, &outbox->entries[place], frame);
	outbox->may_linger = true;
	return batch;
}

struct gathering {
	struct iovec pieces[PIECES_PER_CALL];
	unsigned count;
	bool is_all; /* of the outbox */
	size_t bytes;
	size_t skip_bytes; /* that the kernel has already */
};

/* sendmsg(2) reads only; its type cannot say so. */
static void gather_piece(struct gathering *gathering, const void *bytes, size_t length)
{
	size_t cut = gathering->skip_bytes < length ? gathering->skip_bytes : length;
	gathering->skip_bytes -= cut;
	if (cut == length)
		return;
	gathering->pieces[gathering->count++] = (struct iovec){
	        .iov_base = (uint8_t *)(uintptr_t)bytes + cut, .iov_len = length - cut};
	gathering->bytes += length - cut;
}

/* At most three pieces an entry. */
static void gather(struct tandem_tcp_outbox *outbox, size_t budget_bytes,
                   struct gathering *gathering)
{
	gathering->count = 0;
	gathering->bytes = 0;
	gathering->skip_bytes = outbox->first_sent_bytes;
	unsigned i = 0;
	for (; i < outbox->count && gathering->count + 3 <= PIECES_PER_CALL &&
	       gathering->bytes < budget_bytes;
	     i++) {
		const struct tandem_tcp_outbox_entry *entry = entry_at(outbox, i);
		if (entry->head_bytes > 0)
			gather_piece(gathering, entry->header, TANDEM_FRAME_BYTES);
		if (entry->extent_count > 0)
			gather_piece(gathering, outbox->extents[entry - outbox->entries],
			             (size_t)entry->extent_count * TANDEM_EXTENT_BYTES);
		gather_piece(gathering, entry->payload, entry->payload_bytes);
		if (outbox->tag_bytes > 0)
			gather_piece(gathering, entry->tag, outbox->tag_bytes);
	}
	gathering->is_all = i == outbox->count;
}

static void drop_sent(struct tandem_tcp_outbox *outbox, size_t sent_bytes)
{
	outbox->pending_bytes -= sent_bytes;
	outbox->first_sent_bytes += sent_bytes;
	while (outbox->count > 0) {
		const struct tandem_tcp_outbox_entry *entry = entry_at(outbox, 0);
		size_t whole_bytes =
		        (size_t)entry->head_bytes + entry->payload_bytes + outbox->tag_bytes;
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
	struct gathering gathering;
	while (outbox->count > 0 && budget_bytes > 0) {
		gather(outbox, budget_bytes, &gathering);
		size_t wanted_bytes = gathering.bytes;
		struct msghdr message = {.msg_iov = gathering.pieces,
		                         .msg_iovlen = gathering.count};
		/* Whole segments only, until something comes that the peer shall act on: the
		 * cost of the kernel, at both ends, is by the segment. */
		int more = outbox->may_linger || !gathering.is_all ? MSG_MORE : 0;
		ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | more);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0) {
			outbox->is_blocked = errno == EAGAIN;
			return errno == EAGAIN ? 0 : errno;
		}
		if (sent > 0)
			outbox->moved_at_ns = now_ns;
		drop_sent(outbox, (size_t)sent);
		outbox->is_blocked = (size_t)sent < wanted_bytes;
		if (outbox->is_blocked)
			return 0;
		budget_bytes -= wanted_bytes < budget_bytes ? wanted_bytes : budget_bytes;
	}
	return 0;
}

bool tandem_tcp_outbox_is_ripe(const struct tandem_tcp_outbox *outbox)
{
	return !outbox->is_blocked && (!outbox->may_linger || outbox->pending_bytes >= RIPE_BYTES ||
	                               outbox->count == outbox->capacity);
}

uint64_t tandem_tcp_outbox_oldest_ns(const struct tandem_tcp_outbox *outbox)
{
	return outbox->count > 0 ? outbox->entries[outbox->first].posted_ns : 0;
}

void tandem_tcp_outbox_clear(struct tandem_tcp_outbox *outbox)
{
	outbox->count = 0;
	outbox->payload_count = 0;
	outbox->pending_bytes = 0;
	outbox->first_sent_bytes = 0;
	outbox->sequence = 0;
	outbox->may_linger = false;
	outbox->is_blocked = false;
}
