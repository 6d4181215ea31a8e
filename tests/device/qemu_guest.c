#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include <tandem/qemu_restore.h>
#include <tandem/qemu_guest.h>

/* qemu_guest QMP STREAM FOLDER EPOCHS THEN: protects a QEMU's guest on this computer alone. Each
 * epoch's RAM goes to FOLDER/BLOCK and what a new QEMU restores from to FOLDER/restore. After that
 * many epochs THEN: "go" on, "stop", or "hold" the guest as a secondary would that answers no more.
 * A line for each thing that happens. */

#define BLOCKS_BYTES_MAX (UINT64_C(512) << 20)
#define PATH_BYTES       4096

struct copy {
	struct event_base *base;
	struct tandem_qemu_guest *guest;
	const char *folder;
	uint64_t epochs_wanted;
	const char *then;
	const struct tandem_qemu_stream *stream;
	const uint8_t *opening;
	size_t opening_bytes;
	uint8_t *blocks[TANDEM_QEMU_BLOCKS_MAX];
	uint64_t page_count;
};

static void say(const char *format, uint64_t first, uint64_t second, const char *text)
{
	printf(format, first, second, text);
	fflush(stdout);
}

static void on_gap(void *context, const char *text)
{
	(void)context;
	(void)text;
}

static int on_blocks(void *context, const struct tandem_qemu_stream *stream, const uint8_t *opening,
                     size_t opening_bytes, struct tandem_error *reterr_error)
{
	struct copy *copy = context;
	uint64_t bytes = 0;

	copy->stream = stream;
	copy->opening = opening;
	copy->opening_bytes = opening_bytes;
	for (unsigned i = 0; i < stream->at.block_count; i++) {
		const uint64_t size_bytes = stream->blocks[i].size_bytes;

		bytes += size_bytes <= BLOCKS_BYTES_MAX ? size_bytes : BLOCKS_BYTES_MAX;
		if (bytes < BLOCKS_BYTES_MAX)
			copy->blocks[i] = tandem_memory_map((size_t)size_bytes);
		if (!copy->blocks[i])
			return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "blocks",
			                        "no memory for %s", stream->blocks[i].name);
	}
	say("blocks %" PRIu64 " bytes %" PRIu64 "%s\n", stream->at.block_count, bytes, "");
	return 0;
}

static void on_page(void *context, unsigned block, uint64_t offset_bytes, const uint8_t *bytes)
{
	struct copy *copy = context;

	memcpy(copy->blocks[block] + offset_bytes, bytes, TANDEM_QEMU_PAGE_BYTES);
	copy->page_count++;
}

static void on_fill(void *context, unsigned block, uint64_t offset_bytes, uint8_t value)
{
	struct copy *copy = context;

	memset(copy->blocks[block] + offset_bytes, value, TANDEM_QEMU_PAGE_BYTES);
	copy->page_count++;
}

static void write_pages(const struct copy *copy, struct tandem_qemu_restore *restore,
                        unsigned block, FILE *file)
{
	static const uint8_t zeros[TANDEM_QEMU_PAGE_BYTES];
	uint8_t record[TANDEM_QEMU_RECORD_BYTES];

	for (uint64_t at = 0; at < copy->stream->blocks[block].size_bytes;
	     at += TANDEM_QEMU_PAGE_BYTES) {
		const uint8_t *page = copy->blocks[block] + at;

		if (memcmp(page, zeros, sizeof(zeros)) == 0) {
			fwrite(record, 1, tandem_qemu_restore_fill(restore, block, at, 0, record),
			       file);
			continue;
		}
		fwrite(record, 1, tandem_qemu_restore_page(restore, block, at, record), file);
		fwrite(page, 1, TANDEM_QEMU_PAGE_BYTES, file);
	}
}

static void write_restore(const struct copy *copy, const uint8_t *state, size_t state_bytes,
                          FILE *file)
{
	uint8_t record[TANDEM_QEMU_RECORD_BYTES];
	struct tandem_qemu_restore restore;

	fwrite(copy->opening, 1, copy->opening_bytes, file);
	fwrite(record, 1, tandem_qemu_restore_begin(&restore, copy->stream, record), file);
	for (unsigned i = 0; i < copy->stream->at.block_count; i++)
		write_pages(copy, &restore, i, file);
	fwrite(record, 1, tandem_qemu_restore_end(&restore, record), file);
	fwrite(state, 1, state_bytes, file);
	fwrite(record, 1, tandem_qemu_restore_tail(record), file);
}

