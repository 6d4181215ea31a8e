#ifndef TANDEM_TESTS_STUCK_SAY_H
#define TANDEM_TESTS_STUCK_SAY_H

#include <stdint.h>

#include <tandem/error.h>

/* One JSON line on stdout: what happened, on which channel (-1: none), how many of it, and the
 * cause where there is one (NULL: none). */
void say(const char *event, int channel, uint64_t number, const struct tandem_error *error);

#endif
