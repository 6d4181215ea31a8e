/* The device carries what was posted: in order inside a channel, in none across channels. */

#define land(channel)                                                                     \
	:: d_step {                                                                       \
		len(wire[channel]) > 0 && !is_dropped ->                                  \
		take(channel);                                                            \
		if                                                                        \
		:: got_kind == WRITE ->                                                   \
			cache[got_a] = (got_b == MEMORY -> memory[got_a] : got_c);        \
			complete(got_a, got_b)                                            \
		:: else -> take_seal(channel, got_a, got_b, got_c, got_d)                 \
		fi                                                                        \
	}

proctype Device()
{
	do
	land(0)
	land(1)
#ifdef WITHOUT_SESSION_FENCE
	/* A write of the session before. */
	:: d_step { late_page != NONE_LATE -> cache[late_page] = late_content; late_page = NONE_LATE }
#endif
	od
}
