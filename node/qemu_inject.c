#include "qemu_inject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <tandem/pagemap_abi.h>
#include <unistd.h>

#define STOP_TIMEOUT_NS (2 * TANDEM_NS_PER_S)

static int fail(struct tandem_error *reterr_error, int os_errno, const char *call)
{
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, os_errno, call,
	                              "QEMU cannot be asked for a userfaultfd; tracing it needs "
	                              "CAP_SYS_PTRACE or the same user");
}

#if defined(__x86_64__)

/* `syscall` as a processor reads it. */
static const uint8_t instruction[] = {0x0f, 0x05};

struct tracee {
	pid_t process;
	pid_t thread;
	uint64_t instruction_at;
	struct user_regs_struct registers; /* as they have to be again */
};

/* ptrace(2) has a stop reported; it is not waited for longer than the limit. */
static bool wait_stopped(pid_t thread, int *ret_status)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + STOP_TIMEOUT_NS;

	while (waitpid(thread, ret_status, WNOHANG | __WALL) != thread) {
		if (tandem_clock_now_ns() > deadline_ns)
			return false;
		(void)poll(NULL, 0, 1);
	}
	return WIFSTOPPED(*ret_status);
}

/* The kernel gives every process a page of code with the instruction in it. */
static uint64_t find_instruction(pid_t process)
{
	uint8_t code[16384];
	uint64_t start = 0, end = 0;
	ssize_t length = 0;
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/maps", process);
	FILE *maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps) && !strstr(line, "[vdso]"))
		continue;
	if (maps && strstr(line, "[vdso]"))
		(void)sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end); /* NOLINT */
	if (maps)
		fclose(maps);
	snprintf(path, sizeof(path), "/proc/%d/mem", process);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && start != 0)
		length = pread(fd, code, end - start < sizeof(code) ? end - start : sizeof(code),
		               (off_t)start);
	if (fd >= 0)
		close(fd);
	for (ssize_t at = 0; at + 1 < length; at++) {
		if (memcmp(code + at, instruction, sizeof(instruction)) == 0)
			return start + (uint64_t)at;
	}
	return 0;
}

/* Calls in the stopped process. Errors: -errno. */
static long call(struct tracee *tracee, long number, uint64_t argument)
{
	struct user_regs_struct registers = tracee->registers;
	int status;

	registers.rip = tracee->instruction_at;
	registers.rax = (uint64_t)number;
	registers.orig_rax = UINT64_MAX; /* no call of its own is begun anew */
	registers.rdi = argument;
	if (ptrace(PTRACE_SETREGS, tracee->thread, 0, &registers) != 0 ||
	    ptrace(PTRACE_SINGLESTEP, tracee->thread, 0, 0) != 0 ||
	    !wait_stopped(tracee->thread, &status) ||
	    ptrace(PTRACE_GETREGS, tracee->thread, 0, &registers) != 0 ||
	    registers.rip != tracee->instruction_at + sizeof(instruction))
		return -EIO;
	return (long)registers.rax;
}

/* The first thread that may be traced, but for the one that the process began with. */
static bool seize(struct tracee *tracee)
{
	char path[64];
	struct dirent *entry;
	bool is_seized = false;

	snprintf(path, sizeof(path), "/proc/%d/task", tracee->process);
	DIR *threads = opendir(path);
	while (threads && !is_seized && (entry = readdir(threads))) {
		tracee->thread = (pid_t)strtol(entry->d_name, NULL, 10);
		is_seized = tracee->thread > 0 && tracee->thread != tracee->process &&
		            ptrace(PTRACE_SEIZE, tracee->thread, 0, 0) == 0;
	}
	if (threads)
		closedir(threads);
	return is_seized;
}

static bool stop(struct tracee *tracee)
{
	int status;

	return ptrace(PTRACE_INTERRUPT, tracee->thread, 0, 0) == 0 &&
	       wait_stopped(tracee->thread, &status) &&
	       ptrace(PTRACE_GETREGS, tracee->thread, 0, &tracee->registers) == 0;
}

static void go_on(const struct tracee *tracee)
{
	(void)ptrace(PTRACE_SETREGS, tracee->thread, 0, &tracee->registers);
	(void)ptrace(PTRACE_DETACH, tracee->thread, 0, 0);
}

static int take_descriptor(pid_t process, int fd, int *ret_fd, struct tandem_error *reterr_error)
{
	const int handle = (int)syscall(SYS_pidfd_open, process, 0);

	*ret_fd = handle < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, handle, fd, 0);
	const int code = *ret_fd < 0 ? fail(reterr_error, errno, "pidfd_getfd") : 0;

	if (handle >= 0)
		close(handle);
	return code;
}

static int take_userfault(struct tracee *tracee, int *ret_fd, struct tandem_error *reterr_error)
{
	const long fd =
	        call(tracee, SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | TANDEM_UFFD_USER_MODE_ONLY);

	if (fd < 0)
		return fail(reterr_error, (int)-fd, "userfaultfd");
	const int code = take_descriptor(tracee->process, (int)fd, ret_fd, reterr_error);
	(void)call(tracee, SYS_close, (uint64_t)fd);
	return code;
}

int tandem_qemu_userfault_open(pid_t process, int *ret_fd, struct tandem_error *reterr_error)
{
	struct tracee tracee = {.process = process, .instruction_at = find_instruction(process)};
	int code;

	if (tracee.instruction_at == 0)
		return fail(reterr_error, errno, "vdso");
	if (!seize(&tracee))
		return fail(reterr_error, errno, "PTRACE_SEIZE");
	if (!stop(&tracee)) {
		code = fail(reterr_error, errno, "PTRACE_INTERRUPT");
		(void)ptrace(PTRACE_DETACH, tracee.thread, 0, 0);
		return code;
	}
	code = take_userfault(&tracee, ret_fd, reterr_error);
	go_on(&tracee);
	return code;
}

#else

int tandem_qemu_userfault_open(pid_t process, int *ret_fd, struct tandem_error *reterr_error)
{
	(void)process;
	(void)ret_fd;
	(void)fail;
	return tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "userfaultfd",
	                        "a userfaultfd of another process is made on x86-64 only");
}

#endif
