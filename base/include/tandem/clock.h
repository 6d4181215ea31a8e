#ifndef TANDEM_CLOCK_H
#define TANDEM_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define TANDEM_NS_PER_US UINT64_C(1000)
#define TANDEM_NS_PER_MS UINT64_C(1000000)
#define TANDEM_NS_PER_S  UINT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC; the only time that decides anything. Any thread. */
uint64_t tandem_clock_now_ns(void);

/* Nanoseconds since the Unix epoch, for people and for absolute expiry only. */
uint64_t tandem_clock_wall_ns(void);

/* For the calls of libevent and of the system; what is left of a microsecond is cut off. */
static inline struct timeval tandem_clock_timeval(uint64_t ns)
{
	return (struct timeval){.tv_sec = (time_t)(ns / TANDEM_NS_PER_S),
	                        .tv_usec = (suseconds_t)(ns % TANDEM_NS_PER_S / TANDEM_NS_PER_US)};
}

static inline struct timespec tandem_clock_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / TANDEM_NS_PER_S),
	                         .tv_nsec = (long)(ns % TANDEM_NS_PER_S)};
}

#endif
