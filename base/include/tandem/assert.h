#ifndef TANDEM_ASSERT_H
#define TANDEM_ASSERT_H

/* Assertions stay on in every build. They are for our own mistakes only and never reachable from a
 * peer's bytes, a device's result, configuration, time or a shortage of memory. */
#ifdef NDEBUG
#undef NDEBUG
#endif
#include <assert.h>

#define TANDEM_ASSERT(condition) assert(condition)

#endif
