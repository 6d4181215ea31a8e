#include "ledger_memory.h"

#include <string.h>

static const char key[] = "ledger";

static void digest_of(const struct tandem_mac_part *parts, unsigned part_count, uint8_t *ret_digest)
{
	tandem_mac(key, sizeof(key) - 1, parts, part_count, ret_digest);
}

/* The digest again and again, and what keeps a page that slipped from looking right. */
static void write_page(uint8_t *page, const uint8_t *digest)
{
	for (size_t i = 0; i < LEDGER_PAGE_BYTES; i++)
		page[i] = digest[i % TANDEM_MAC_BYTES] ^ (uint8_t)(i / TANDEM_MAC_BYTES);
}

static void fill_page(uint8_t *memory, uint32_t page, const struct ledger_state *state)
{
	uint8_t digest[TANDEM_MAC_BYTES];
	struct tandem_mac_part parts[] = {{state->link, sizeof(state->link)},
	                                  {&page, sizeof(page)}};

	digest_of(parts, 2, digest);
	if (page != 0 && digest[0] % LEDGER_ZERO_ONE_IN == 0)
		memset(memory + (size_t)page * LEDGER_PAGE_BYTES, 0, LEDGER_PAGE_BYTES);
	else
		write_page(memory + (size_t)page * LEDGER_PAGE_BYTES, digest);
}

void ledger_memory_step(uint8_t *memory, struct ledger_state *state, uint64_t salt)
{
	uint8_t link[TANDEM_MAC_BYTES];
	uint64_t step = state->step + 1;
	struct tandem_mac_part parts[] = {
	        {state->link, sizeof(state->link)}, {&salt, sizeof(salt)}, {&step, sizeof(step)}};

	digest_of(parts, 3, link);
	memcpy(state->link, link, sizeof(link));
	state->step = step;
	fill_page(memory, 0, state);
	for (unsigned i = 0; i < LEDGER_STEP_PAGES; i++)
		fill_page(memory, 1 + (link[2 * i] + 256u * link[2 * i + 1]) % (LEDGER_PAGES - 1),
		          state);
}

void ledger_memory_digest(const uint8_t *memory, uint8_t ret_digest[TANDEM_MAC_BYTES])
{
	struct tandem_mac_part part = {memory, LEDGER_BYTES};

	digest_of(&part, 1, ret_digest);
}
