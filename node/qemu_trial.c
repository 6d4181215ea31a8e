#include "qemu_trial.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <tandem/memory.h>
#include <tandem/qemu_probe.h>
#include <tandem/unix_socket.h>
#include <unistd.h>

#include "qemu_command.h"
#include "qemu_leash.h"
#include "qemu_process.h"
#include "qemu_words.h"

#define WORDS_BYTES_MAX 4096 /* what QEMU says at its end */

struct trial {
	struct tandem_qemu_process process;
	struct tandem_qemu_restored restored;
	struct tandem_qemu_leash leash;
	char paths[TANDEM_QEMU_SOCKETS][PATH_MAX];
	int said_fd; /* QEMU's standard error: a file, for nobody reads while it starts */
};

/* In the process that becomes QEMU. */
static void run(const void *argument)
{
	const struct trial *trial = argument;

	if (dup2(trial->said_fd, STDERR_FILENO) >= 0)
		tandem_qemu_process_run(&trial->process);
	_exit(EXIT_FAILURE);
}

static int start(struct trial *trial, struct tandem_qemu_options *options, struct event_base *base,
                 struct tandem_error *reterr_error)
{
	const char *const paths[] = {trial->paths[0], trial->paths[1]};
	int code = tandem_qemu_gates_open(&options->gates, base, options->run_directory,
	                                  options->pair, reterr_error);

	if (code == 0)
		code = tandem_qemu_process_prepare(&trial->process, paths, reterr_error);
	if (code == 0)
		code = tandem_qemu_leash_open(&trial->leash, run, trial, reterr_error);
	tandem_qemu_process_forget(&trial->process);
	return code;
}

/* What QEMU has said at its end goes on to the log, and its last line is why. */
static void read_words(int fd, struct tandem_error *error)
{
	char words[WORDS_BYTES_MAX + 1], *rest = NULL, *last = NULL;
	const off_t end = lseek(fd, 0, SEEK_END);
	const off_t begin = end > WORDS_BYTES_MAX ? end - WORDS_BYTES_MAX : 0;
	const ssize_t length = pread(fd, words, WORDS_BYTES_MAX, begin);

	if (length <= 0)
		return;
	words[length] = 0;
	fputs(words, stderr);
	for (char *line = strtok_r(words, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		last = line;
	if (last)
		tandem_error_set(error, error->code, "QEMU", "%s", last);
}

static int try_qemu(struct tandem_qemu_options *options, struct event_base *base,
                    uint64_t timeout_ns, struct tandem_error *reterr_error)
{
	static struct trial trial;
	char **words = tandem_qemu_words_on_trial(options->other_words, options->run_directory);

	trial.leash = TANDEM_QEMU_LEASH_NONE;
	trial.process = (struct tandem_qemu_process){
	        .words = words,
	        .gates = &options->gates,
	        .restored = &trial.restored,
	};
	trial.restored.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < TANDEM_QEMU_SOCKETS; i++)
		snprintf(trial.paths[i], sizeof(trial.paths[i]), "%.4000s/%.60s.trial%u",
		         options->run_directory, options->pair, i);
	trial.said_fd = memfd_create("tandem-trial", MFD_CLOEXEC);
	if (!trial.process.words || trial.restored.fd < 0 || trial.said_fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "QEMU",
		                              "it cannot be started on trial");
	int code = start(&trial, options, base, reterr_error);
	if (code == 0)
		code = tandem_qemu_probe_waiting(trial.paths[0], timeout_ns, true, -1,
		                                 reterr_error);
	tandem_qemu_leash_close(&trial.leash);
	if (code != 0)
		read_words(trial.said_fd, reterr_error);
	close(trial.said_fd);
	tandem_qemu_gates_close(&options->gates);
	tandem_memory_free(words);
	for (unsigned i = 0; i < TANDEM_QEMU_SOCKETS; i++)
		(void)unlink(trial.paths[i]);
	return code;
}

int tandem_qemu_trial_say(struct tandem_qemu_options *options, uint64_t timeout_ns)
{
	struct json_object *object = json_object_new_object();
	struct tandem_error error = {.code = 0};
	struct event_base *base = event_base_new();
	/* One that listens has a guest, or is about to. */
	char other[TANDEM_QEMU_LISTENER_BYTES];
	const bool has_other = tandem_qemu_listener_find(options->qmp_path, other);

	/* A take-over that comes meanwhile needs what this one has. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!base)
		tandem_error_set(&error, TANDEM_E_MEMORY, "QEMU", "no memory");
	else if (!has_other)
		(void)try_qemu(options, base, timeout_ns, &error);
	json_object_object_add(object, "trial",
	                       json_object_new_string(has_other         ? "busy"
	                                              : error.code == 0 ? "well"
	                                                                : "failed"));
	if (error.code != 0 || has_other)
		json_object_object_add(object, "error",
		                       json_object_new_string(has_other ? other : error.detail));
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
	if (base)
		event_base_free(base);
	return error.code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
