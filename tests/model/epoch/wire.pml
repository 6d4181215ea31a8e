/* What a channel carries, and what becomes of it when it is fenced. */

inline take(channel)
{
	wire[channel]?got_kind, got_a, got_b, got_c, got_d
}

/* The write is complete: its source may change. */
inline complete(page, source)
{
	if
	:: source == MEMORY -> reading[page]--
	:: else
	fi;
#ifdef WITHOUT_REARM_FIRST
	dirty = dirty & ~BIT(page)
#endif
}

inline lose_writes(channel)
{
	do
	:: len(wire[channel]) > 0 ->
		take(channel);
		if
		:: got_kind == WRITE && got_b == MEMORY -> reading[got_a]--
		:: else
		fi
	:: else -> break
	od
}
