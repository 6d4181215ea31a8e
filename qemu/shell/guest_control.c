#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>

#include "shell/guest_internal.h"

#define LATE_MAJOR                                                                                 \
	10 /* from this version on QEMU takes a restored guest's disks in 'cont' anyway */
#define START_INTERVAL_NS (200 * TANDEM_NS_PER_MS)
#define UNDO_INTERVAL_NS  (20 * TANDEM_NS_PER_MS)

static uint64_t release_limit_ns(const struct tandem_qemu_guest *guest)
{
	return 4 * guest->options.command_timeout_ns;
}

void tandem_qemu_control_finish(struct tandem_qemu_guest *guest, bool is_running)
{
	if (guest->phase == TANDEM_QEMU_GUEST_OVER)
		return;
	guest->phase = TANDEM_QEMU_GUEST_OVER;
	if (guest->end_error.detail[0] == 0 && (guest->is_restoring || guest->is_starting))
		tandem_error_set(&guest->end_error, TANDEM_E_AGAIN, "restore",
		                 "stopped before the guest ran");
	else if (guest->end_error.detail[0] == 0 && !is_running)
		tandem_error_set(&guest->end_error, TANDEM_E_TIMEOUT, "release",
		                 "QEMU has not said within %llu ms that its guest runs",
		                 (unsigned long long)(release_limit_ns(guest) / TANDEM_NS_PER_MS));
	else if (guest->end_error.detail[0] == 0)
		tandem_error_set(&guest->end_error, 0, "COLO", "%s",
		                 tandem_qemu_cause_text(TANDEM_QEMU_CAUSE_STOPPED));
	event_del(guest->release_timer);
	tandem_qemu_guest_stream_end(guest);
	guest->handler.on_end(guest->handler.context, is_running, &guest->end_error);
}

/* It cannot go on: `end_error` says why. */
void tandem_qemu_control_give_up(struct tandem_qemu_guest *guest, const struct tandem_error *error)
{
	if (guest->end_error.code == 0)
		guest->end_error = *error;
	if (guest->phase == TANDEM_QEMU_GUEST_PROTECTED)
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_STOP, 0);
	else
		tandem_qemu_control_release(guest);
}

void tandem_qemu_control_order(struct tandem_qemu_guest *guest, const char *command,
                               struct json_object *arguments, tandem_qmp_answer answer)
{
	struct tandem_error error;

	if (tandem_qmp_execute(guest->qmp, command, arguments, guest->options.command_timeout_ns,
	                       answer, guest, &error) != 0)
		tandem_qemu_control_give_up(guest, &error);
}

bool tandem_qemu_control_is_starting(struct tandem_qemu_guest *guest,
                                     const struct tandem_error *error)
{
	if (guest->phase != TANDEM_QEMU_GUEST_STARTING)
		return false;
	if (error)
		tandem_qemu_control_give_up(guest, error);
	return !error;
}

bool tandem_qemu_control_flag(struct json_object *value, const char *key)
{
	struct json_object *flag = NULL;

	return json_object_is_type(value, json_type_object) &&
	       json_object_object_get_ex(value, key, &flag) &&
	       json_object_is_type(flag, json_type_boolean) && json_object_get_boolean(flag);
}

static void expect_within(struct tandem_qemu_guest *guest, uint64_t limit_ns)
{
	const struct timeval limit = tandem_clock_timeval(limit_ns);

	event_add(guest->release_timer, &limit);
}

static bool is_incoming(struct json_object *value)
{
	struct json_object *status = NULL;

	return json_object_is_type(value, json_type_object) &&
	       json_object_object_get_ex(value, "status", &status) &&
	       json_object_is_type(status, json_type_string) &&
	       strcmp(json_object_get_string(status), "inmigrate") == 0;
}

