#include "qemu_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tandem/memory.h>
#include <tandem/process.h>
#include <tandem/qemu_arguments.h>
#include <tandem/unix_socket.h>
#include <unistd.h>

#define LINE_BYTES ((size_t)256 << 10) /* the kernel allows more, and nobody writes it */

bool tandem_qemu_listener_find(const char *qmp_path, char ret_text[TANDEM_QEMU_LISTENER_BYTES])
{
	char name[TANDEM_PROCESS_NAME_BYTES];
	pid_t process;

	if (!tandem_unix_is_listened_at(qmp_path, &process))
		return false;
	tandem_process_name(process, name);
	if (process == 0) /* of another namespace, or too many wait for it */
		snprintf(ret_text, TANDEM_QEMU_LISTENER_BYTES,
		         "a process has to end, it listens at %s", qmp_path);
	else
		snprintf(ret_text, TANDEM_QEMU_LISTENER_BYTES,
		         "process %d (%s) has to end, it listens at %s", (int)process, name,
		         qmp_path);
	return true;
}

int tandem_qemu_process_find(const char *qmp_path, pid_t *ret_process,
                             struct tandem_error *reterr_error)
{
	struct sockaddr_un address;
	int code = tandem_unix_address(qmp_path, &address, reterr_error);

	if (code != 0)
		return code;
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		code = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "QEMU",
		                              "no socket for %.120s", qmp_path);
	else if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		code = tandem_error_set_errno(
		        reterr_error, TANDEM_E_SYSTEM, errno, "QEMU",
		        errno == EAGAIN ? "others are connected to %.120s, which serves one at a "
		                          "time: give "
		                          "QEMU another control socket"
		                        : "nobody listens at %.120s: start QEMU with -qmp "
		                          "unix:PATH,server=on,wait=off",
		        qmp_path);
	else
		*ret_process = tandem_unix_peer(fd);
	if (fd >= 0)
		close(fd);
	return code;
}

/* The bytes, the words' ends among them, and a further zero. */
static size_t read_line(pid_t process, char *bytes)
{
	char path[32];
	size_t length = 0;
	ssize_t got = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)process);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && length < LINE_BYTES - 1 &&
	       (got = read(fd, bytes + length, LINE_BYTES - 1 - length)) > 0)
		length += (size_t)got;
	if (fd >= 0)
		close(fd);
	bytes[length] = 0;
	return got < 0 ? 0 : length;
}

int tandem_qemu_process_words(pid_t process, struct tandem_qemu_line **ret_line,
                              struct tandem_error *reterr_error)
{
	struct tandem_qemu_line *line = tandem_memory_alloc(sizeof(*line) + LINE_BYTES);
	size_t count = 0;

	if (!line)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "QEMU", "no memory");
	char *bytes = (char *)(line + 1);
	const size_t length = read_line(process, bytes);
	for (size_t at = 0; at < length && count < TANDEM_QEMU_WORDS_MAX - 1;
	     at += strlen(bytes + at) + 1)
		line->words[count++] = bytes + at;
	line->words[count] = NULL;
	if (count > 0) {
		*ret_line = line;
		return 0;
	}
	tandem_memory_free(line);
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "QEMU",
	                              "the command line of process %d cannot be read",
	                              (int)process);
}

int tandem_qemu_process_compare(pid_t process, char *const *words,
                                struct tandem_error *reterr_error)
{
	struct tandem_qemu_difference difference;
	struct tandem_qemu_line *line;
	int code = tandem_qemu_process_words(process, &line, reterr_error);

	if (code != 0)
		return code;
	if (tandem_qemu_arguments_differ(words, line->words, &difference))
		code = tandem_error_set(
		        reterr_error, TANDEM_E_CONFIG, "protect.command",
		        "the guest could not go on in what it starts: -%.30s '%.80s' seen, '%.80s' "
		        "needed as in the QEMU that runs; tandemctl qemu-args makes the line anew",
		        difference.option, difference.seen, difference.needed);
	tandem_memory_free(line);
	return code;
}
