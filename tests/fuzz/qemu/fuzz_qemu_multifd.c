#include <stddef.h>
#include <stdint.h>

#include <tandem/assert.h>

#include "core/multifd.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define LONGEST_BYTES                                                                              \
	(TANDEM_QEMU_PACKET_BYTES > TANDEM_QEMU_PAGE_BYTES ? TANDEM_QEMU_PACKET_BYTES              \
	                                                   : TANDEM_QEMU_PAGE_BYTES)

static const struct tandem_qemu_stream blocks = {
        .at = {.block_count = 2},
        .blocks = {{.name = "vga", .size_bytes = TANDEM_QEMU_PAGE_BYTES},
                   {.name = "ram", .size_bytes = 4 * TANDEM_QEMU_PAGE_BYTES}},
};

struct tally {
	unsigned counts[TANDEM_QEMU_ITEM_TYPE_COUNT];
	size_t used_bytes;
	uint64_t offsets_bytes;
};

static void check(struct tally *tally, const struct tandem_qemu_item *item, size_t length)
{
	TANDEM_ASSERT(item->used_bytes <= length);
	TANDEM_ASSERT(item->type != TANDEM_QEMU_MORE || length < LONGEST_BYTES);
	if (item->type == TANDEM_QEMU_PAGE || item->type == TANDEM_QEMU_FILL) {
		TANDEM_ASSERT(item->block < blocks.at.block_count);
		TANDEM_ASSERT(item->offset_bytes % TANDEM_QEMU_PAGE_BYTES == 0);
		TANDEM_ASSERT(item->offset_bytes < blocks.blocks[item->block].size_bytes);
		tally->offsets_bytes += item->offset_bytes;
	}
	if (item->type != TANDEM_QEMU_MORE)
		tally->counts[item->type]++;
	tally->used_bytes += item->used_bytes;
}

static void decode(struct tally *ret_tally, const uint8_t *bytes, size_t length, size_t piece_bytes)
{
	struct tandem_qemu_multifd multifd;
	struct tandem_qemu_item item = {.type = TANDEM_QEMU_NOTED};
	size_t here = 0;

	*ret_tally = (struct tally){0};
	tandem_qemu_multifd_init(&multifd);
	while (item.type != TANDEM_QEMU_FAULT) {
		const size_t used = ret_tally->used_bytes;

		tandem_qemu_multifd_take(&multifd, &blocks, bytes + used, here - used, &item);
		check(ret_tally, &item, here - used);
		if (item.type == TANDEM_QEMU_MORE && here == length)
			break;
		if (item.type == TANDEM_QEMU_MORE)
			here += piece_bytes < length - here ? piece_bytes : length - here;
	}
}

/* Any bytes are safe, and how they come changes nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tally whole, pieces;

	decode(&whole, bytes, length, length);
	decode(&pieces, bytes, length, 61);
	TANDEM_ASSERT(whole.used_bytes == pieces.used_bytes);
	TANDEM_ASSERT(whole.offsets_bytes == pieces.offsets_bytes);
	for (unsigned i = 0; i < TANDEM_QEMU_ITEM_TYPE_COUNT; i++)
		TANDEM_ASSERT(whole.counts[i] == pieces.counts[i]);
	return 0;
}
