#ifndef TANDEM_TEST_BREAKER_H
#define TANDEM_TEST_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/* Breaks data channels of the program's session at the engine's own named places (failpoints), on
 * the engine's thread. Link with breaker.c and tandem_breaker_wrap. */

/* At the `passage`th passage (1 is the first) of `place` the channels of the mask end. */
void breaker_arm(const char *place, unsigned passage, uint32_t channel_mask);
bool breaker_has_struck(void);
/* Who passes `place` for the epoch behind the last one that the program knows to be committed stays
 * there until it is let go. `place` is standby_acknowledged or standby_told: passed once an epoch,
 * some time after the program knows the answer. */
void breaker_hold_next(const char *place);
void breaker_let_go(void);
/* At one in so many passages of any place one channel ends; 0: none any more. */
void breaker_storm(unsigned one_in);
unsigned breaker_count(void); /* channels that were broken */

#endif