const char *tandem_qemu_control_text(struct json_object *value, const char *key)
{
	struct json_object *text = NULL;

	if (!json_object_is_type(value, json_type_object) ||
	    !json_object_object_get_ex(value, key, &text) ||
	    !json_object_is_type(text, json_type_string))
		return "";
	return json_object_get_string(text);
}

/* Only what is certain to be read and never written counts as none. */
static bool is_written_to(struct json_object *disk)
{
	struct json_object *inserted = NULL;

	return json_object_is_type(disk, json_type_object) &&
	       json_object_object_get_ex(disk, "inserted", &inserted) &&
	       json_object_is_type(inserted, json_type_object) &&
	       !tandem_qemu_control_flag(inserted, "ro");
}

static void tell_disk(struct tandem_qemu_guest *guest, struct json_object *disk)
{
	struct json_object *inserted = json_object_object_get(disk, "inserted");
	const char *name = tandem_qemu_control_text(disk, "device");
	char text[256];

	if (name[0] == 0)
		name = tandem_qemu_control_text(disk, "qdev");
	snprintf(text, sizeof(text), "disk %.60s, %.120s", name,
	         tandem_qemu_control_text(inserted, "file"));
	if (guest->options.accepts_disks)
		guest->handler.on_gap(guest->handler.context, text);
	else
		tandem_error_set(&guest->end_error, TANDEM_E_CONFIG, "query-block",
		                 "%s: the guest can write to it, and disks are not copied: give it "
		                 "readonly=on, or say disks = \"shared\" or \"replicated\" in the "
		                 "group protect",
		                 text);
}

static void look_at_memory(struct tandem_qemu_guest *guest)
{
	if (guest->options.looks_at_memory)
		tandem_qemu_guest_memory_look(guest);
	else
		tandem_qemu_settings_migrate(guest);
}

static void on_network(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	struct tandem_error why;
	char name[128];

	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	if (!json_object_is_type(value, json_type_string) ||
	    tandem_qemu_network_has_other(json_object_get_string(value),
	                                  guest->options.network_ends,
	                                  guest->options.network_end_count, name, sizeof(name))) {
		tandem_error_set(&why, TANDEM_E_CONFIG, "info network",
		                 "the guest has a network that passes no gate: %s; needed is a "
		                 "gate for each card, whose netdev is tandem0, tandem1 and so on, "
		                 "or \"ungated\" alone",
		                 json_object_is_type(value, json_type_string) ? name : "unknown");
		tandem_qemu_control_give_up(guest, &why);
		return;
	}
	look_at_memory(guest);
}

/* QEMU tells of it to people only. */
static void look_at_network(struct tandem_qemu_guest *guest)
{
	struct json_object *arguments;

	if (guest->options.network_end_count == 0) {
		look_at_memory(guest);
		return;
	}
	arguments = json_object_new_object();
	json_object_object_add(arguments, "command-line", json_object_new_string("info network"));
	tandem_qemu_control_order(guest, "human-monitor-command", arguments, on_network);
}

static void on_disks(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	const size_t count =
	        json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;

	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	for (size_t i = 0; i < count && guest->end_error.code == 0; i++) {
		struct json_object *disk = json_object_array_get_idx(value, i);

		if (is_written_to(disk))
			tell_disk(guest, disk);
	}
	if (guest->end_error.code != 0)
		tandem_qemu_control_give_up(guest, &guest->end_error);
	else
		look_at_network(guest);
}

static void on_status(void *context, struct json_object *value, const struct tandem_error *error);

/* Whether the guest runs. Restoring a large one takes long: QEMU ends by itself if that fails, and
 * has to answer if not. */
static void look_at_status(struct tandem_qemu_guest *guest)
{
	struct tandem_error error;

	if (guest->is_looking)
		return;
	guest->is_looking = true;
	if (tandem_qmp_execute(guest->qmp, "query-status", NULL, guest->options.start_timeout_ns,
	                       on_status, guest, &error) != 0)
		tandem_qemu_control_give_up(guest, &error);
}

