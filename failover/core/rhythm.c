#include "core/rhythm.h"

#include "core/detector.h"

void tandem_rhythm_init(struct tandem_rhythm *rhythm, uint64_t interval_ns, uint32_t miss_count,
                        uint64_t now_ns)
{
	*rhythm =
	        (struct tandem_rhythm){.interval_ns = interval_ns,
	                               .window_ns = interval_ns * miss_count,
	                               .pace_ns = tandem_detector_pace_ns(interval_ns, miss_count),
	                               .due_ns = now_ns};
}

bool tandem_rhythm_is_due(const struct tandem_rhythm *rhythm, uint64_t now_ns)
{
	return now_ns >= rhythm->due_ns;
}

uint64_t tandem_rhythm_advance(struct tandem_rhythm *rhythm, uint64_t now_ns)
{
	uint64_t late_ns = now_ns > rhythm->due_ns ? now_ns - rhythm->due_ns : 0;
	rhythm->due_ns += (late_ns / rhythm->interval_ns + 1) * rhythm->interval_ns;
	return late_ns;
}

uint64_t tandem_rhythm_wake_ns(const struct tandem_rhythm *rhythm, uint64_t now_ns)
{
	uint64_t pace_ns = now_ns + rhythm->pace_ns;
	return rhythm->due_ns < pace_ns ? rhythm->due_ns : pace_ns;
}

bool tandem_rhythm_may_speak(const struct tandem_rhythm *rhythm, uint64_t published_ns,
                             uint64_t now_ns)
{
	return published_ns != 0 && now_ns < published_ns + rhythm->window_ns / 2;
}
