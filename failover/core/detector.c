#include "core/detector.h"

#include <tandem/assert.h>

static uint64_t later(uint64_t one, uint64_t other)
{
	return one > other ? one : other;
}

void tandem_detector_init(struct tandem_detector *detector, uint64_t interval_ns,
                          uint32_t miss_count, size_t link_count, uint64_t now_ns)
{
	*detector = (struct tandem_detector){.window_ns = interval_ns * miss_count,
	                                     .restart_ns = now_ns,
	                                     .tick_ns = now_ns,
	                                     .link_count = link_count};
}

uint64_t tandem_detector_pace_ns(uint64_t interval_ns, uint32_t miss_count)
{
	uint64_t quarter_ns = interval_ns * miss_count / 4;
	return interval_ns < quarter_ns ? interval_ns : quarter_ns;
}

void tandem_detector_hear(struct tandem_detector *detector, size_t link, uint64_t heard_ns)
{
	TANDEM_ASSERT(link < detector->link_count);
	if (tandem_detector_is_silent(detector, heard_ns))
		detector->back_ns = heard_ns;
	detector->heard_ns[link] = later(detector->heard_ns[link], heard_ns);
}

uint64_t tandem_detector_tick(struct tandem_detector *detector, uint64_t now_ns, uint64_t deaf_ns)
{
	uint64_t gap_ns = now_ns > detector->tick_ns ? now_ns - detector->tick_ns : 0;
	gap_ns = later(gap_ns, deaf_ns);
	detector->tick_ns = later(detector->tick_ns, now_ns);
	if (gap_ns < detector->window_ns / 2)
		return 0;
	detector->restart_ns = now_ns;
	return gap_ns;
}

uint64_t tandem_detector_heard_ns(const struct tandem_detector *detector)
{
	uint64_t heard_ns = 0;
	for (size_t i = 0; i < detector->link_count; i++)
		heard_ns = later(heard_ns, detector->heard_ns[i]);
	return heard_ns;
}

uint64_t tandem_detector_silent_since_ns(const struct tandem_detector *detector)
{
	return later(tandem_detector_heard_ns(detector), detector->restart_ns);
}

bool tandem_detector_is_silent(const struct tandem_detector *detector, uint64_t now_ns)
{
	return now_ns >= tandem_detector_silent_since_ns(detector) + detector->window_ns;
}

bool tandem_detector_link_is_up(const struct tandem_detector *detector, size_t link,
                                uint64_t now_ns)
{
	return detector->heard_ns[link] != 0 &&
	       now_ns < detector->heard_ns[link] + detector->window_ns;
}
