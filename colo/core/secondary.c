#include "secondary.h"

#include <string.h>

#include <tandem/error.h>

/* No pair gets there by counting; a copy of the last number could never commit again. */
#define EPOCH_MAX (UINT64_MAX / 2)

void tandem_secondary_init(struct tandem_secondary *secondary, const char *pair,
                           uint64_t incarnation)
{
	memset(secondary, 0, sizeof *secondary);
	memcpy(secondary->pair, pair, strlen(pair) + 1);
	secondary->incarnation = incarnation;
	secondary->is_applied = true;
}

static struct tandem_secondary_action *act(struct tandem_secondary_actions *actions,
                                           enum tandem_secondary_action_type type)
{
	struct tandem_secondary_action *action = &actions->items[actions->count++];

	memset(action, 0,
	       offsetof(struct tandem_secondary_action, message) + TANDEM_WIRE_HEAD_BYTES);
	action->type = type;
	return action;
}

static void drop(struct tandem_secondary *secondary, struct tandem_secondary_actions *actions,
                 int code, const char *reason)
{
	struct tandem_secondary_action *action = act(actions, TANDEM_SECONDARY_DO_DROP);

	action->code = code;
	action->reason = reason;
	secondary->is_dropped = true;
}

static struct tandem_wire_message *send(const struct tandem_secondary *secondary,
                                        struct tandem_secondary_actions *actions,
                                        enum tandem_wire_type type)
{
	struct tandem_wire_message *message = &act(actions, TANDEM_SECONDARY_DO_SEND)->message;

	message->type = type;
	message->generation = secondary->generation;
	message->epoch = secondary->committed;
	return message;
}

static void pong(const struct tandem_secondary *secondary, struct tandem_secondary_actions *actions)
{
	send(secondary, actions, TANDEM_WIRE_PONG)->number = secondary->last_ping;
}

static void on_stand_by(struct tandem_secondary *secondary,
                        const struct tandem_secondary_event *event,
                        struct tandem_secondary_actions *actions)
{
	bool is_newer = event->generation > secondary->generation;

	if (event->generation < secondary->generation)
		return;
	secondary->generation = event->generation;
	secondary->owner_incarnation = event->incarnation;
	if (is_newer && secondary->is_greeted && !secondary->is_fenced)
		pong(secondary, actions); /* so that the primary learns at once that we know */
}

static bool has_regions_of(const struct tandem_secondary *secondary,
                           const struct tandem_layout *layout)
{
	return secondary->layout.stripe_pages == layout->stripe_pages &&
	       tandem_region_table_equal(&secondary->layout.regions, &layout->regions);
}

/* [C2]: NULL, or why the primary of this HELLO is not ours. */
static const char *identity_fault(const struct tandem_secondary *secondary,
                                  const struct tandem_wire_message *hello)
{
	if (secondary->is_void)
		return "the copy here is void: restart tandemd";
	if (strcmp(hello->pair, secondary->pair) != 0)
		return "another pair";
	if (hello->generation < secondary->generation)
		return "the generation has passed";
	if (hello->primary_incarnation == 0)
		return "an incarnation is never 0";
	if (secondary->owner_incarnation != 0 &&
	    hello->primary_incarnation != secondary->owner_incarnation)
		return "the register names another incarnation as the owner";
	return NULL;
}

const char *tandem_secondary_objection(const struct tandem_secondary *secondary,
                                       const struct tandem_wire_message *hello, int *ret_code)
{
	struct tandem_layout layout;

	*ret_code = TANDEM_E_AGAIN;
	if (secondary->is_fenced || secondary->generation == 0)
		return "this node does not stand by for the pair now";
	if (hello->generation > secondary->generation)
		return "this node does not know that generation yet";
	*ret_code = TANDEM_E_PROTOCOL;
	if (!tandem_layout_init(&layout, &hello->regions, hello->channel_count, hello->stripe_pages,
	                        hello->state_bytes_max))
		return "the region table is out of its limits";
	*ret_code = TANDEM_E_REFUSED;
	/* [C27] */
	if (secondary->copy_incarnation == hello->primary_incarnation &&
	    !has_regions_of(secondary, &layout))
		return "the regions of one life of a program are fixed, and its copy has others";
	return identity_fault(secondary, hello);
}

/* [C4]. Memory of these regions is kept, whoever filled it: what it holds is worth its digests
 * [C28]. */
