#include <stdlib.h>
#include <string.h>

#include <tandem/crc32c.h>

#include "core/secondary.h"
#include "fuzz.h"
#include "shell/image.h"
#include "shell/inbox.h"

/* What a primary can put into the slots, through take, core, commit and apply. The first byte
 * chooses what is made right: bit 0 magic, version and checksum of the trailer; bit 1 the checksum
 * and count of the runs; bits 2 to 4 the numbers that must agree. Then the trailer and the list of
 * each channel, one after the other. */

#define CHANNELS  2u
#define RUNS_MAX  24u
#define PIECE     (TANDEM_TRAILER_BYTES + RUNS_MAX * TANDEM_RUN_BYTES)
#define STATE_MAX 64u
#define INPUT_MAX (1 + CHANNELS * PIECE)

static const struct tandem_region_table regions = {
        .count = 3, .entries = {{"heap", 33}, {"notes", 1}, {"index", 20}}};

struct side {
	struct tandem_secondary core;
	struct tandem_inbox inbox;
	struct tandem_image image;
};

static struct tandem_secondary_actions actions;

static void tell(struct side *side, struct tandem_secondary_event event)
{
	tandem_secondary_step(&side->core, &event, &actions);
}

static uint8_t *make_pages(size_t bytes)
{
	uint8_t *pages = aligned_alloc(TANDEM_PAGE_BYTES, bytes);

	if (pages == NULL)
		abort();
	return memset(pages, 0, bytes);
}

static void begin(struct side *side)
{
	struct tandem_wire_message hello = {.type = TANDEM_WIRE_HELLO,
	                                    .generation = 1,
	                                    .pair = "p",
	                                    .primary_incarnation = 1,
	                                    .channel_count = CHANNELS,
	                                    .stripe_pages = 16,
	                                    .state_bytes_max = STATE_MAX,
	                                    .regions = regions};

	memset(side, 0, sizeof *side);
	tandem_secondary_init(&side->core, "p", 2);
	tell(side, (struct tandem_secondary_event){.type = TANDEM_SECONDARY_ON_STAND_BY,
	                                           .generation = 1});
	tell(side,
	     (struct tandem_secondary_event){.type = TANDEM_SECONDARY_ON_HELLO, .message = &hello});
	tell(side, (struct tandem_secondary_event){.type = TANDEM_SECONDARY_ON_PREPARED});
	if (tandem_inbox_init(&side->inbox, &side->core.layout, NULL) < 0)
		abort();
	side->image.layout = side->core.layout;
	for (unsigned region = 0; region < regions.count; region++) {
		size_t bytes = regions.entries[region].page_count * TANDEM_PAGE_BYTES;

		/* Blocks of exactly their size: the sanitizer sees a run that leaves them. */
		side->image.caches[region] = make_pages(bytes);
		side->image.images[region] = make_pages(bytes);
	}
}

static void end(struct side *side)
{
	for (unsigned region = 0; region < regions.count; region++) {
		free(side->image.caches[region]);
		free(side->image.images[region]);
	}
	tandem_inbox_done(&side->inbox, false);
}

static void put_u32(uint8_t *bytes, uint32_t value)
{
	for (unsigned byte = 0; byte < 4; byte++)
		bytes[byte] = (uint8_t)(value >> 8 * byte);
}

static void make_trailer_right(uint8_t *bytes)
{
	struct tandem_trailer empty;

	memset(&empty, 0, sizeof empty);
	uint8_t sound[TANDEM_TRAILER_BYTES];
	tandem_trailer_encode(&empty, sound);
	memcpy(bytes, sound, 8); /* magic and version */
	put_u32(bytes + TANDEM_TRAILER_BYTES - 4,
	        tandem_crc32c(0, bytes, TANDEM_TRAILER_BYTES - 4));
}

static uint64_t count_data(const uint8_t *runs, uint32_t count)
{
	uint64_t pages = 0;

	for (uint32_t run = 0; run < count; run++) {
		const uint8_t *bytes = runs + run * TANDEM_RUN_BYTES;

		if (bytes[7] == TANDEM_RUN_DATA)
			pages += (uint32_t)bytes[5] | (uint32_t)bytes[6] << 8;
	}
	return pages;
}

