#include "shell/service.h"

#include <unistd.h>

static void release(struct tandem_watch *watch)
{
	if (watch->event)
		event_free(watch->event);
	if (watch->pidfd >= 0)
		close(watch->pidfd);
	*watch = (struct tandem_watch){.pidfd = -1};
}

static void on_end(evutil_socket_t fd, short what, void *context)
{
	struct tandem_watch *watch = context;
	struct tandem_pair *pair = watch->pair;
	struct tandem_event event = {
	        .type = TANDEM_EVENT_ENDED,
	        .message = {.kind = watch->kind, .incarnation = watch->incarnation}};
	(void)fd;
	(void)what;
	release(watch);
	tandem_pair_feed(pair, &event);
}

static struct tandem_watch *find_place(struct tandem_pair *pair)
{
	for (size_t i = 0; i < TANDEM_WATCHES_MAX; i++) {
		if (!pair->watches[i].pair)
			return &pair->watches[i];
	}
	return NULL;
}

static bool is_watched(const struct tandem_pair *pair, enum tandem_control_kind kind,
                       uint64_t incarnation)
{
	for (size_t i = 0; i < TANDEM_WATCHES_MAX; i++) {
		const struct tandem_watch *watch = &pair->watches[i];
		if (watch->pair && watch->kind == kind && watch->incarnation == incarnation)
			return true;
	}
	return false;
}

void tandem_watch_add(struct tandem_pair *pair, enum tandem_control_kind kind, uint64_t incarnation,
                      int pidfd)
{
	struct tandem_watch *watch = find_place(pair);
	/* Without a place the end of the connection is all that is noticed. */
	if (!watch || is_watched(pair, kind, incarnation)) {
		close(pidfd);
		return;
	}
	*watch = (struct tandem_watch){
	        .pair = pair, .kind = kind, .incarnation = incarnation, .pidfd = pidfd};
	watch->event = event_new(pair->controller->base, pidfd, EV_READ, on_end, watch);
	if (!watch->event || event_add(watch->event, NULL) != 0)
		release(watch);
}

void tandem_watch_close(struct tandem_pair *pair)
{
	for (size_t i = 0; i < TANDEM_WATCHES_MAX; i++) {
		if (pair->watches[i].pair)
			release(&pair->watches[i]);
	}
}