/* An event tells when it runs, or is restored. */
static void await(struct tandem_qemu_guest *guest)
{
	const bool has_changed = guest->has_changed;

	guest->has_changed = false;
	expect_within(guest, guest->options.start_timeout_ns);
	if (has_changed)
		look_at_status(guest);
}

static void tell_unstarted(struct tandem_qemu_guest *guest, const struct tandem_error *error)
{
	const bool is_news = guest->unstarted.code != error->code ||
	                     strcmp(guest->unstarted.detail, error->detail) != 0;

	guest->unstarted = *error;
	if (is_news && guest->handler.on_unstarted)
		guest->handler.on_unstarted(guest->handler.context, error);
}

/* QEMU takes the guest's disks for it, which may last, or which another one has yet. What counts is
 * whether the guest runs. */
static void on_continued(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	const bool is_unstarted =
	        error && (error->code == TANDEM_E_REFUSED || error->code == TANDEM_E_TIMEOUT);

	(void)value;
	if (!tandem_qemu_control_is_starting(guest, is_unstarted ? NULL : error))
		return;
	if (is_unstarted)
		tell_unstarted(guest, error);
	look_at_status(guest);
}

static void start(struct tandem_qemu_guest *guest)
{
	struct tandem_error error;

	if (tandem_qmp_execute(guest->qmp, "cont", NULL, guest->options.start_timeout_ns,
	                       on_continued, guest, &error) != 0)
		tandem_qemu_control_give_up(guest, &error);
}

/* It may be given up without a trace until here. */
static void go_on(struct tandem_qemu_guest *guest)
{
	struct tandem_error why;
	const int code = guest->handler.on_loaded(guest->handler.context, &why);

	if (code == TANDEM_E_AGAIN) {
		expect_within(guest, START_INTERVAL_NS);
		return;
	}
	if (code != 0) {
		tandem_qemu_control_give_up(guest, &why);
		return;
	}
	guest->is_restoring = false;
	guest->is_starting = true;
	start(guest);
}

/* QEMU starts a guest that it protects, whether it ran before or not. */
static void on_status(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	struct tandem_error why;

	guest->is_looking = false;
	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	const bool is_running = tandem_qemu_control_flag(value, "running");
	guest->is_awaited = is_incoming(value) || (!is_running && guest->options.awaits_guest);
	if (guest->is_awaited) {
		await(guest);
		return;
	}
	event_del(guest->release_timer);
	if (guest->is_restoring) {
		go_on(guest);
		return;
	}
	if (!is_running && guest->unstarted.code != 0) {
		expect_within(guest, START_INTERVAL_NS); /* there is no other one to go on with */
		return;
	}
	if (!is_running) {
		tandem_error_set(&why, TANDEM_E_CONFIG, "query-status",
		                 "the guest does not run, and COLO would start it: 'cont' first");
		tandem_qemu_control_give_up(guest, &why);
		return;
	}
	guest->is_starting = false;
	tandem_qemu_control_order(guest, "query-block", NULL, on_disks);
}

static void on_incoming(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	(void)value;
	if (tandem_qemu_control_is_starting(guest, error))
		look_at_status(guest);
}

static void on_incoming_capabilities(void *context, struct json_object *value,
                                     const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	struct json_object *arguments;
	struct tandem_error why;

	(void)value;
	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	if (guest->handler.on_restore(guest->handler.context, &why) != 0) {
		tandem_qemu_control_give_up(guest, &why);
		return;
	}
	arguments = json_object_new_object();
	json_object_object_add(arguments, "uri",
	                       json_object_new_string(guest->options.incoming_uri));
	tandem_qemu_control_order(guest, "migrate-incoming", arguments, on_incoming);
}

