#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "core/devices.h"
#include "shell/guest_internal.h"

/* QEMU is asked which RAM it can leave out of its stream, and for everything that could write to
 * that RAM where nobody would see it. One question after the other. */

static void ask_next(struct tandem_qemu_guest *guest);

#define REFUSE(guest, ...)                                                                         \
	snprintf((guest)->memory.refusal, sizeof((guest)->memory.refusal), __VA_ARGS__)

static void decide(struct tandem_qemu_guest *guest)
{
	struct tandem_error error;

	if (guest->handler.on_memory(guest->handler.context, &guest->memory, &guest->is_shared,
	                             &error) != 0)
		tandem_qemu_control_give_up(guest, &error);
	else
		tandem_qemu_settings_migrate(guest);
}

static void ask(struct tandem_qemu_guest *guest, const char *command, const char *path,
                const char *property, tandem_qmp_answer answer)
{
	struct json_object *arguments = json_object_new_object();

	if (path)
		json_object_object_add(arguments, "path", json_object_new_string(path));
	if (property)
		json_object_object_add(arguments, "property", json_object_new_string(property));
	tandem_qemu_control_order(guest, command, arguments, answer);
}

/* ---- the backends ---- */

static void take_backend(struct tandem_qemu_guest *guest, struct json_object *value)
{
	struct tandem_qemu_memory *memory = &guest->memory;
	struct json_object *share = NULL, *size = NULL;
	const char *id = tandem_qemu_control_text(value, "id");
	struct tandem_qemu_backend *backend = &memory->backends[memory->backend_count];

	if (!json_object_is_type(value, json_type_object) ||
	    !json_object_object_get_ex(value, "share", &share) || !json_object_get_boolean(share) ||
	    !json_object_object_get_ex(value, "size", &size))
		return;
	if (memory->backend_count == TANDEM_QEMU_BACKENDS_MAX || id[0] == 0 ||
	    strlen(id) >= sizeof(backend->id)) {
		REFUSE(guest, "it has more than %u shared backends, or one without a short name",
		       TANDEM_QEMU_BACKENDS_MAX);
		return;
	}
	memcpy(backend->id, id, strlen(id) + 1);
	backend->size_bytes = (uint64_t)json_object_get_int64(size);
	memory->backend_count++;
}

static void on_backends(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	for (size_t i = 0;
	     json_object_is_type(value, json_type_array) && i < json_object_array_length(value);
	     i++)
		take_backend(guest, json_object_array_get_idx(value, i));
	if (guest->memory.backend_count == 0)
		REFUSE(guest, "its RAM is in no memory-backend-file with share=on");
	ask_next(guest);
}

/* One that is not left out of the stream, though it is shared. */
static void drop_backend(struct tandem_qemu_memory *memory, unsigned backend)
{
	memory->backend_count--;
	memory->backends[backend] = memory->backends[memory->backend_count];
}

static void on_path(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	struct tandem_qemu_memory *memory = &guest->memory;
	struct tandem_qemu_backend *backend = &memory->backends[guest->memory_question];
	const char *path;

	if (error && error->code == TANDEM_E_REFUSED &&
	    guest->phase == TANDEM_QEMU_GUEST_STARTING) {
		drop_backend(memory, guest->memory_question); /* a memfd has no path */
		if (memory->backend_count == 0)
			REFUSE(guest, "its RAM is in no memory-backend-file with share=on");
		ask_next(guest);
		return;
	}
	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	path = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
	if (strlen(path) >= sizeof(backend->path))
		REFUSE(guest, "the path of backend %.60s is too long", backend->id);
	else
		memcpy(backend->path, path, strlen(path) + 1);
	guest->memory_question++;
	ask_next(guest);
}

/* ---- who else writes ---- */

