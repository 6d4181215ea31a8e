#include "bench_load.h"

#include <inttypes.h>
#include <string.h>

#include <tandem/crc32c.h>
#include <tandem/memory.h>
#include <tandem/random.h>

#define SEED 1

static const struct {
	const char *text;
	uint32_t write_bytes;
} patterns[TANDEM_BENCH_PATTERNS] = {
        [TANDEM_BENCH_RANDOM] = {"random", 4096},
        [TANDEM_BENCH_RUNS] = {"runs", 65536},
        [TANDEM_BENCH_SEQUENTIAL] = {"sequential", 262144},
};

const char *tandem_bench_pattern_text(enum tandem_bench_pattern pattern)
{
	return pattern < TANDEM_BENCH_PATTERNS ? patterns[pattern].text : "unknown";
}

enum tandem_bench_pattern tandem_bench_pattern_of(const char *text)
{
	enum tandem_bench_pattern pattern = 0;

	while (pattern < TANDEM_BENCH_PATTERNS && strcmp(text, patterns[pattern].text) != 0)
		pattern++;
	return pattern;
}

uint32_t tandem_bench_pattern_write_bytes(enum tandem_bench_pattern pattern)
{
	return patterns[pattern].write_bytes;
}

static int check(const struct tandem_bench_load *load, struct tandem_error *reterr_error)
{
	if (load->bytes == 0 || load->bytes > load->region_bytes)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "load",
		                        "%" PRIu64 " bytes of a region of %" PRIu64
		                        "; an epoch writes each page once at most",
		                        load->bytes, load->region_bytes);
	if (load->write_bytes == 0 || load->bytes % load->write_bytes != 0 ||
	    load->region_bytes % load->write_bytes != 0)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "load",
		                        "%" PRIu64 " bytes of a region of %" PRIu64
		                        " are not whole writes of %" PRIu32,
		                        load->bytes, load->region_bytes, load->write_bytes);
	return 0;
}

/* Fisher and Yates, as far as the epoch goes. */
static void shuffle(uint64_t *places, uint64_t place_count, uint64_t count)
{
	uint64_t random = SEED;

	for (uint64_t i = 0; i < count; i++) {
		const uint64_t other = i + tandem_random_next(&random) % (place_count - i);
		const uint64_t place = places[i];

		places[i] = places[other];
		places[other] = place;
	}
}

int tandem_bench_load_make(struct tandem_bench_load *load, struct tandem_error *reterr_error)
{
	const int code = check(load, reterr_error);
	uint64_t place_count;

	if (code < 0)
		return code;
	place_count = load->region_bytes / load->write_bytes;
	load->write_count = load->bytes / load->write_bytes;
	load->offsets = tandem_memory_alloc_array(place_count, sizeof *load->offsets);
	if (load->offsets == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "load",
		                        "no memory for %" PRIu64 " offsets", place_count);
	for (uint64_t i = 0; i < place_count; i++)
		load->offsets[i] = i * load->write_bytes;
	if (load->pattern != TANDEM_BENCH_SEQUENTIAL)
		shuffle(load->offsets, place_count, load->write_count);
	return 0;
}

void tandem_bench_load_clear(struct tandem_bench_load *load)
{
	tandem_memory_free(load->offsets);
	load->offsets = NULL;
}

uint32_t tandem_bench_load_crc32c(const struct tandem_bench_load *load, const uint8_t *region)
{
	uint32_t crc = 0;

	for (uint64_t i = 0; i < load->write_count; i++)
		crc = tandem_crc32c(crc, region + load->offsets[i], load->write_bytes);
	return crc;
}
