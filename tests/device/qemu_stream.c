#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/memory.h>

#include <tandem/qemu_stream.h>

/* qemu_stream STREAM FOLDER: decodes what a QEMU sent until its device state ended, says what it
 * was and writes each RAM block to a file of FOLDER, named by its number. */

#define STREAM_BYTES_MAX (64u << 20)
#define BLOCKS_BYTES_MAX (UINT64_C(256) << 20)

struct copy {
	struct tandem_qemu_stream stream;
	uint8_t *blocks[TANDEM_QEMU_BLOCKS_MAX];
	unsigned page_counts[TANDEM_QEMU_BLOCKS_MAX];
	uint64_t blocks_bytes;
};

static int add_block(struct copy *copy, unsigned index)
{
	const struct tandem_qemu_block *block = &copy->stream.blocks[index];

	if (block->size_bytes > BLOCKS_BYTES_MAX - copy->blocks_bytes)
		return -1;
	copy->blocks_bytes += block->size_bytes;
	copy->blocks[index] = tandem_memory_alloc((size_t)block->size_bytes);
	return copy->blocks[index] ? 0 : -1;
}

static void store(struct copy *copy, const struct tandem_qemu_item *item)
{
	uint8_t *page = copy->blocks[item->block] + item->offset_bytes;

	if (item->type == TANDEM_QEMU_PAGE)
		memcpy(page, item->bytes, item->byte_count);
	else
		memset(page, (int)item->value, TANDEM_QEMU_PAGE_BYTES);
	copy->page_counts[item->block]++;
}

static int take(struct copy *copy, const struct tandem_qemu_item *item)
{
	if (item->type == TANDEM_QEMU_FAULT) {
		fprintf(stderr, "%s (%llx)\n", tandem_qemu_fault_text(item->fault),
		        (unsigned long long)item->value);
		return -1;
	}
	if (item->type == TANDEM_QEMU_BLOCK)
		return add_block(copy, item->block);
	if (item->type == TANDEM_QEMU_PAGE || item->type == TANDEM_QEMU_FILL)
		store(copy, item);
	else if (item->type == TANDEM_QEMU_MACHINE)
		printf("machine %s\n", item->name);
	else if (item->type == TANDEM_QEMU_CAPABILITY)
		printf("capability %s\n", item->name);
	return 0;
}

static int decode(struct copy *copy, const uint8_t *bytes, size_t length)
{
	struct tandem_qemu_item item = {.type = TANDEM_QEMU_NOTED};
	size_t used = 0, description_bytes;

	while (item.type != TANDEM_QEMU_DEVICES_FIRST) {
		tandem_qemu_stream_take(&copy->stream, bytes + used, length - used, &item);
		if (item.type == TANDEM_QEMU_MORE || take(copy, &item) != 0)
			return -1;
		used += item.used_bytes;
	}
	printf("devices %zu\n",
	       tandem_qemu_device_state_bytes(bytes + used, length - used, &description_bytes));
	return 0;
}

static int write_block(const char *folder, unsigned index, const uint8_t *bytes, uint64_t length)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%u", folder, index);
	FILE *file = fopen(path, "wb");
	if (!file)
		return -1;
	const size_t written = fwrite(bytes, 1, (size_t)length, file);
	return fclose(file) == 0 && written == length ? 0 : -1;
}

static int write_blocks(const struct copy *copy, const char *folder)
{
	for (unsigned i = 0; i < copy->stream.at.block_count; i++) {
		const struct tandem_qemu_block *block = &copy->stream.blocks[i];

		printf("block %s %llu bytes %u pages\n", block->name,
		       (unsigned long long)block->size_bytes, copy->page_counts[i]);
		if (write_block(folder, i, copy->blocks[i], block->size_bytes) != 0)
			return -1;
	}
	return 0;
}

int main(int argument_count, char **arguments)
{
	static struct copy copy;
	uint8_t *bytes = tandem_memory_alloc(STREAM_BYTES_MAX);
	FILE *file = argument_count == 3 ? fopen(arguments[1], "rb") : NULL;
	int code = -1;

	if (bytes && file) {
		const size_t length = fread(bytes, 1, STREAM_BYTES_MAX, file);
		tandem_qemu_stream_init(&copy.stream);
		code = decode(&copy, bytes, length);
		if (code == 0)
			code = write_blocks(&copy, arguments[2]);
	}
	if (file)
		fclose(file);
	for (unsigned i = 0; i < TANDEM_QEMU_BLOCKS_MAX; i++)
		tandem_memory_free(copy.blocks[i]);
	tandem_memory_free(bytes);
	return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