static void restore(struct tandem_qemu_guest *guest)
{
	struct json_object *arguments = json_object_new_object();
	struct json_object *list = json_object_new_array();

	tandem_qemu_settings_add(list, "events", true);
	if (guest->options.is_incoming_shared)
		tandem_qemu_settings_add(list, "x-ignore-shared", true);
	if (guest->version.major < LATE_MAJOR)
		tandem_qemu_settings_add(list, "late-block-activate", true);
	json_object_object_add(arguments, "capabilities", list);
	tandem_qemu_control_order(guest, "migrate-set-capabilities", arguments,
	                          on_incoming_capabilities);
}

static void on_kvm(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	struct tandem_error why;

	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	guest->has_kvm = tandem_qemu_control_flag(value, "enabled");
	tandem_qemu_version_judge(guest->version.major, guest->version.minor, guest->has_kvm,
	                          &guest->rule);
	if (guest->rule.verdict > guest->options.accepts) {
		tandem_error_set(&why, TANDEM_E_UNSUPPORTED, "query-version",
		                 "QEMU %u.%u.%u %s: %s", guest->version.major, guest->version.minor,
		                 guest->version.micro, guest->has_kvm ? "with KVM" : "without KVM",
		                 guest->rule.text);
		tandem_qemu_control_give_up(guest, &why);
		return;
	}
	if (guest->is_restoring)
		restore(guest);
	else
		look_at_status(guest);
}

static void on_ready(void *context, const struct tandem_qemu_numbers *version)
{
	struct tandem_qemu_guest *guest = context;

	guest->version = *version;
	if (guest->phase == TANDEM_QEMU_GUEST_STARTING)
		tandem_qemu_control_order(guest, "query-kvm", NULL, on_kvm);
	else
		tandem_qemu_control_finish(guest, false);
}

/* ---- the guest is let go ---- */

void tandem_qemu_control_release_order(struct tandem_qemu_guest *guest, const char *command,
                                       struct json_object *arguments, tandem_qmp_answer answer)
{
	struct tandem_error error;

	if (tandem_qmp_execute(guest->qmp, command, arguments, guest->options.command_timeout_ns,
	                       answer, guest, &error) != 0)
		tandem_qemu_control_finish(guest, false);
}

void tandem_qemu_control_undo_later(struct tandem_qemu_guest *guest)
{
	expect_within(guest, UNDO_INTERVAL_NS);
}

/* Once, however often it is told that the guest runs. */
static void undo(struct tandem_qemu_guest *guest)
{
	if (guest->undo_deadline_ns != 0)
		return;
	guest->undo_deadline_ns = tandem_clock_now_ns() + release_limit_ns(guest);
	event_del(guest->release_timer);
	tandem_qemu_settings_undo(guest);
}

static void on_released_status(void *context, struct json_object *value,
                               const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	/* If it does not run yet, an event tells when it does. */
	if (guest->phase != TANDEM_QEMU_GUEST_RELEASING || error)
		return;
	if (!tandem_qemu_control_flag(value, "running")) {
		if (guest->is_starting) /* nothing is to run */
			tandem_qemu_control_finish(guest, false);
		return;
	}
	guest->is_starting = false;
	if (!guest->has_settings)
		tandem_qemu_control_finish(guest, true);
	else
		undo(guest);
}

/* QEMU refuses where it was not that far, or too far already: what counts is that the guest runs.
 */
static void on_lost_heartbeat(void *context, struct json_object *value,
                              const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	(void)value;
	(void)error;
	if (guest->phase == TANDEM_QEMU_GUEST_RELEASING)
		tandem_qemu_control_release_order(guest, "query-status", NULL, on_released_status);
}

static void on_yanked(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	(void)value;
	(void)error;
	if (guest->phase == TANDEM_QEMU_GUEST_RELEASING)
		tandem_qemu_control_release_order(guest, "x-colo-lost-heartbeat", NULL,
		                                  on_lost_heartbeat);
}

