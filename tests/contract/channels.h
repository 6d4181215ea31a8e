#ifndef TANDEM_TESTS_CONTRACT_CHANNELS_H
#define TANDEM_TESTS_CONTRACT_CHANNELS_H

#include "pair.h"

/* A pair whose data channels are lost and restored. Each channel has its own part of the memory. */
#define CHANNELS_COUNT 4
#define CHANNELS_PART  (PAIR_MEMORY_BYTES / CHANNELS_COUNT)

struct tandem_transport_options channels_options(const struct tandem_contract_bed *bed);
/* pair_run with memory. */
int channels_run(struct tandem_contract_bed *bed, int (*story)(struct pair *pair));

/* For a fence: far above what it takes, as PAIR_WAIT_NS. */
uint64_t channels_soon_ns(void);

/* `side` breaks it, and both are told. */
int channels_break(struct pair *pair, struct pair_side *side, unsigned channel);
int channels_fence(struct pair *pair, unsigned channel);
/* From a channel that is fenced to one that is up on both sides. */
int channels_restore(struct pair *pair, unsigned channel);
/* Writes and notifies a new pattern, and sees it arrive. */
int channels_carry(struct pair *pair, unsigned channel);
/* Each of the mask carries, messages go both ways, and no session is lost. */
int channels_carry_all(struct pair *pair, uint32_t mask);

bool channels_is_lost(const struct pair *pair, uint64_t channel);            /* on both sides */
bool channels_is_connecting_told(const struct pair *pair, uint64_t channel); /* of a loss */

#endif