static void make_fields_right(uint8_t flags, unsigned channel, uint8_t *bytes, const uint8_t *runs)
{
	struct tandem_trailer trailer;

	if (tandem_trailer_decode(bytes, &trailer) != 0)
		return;
	if ((flags & 2) != 0) {
		trailer.run_count %= RUNS_MAX + 1;
		trailer.run_crc = tandem_crc32c(0, runs, trailer.run_count * TANDEM_RUN_BYTES);
		trailer.data_pages = count_data(runs, trailer.run_count);
	}
	if ((flags & 4) != 0) {
		trailer.generation = 1;
		trailer.epoch = 1;
		trailer.base = 0;
	}
	if ((flags & 8) != 0) {
		trailer.channel = channel;
		trailer.mask = 3;
	}
	if ((flags & 16) != 0) {
		trailer.state_bytes = 0;
		trailer.state_crc = 0;
	}
	tandem_trailer_encode(&trailer, bytes);
}

static void apply_all(struct side *side)
{
	const struct tandem_run *run;

	tandem_inbox_commit(&side->inbox);
	while ((run = tandem_inbox_next_run(&side->inbox)) != NULL)
		tandem_image_apply(&side->image, run);
	tell(side,
	     (struct tandem_secondary_event){.type = TANDEM_SECONDARY_ON_APPLIED, .is_done = true});
}

static void seal(struct side *side, uint8_t flags, unsigned channel, const uint8_t *piece)
{
	uint8_t bytes[TANDEM_TRAILER_BYTES];
	const uint8_t *runs = piece + TANDEM_TRAILER_BYTES;
	struct tandem_trailer trailer = {.epoch = 1};
	struct tandem_error error;
	uint64_t epoch;

	memcpy(bytes, piece, sizeof bytes);
	if ((flags & 1) != 0)
		make_trailer_right(bytes);
	make_fields_right(flags, channel, bytes, runs);
	epoch = tandem_trailer_decode(bytes, &trailer) == 0 ? trailer.epoch : 1;
	memcpy(side->inbox.slots +
	               tandem_layout_trailer_offset(&side->inbox.layout, epoch, channel),
	       bytes, sizeof bytes);
	memcpy(side->inbox.slots + tandem_layout_runs_offset(&side->inbox.layout, epoch, channel),
	       runs, RUNS_MAX * TANDEM_RUN_BYTES);
	if (tandem_inbox_take(&side->inbox, channel, (uint32_t)epoch, &trailer, &error) != 0)
		return;
	tell(side, (struct tandem_secondary_event){.type = TANDEM_SECONDARY_ON_SEAL,
	                                           .channel = channel,
	                                           .trailer = &trailer});
	if (side->core.committed != 0 && !side->core.is_applied)
		apply_all(side);
}

size_t fuzz_example(unsigned number, uint8_t *bytes, size_t capacity)
{
	if (capacity < INPUT_MAX)
		return 0;
	memset(bytes, 0, INPUT_MAX);
	bytes[0] = (uint8_t)(number % 3 == 0 ? 31 : number);
	for (unsigned channel = 0; channel < CHANNELS; channel++) {
		uint8_t *piece = bytes + 1 + channel * PIECE;
		struct tandem_trailer trailer = {.generation = 1,
		                                 .epoch = 1,
		                                 .channel = channel,
		                                 .mask = 3,
		                                 .run_count = 2,
		                                 .data_pages = 2};

		for (unsigned run = 0; run < 2; run++) {
			struct tandem_run one = {.first_page = run * 64 + channel * 16,
			                         .page_count = 2,
			                         .kind = run == 0 ? TANDEM_RUN_DATA
			                                          : TANDEM_RUN_ZERO};

			tandem_run_encode(&one,
			                  piece + TANDEM_TRAILER_BYTES + run * TANDEM_RUN_BYTES);
		}
		trailer.run_crc =
		        tandem_crc32c(0, piece + TANDEM_TRAILER_BYTES, 2 * TANDEM_RUN_BYTES);
		tandem_trailer_encode(&trailer, piece);
	}
	return INPUT_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t input[INPUT_MAX] = {0};
	struct side side;

	if (size < 1 || size > sizeof input)
		return 0;
	memcpy(input, data, size);
	begin(&side);
	for (unsigned channel = 0; channel < CHANNELS; channel++)
		seal(&side, input[0], channel, input + 1 + channel * PIECE);
	end(&side);
	return 0;
}
