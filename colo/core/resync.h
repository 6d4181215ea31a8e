#ifndef TANDEM_RESYNC_H
#define TANDEM_RESYNC_H

#include <stdbool.h>
#include <stdint.h>

/* Which digests of the image the primary has asked for and has (DESIGN 4.15). They are asked for in
 * order of the pages, a few messages ahead, so neither side ever holds more than those. Pure. */
#define TANDEM_RESYNC_WINDOW 4u /* COMPARE messages that are not answered */

struct tandem_resync {
	uint64_t page_count;  /* of the layout; 0: nothing to learn */
	uint64_t asked;       /* pages below this one were asked for ... */
	uint64_t known;       /* ... and below this one answered */
	uint64_t deadline_ns; /* of the next answer; UINT64_MAX for none */
};

void tandem_resync_reset(struct tandem_resync *resync);
void tandem_resync_begin(struct tandem_resync *resync, uint64_t page_count);
/* The digests of some page are still to come. */
bool tandem_resync_is_under_way(const struct tandem_resync *resync);
/* The pages of the next COMPARE; false when none may be sent now. */
bool tandem_resync_ask(struct tandem_resync *resync, uint64_t deadline_ns, uint64_t *ret_first_page,
                       uint32_t *ret_page_count);
/* DIGESTS has come; false when they are not the next that were asked for. */
bool tandem_resync_answer(struct tandem_resync *resync, uint64_t first_page, uint32_t page_count,
                          uint64_t deadline_ns);

#endif
