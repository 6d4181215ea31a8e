#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>

#include "shell/guest_internal.h"

#define BANDWIDTH_BYTES_MAX (INT64_C(1) << 40) /* each second: as good as unlimited */
#define DOWNTIME_LIMIT_MS   2000               /* the largest one that QEMU takes */

/* With these QEMU sends what no secondary of COLO here reads, over more connections than one, or
 * waits for what none says. */
static const char *const unread_capabilities[] = {
        "background-snapshot",
        "compress",
        "mapped-ram",
        "multifd",
        "pause-before-switchover",
        "postcopy-preempt",
        "postcopy-ram",
        "switchover-ack",
        "xbzrle",
        "zero-copy-send",
};
#define UNREAD_COUNT (sizeof(unread_capabilities) / sizeof(unread_capabilities[0]))

void tandem_qemu_settings_add(struct json_object *list, const char *name, bool is_on)
{
	struct json_object *one = json_object_new_object();

	json_object_object_add(one, "capability", json_object_new_string(name));
	json_object_object_add(one, "state", json_object_new_boolean(is_on));
	json_object_array_add(list, one);
}

static struct json_object *capabilities(const struct tandem_qemu_guest *guest, bool is_on)
{
	struct json_object *arguments = json_object_new_object();
	struct json_object *list = json_object_new_array();

	tandem_qemu_settings_add(list, "x-colo", is_on);
	tandem_qemu_settings_add(list, "return-path",
	                         is_on ? guest->rule.has_return_path : guest->had_return_path);
	if (guest->is_shared)
		tandem_qemu_settings_add(list, "x-ignore-shared", is_on);
	if (guest->options.incoming_uri) /* they told when it was loaded */
		tandem_qemu_settings_add(list, "events", false);
	for (unsigned i = 0; i < UNREAD_COUNT; i++) {
		if (guest->had_unread & UINT32_C(1) << i)
			tandem_qemu_settings_add(list, unread_capabilities[i], !is_on);
	}
	json_object_object_add(arguments, "capabilities", list);
	return arguments;
}

static struct json_object *interval(const struct tandem_qemu_guest *guest)
{
	struct json_object *arguments = json_object_new_object();
	const uint64_t interval_ms = guest->options.interval_ns / TANDEM_NS_PER_MS;

	json_object_object_add(arguments, "x-checkpoint-delay",
	                       json_object_new_int64(interval_ms > 0 ? (int64_t)interval_ms : 1));
	return arguments;
}

static void on_migrate(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	(void)value;
	if (error && guest->phase == TANDEM_QEMU_GUEST_PROTECTED)
		tandem_qemu_control_give_up(guest, error);
}

static void on_parameters(void *context, struct json_object *value,
                          const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	struct json_object *arguments;
	char uri[TANDEM_UNIX_PATH_BYTES + 8];

	(void)value;
	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	snprintf(uri, sizeof(uri), "unix:%s", guest->stream_path);
	arguments = json_object_new_object();
	json_object_object_add(arguments, "uri", json_object_new_string(uri));
	guest->phase = TANDEM_QEMU_GUEST_PROTECTED;
	tandem_qemu_guest_stream_begin(guest);
	tandem_qemu_control_order(guest, "migrate", arguments, on_migrate);
}

/* For the last pass over its RAM QEMU stops the guest for as long as it takes by QEMU's own
 * reckoning, and that is part of what the guest may stand still. */
static int64_t downtime_limit_ms(const struct tandem_qemu_guest *guest)
{
	const uint64_t half_ms = guest->options.pause_timeout_ns / 2 / TANDEM_NS_PER_MS;

	return half_ms < DOWNTIME_LIMIT_MS ? (int64_t)half_ms : DOWNTIME_LIMIT_MS;
}

static void add_limits(struct json_object *arguments, int64_t bandwidth_bytes, int64_t downtime_ms)
{
	json_object_object_add(arguments, "max-bandwidth", json_object_new_int64(bandwidth_bytes));
	json_object_object_add(arguments, "downtime-limit", json_object_new_int64(downtime_ms));
}

static void on_capabilities(void *context, struct json_object *value,
                            const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	struct json_object *arguments;

	(void)value;
	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	arguments = interval(guest);
	add_limits(arguments, BANDWIDTH_BYTES_MAX, downtime_limit_ms(guest));
	tandem_qemu_control_order(guest, "migrate-set-parameters", arguments, on_parameters);
}

