#include <criterion/criterion.h>

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <tandem/qemu_probe.h>
#include <unistd.h>

#include "fake_qemu.h"

#define LONG_NS (20 * TANDEM_NS_PER_S)

/* A QEMU as far as it is asked. */
static const char script[] =
        "#!/bin/sh\n"
        "echo '{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 3, \"minor\": 1, \"major\": 11}},"
        " \"capabilities\": [\"oob\"]}}'\n"
        "while read -r line; do\n"
        "  id=$(echo \"$line\" | sed 's/.*\"id\": *\\([0-9]*\\).*/\\1/')\n"
        "  case $line in\n"
        "  *query-machines*) value='[{\"name\": \"pc-q35-11.1\", \"alias\": \"q35\"},"
        " {\"name\": \"pc-i440fx-11.1\", \"is-default\": true, \"alias\": \"pc\"}]' ;;\n"
        "  *) value={} ;;\n"
        "  esac\n"
        "  echo \"{\\\"return\\\": $value, \\\"id\\\": $id}\"\n"
        "  case $line in *quit*) exit ;; esac\n"
        "done\n"
        "sleep 60\n";

static char folder[] = "/tmp/tandem-probe-XXXXXX";
static char path[64], text[TANDEM_QEMU_IDENTITY_BYTES];
static struct tandem_error error;

static void make(const char *content)
{
	signal(SIGPIPE, SIG_IGN);
	cr_assert_not_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/qemu-system-fake", folder);
	FILE *file = fopen(path, "w");
	cr_assert(file && fputs(content, file) >= 0 && fclose(file) == 0);
	cr_assert_eq(chmod(path, 0700), 0);
}

static void end(void)
{
	cr_expect_eq(unlink(path), 0);
	cr_expect_eq(rmdir(folder), 0);
}

static int probe(const char *machine, uint64_t timeout_ns)
{
	const char *const words[] = {"env", path, "-m", "1G", machine ? "-M" : NULL, machine, NULL};

	error = (struct tandem_error){.code = 0};
	return tandem_qemu_probe((char *const *)(uintptr_t)words, timeout_ns, text, &error);
}

Test(qemu_probe, the_machine_has_its_full_name)
{
	make(script);
	cr_assert_eq(probe("q35", LONG_NS), 0, "%s", error.detail);
	cr_expect_str_eq(text, "QEMU 11.1.3, machine pc-q35-11.1");
	cr_assert_eq(probe("pc-i440fx-11.1", LONG_NS), 0, "%s", error.detail);
	cr_expect_str_eq(text, "QEMU 11.1.3, machine pc-i440fx-11.1");
	cr_assert_eq(probe(NULL, LONG_NS), 0, "%s", error.detail);
	cr_expect_str_eq(text, "QEMU 11.1.3, machine pc-i440fx-11.1");
	end();
}

Test(qemu_probe, a_machine_that_it_has_not_is_named)
{
	make(script);
	cr_assert_eq(probe("pc-q35-99.0", LONG_NS), TANDEM_E_CONFIG);
	cr_expect_str_eq(error.detail, "QEMU 11.1.3 knows no machine \"pc-q35-99.0\"");
	end();
}

Test(qemu_probe, one_that_says_nothing_or_ends_or_is_not_there_is_an_error)
{
	const char *const words[] = {"/nowhere/qemu-fake", NULL};

	make("#!/bin/sh\nexec sleep 60\n");
	cr_expect_eq(probe(NULL, 300 * TANDEM_NS_PER_MS), TANDEM_E_TIMEOUT);
	end();
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
	make("#!/bin/sh\nexit 1\n");
	cr_expect_lt(probe(NULL, LONG_NS), 0);
	end();
	cr_expect_eq(tandem_qemu_probe((char *const *)(uintptr_t)words, LONG_NS, text, &error),
	             TANDEM_E_SYSTEM);
	cr_expect_not_null(strstr(error.detail, "/nowhere/qemu-fake cannot be started"), "%s",
	                   error.detail);
}

/* All that were started have ended when nobody has the other end of the pipe any more. */
static bool is_alone(int read_end)
{
	struct pollfd end = {.fd = read_end, .events = POLLIN};

	return poll(&end, 1, 10000) == 1 && (end.revents & POLLHUP) != 0;
}

static void make_behind(const char *wrapper, const char *content)
{
	char text_of_both[2048];

	snprintf(text_of_both, sizeof(text_of_both),
	         "#!/bin/sh\nif [ \"$INNER\" != 1 ]; then export INNER=1; %s; exit; fi\n%s",
	         wrapper, content);
	make(text_of_both);
}

Test(qemu_probe, one_behind_a_program_that_forks_is_not_left_behind)
{
	int ends[2];

	make_behind("setsid -w \"$0\" \"$@\"", script);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(probe("q35", LONG_NS), 0, "%s", error.detail);
	close(ends[1]);
	cr_expect(is_alone(ends[0]));
	close(ends[0]);
	end();
}

Test(qemu_probe, one_that_hangs_behind_such_a_program_is_not_either)
{
	int ends[2];

	make_behind("\"$0\" \"$@\"", "sleep 60\n");
	cr_assert_eq(pipe(ends), 0);
	cr_expect_eq(probe(NULL, 300 * TANDEM_NS_PER_MS), TANDEM_E_TIMEOUT);
	close(ends[1]);
	cr_expect(is_alone(ends[0]));
	close(ends[0]);
	end();
}

/* In a process of its own. */
static int ask_waiting(const char *status)
{
	static struct fake_qemu qemu;
	struct event_base *base = event_base_new();

	fake_qemu_open(&qemu, base);
	qemu.status = status;
	const pid_t process = fork();
	if (process == 0) {
		event_reinit(base);
		event_base_dispatch(base);
		_exit(0);
	}
	error = (struct tandem_error){.code = 0};
	const int code = tandem_qemu_probe_waiting(qemu.qmp_path, LONG_NS, false, -1, &error);
	kill(process, SIGKILL);
	waitpid(process, NULL, 0);
	fake_qemu_close(&qemu);
	event_base_free(base);
	return code;
}

/* A QEMU that hangs at its start, and who started it is killed or says something. */
Test(qemu_probe, a_hanging_one_is_waited_for_only_while_somebody_wants_it)
{
	static struct fake_qemu qemu;
	struct event_base *base = event_base_new();
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	fake_qemu_open(&qemu, base); /* nobody runs its loop */
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	cr_expect_eq(tandem_qemu_probe_waiting(qemu.qmp_path, 100 * TANDEM_NS_PER_MS, false,
	                                       ends[0], &error),
	             TANDEM_E_TIMEOUT);
	char byte;
	cr_expect_eq(read(ends[0], &byte, 1), 1, "what was said is others' to read");
	close(ends[1]);
	cr_expect_eq(tandem_qemu_probe_waiting(qemu.qmp_path, LONG_NS, false, ends[0], &error),
	             TANDEM_E_PEER_LOST);
	close(ends[0]);
	fake_qemu_close(&qemu);
	event_base_free(base);
}

Test(qemu_probe, one_that_waits_for_its_guest_is_told_from_one_that_does_not)
{
	signal(SIGPIPE, SIG_IGN);
	cr_expect_eq(ask_waiting("inmigrate"), 0, "%s", error.detail);
	cr_expect_eq(ask_waiting("prelaunch"), TANDEM_E_CONFIG);
	cr_expect_str_eq(error.detail, "it is \"prelaunch\" instead of waiting for its guest");
	cr_expect_eq(tandem_qemu_probe_waiting("/nowhere/qmp", LONG_NS, true, -1, &error),
	             TANDEM_E_SYSTEM);
}