/* The file of an epoch is there whole or not at all. */
static FILE *begin_file(const struct copy *copy, char *ret_path)
{
	snprintf(ret_path, PATH_BYTES, "%s/new", copy->folder);
	FILE *file = fopen(ret_path, "wb");
	if (!file) {
		fprintf(stderr, "%s: %s\n", ret_path, strerror(errno));
		exit(EXIT_FAILURE);
	}
	return file;
}

static void end_file(const struct copy *copy, const char *path, const char *name, FILE *file)
{
	char to[PATH_BYTES];

	snprintf(to, sizeof(to), "%s/%s", copy->folder, name);
	const bool is_whole = !ferror(file);
	if (fclose(file) != 0 || !is_whole || rename(path, to) != 0) {
		fprintf(stderr, "%s: %s\n", to, strerror(errno));
		exit(EXIT_FAILURE);
	}
}

static void keep(const struct copy *copy, const uint8_t *state, size_t state_bytes)
{
	char path[PATH_BYTES];

	for (unsigned i = 0; i < copy->stream->at.block_count; i++) {
		const struct tandem_qemu_block *block = &copy->stream->blocks[i];

		if (strchr(block->name, '/'))
			continue; /* tables of the firmware, which the test does not look at */
		FILE *file = begin_file(copy, path);
		fwrite(copy->blocks[i], 1, (size_t)block->size_bytes, file);
		end_file(copy, path, block->name, file);
	}
	FILE *file = begin_file(copy, path);
	write_restore(copy, state, state_bytes, file);
	end_file(copy, path, "restore", file);
}

static void on_epoch(void *context, uint64_t epoch, const uint8_t *state, size_t state_bytes)
{
	struct copy *copy = context;
	const bool is_enough = epoch >= copy->epochs_wanted;

	keep(copy, state, state_bytes);
	say("epoch %" PRIu64 " pages %" PRIu64 "%s\n", epoch, copy->page_count, "");
	copy->page_count = 0;
	if (is_enough && strcmp(copy->then, "hold") == 0)
		return;
	tandem_qemu_guest_kept(copy->guest, epoch);
	if (is_enough && strcmp(copy->then, "stop") == 0)
		tandem_qemu_guest_stop(copy->guest);
	else if (!is_enough)
		tandem_qemu_guest_hurry(copy->guest);
}

static void on_torn(void *context, uint64_t epoch)
{
	struct copy *copy = context;

	say("torn %" PRIu64 " pages %" PRIu64 "%s\n", epoch, copy->page_count, "");
}

static void on_end(void *context, bool is_running, const struct tandem_error *error)
{
	struct copy *copy = context;

	say("end %" PRIu64 " running %" PRIu64 " %s\n", (uint64_t)-error->code, is_running,
	    error->detail);
	event_base_loopbreak(copy->base);
}

static int protect(struct copy *copy, char **arguments)
{
	const struct tandem_qemu_guest_options options = {
	        .qmp_path = arguments[1],
	        .stream_path = arguments[2],
	        .interval_ns = 10 * TANDEM_NS_PER_S,
	        .pause_timeout_ns = 2 * TANDEM_NS_PER_S,
	        .start_timeout_ns = 10 * TANDEM_NS_PER_S,
	        .command_timeout_ns = 10 * TANDEM_NS_PER_S,
	        .state_bytes_max = (size_t)4 << 20,
	        .accepts_disks = true,
	        .accepts = TANDEM_QEMU_UNUSABLE, /* the test knows what each version does */
	};
	const struct tandem_qemu_guest_handler handler = {
	        .on_gap = on_gap,
	        .on_blocks = on_blocks,
	        .on_page = on_page,
	        .on_fill = on_fill,
	        .on_epoch = on_epoch,
	        .on_torn = on_torn,
	        .on_end = on_end,
	        .context = copy,
	};
	struct tandem_error error;

	if (tandem_qemu_guest_open(copy->base, &options, &handler, &copy->guest, &error) != 0) {
		fprintf(stderr, "%s\n", error.detail);
		return EXIT_FAILURE;
	}
	event_base_dispatch(copy->base);
	tandem_qemu_guest_close(copy->guest);
	return EXIT_SUCCESS;
}

int main(int argument_count, char **arguments)
{
	static struct copy copy;

	if (argument_count != 6) {
		fprintf(stderr, "usage: %s QMP STREAM FOLDER EPOCHS go|stop|hold\n", arguments[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	copy.folder = arguments[3];
	copy.epochs_wanted = strtoull(arguments[4], NULL, 10);
	copy.then = arguments[5];
	copy.base = event_base_new();
	if (!copy.base)
		return EXIT_FAILURE;
	const int status = protect(&copy, arguments);
	event_base_free(copy.base);
	return status;
}
