#ifndef TANDEM_TRANSPORT_POLL_PACE_H
#define TANDEM_TRANSPORT_POLL_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* When it pays to ask the kernel or the device again and again before sleeping. A sleep and a
 * wake-up cost more than most answers take; but a peer that is slow, or that needs the very
 * processor that asks, is only made slower. So: only for a while after something that is or calls
 * for an answer, and where it gave nothing it is left out the next times, and tried again after
 * more and more of them. Pure. */
#define TANDEM_POLL_PACE_SKIP_FIRST 16
#define TANDEM_POLL_PACE_SKIP_MOST  1024

/* Zeros are one that expects nothing. */
struct tandem_poll_pace {
	uint64_t until_ns;  /* something is expected until then */
	unsigned skip;      /* times to leave out after polling gave nothing again */
	unsigned skip_left; /* of them */
};

/* Something came that will be answered, or was sent and will be. */
void tandem_poll_pace_expect(struct tandem_poll_pace *pace, uint64_t now_ns, uint64_t poll_ns);
/* Nothing was there: whether to go on asking until `until_ns`. To be followed by learn. */
bool tandem_poll_pace_may_poll(struct tandem_poll_pace *pace, uint64_t now_ns);
/* Whether that gave something. */
void tandem_poll_pace_learn(struct tandem_poll_pace *pace, bool has_paid);

#endif
