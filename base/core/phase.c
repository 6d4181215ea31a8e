#include <tandem/stats_page.h>

static const char *const names[TANDEM_PHASE_COUNT] = {
#define X(name, text) [TANDEM_PHASE_##name] = text,
        TANDEM_PHASE_TABLE(X)
#undef X
};

const char *tandem_phase_name(enum tandem_phase phase)
{
	/* The number may come from a page that another process wrote. */
	unsigned index = (unsigned)phase;
	return index < TANDEM_PHASE_COUNT ? names[index] : "unknown";
}

const char *tandem_pace_name(uint32_t pace)
{
	static const char *const paces[] = {
#define X(name, text) [TANDEM_PACE_##name] = (text),
	        TANDEM_PACE_TABLE(X)
#undef X
	};
	return pace < TANDEM_PACE_COUNT ? paces[pace] : "unknown";
}

const char *tandem_channel_stats_state(uint32_t state)
{
	static const char *const states[] = {"down", "joining", "up", "lost"};
	return state < sizeof(states) / sizeof(states[0]) ? states[state] : "unknown";
}
