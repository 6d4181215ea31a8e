#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/log.h>
#include <tandem/quantity.h>
#include <unistd.h>

#include "qemu_gates.h"
#include "qemu_keeper.h"
#include "qemu_process.h"
#include "qemu_watch.h"

#define START_TIMEOUT_NS   (60 * TANDEM_NS_PER_S) /* a large guest's memory may be made meanwhile */
#define COMMAND_TIMEOUT_NS (5 * TANDEM_NS_PER_S)
#define END_TIMEOUT_S      10
#define STATUS_NOT_LEADER  3

static const char help[] =
        "tandem-qemu: an unmodified QEMU whose guest Tandem keeps alive on a second host\n"
        "\n"
        "usage: tandem-qemu --pair PAIR --gate user:TAP [options] -- QEMU [ARGUMENT...]\n"
        "\n"
        "  --pair PAIR       the pair of the configuration file that this guest is\n"
        "  --gate user:TAP   what the guest sends leaves by the tap interface TAP, which exists,\n"
        "                    when its epoch is committed; what comes passes at once. QEMU's "
        "netdev\n"
        "                    for it is tandem0, of a second --gate tandem1, and so on to tandem7\n"
        "  --gate plug:TAP   the same by the kernel's queue sch_plug; QEMU has the tap itself\n"
        "  --gate user:/PATH the same by the datagram socket of another program, a frame each\n"
        "  --ungated         what the guest sends leaves at once, so that after a take-over "
        "others\n"
        "                    may know more of the guest than it does itself\n"
        "  --run-dir DIR     where the controller's socket is (default /run/tandem)\n"
        "  --memory WAY      shared: the guest's RAM is read where QEMU has it, which takes\n"
        "                    -object memory-backend-file,id=ID,size=...,share=on with a mem-path\n"
        "                    on /dev/shm, and -machine memory-backend=ID; stream: QEMU sends it;\n"
        "                    auto (default): shared where that is exact, else stream, and a log\n"
        "                    line says why\n"
        "  --interval MS     from one epoch to the next (default 100)\n"
        "  --pause-limit MS  how long an epoch may hold the guest; it then runs on without\n"
        "                    protection, which begins anew (default 10000)\n"
        "  --allow-untested  also versions of QEMU that Tandem's tests do not run\n"
        "  --help            this text\n"
        "\n"
        "QEMU is started with the arguments and a control socket, and ends with this program. "
        "Both\n"
        "nodes use the same command, with the same version of QEMU. Started by tandemd to take\n"
        "over, it makes the guest of the last epoch. Disks must be on storage that both nodes\n"
        "share and that fencing guards, or the guest must have none that it writes to: they are\n"
        "not copied. state_bytes_max of the pair has to hold the state of the guest's devices: 16\n"
        "KiB to a few hundred, and 128 KiB more for each IDE disk that is being read. Set it to\n"
        "1048576.\n"
        "\n"
        "examples:\n"
        "  ip tuntap add vm1 mode tap && ip link set vm1 master br0 up\n"
        "  tandem-qemu --pair vm1 --gate user:vm1 -- qemu-system-x86_64 -accel kvm -m 1G\n"
        "    -nodefaults -display none -device virtio-net-pci,netdev=tandem0 -cdrom live.iso\n"
        "  promote = { command = \"exec $TANDEM_BIN_DIR/tandem-qemu --pair $TANDEM_PAIR\"\n"
        "    \" --run-dir $TANDEM_RUN_DIR --gate user:vm1 -- qemu-system-x86_64 -accel kvm ...\";"
        " };\n"
        "\n"
        "exit status: 0 ended by a signal or by the guest, 1 failed, 2 wrong use, 3 another node\n"
        "leads\n";

struct program {
	const char *pair;
	const char *run_directory;
	bool is_ungated;
	struct tandem_qemu_gates gates;
	struct tandem_qemu_guest_options options;
	char *const *words; /* QEMU's command line */
	char qmp_path[PATH_MAX];
	char watch_path[PATH_MAX];
	char stream_path[PATH_MAX];
	struct tandem_qemu_keeper keeper;
	struct tandem_qemu_restored restored;
	char incoming_uri[16];
	struct event *signals[3];
	struct event *end_timer;
	pid_t qemu; /* 0: it has ended */
	pid_t watch;
	bool is_ending;
	int status;
};

static int refuse(const char *why)
{
	fprintf(stderr, "tandem-qemu: %s\n\n%s", why, help);
	return 2;
}

static bool read_ms(const char *text, uint64_t *ret_ns)
{
	char *end;

	errno = 0;
	const unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != 0 || *text == '-' || value == 0 || value > 3600000)
		return false;
	*ret_ns = value * TANDEM_NS_PER_MS;
	return true;
}

