#ifndef TANDEM_RANDOM_H
#define TANDEM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Seeded generator (splitmix64, Steele et al. 2014); pure, for cores and tests. `state` is the seed
 * at first. */
uint64_t tandem_random_next(uint64_t *state);

/* A number that was never given before, from getrandom(2): incarnations, session keys. Never 0. */
uint64_t tandem_random_unique(void);

/* Up to 256 bytes that nobody can foretell, from getrandom(2): nonces. */
void tandem_random_fill(void *ret_bytes, size_t length);

#endif
