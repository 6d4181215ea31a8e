#include <tandem/clock.h>

#include <time.h>

static uint64_t read_clock_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * TANDEM_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t tandem_clock_now_ns(void)
{
	return read_clock_ns(CLOCK_MONOTONIC);
}

uint64_t tandem_clock_wall_ns(void)
{
	return read_clock_ns(CLOCK_REALTIME);
}
