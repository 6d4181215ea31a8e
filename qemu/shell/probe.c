#include <tandem/qemu_probe.h>

#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tandem/qemu_arguments.h>
#include <tandem/qemu_version.h>
#include <unistd.h>

#include "shell/guest_internal.h"
#include "shell/qmp.h"

#define PREFIX_WORDS_MAX 16u
#define STATUS_EXEC      127
#define GOODBYE_S        2

void tandem_qemu_identity(const struct tandem_qemu_numbers *version, const char *machine,
                          char ret_text[TANDEM_QEMU_IDENTITY_BYTES])
{
	snprintf(ret_text, TANDEM_QEMU_IDENTITY_BYTES, "QEMU %u.%u.%u, machine %.40s",
	         version->major, version->minor, version->micro, machine);
}

struct probe {
	struct event_base *base;
	struct tandem_qmp *qmp;
	struct event *owner; /* who wants to know has something to say, or has ended */
	uint64_t timeout_ns;
	const char *machine; /* as the command line names it, "" where it does not */
	struct tandem_qemu_numbers version;
	char *text;
	struct tandem_error error;
	bool stays; /* when it has answered */
	bool is_over;
};

static void leave(struct probe *probe)
{
	probe->is_over = true;
	event_base_loopbreak(probe->base);
}

static void fail(struct probe *probe, const struct tandem_error *error)
{
	if (!probe->is_over)
		probe->error = *error;
	leave(probe);
}

static void on_goodbye(void *context, struct json_object *value, const struct tandem_error *error)
{
	(void)context;
	(void)value;
	(void)error;
}

/* What starts QEMU may have forked: it is told to end, for killing that would leave it behind. */
static void say_goodbye(struct probe *probe)
{
	const struct timeval patience = {.tv_sec = GOODBYE_S};
	struct tandem_error error;

	probe->is_over = true;
	if (tandem_qmp_execute(probe->qmp, "quit", NULL, probe->timeout_ns, on_goodbye, probe,
	                       &error) != 0 ||
	    event_base_loopexit(probe->base, &patience) != 0)
		leave(probe);
}

/* By its name, by another name of it, or by none: the one that QEMU takes then. */
static bool is_meant(struct json_object *machine, const char *name)
{
	struct json_object *is_default = NULL;

	if (name[0] == 0)
		return json_object_is_type(machine, json_type_object) &&
		       json_object_object_get_ex(machine, "is-default", &is_default) &&
		       json_object_get_boolean(is_default);
	return strcmp(tandem_qemu_control_text(machine, "name"), name) == 0 ||
	       strcmp(tandem_qemu_control_text(machine, "alias"), name) == 0;
}

static void on_machines(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct probe *probe = context;
	const size_t count =
	        json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
	size_t at = 0;

	if (error) {
		fail(probe, error);
		return;
	}
	while (at < count && !is_meant(json_object_array_get_idx(value, at), probe->machine))
		at++;
	if (at == count)
		tandem_error_set(&probe->error, TANDEM_E_CONFIG, "query-machines",
		                 "QEMU %u.%u.%u knows no machine \"%.60s\"", probe->version.major,
		                 probe->version.minor, probe->version.micro, probe->machine);
	else
		tandem_qemu_identity(
		        &probe->version,
		        tandem_qemu_control_text(json_object_array_get_idx(value, at), "name"),
		        probe->text);
	say_goodbye(probe);
}

static void on_ready(void *context, const struct tandem_qemu_numbers *version)
{
	struct probe *probe = context;
	struct tandem_error error;

	probe->version = *version;
	if (tandem_qmp_execute(probe->qmp, "query-machines", NULL, probe->timeout_ns, on_machines,
	                       probe, &error) != 0)
		fail(probe, &error);
}

static void on_event(void *context, const char *name, struct json_object *data)
{
	(void)context;
	(void)name;
	(void)data;
}

static void on_end(void *context, const struct tandem_error *error)
{
	fail(context, error);
}

static void on_status(void *context, struct json_object *value, const struct tandem_error *error)
{
	struct probe *probe = context;

	if (error) {
		fail(probe, error);
		return;
	}
	if (strcmp(tandem_qemu_control_text(value, "status"), "inmigrate") != 0)
		tandem_error_set(&probe->error, TANDEM_E_CONFIG, "query-status",
		                 "it is \"%.60s\" instead of waiting for its guest",
		                 tandem_qemu_control_text(value, "status"));
	if (probe->stays)
		leave(probe);
	else
		say_goodbye(probe);
}

static void on_started(void *context, const struct tandem_qemu_numbers *version)
{
	struct probe *probe = context;
	struct tandem_error error;

	(void)version;
	if (tandem_qmp_execute(probe->qmp, "query-status", NULL, probe->timeout_ns, on_status,
	                       probe, &error) != 0)
		fail(probe, &error);
}

