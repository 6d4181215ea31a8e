#ifndef TANDEM_TESTS_STUCK_DEVICE_HOOKS_H
#define TANDEM_TESTS_STUCK_DEVICE_HOOKS_H

#include <stdbool.h>

/* What only the fake device can be asked: each program is linked with device_hooks_fake.c or
 * device_hooks_none.c. */

/* No request is executed any more, as if the peer were frozen. False where that cannot be had. */
bool device_hold(bool is_held);
/* Objects that exist on the device; 0 where that is not known. */
unsigned device_object_count(void);
/* What was done wrongly, "" for nothing. */
const char *device_misuse(void);

#endif
