#ifndef TANDEM_TRANSPORT_PATIENCE_H
#define TANDEM_TRANSPORT_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* How long a session asks for what is due before its owner sleeps. A sleep and a wake-up cost more
 * than most answers take; but where answers take long, or somebody else wants the processor, asking
 * only takes it from them. So the span is learned: doubled when an answer came soon after the sleep
 * had begun, halved when it did not, and where the asking thread was kept from its processor, some
 * waits are slept through at once. Pure. */
struct tandem_patience {
	uint64_t max_ns;
	uint64_t span_ns;    /* a wait is asked for this long */
	uint64_t since_ns;   /* when the wait began; 0: there is none */
	uint64_t asked_ns;   /* when it was asked last */
	unsigned rest_count; /* waits that are not asked for at all */
};

/* max_ns 0: never. */
void tandem_patience_init(struct tandem_patience *patience, uint64_t max_ns);
/* Something that is answered was sent, or came: what is waited for now is another thing. */
void tandem_patience_renew(struct tandem_patience *patience);
/* Nothing is there at `now_ns`: begins a wait, or goes on with the one that is under way. */
void tandem_patience_begin(struct tandem_patience *patience, uint64_t now_ns);
/* After each time of asking in vain: true when it is worth to ask again. */
bool tandem_patience_goes_on(struct tandem_patience *patience, uint64_t now_ns);
/* Something came, with or without a sleep before it. */
void tandem_patience_end(struct tandem_patience *patience, uint64_t now_ns);

#endif
