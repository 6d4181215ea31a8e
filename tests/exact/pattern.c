#include "pattern.h"

#include <string.h>

#include <tandem/memory.h>
#include <tandem/random.h>

#define STEP_PAGES  6u /* of a writer, besides page 0 */
#define ZERO_ONE_IN 8u
#define WORDS       (PATTERN_PAGE_BYTES / sizeof(uint64_t))

struct last_write {
	uint64_t step;
	uint64_t data_step; /* of what it held when it was freed, 0: zeros */
	enum pattern_kind kind;
};

struct replay {
	struct last_write last[PATTERN_REGIONS][PATTERN_PAGES];
	uint64_t step;
};

static uint64_t mix(uint64_t one, uint64_t other)
{
	uint64_t state = one ^ (other * UINT64_C(0x9e3779b97f4a7c15));

	return tandem_random_next(&state) ^ other;
}

static enum pattern_kind kind_of(uint64_t draw)
{
	if (draw % ZERO_ONE_IN != 0)
		return PATTERN_DATA;
	return draw / ZERO_ONE_IN % 2 == 0 ? PATTERN_ZERO : PATTERN_FREED;
}

static bool is_storm(uint64_t seed, uint64_t step)
{
	return (step + seed) % PATTERN_STORM_STEPS == 0;
}

/* Pages of a writer are those whose number leaves it as the rest. A draw may
 * hit a page twice: then the later one counts, as in memory. */
static uint32_t page_of(uint64_t draw, unsigned writer)
{
	return (uint32_t)(draw % (PATTERN_PAGES / PATTERN_WRITERS)) * PATTERN_WRITERS + writer;
}

static void write_storm(uint64_t state, unsigned writer,
                        void (*write)(void *argument, const struct pattern_write *write),
                        void *argument)
{
	for (uint32_t page = writer; page < PATTERN_PAGES; page += PATTERN_WRITERS) {
		uint64_t draw = tandem_random_next(&state);
		struct pattern_write one = {.region = (unsigned)(draw >> 32) % PATTERN_REGIONS,
		                            .page = page,
		                            .kind = kind_of(draw >> 40)};

		write(argument, &one);
	}
}

void pattern_step(uint64_t seed, uint64_t step, unsigned writer,
                  void (*write)(void *argument, const struct pattern_write *write), void *argument)
{
	uint64_t state = mix(mix(seed, step), writer);

	if (writer == 0) {
		for (unsigned region = 0; region < PATTERN_REGIONS; region++)
			write(argument, &(struct pattern_write){.region = region});
	}
	if (is_storm(seed, step)) {
		write_storm(state, writer, write, argument);
		return;
	}
	for (unsigned i = 0; i < STEP_PAGES; i++) {
		uint64_t draw = tandem_random_next(&state);
		struct pattern_write one = {.region = (unsigned)(draw >> 32) % PATTERN_REGIONS,
		                            .page = page_of(draw, writer),
		                            .kind = kind_of(draw >> 40)};

		write(argument, &one);
	}
}

void pattern_fill(uint8_t *page, uint64_t seed, uint64_t step, unsigned region, uint32_t number)
{
	uint64_t state = mix(mix(seed, step), ((uint64_t)region << 32) + number + 1);

	for (size_t word = 0; word < WORDS; word++) {
		uint64_t value = tandem_random_next(&state);

		memcpy(page + word * sizeof value, &value, sizeof value);
	}
}

static void note(void *argument, const struct pattern_write *write)
{
	struct replay *replay = argument;

	struct last_write *last = &replay->last[write->region][write->page];

	last->step = replay->step;
	last->kind = write->kind;
	if (write->kind != PATTERN_FREED)
		last->data_step = write->kind == PATTERN_DATA ? replay->step : 0;
}

static void compare_page(const uint8_t *memory, uint64_t seed, const struct last_write *last,
                         unsigned region, uint32_t page, struct pattern_difference *difference)
{
	static const uint8_t zeros[PATTERN_PAGE_BYTES];
	uint8_t expected[PATTERN_PAGE_BYTES] = {0};

	if (last->data_step != 0)
		pattern_fill(expected, seed, last->data_step, region, page);
	if (memcmp(memory, expected, sizeof expected) == 0 ||
	    (last->kind == PATTERN_FREED && memcmp(memory, zeros, sizeof zeros) == 0))
		return;
	if (difference->pages++ > 0)
		return;
	difference->region = region;
	difference->page = page;
	difference->expected_step = last->step;
}

bool pattern_compare(const uint8_t *const regions[PATTERN_REGIONS], uint64_t seed, uint64_t step,
                     struct pattern_difference *ret_difference)
{
	struct replay *replay = tandem_memory_alloc(sizeof *replay);

	if (replay == NULL)
		return false;
	for (replay->step = 1; replay->step <= step; replay->step++) {
		for (unsigned writer = 0; writer < PATTERN_WRITERS; writer++)
			pattern_step(seed, replay->step, writer, note, replay);
	}
	memset(ret_difference, 0, sizeof *ret_difference);
	for (unsigned region = 0; region < PATTERN_REGIONS; region++) {
		for (uint32_t page = 0; page < PATTERN_PAGES; page++)
			compare_page(regions[region] + (size_t)page * PATTERN_PAGE_BYTES, seed,
			             &replay->last[region][page], region, page, ret_difference);
	}
	tandem_memory_free(replay);
	return true;
}
