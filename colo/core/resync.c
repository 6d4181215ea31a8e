#include "resync.h"

#include "wire.h"

void tandem_resync_reset(struct tandem_resync *resync)
{
	*resync = (struct tandem_resync){.deadline_ns = UINT64_MAX};
}

void tandem_resync_begin(struct tandem_resync *resync, uint64_t page_count)
{
	*resync = (struct tandem_resync){.page_count = page_count, .deadline_ns = UINT64_MAX};
}

bool tandem_resync_is_under_way(const struct tandem_resync *resync)
{
	return resync->known < resync->page_count;
}

static uint32_t piece(const struct tandem_resync *resync, uint64_t first_page)
{
	uint64_t left = resync->page_count - first_page;

	return left < TANDEM_DIGESTS_MAX ? (uint32_t)left : TANDEM_DIGESTS_MAX;
}

bool tandem_resync_ask(struct tandem_resync *resync, uint64_t deadline_ns, uint64_t *ret_first_page,
                       uint32_t *ret_page_count)
{
	if (resync->asked == resync->page_count ||
	    resync->asked - resync->known >= TANDEM_RESYNC_WINDOW * TANDEM_DIGESTS_MAX)
		return false;
	if (resync->asked == resync->known)
		resync->deadline_ns = deadline_ns;
	*ret_first_page = resync->asked;
	*ret_page_count = piece(resync, resync->asked);
	resync->asked += *ret_page_count;
	return true;
}

bool tandem_resync_answer(struct tandem_resync *resync, uint64_t first_page, uint32_t page_count,
                          uint64_t deadline_ns)
{
	if (resync->known == resync->asked || first_page != resync->known ||
	    page_count != piece(resync, first_page))
		return false;
	resync->known += page_count;
	resync->deadline_ns = resync->known == resync->asked ? UINT64_MAX : deadline_ns;
	return true;
}