static void take_regions(struct tandem_secondary *secondary,
                         const struct tandem_wire_message *hello,
                         const struct tandem_layout *layout,
                         struct tandem_secondary_actions *actions)
{
	bool has_regions = has_regions_of(secondary, layout);

	secondary->layout = *layout;
	if (has_regions && secondary->copy_incarnation == hello->primary_incarnation)
		return;
	secondary->copy_incarnation = 0;
	secondary->committed = 0;
	secondary->is_applied = true;
	if (has_regions)
		return;
	secondary->is_fresh = false;
	act(actions, TANDEM_SECONDARY_DO_RENEW);
}

static void on_hello(struct tandem_secondary *secondary, const struct tandem_secondary_event *event,
                     struct tandem_secondary_actions *actions)
{
	const struct tandem_wire_message *hello = event->message;
	struct tandem_layout layout;
	int code;

	if (tandem_secondary_objection(secondary, hello, &code) != NULL ||
	    !tandem_layout_init(&layout, &hello->regions, hello->channel_count, hello->stripe_pages,
	                        hello->state_bytes_max)) {
		drop(secondary, actions, TANDEM_E_REFUSED, "a HELLO with an objection");
		return;
	}
	secondary->has_session = true;
	secondary->is_greeted = false;
	secondary->is_dropped = false;
	secondary->lands_in_calls = event->lands_in_calls;
	secondary->session_generation = hello->generation;
	secondary->session_incarnation = hello->primary_incarnation;
	secondary->sealed_mask = 0;
	secondary->fence_mask = 0;
	secondary->fenced_mask = 0;
	secondary->has_bar = false;
	secondary->last_ping = 0;
	secondary->has_committed = false;
	take_regions(secondary, hello, &layout, actions);
	act(actions, TANDEM_SECONDARY_DO_PREPARE);
}

/* [C4] */
static void on_prepared(struct tandem_secondary *secondary,
                        const struct tandem_secondary_event *event,
                        struct tandem_secondary_actions *actions)
{
	struct tandem_wire_message *message;

	if (!secondary->has_session || secondary->is_greeted)
		return;
	secondary->is_greeted = true;
	secondary->is_fresh = event->is_fresh;
	message = send(secondary, actions, TANDEM_WIRE_WELCOME);
	message->secondary_incarnation = secondary->incarnation;
	message->primary_incarnation = secondary->copy_incarnation;
	message->is_fresh = event->is_fresh;
	act(actions, TANDEM_SECONDARY_DO_REPORT_UP)->incarnation = secondary->session_incarnation;
}

/* [C14]: NULL, or what the trailer breaks (3.2). */
static const char *seal_fault(const struct tandem_secondary *secondary, unsigned channel,
                              const struct tandem_trailer *trailer)
{
	const struct tandem_trailer *first = &secondary->first;
	uint32_t known = (1u << secondary->layout.channel_count) - 1;

	if (trailer->channel != channel)
		return "a trailer names another channel";
	if (trailer->generation < secondary->session_generation ||
	    trailer->generation > secondary->generation)
		return "a trailer of another generation";
	if (trailer->base != secondary->committed)
		return "a trailer whose base is not the last committed epoch";
	if (trailer->epoch <= secondary->committed)
		return "an epoch that does not grow";
	if (trailer->epoch > EPOCH_MAX)
		return "an epoch that leaves no room to grow";
	if ((trailer->mask & ~known) != 0 || (trailer->mask & 1u << channel) == 0)
		return "a trailer whose mask is wrong";
	if ((trailer->mask & secondary->fenced_mask) != 0)
		return "a trailer whose mask names a fenced channel";
	if (trailer->state_bytes > secondary->layout.state_bytes_max)
		return "a state blob that does not fit";
	if (secondary->sealed_mask == 0)
		return NULL;
	if ((secondary->sealed_mask & 1u << channel) != 0)
		return "a channel sealed twice";
	if (trailer->epoch != first->epoch || trailer->generation != first->generation ||
	    trailer->mask != first->mask || trailer->state_bytes != first->state_bytes ||
	    trailer->state_crc != first->state_crc)
		return "trailers disagree";
	return NULL;
}

