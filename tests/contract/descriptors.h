#ifndef TANDEM_TESTS_CONTRACT_DESCRIPTORS_H
#define TANDEM_TESTS_CONTRACT_DESCRIPTORS_H

#include <stdbool.h>

/* Open descriptors of this process, to see that none leaks. */
unsigned descriptors_count(void);
/* No more than so many are open, or will be in time: what a device did not give up at once ends
 * beside its owner [N21]. */
bool descriptors_fall_to(unsigned count);
/* Takes all that this process may still open, at most DESCRIPTORS_TAKEN_MAX under a limit that is
 * lowered to that; give back before anything else needs one. */
#define DESCRIPTORS_TAKEN_MAX 256
int descriptors_take_all(void);
void descriptors_give_back(void);

#endif
