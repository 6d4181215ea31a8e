#include "core/rules.h"

const char *tandem_state_name(enum tandem_state state)
{
	static const char *const names[TANDEM_STATE_COUNT] = {
#define X(name) [TANDEM_STATE_##name] = #name,
	        TANDEM_STATE_TABLE(X)
#undef X
	};
	return state < TANDEM_STATE_COUNT ? names[state] : "unknown";
}

const char *tandem_event_name(enum tandem_event_type event)
{
	static const char *const names[TANDEM_EVENT_COUNT] = {
#define X(name) [TANDEM_EVENT_##name] = #name,
	        TANDEM_EVENT_TABLE(X)
#undef X
	};
	return event < TANDEM_EVENT_COUNT ? names[event] : "unknown";
}

const char *tandem_verb_name(enum tandem_verb verb)
{
	static const char *const names[TANDEM_VERB_COUNT] = {[TANDEM_VERB_NOTHING] = "",
#define X(name) [TANDEM_VERB_##name] = #name,
	                                                     TANDEM_VERB_TABLE(X)
#undef X
	};
	return verb < TANDEM_VERB_COUNT ? names[verb] : "unknown";
}

const char *tandem_alarm_name(enum tandem_alarm alarm)
{
	static const char *const names[TANDEM_ALARM_COUNT] = {
#define X(name, text) [TANDEM_ALARM_##name] = #name,
	        TANDEM_ALARM_TABLE(X)
#undef X
	};
	return alarm < TANDEM_ALARM_COUNT ? names[alarm] : "unknown";
}

const char *tandem_alarm_text(enum tandem_alarm alarm)
{
	static const char *const texts[TANDEM_ALARM_COUNT] = {
#define X(name, text) [TANDEM_ALARM_##name] = (text),
	        TANDEM_ALARM_TABLE(X)
#undef X
	};
	return alarm < TANDEM_ALARM_COUNT ? texts[alarm] : "unknown";
}

const char *tandem_peer_beat_text(enum tandem_peer_beat beat)
{
	static const char *const texts[TANDEM_PEER_BEAT_COUNT] = {
	        [TANDEM_PEER_BEAT_UNKNOWN] = "unknown",
	        [TANDEM_PEER_BEAT_ADVANCING] = "lives",
	        [TANDEM_PEER_BEAT_STILL] = "hung",
	};
	return beat < TANDEM_PEER_BEAT_COUNT ? texts[beat] : "unknown";
}
