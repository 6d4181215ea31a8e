#include "shell/service.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
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

static bool has_ended(const struct tandem_watch *watch)
{
	struct pollfd ended = {.fd = watch->pidfd, .events = POLLIN};
	return poll(&ended, 1, 0) > 0;
}

/* Each life of a standby is another incarnation of one process, which would fill all places. The
 * end of an earlier process of the same number is still to be told. */
static void leave_last_life(struct tandem_pair *pair, enum tandem_control_kind kind,
                            uint32_t process_id)
{
	for (size_t i = 0; i < TANDEM_WATCHES_MAX; i++) {
		struct tandem_watch *watch = &pair->watches[i];
		if (watch->pair && watch->kind == kind && watch->process_id == process_id &&
		    !has_ended(watch))
			release(watch);
	}
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
                      uint32_t process_id, int pidfd)
{
	bool is_known = is_watched(pair, kind, incarnation);
	if (!is_known)
		leave_last_life(pair, kind, process_id);
	struct tandem_watch *watch = find_place(pair);
	/* Without a place the end of the connection is all that is noticed. */
	if (!watch || is_known) {
		close(pidfd);
		return;
	}
	*watch = (struct tandem_watch){.pair = pair,
	                               .kind = kind,
	                               .incarnation = incarnation,
	                               .process_id = process_id,
	                               .pidfd = pidfd};
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

static struct tandem_watch *find_program(struct tandem_pair *pair, uint64_t incarnation)
{
	for (size_t i = 0; i < TANDEM_WATCHES_MAX; i++) {
		struct tandem_watch *watch = &pair->watches[i];
		if (watch->pair && watch->kind == TANDEM_CONTROL_KIND_PROGRAM &&
		    watch->incarnation == incarnation)
			return watch;
	}
	return NULL;
}

/* [L12]: a thread of the library is gone, and as a rule the whole process is on its way out, which
 * takes its time when there is much memory. To be killed makes it certain: from here on none of its
 * threads goes on, so its end may be told now. Where that is not allowed its pidfd will tell. */
static void on_early_end(void *context, size_t index, uint64_t incarnation)
{
	struct tandem_controller *controller = context;
	struct tandem_watch *watch = find_program(&controller->pairs[index], incarnation);
	if (!watch || syscall(SYS_pidfd_send_signal, watch->pidfd, SIGKILL, NULL, 0) != 0)
		return;
	on_end(watch->pidfd, EV_READ, watch);
}

int tandem_watch_open_vigil(struct tandem_controller *controller, struct tandem_error *reterr_error)
{
	return tandem_vigil_new(controller->base, controller->pair_count, on_early_end, controller,
	                        &controller->vigil, reterr_error);
}

void tandem_watch_ready(struct tandem_pair *pair, uint64_t incarnation)
{
	struct tandem_controller *controller = pair->controller;
	tandem_vigil_watch(controller->vigil, (size_t)(pair - controller->pairs),
	                   controller->options.run_directory, pair->machine.config.pair.name,
	                   incarnation);
}
