#include "primary_internal.h"

#include <tandem/error.h>

/* [C28]. False when every digest is there, or none was to be learned. */
bool tandem_primary_learn(struct tandem_primary *primary, uint64_t now_ns,
                          struct tandem_primary_actions *actions)
{
	uint64_t deadline_ns = now_ns + primary->options.commit_timeout_ns;
	uint64_t first_page;
	uint32_t page_count;

	while (tandem_resync_ask(&primary->resync, deadline_ns, &first_page, &page_count)) {
		struct tandem_wire_message *message =
		        &tandem_primary_act(actions, TANDEM_PRIMARY_DO_SEND)->message;

		message->type = TANDEM_WIRE_COMPARE;
		message->generation = primary->generation;
		message->first_page = first_page;
		message->page_count = page_count;
	}
	return tandem_resync_is_under_way(&primary->resync);
}

/* They may come while a channel is repaired: then the copy goes on after FENCED. */
void tandem_primary_on_digests(struct tandem_primary *primary,
                               const struct tandem_primary_event *event,
                               struct tandem_primary_actions *actions)
{
	const struct tandem_wire_message *message = event->message;

	if (!tandem_resync_answer(&primary->resync, message->first_page, message->page_count,
	                          event->now_ns + primary->options.commit_timeout_ns)) {
		tandem_primary_drop(primary, actions, TANDEM_E_PROTOCOL,
		                    "DIGESTS that COMPARE did not ask for");
		return;
	}
	tandem_primary_act(actions, TANDEM_PRIMARY_DO_TAKE_DIGESTS)->message = *message;
	if (!tandem_primary_learn(primary, event->now_ns, actions) &&
	    primary->phase == TANDEM_PRIMARY_COPYING)
		tandem_primary_go_on(primary, event->now_ns, actions);
}