static void say_applied(struct tandem_secondary *secondary,
                        struct tandem_secondary_actions *actions)
{
	send(secondary, actions, TANDEM_WIRE_APPLIED)->number = secondary->apply_ns;
	secondary->apply_ns = 0;
}

/* [C15]; when fenced without a word [C21]. Where nothing lands before it is applied, APPLIED of few
 * pages is as true before as behind. */
static void say_committed(struct tandem_secondary *secondary,
                          struct tandem_secondary_actions *actions)
{
	secondary->is_said_once = secondary->listed_pages <= TANDEM_SECONDARY_FEW_PAGES;
	secondary->is_said_first =
	        secondary->is_said_once && secondary->lands_in_calls && !secondary->is_fenced;
	if (secondary->is_said_first)
		say_applied(secondary, actions);
	else if (!secondary->is_said_once && !secondary->is_fenced)
		send(secondary, actions, TANDEM_WIRE_COMMITTED);
}

static void commit_if_complete(struct tandem_secondary *secondary,
                               struct tandem_secondary_actions *actions)
{
	if (secondary->sealed_mask == 0 || secondary->sealed_mask != secondary->first.mask ||
	    !secondary->is_applied)
		return;
	secondary->committed = secondary->first.epoch;
	secondary->copy_incarnation = secondary->session_incarnation;
	secondary->sealed_mask = 0;
	secondary->has_committed = true;
	secondary->is_applied = false;
	act(actions, TANDEM_SECONDARY_DO_COMMIT)->epoch = secondary->committed;
	say_committed(secondary, actions);
	act(actions, TANDEM_SECONDARY_DO_APPLY)->is_at_once = secondary->is_said_first;
}

static void on_seal(struct tandem_secondary *secondary, const struct tandem_secondary_event *event,
                    struct tandem_secondary_actions *actions)
{
	const char *fault = !secondary->is_greeted
	                            ? "a seal before WELCOME"
	                            : seal_fault(secondary, event->channel, event->trailer);

	if (fault != NULL) {
		secondary->sealed_mask = 0;
		drop(secondary, actions, TANDEM_E_PROTOCOL, fault);
		return;
	}
	if (secondary->sealed_mask == 0) {
		secondary->first = *event->trailer;
		secondary->listed_pages = 0;
	}
	secondary->sealed_mask |= 1u << event->channel;
	secondary->listed_pages += event->listed_pages;
	commit_if_complete(secondary, actions);
}

static void on_applied(struct tandem_secondary *secondary,
                       const struct tandem_secondary_event *event,
                       struct tandem_secondary_actions *actions)
{
	if (secondary->is_applied || secondary->is_void)
		return;
	if (!event->is_done) {
		act(actions, TANDEM_SECONDARY_DO_APPLY);
		return;
	}
	secondary->is_applied = true;
	secondary->is_fresh = false;
	secondary->apply_ns = event->elapsed_ns;
	if (secondary->is_greeted && !secondary->is_fenced && !secondary->is_said_first)
		say_applied(secondary, actions);
	commit_if_complete(secondary, actions);
}

/* [C23] */
static void on_fence_asked(struct tandem_secondary *secondary,
                           const struct tandem_wire_message *message,
                           struct tandem_secondary_actions *actions)
{
	uint32_t known = (1u << secondary->layout.channel_count) - 1;

	if (secondary->is_fenced)
		return; /* [C21] */
	if (secondary->fence_mask != 0 || message->channel_mask == 0 ||
	    (message->channel_mask & ~known) != 0 || message->epoch < secondary->committed) {
		drop(secondary, actions, TANDEM_E_PROTOCOL,
		     "a FENCE of no channel, of an epoch before the committed one, or before the "
		     "answer to the last");
		return;
	}
	secondary->fence_mask = message->channel_mask;
	secondary->fence_epoch = message->epoch;
	act(actions, TANDEM_SECONDARY_DO_FENCE_CHANNELS)->channel_mask = message->channel_mask;
}

/* [C24]. A complete epoch was committed when its last seal was read; the answer is final. */
static void on_channels_fenced(struct tandem_secondary *secondary,
                               struct tandem_secondary_actions *actions)
{
	if (secondary->fence_mask == 0 || secondary->is_dropped || secondary->is_fenced)
		return;
	if (secondary->sealed_mask != 0)
		act(actions, TANDEM_SECONDARY_DO_DISCARD);
	secondary->sealed_mask = 0;
	secondary->has_bar = true;
	secondary->bar = secondary->fence_epoch;
	send(secondary, actions, TANDEM_WIRE_FENCED)->channel_mask = secondary->fence_mask;
	secondary->fenced_mask |= secondary->fence_mask;
	secondary->fence_mask = 0;
}