static void on_release_timeout(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qemu_guest *guest = context;

	(void)fd;
	(void)what;
	if (guest->phase == TANDEM_QEMU_GUEST_RELEASING && guest->undo_deadline_ns != 0)
		tandem_qemu_settings_undo(guest);
	else if (guest->phase != TANDEM_QEMU_GUEST_STARTING)
		tandem_qemu_control_finish(guest, false);
	else if (guest->is_starting)
		start(guest);
	else
		look_at_status(guest);
}

void tandem_qemu_control_release(struct tandem_qemu_guest *guest)
{
	const bool was_told = guest->phase == TANDEM_QEMU_GUEST_PROTECTED;

	if (guest->phase >= TANDEM_QEMU_GUEST_RELEASING)
		return;
	if (guest->is_restoring) { /* nothing is to run */
		tandem_qemu_control_finish(guest, false);
		return;
	}
	guest->phase = TANDEM_QEMU_GUEST_RELEASING;
	expect_within(guest, release_limit_ns(guest));
	if (!was_told)
		tandem_qemu_control_release_order(guest, "query-status", NULL, on_released_status);
	else if (tandem_qmp_yank(guest->qmp, guest->options.command_timeout_ns, on_yanked, guest,
	                         NULL) != 0)
		tandem_qemu_control_finish(guest, false);
}

/* QEMU may have sent the event before an answer which is older. */
static void look_again(struct tandem_qemu_guest *guest)
{
	guest->has_changed = true;
	if (guest->is_awaited)
		look_at_status(guest);
}

static void time_stop(struct tandem_qemu_guest *guest, const char *name)
{
	const uint64_t now_ns = tandem_clock_now_ns();

	if (strcmp(name, "STOP") == 0)
		guest->stopped_ns = now_ns;
	if (strcmp(name, "RESUME") != 0 || guest->stopped_ns == 0)
		return;
	if (guest->handler.on_stood && guest->phase == TANDEM_QEMU_GUEST_PROTECTED)
		guest->handler.on_stood(guest->handler.context, now_ns - guest->stopped_ns);
	guest->stopped_ns = 0;
}

static void on_event(void *context, const char *name, struct json_object *data)
{
	struct tandem_qemu_guest *guest = context;

	(void)data;
	time_stop(guest, name);
	if (strcmp(name, "COLO_EXIT") == 0 && guest->phase == TANDEM_QEMU_GUEST_PROTECTED)
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_EXITED, 0);
	else if (guest->phase == TANDEM_QEMU_GUEST_STARTING &&
	         (strcmp(name, "RESUME") == 0 || strcmp(name, "MIGRATION") == 0))
		look_again(guest);
	else if (strcmp(name, "RESUME") == 0 && guest->phase == TANDEM_QEMU_GUEST_RELEASING)
		(void)tandem_qmp_execute(guest->qmp, "query-status", NULL,
		                         guest->options.command_timeout_ns, on_released_status,
		                         guest, NULL);
}

static void on_end(void *context, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	if (guest->end_error.code == 0)
		guest->end_error = *error;
	/* Nobody is left to be told anything; a torn epoch still is one. */
	if (guest->phase == TANDEM_QEMU_GUEST_PROTECTED)
		tandem_qemu_guest_stream_tell(guest, TANDEM_QEMU_EVENT_CLOSED, 0);
	tandem_qemu_control_finish(guest, false);
}

int tandem_qemu_control_open(struct tandem_qemu_guest *guest, struct tandem_error *reterr_error)
{
	const struct tandem_qmp_handler handler = {
	        .on_ready = on_ready, .on_event = on_event, .on_end = on_end, .context = guest};

	guest->is_restoring = guest->options.incoming_uri != NULL;
	guest->release_timer = evtimer_new(guest->base, on_release_timeout, guest);
	if (!guest->release_timer)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "COLO", "no memory");
	return tandem_qmp_connect(guest->base, guest->options.qmp_path,
	                          guest->options.start_timeout_ns, &handler, &guest->qmp,
	                          reterr_error);
}
