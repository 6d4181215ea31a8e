#ifndef TANDEM_TEST_LEDGER_MEMORY_H
#define TANDEM_TEST_LEDGER_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/mac.h>

/* What the ledger holds. Every step makes a link of a chain out of the link before it, the step's
 * number and a salt that each life of the program draws anew, and writes some pages from it. So the
 * memory after a step is known to whoever knows the lives before it, and two lives that both made a
 * step of one number have left different memories. ledger.py says the same in Python. */
#define LEDGER_PAGE_BYTES  4096u
#define LEDGER_PAGES       256u
#define LEDGER_BYTES       ((size_t)LEDGER_PAGES * LEDGER_PAGE_BYTES)
#define LEDGER_STEP_PAGES  8u  /* written by a step, besides page 0 */
#define LEDGER_ZERO_ONE_IN 16u /* of them become zeros */

/* Also the state blob of an epoch. */
struct ledger_state {
	uint64_t step;
	uint8_t link[TANDEM_MAC_BYTES];
};

void ledger_memory_step(uint8_t *memory, struct ledger_state *state, uint64_t salt);
void ledger_memory_digest(const uint8_t *memory, uint8_t ret_digest[TANDEM_MAC_BYTES]);

#endif