/* A network that QEMU has on its own passes no gate. */
static bool has_network(char *const *words)
{
	static const char *const names[] = {"netdev", "nic", "net"};

	for (; *words && words[1]; words++) {
		const char *name = *words + strspn(*words, "-");

		for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]) && **words == '-'; i++) {
			if (strcmp(name, names[i]) == 0 && strcmp(words[1], "none") != 0)
				return true;
		}
	}
	return false;
}

/* As parse(). */
static int judge_network(const struct program *program)
{
	if (program->is_ungated == (program->gates.count > 0))
		return 1 + refuse("say what the guest's network is: --gate for each of its cards, "
		                  "or --ungated if what it sends may leave at once");
	if (!program->is_ungated && has_network(program->words))
		return 1 + refuse("with --gate QEMU's own -netdev, -nic and -net are refused: what "
		                  "they send passes no gate. A card is -device ...,netdev=tandem0");
	return 0;
}

/* 0, or the exit status and one more. */
static int parse(struct program *program, int argument_count, char **arguments)
{
	static const struct option names[] = {{"pair", required_argument, NULL, 'p'},
	                                      {"run-dir", required_argument, NULL, 'r'},
	                                      {"ungated", no_argument, NULL, 'u'},
	                                      {"gate", required_argument, NULL, 'g'},
	                                      {"memory", required_argument, NULL, 'm'},
	                                      {"interval", required_argument, NULL, 'i'},
	                                      {"pause-limit", required_argument, NULL, 'l'},
	                                      {"allow-untested", no_argument, NULL, 'a'},
	                                      {"help", no_argument, NULL, 'h'},
	                                      {NULL, 0, NULL, 0}};
	struct tandem_qemu_guest_options *options = &program->options;
	int option;

	while ((option = getopt_long(argument_count, arguments, "+", names, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return 1;
		} else if (option == 'p') {
			program->pair = optarg;
		} else if (option == 'r') {
			program->run_directory = optarg;
		} else if (option == 'u') {
			program->is_ungated = true;
		} else if (option == 'g') {
			if (!tandem_qemu_gates_add(&program->gates, optarg))
				return 1 + refuse("--gate takes user:TAP, user:/PATH or plug:TAP, "
				                  "and there are at most 8");
		} else if (option == 'a') {
			options->accepts = TANDEM_QEMU_UNTESTED;
		} else if (option == 'm') {
			if (!tandem_qemu_way_read(optarg, &program->keeper.way))
				return 1 + refuse("--memory is auto, stream or shared");
		} else if (option == '?' ||
		           !read_ms(optarg, option == 'i' ? &options->interval_ns
		                                          : &options->pause_timeout_ns)) {
			return 1 + refuse("milliseconds from 1 to 3600000 are needed, or there is "
			                  "no such option");
		}
	}
	program->words = arguments + optind;
	if (!program->pair || optind == argument_count)
		return 1 + refuse("--pair and, behind --, QEMU's command line are needed");
	return judge_network(program);
}

static void on_end_timeout(evutil_socket_t fd, short what, void *context)
{
	struct program *program = context;

	(void)fd;
	(void)what;
	if (program->qemu > 0)
		kill(program->qemu, SIGKILL);
}

/* QEMU ends as by its power button's owner: it writes what it has, and the loop goes on until it is
 * gone. */
static void end_qemu(struct program *program)
{
	const struct timeval limit = {.tv_sec = END_TIMEOUT_S};

	program->is_ending = true;
	if (program->qemu <= 0)
		return;
	kill(program->qemu, SIGTERM);
	event_add(program->end_timer, &limit);
	event_base_dispatch(program->keeper.base);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
	struct program *program = context;

	(void)number;
	(void)what;
	if (!program->keeper.is_stopping)
		tandem_qemu_keeper_stop(&program->keeper);
}

static void on_child(evutil_socket_t number, short what, void *context)
{
	struct program *program = context;
	int status;
	pid_t child;

	(void)number;
	(void)what;
	while ((child = waitpid(-1, &status, WNOHANG)) > 0) {
		const bool is_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;

		if (!is_well && !program->is_ending)
			tandem_log(TANDEM_LOG_ERROR, "%s ended with status %d",
			           child == program->qemu    ? "QEMU"
			           : child == program->watch ? "the watch of the guest"
			                                     : "what restores the guest",
			           WIFEXITED(status) ? WEXITSTATUS(status)
			                             : 128 + WTERMSIG(status));
		if (child != program->qemu)
			continue;
		program->qemu = 0;
		program->status = is_well || program->is_ending ? EXIT_SUCCESS : EXIT_FAILURE;
		event_base_loopbreak(program->keeper.base);
	}
}

static bool catch (struct program *program)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGCHLD};

	for (unsigned i = 0; i < 3; i++) {
		program->signals[i] =
		        evsignal_new(program->keeper.base, numbers[i],
		                     numbers[i] == SIGCHLD ? on_child : on_signal, program);
		if (!program->signals[i] || event_add(program->signals[i], NULL) != 0)
			return false;
	}
	program->end_timer = evtimer_new(program->keeper.base, on_end_timeout, program);
	return program->end_timer != NULL;
}