/* The child, with a process group of its own; never returns. */
static void become_qemu(char *const *words, int fd, pid_t parent)
{
	static const char *const more[] = {"-machine", "none", "-nodefaults", "-no-user-config",
	                                   "-display", "none", "-S",          "-qmp",
	                                   "stdio"};
	const size_t count = sizeof(more) / sizeof(more[0]);
	size_t prefix = tandem_qemu_arguments_program(words) + 1;
	const char *line[PREFIX_WORDS_MAX + sizeof(more) / sizeof(more[0]) + 1];

	prefix = prefix <= PREFIX_WORDS_MAX ? prefix : 1;
	for (size_t i = 0; i < prefix; i++)
		line[i] = words[i];
	memcpy(line + prefix, more, sizeof(more));
	line[prefix + count] = NULL;
	signal(SIGPIPE, SIG_DFL);
	if (setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
	    dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
		execvp(line[0], (char *const *)(uintptr_t)line);
	_exit(STATUS_EXEC);
}

static int converse(struct probe *probe, int fd, struct tandem_error *reterr_error)
{
	const struct tandem_qmp_handler handler = {
	        .on_ready = on_ready, .on_event = on_event, .on_end = on_end, .context = probe};
	int code = tandem_qmp_open(probe->base, fd, probe->timeout_ns, &handler, &probe->qmp,
	                           reterr_error);

	if (code != 0)
		return code;
	event_base_dispatch(probe->base);
	tandem_qmp_close(probe->qmp);
	*reterr_error = probe->error;
	return probe->error.code;
}

static int ask(struct probe *probe, char *const *words, struct tandem_error *reterr_error)
{
	const pid_t parent = getpid();
	int ends[2], status;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "QEMU",
		                              "no sockets");
	const pid_t process = fork();
	if (process == 0)
		become_qemu(words, ends[1], parent);
	close(ends[1]);
	if (process < 0) {
		close(ends[0]);
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "QEMU",
		                              "no process");
	}
	int code = converse(probe, ends[0], reterr_error);
	if (kill(-process, SIGKILL) != 0)
		kill(process, SIGKILL); /* it has not got that far */
	if (waitpid(process, &status, 0) == process && code != 0 && WIFEXITED(status) &&
	    WEXITSTATUS(status) == STATUS_EXEC)
		code = tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "QEMU",
		                        "%.100s cannot be started",
		                        words[tandem_qemu_arguments_program(words)]);
	return code;
}

int tandem_qemu_probe(char *const *words, uint64_t timeout_ns,
                      char ret_text[TANDEM_QEMU_IDENTITY_BYTES], struct tandem_error *reterr_error)
{
	char machine[TANDEM_QEMU_MACHINE_BYTES];
	struct probe probe = {
	        .base = event_base_new(),
	        .timeout_ns = timeout_ns,
	        .machine = machine,
	        .text = ret_text,
	};

	if (!probe.base)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "QEMU", "no memory");
	tandem_qemu_arguments_machine(words, machine);
	const int code = ask(&probe, words, reterr_error);
	event_base_free(probe.base);
	return code;
}

/* What the owner has said is read by others, later. */
static void on_owner(evutil_socket_t fd, short what, void *context)
{
	struct probe *probe = context;
	struct tandem_error error;
	char byte;

	(void)what;
	event_del(probe->owner);
	if (recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) > 0)
		return;
	tandem_error_set(&error, TANDEM_E_PEER_LOST, "QEMU", "who started it has ended");
	fail(probe, &error);
}

static bool watch_owner(struct probe *probe, int owner_fd)
{
	if (owner_fd < 0)
		return true;
	probe->owner = event_new(probe->base, owner_fd, EV_READ, on_owner, probe);
	return probe->owner && event_add(probe->owner, NULL) == 0;
}

int tandem_qemu_probe_waiting(const char *qmp_path, uint64_t timeout_ns, bool ends, int owner_fd,
                              struct tandem_error *reterr_error)
{
	struct probe probe = {.base = event_base_new(), .timeout_ns = timeout_ns, .stays = !ends};
	const struct tandem_qmp_handler handler = {
	        .on_ready = on_started, .on_event = on_event, .on_end = on_end, .context = &probe};
	int code;

	if (!probe.base || !watch_owner(&probe, owner_fd))
		code = tandem_error_set(reterr_error, TANDEM_E_MEMORY, "QEMU", "no memory");
	else
		code = tandem_qmp_connect(probe.base, qmp_path, timeout_ns, &handler, &probe.qmp,
		                          reterr_error);
	if (code == 0) {
		event_base_dispatch(probe.base);
		tandem_qmp_close(probe.qmp);
		*reterr_error = probe.error;
		code = probe.error.code;
	}
	if (probe.owner)
		event_free(probe.owner);
	if (probe.base)
		event_base_free(probe.base);
	return code;
}