static int64_t number_of(struct json_object *value, const char *key)
{
	struct json_object *number = NULL;

	if (!json_object_is_type(value, json_type_object) ||
	    !json_object_object_get_ex(value, key, &number) ||
	    !json_object_is_type(number, json_type_int))
		return 0;
	return json_object_get_int64(number);
}

static void remember_capability(struct tandem_qemu_guest *guest, struct json_object *one)
{
	_Static_assert(UNREAD_COUNT <= 32, "a bit for each");
	const char *name = tandem_qemu_control_text(one, "capability");

	if (!tandem_qemu_control_flag(one, "state"))
		return;
	if (strcmp(name, "return-path") == 0)
		guest->had_return_path = true;
	for (unsigned i = 0; i < UNREAD_COUNT; i++) {
		if (strcmp(name, unread_capabilities[i]) == 0)
			guest->had_unread |= UINT32_C(1) << i;
	}
}

static void on_old_capabilities(void *context, struct json_object *value,
                                const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	const size_t count =
	        json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;

	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	for (size_t i = 0; i < count; i++)
		remember_capability(guest, json_object_array_get_idx(value, i));
	guest->has_settings = true;
	tandem_qemu_control_order(guest, "migrate-set-capabilities", capabilities(guest, true),
	                          on_capabilities);
}

static void on_old_parameters(void *context, struct json_object *value,
                              const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	guest->bandwidth_bytes = number_of(value, "max-bandwidth");
	guest->downtime_ms = number_of(value, "downtime-limit");
	tandem_qemu_control_order(guest, "query-migrate-capabilities", NULL, on_old_capabilities);
}

void tandem_qemu_settings_migrate(struct tandem_qemu_guest *guest)
{
	tandem_qemu_control_order(guest, "query-migrate-parameters", NULL, on_old_parameters);
}

static void on_undone(void *context, struct json_object *value, const struct tandem_error *error)
{
	(void)value;
	(void)error; /* what stays set harms nobody who does not migrate */
	tandem_qemu_control_finish(context, true);
}

static void on_capabilities_undone(void *context, struct json_object *value,
                                   const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	struct json_object *arguments;

	(void)value;
	(void)error;
	if (guest->phase != TANDEM_QEMU_GUEST_RELEASING)
		return;
	arguments = json_object_new_object();
	add_limits(arguments, guest->bandwidth_bytes, guest->downtime_ms);
	tandem_qemu_control_release_order(guest, "migrate-set-parameters", arguments, on_undone);
}

/* QEMU names what can be yanked, and a migration is that until it has put all of it away. */
static bool has_migration(struct json_object *value)
{
	const size_t count =
	        json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(tandem_qemu_control_text(json_object_array_get_idx(value, i), "type"),
		           "migration") == 0)
			return true;
	}
	return false;
}

/* QEMU takes new settings while it still puts its last migration away, and does that by the new
 * ones: given multifd back, QEMU 11.1 dies of channels that it never had. */
static void on_yankable(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	if (guest->phase != TANDEM_QEMU_GUEST_RELEASING)
		return;
	if (!error && !has_migration(value))
		tandem_qemu_control_release_order(guest, "migrate-set-capabilities",
		                                  capabilities(guest, false),
		                                  on_capabilities_undone);
	else if (error || tandem_clock_now_ns() >= guest->undo_deadline_ns)
		tandem_qemu_control_finish(guest, true);
	else
		tandem_qemu_control_undo_later(guest);
}

void tandem_qemu_settings_undo(struct tandem_qemu_guest *guest)
{
	tandem_qemu_control_release_order(guest, "query-yank", NULL, on_yankable);
}

static void on_hurried(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	(void)value;
	guest->is_hurrying = error && error->code == TANDEM_E_TIMEOUT; /* QEMU has it yet */
}

/* Setting the interval, to whatever value, has QEMU begin a checkpoint. One such command at a time:
 * when QEMU hangs there has to be room for those that free its guest. */
void tandem_qemu_guest_hurry(struct tandem_qemu_guest *guest)
{
	/* QEMU 11.1 dies of it between its first epoch and its first request. */
	const bool has_asked = guest->peer.epoch > TANDEM_QEMU_EPOCH_FIRST + 1;

	if (guest->phase == TANDEM_QEMU_GUEST_PROTECTED && has_asked && !guest->is_hurrying)
		guest->is_hurrying =
		        tandem_qmp_execute(guest->qmp, "migrate-set-parameters", interval(guest),
		                           guest->options.command_timeout_ns, on_hurried, guest,
		                           NULL) == 0;
}