static void on_devices(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;

	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	for (size_t i = 0;
	     json_object_is_type(value, json_type_array) && i < json_object_array_length(value);
	     i++) {
		const char *type =
		        tandem_qemu_control_text(json_object_array_get_idx(value, i), "type");

		if (!tandem_qemu_device_is_known(type))
			REFUSE(guest,
			       "%.60s is not known to leave RAM alone while the guest stands still",
			       type);
	}
	guest->memory_question++;
	ask_next(guest);
}

static void on_network(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	const char *text;

	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
	if (strstr(text, "vhost-user") || strstr(text, "vhost-vdpa"))
		REFUSE(guest, "its network writes to RAM from outside QEMU (vhost-user or vdpa)");
	guest->memory_question++;
	ask_next(guest);
}

static void ask_network(struct tandem_qemu_guest *guest)
{
	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, "command-line", json_object_new_string("info network"));
	tandem_qemu_control_order(guest, "human-monitor-command", arguments, on_network);
}

/* ---- guests inside of the guest ---- */

/* KVM keeps some RAM of a guest that has guests mapped, and writes to it past QEMU's page table. */
static void on_nested(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	const bool has_none = error && error->code == TANDEM_E_REFUSED &&
	                      guest->phase == TANDEM_QEMU_GUEST_STARTING;

	if (!has_none && !tandem_qemu_control_is_starting(guest, error))
		return;
	if (json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value))
		REFUSE(guest, "its processors can run guests of their own, whose state KVM writes "
		              "to RAM unseen; -cpu ...,vmx=off,svm=off takes that away");
	guest->memory_question++;
	ask_next(guest);
}

static void on_processors(void *context, struct json_object *value,
                          const struct tandem_error *error)
{
	struct tandem_qemu_guest *guest = context;
	const char *path;

	if (!tandem_qemu_control_is_starting(guest, error))
		return;
	path = json_object_is_type(value, json_type_array)
	               ? tandem_qemu_control_text(json_object_array_get_idx(value, 0), "qom-path")
	               : "";
	if (path[0] == 0 || strlen(path) >= sizeof(guest->cpu_path))
		REFUSE(guest, "QEMU does not say what its processors are");
	else
		memcpy(guest->cpu_path, path, strlen(path) + 1);
	guest->memory_question++;
	ask_next(guest);
}

/* One question after the other. */
static void ask_nested(struct tandem_qemu_guest *guest, unsigned question)
{
	if (!guest->has_kvm || question == 3)
		decide(guest);
	else if (question == 0)
		tandem_qemu_control_order(guest, "query-cpus-fast", NULL, on_processors);
	else
		ask(guest, "qom-get", guest->cpu_path, question == 1 ? "vmx" : "svm", on_nested);
}

static void ask_next(struct tandem_qemu_guest *guest)
{
	const struct tandem_qemu_memory *memory = &guest->memory;
	char path[TANDEM_QEMU_ID_BYTES + 16];

	if (memory->refusal[0] != 0) {
		decide(guest);
	} else if (guest->memory_question < memory->backend_count) {
		snprintf(path, sizeof(path), "/objects/%s",
		         memory->backends[guest->memory_question].id);
		ask(guest, "qom-get", path, "mem-path", on_path);
	} else if (guest->memory_question == memory->backend_count) {
		ask(guest, "qom-list", "/machine/peripheral", NULL, on_devices);
	} else if (guest->memory_question == memory->backend_count + 1) {
		ask(guest, "qom-list", "/machine/peripheral-anon", NULL, on_devices);
	} else if (guest->memory_question == memory->backend_count + 2) {
		ask_network(guest);
	} else {
		ask_nested(guest, guest->memory_question - memory->backend_count - 3);
	}
}

void tandem_qemu_guest_memory_look(struct tandem_qemu_guest *guest)
{
	guest->memory = (struct tandem_qemu_memory){.backend_count = 0};
	guest->memory_question = 0;
	tandem_qemu_control_order(guest, "query-memdev", NULL, on_backends);
}
