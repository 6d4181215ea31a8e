#include "core/rhythm.h"

#include "core/detector.h"

void tandem_rhythm_init(struct tandem_rhythm *rhythm, uint64_t interval_ns, uint32_t miss_count,
                        uint64_t now_ns)
{
	*rhythm =
	        (struct tandem_rhythm){.interval_ns = interval_ns,
	                               .pace_ns = tandem_detector_pace_ns(interval_ns, miss_count),
	                               .due_ns = now_ns,
	                               .sent_max = miss_count / 2};
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

bool tandem_rhythm_may_speak(struct tandem_rhythm *rhythm, uint64_t publication)
{
	if (publication != rhythm->publication)
		rhythm->sent_count = 0;
	rhythm->publication = publication;
	if (publication == 0 || rhythm->sent_count >= rhythm->sent_max)
		return false;
	rhythm->sent_count++;
	return true;
}
