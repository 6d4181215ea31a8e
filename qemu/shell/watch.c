#include <tandem/qemu_watch.h>

#include <event2/event.h>
#include <json-c/json.h>
#include <string.h>
#include <tandem/clock.h>

#include "shell/qmp.h"

#define ASK_NS   (100 * TANDEM_NS_PER_MS) /* what for it stands still; a main loop may be silent */
#define AGAIN_NS (50 * TANDEM_NS_PER_MS)
#define GRACE_NS (50 * TANDEM_NS_PER_MS) /* for who protects it to do it itself */

struct watch {
	struct tandem_qemu_watch_options options;
	struct event_base *base;
	struct event *timer;
	struct tandem_qmp *qmp;
	uint64_t stopped_ns; /* since when the guest stands still; 0: it runs */
	bool is_asked;       /* what for, and it is for a checkpoint */
	struct tandem_error end_error;
};

static void arm(struct watch *watch, uint64_t left_ns)
{
	const struct timeval left = tandem_clock_timeval(left_ns);

	event_add(watch->timer, &left);
}

static uint64_t limit_ns(const struct watch *watch)
{
	return watch->options.pause_timeout_ns + GRACE_NS;
}

static uint64_t ask_ns(const struct watch *watch)
{
	const uint64_t half_ns = limit_ns(watch) / 2;

	return half_ns < ASK_NS ? half_ns : ASK_NS;
}

static void on_lost_heartbeat(void *context, struct json_object *value,
                              const struct tandem_error *error)
{
	(void)context;
	(void)value;
	(void)error; /* an event tells when the guest runs, and if it does not there is another try
	              */
}

static void on_yanked(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct watch *watch = context;

	(void)value;
	(void)error; /* there may be nothing to yank any more */
	(void)tandem_qmp_execute(watch->qmp, "x-colo-lost-heartbeat", NULL,
	                         watch->options.command_timeout_ns, on_lost_heartbeat, watch, NULL);
}

/* True where QEMU's answer says that it is no checkpoint for which the guest stands still. */
static bool is_elsewhere(struct json_object *value)
{
	struct json_object *status = NULL;

	return json_object_is_type(value, json_type_object) &&
	       json_object_object_get_ex(value, "status", &status) &&
	       json_object_is_type(status, json_type_string) &&
	       strcmp(json_object_get_string(status), "colo") != 0 &&
	       strcmp(json_object_get_string(status), "finish-migrate") != 0;
}

static void release(struct watch *watch)
{
	if (!watch->options.on_release(watch->options.context,
	                               tandem_clock_now_ns() - watch->stopped_ns)) {
		arm(watch, AGAIN_NS);
		return;
	}
	watch->is_asked = false;
	(void)tandem_qmp_yank(watch->qmp, watch->options.command_timeout_ns, on_yanked, watch,
	                      NULL);
	arm(watch, watch->options.command_timeout_ns);
}

/* QEMU that does not answer sends RAM to somebody who does not read it. */
static void on_status(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct watch *watch = context;
	const uint64_t stood_ns = tandem_clock_now_ns() - watch->stopped_ns;

	if (watch->stopped_ns == 0 || (error && error->code != TANDEM_E_TIMEOUT) ||
	    (!error && is_elsewhere(value)))
		return;
	watch->is_asked = true;
	if (stood_ns >= limit_ns(watch))
		release(watch);
	else
		arm(watch, limit_ns(watch) - stood_ns);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct watch *watch = context;

	(void)fd;
	(void)what;
	if (watch->is_asked)
		release(watch);
	else if (tandem_qmp_execute(watch->qmp, "query-status", NULL, ask_ns(watch), on_status,
	                            watch, NULL) != 0)
		arm(watch, ask_ns(watch)); /* earlier ones are not answered yet */
}

static void on_ready(void *context, const struct tandem_qemu_numbers *version)
{
	(void)context;
	(void)version;
}

static void on_event(void *context, const char *name, struct json_object *data)
{
	struct watch *watch = context;

	(void)data;
	if (strcmp(name, "STOP") == 0) {
		watch->stopped_ns = tandem_clock_now_ns();
		arm(watch, limit_ns(watch) - ask_ns(watch));
	} else if (strcmp(name, "RESUME") == 0) {
		watch->stopped_ns = 0;
		watch->is_asked = false;
		event_del(watch->timer);
	}
}

static void on_end(void *context, const struct tandem_error *error)
{
	struct watch *watch = context;

	watch->end_error = *error;
	event_base_loopbreak(watch->base);
}

static int open_watch(struct watch *watch, struct tandem_error *reterr_error)
{
	const struct tandem_qmp_handler handler = {
	        .on_ready = on_ready, .on_event = on_event, .on_end = on_end, .context = watch};

	watch->base = event_base_new();
	watch->timer = watch->base ? evtimer_new(watch->base, on_timer, watch) : NULL;
	if (!watch->timer)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "watch", "no memory");
	return tandem_qmp_connect(watch->base, watch->options.qmp_path,
	                          watch->options.start_timeout_ns, &handler, &watch->qmp,
	                          reterr_error);
}

int tandem_qemu_watch_run(const struct tandem_qemu_watch_options *options,
                          struct tandem_error *reterr_error)
{
	struct watch watch = {.options = *options};
	int code = open_watch(&watch, reterr_error);

	if (code == 0) {
		event_base_dispatch(watch.base);
		code = watch.end_error.code == TANDEM_E_PEER_LOST ? 0 : watch.end_error.code;
		if (code != 0 && reterr_error)
			*reterr_error = watch.end_error;
	}
	tandem_qmp_close(watch.qmp);
	if (watch.timer)
		event_free(watch.timer);
	if (watch.base)
		event_base_free(watch.base);
	return code;
}