/* The low half is enough: what is on its way is near the bar. */
bool tandem_secondary_is_stale(const struct tandem_secondary *secondary, uint32_t immediate)
{
	return secondary->has_bar && (int32_t)(immediate - (uint32_t)secondary->bar) <= 0;
}

/* [C28]: while the session has committed nothing the image stays as it is. */
static void on_compare(struct tandem_secondary *secondary,
                       const struct tandem_wire_message *message,
                       struct tandem_secondary_actions *actions)
{
	uint64_t page_count = secondary->layout.page_count;
	struct tandem_wire_message *answer;

	if (secondary->is_fenced)
		return;
	if (secondary->has_committed || message->first_page >= page_count ||
	    message->page_count > page_count - message->first_page) {
		drop(secondary, actions, TANDEM_E_PROTOCOL,
		     "a COMPARE after a commit, or of pages that are not there");
		return;
	}
	answer = &act(actions, TANDEM_SECONDARY_DO_SEND_DIGESTS)->message;
	answer->type = TANDEM_WIRE_DIGESTS;
	answer->generation = secondary->generation;
	answer->first_page = message->first_page;
	answer->page_count = message->page_count;
}

static void on_message(struct tandem_secondary *secondary,
                       const struct tandem_wire_message *message,
                       struct tandem_secondary_actions *actions)
{
	if (secondary->is_greeted && message->type == TANDEM_WIRE_FENCE) {
		on_fence_asked(secondary, message, actions);
		return;
	}
	if (secondary->is_greeted && message->type == TANDEM_WIRE_COMPARE) {
		on_compare(secondary, message, actions);
		return;
	}
	if (!secondary->is_greeted || message->type != TANDEM_WIRE_PING) {
		drop(secondary, actions, TANDEM_E_PROTOCOL, "a message out of turn");
		return;
	}
	secondary->last_ping = message->number;
	if (!secondary->is_fenced)
		pong(secondary, actions);
}

void tandem_secondary_step(struct tandem_secondary *secondary,
                           const struct tandem_secondary_event *event,
                           struct tandem_secondary_actions *ret_actions)
{
	ret_actions->count = 0;
	switch (event->type) {
	case TANDEM_SECONDARY_ON_STAND_BY:
		on_stand_by(secondary, event, ret_actions);
		return;
	case TANDEM_SECONDARY_ON_HELLO:
		on_hello(secondary, event, ret_actions);
		return;
	case TANDEM_SECONDARY_ON_PREPARED:
		on_prepared(secondary, event, ret_actions);
		return;
	case TANDEM_SECONDARY_ON_MESSAGE:
		if (secondary->is_dropped)
			return;
		on_message(secondary, event->message, ret_actions);
		return;
	case TANDEM_SECONDARY_ON_SEAL:
		if (secondary->is_dropped)
			return;
		on_seal(secondary, event, ret_actions);
		return;
	case TANDEM_SECONDARY_ON_CHANNEL_UP:
		if (event->channel < secondary->layout.channel_count)
			secondary->fenced_mask &= ~(1u << event->channel);
		return;
	case TANDEM_SECONDARY_ON_CHANNELS_FENCED:
		on_channels_fenced(secondary, ret_actions);
		return;
	case TANDEM_SECONDARY_ON_APPLIED:
		on_applied(secondary, event, ret_actions);
		return;
	case TANDEM_SECONDARY_ON_SESSION_LOST:
		secondary->has_session = false;
		secondary->is_greeted = false;
		secondary->sealed_mask = 0;
		secondary->fence_mask = 0;
		return;
	case TANDEM_SECONDARY_ON_FENCE:
		secondary->is_fenced = true;
		return;
	case TANDEM_SECONDARY_ON_VOID:
		secondary->is_void = true;
		secondary->copy_incarnation = 0;
		secondary->committed = 0;
		return;
	}
}

bool tandem_secondary_is_promotable(const struct tandem_secondary *secondary)
{
	return secondary->is_fenced && !secondary->is_void && secondary->is_applied &&
	       secondary->copy_incarnation != 0;
}