static void on_restore(void *argument)
{
	tandem_qemu_restored_use(argument);
}

static void share(struct program *program)
{
	program->keeper.process = program->qemu;
	program->keeper.on_restore = on_restore;
	program->keeper.argument = &program->restored;
	if (program->restored.shared_count == 0)
		return;
	snprintf(program->incoming_uri, sizeof(program->incoming_uri), "fd:%d",
	         program->restored.fd);
	program->options.incoming_uri = program->incoming_uri;
}

/* Who may not lead starts no guest; processes come before there are threads. */
static int start(struct program *program, struct tandem_error *reterr_error)
{
	struct tandem_options options = TANDEM_OPTIONS_DEFAULT;
	struct tandem_recovery recovery;
	int code = 0;

	options.pair = program->pair;
	options.run_directory = program->run_directory;
	program->keeper.base = event_base_new();
	if (!program->keeper.base || !catch (program))
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "start", "no memory");
	if (tandem_recovery_read(&recovery))
		code = tandem_qemu_restore_start(&recovery, &program->restored, reterr_error);
	if (code == 0)
		code = tandem_open(&options, &program->keeper.tandem, reterr_error);
	if (code == 0)
		code = tandem_qemu_gates_open(&program->gates, program->keeper.base,
		                              program->run_directory, program->pair, reterr_error);
	if (code == 0)
		code = tandem_qemu_process_start(
		        program->words, &program->gates,
		        (const char *const[]){program->qmp_path, program->watch_path},
		        &program->restored, &program->qemu, reterr_error);
	if (code == 0)
		code = tandem_qemu_watch_start(program->watch_path, &program->options,
		                               &program->watch, reterr_error);
	if (code == 0)
		share(program);
	if (code == 0)
		code = tandem_qemu_keeper_open(&program->keeper, &program->options, reterr_error);
	return code;
}

static void end(struct program *program)
{
	tandem_qemu_keeper_close(&program->keeper);
	tandem_qemu_gates_close(&program->gates);
	for (unsigned i = 0; i < 3; i++) {
		if (program->signals[i])
			event_free(program->signals[i]);
	}
	if (program->end_timer)
		event_free(program->end_timer);
	if (program->keeper.base)
		event_base_free(program->keeper.base);
	(void)unlink(program->qmp_path);
	(void)unlink(program->watch_path);
}

static int run(struct program *program)
{
	struct tandem_error error = {.code = 0};
	int code = start(program, &error);

	if (code == 0) {
		event_base_dispatch(program->keeper.base);
		code = program->keeper.code;
	} else {
		tandem_log(TANDEM_LOG_ERROR, "%s: %s", error.operation, error.detail);
	}
	/* A guest that may not lead has no time left for anything. */
	if (program->qemu > 0 && code == TANDEM_E_NOT_LEADER)
		kill(program->qemu, SIGKILL);
	if (program->qemu > 0)
		end_qemu(program);
	end(program);
	if (code != 0)
		return code == TANDEM_E_NOT_LEADER ? STATUS_NOT_LEADER : EXIT_FAILURE;
	return program->status;
}

int main(int argument_count, char **arguments)
{
	static struct program program = {
	        .run_directory = "/run/tandem",
	        .restored = {.fd = -1},
	        .options = {.interval_ns = 100 * TANDEM_NS_PER_MS,
	                    .pause_timeout_ns = 10 * TANDEM_NS_PER_S,
	                    .start_timeout_ns = START_TIMEOUT_NS,
	                    .command_timeout_ns = COMMAND_TIMEOUT_NS},
	};
	const int refused = parse(&program, argument_count, arguments);

	if (refused != 0)
		return refused - 1;
	snprintf(program.qmp_path, sizeof(program.qmp_path), "%s/%s.qmp", program.run_directory,
	         program.pair);
	snprintf(program.watch_path, sizeof(program.watch_path), "%s/%s.watch",
	         program.run_directory, program.pair);
	snprintf(program.stream_path, sizeof(program.stream_path), "%s/%s.stream",
	         program.run_directory, program.pair);
	program.keeper.gates = &program.gates;
	program.options.qmp_path = program.qmp_path;
	program.options.stream_path = program.stream_path;
	signal(SIGPIPE, SIG_IGN);
	tandem_log_open("tandem-qemu");
	tandem_failpoint_load();
	return run(&program);
}
