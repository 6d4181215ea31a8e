#ifndef TANDEM_CLOCK_H
#define TANDEM_CLOCK_H

#include <stdint.h>

#define TANDEM_NS_PER_US UINT64_C(1000)
#define TANDEM_NS_PER_MS UINT64_C(1000000)
#define TANDEM_NS_PER_S  UINT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC; the only time that decides anything. Any thread. */
uint64_t tandem_clock_now_ns(void);

/* Nanoseconds since the Unix epoch, for people and for absolute expiry only. */
uint64_t tandem_clock_wall_ns(void);

#endif
