#include "qemu_hand.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

/* The first packet. */
struct hello {
	int32_t qemu; /* its process */
	uint32_t count;
};

void tandem_qemu_hand_limit(int link)
{
	const struct timeval limit = {.tv_sec = TANDEM_QEMU_HAND_S};

	(void)setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(link, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* With a limit the kernel does not go on by itself after a signal. */
static ssize_t receive(int link, void *ret_bytes, size_t length, int flags)
{
	ssize_t got;

	do {
		errno = 0;
		got = recv(link, ret_bytes, length, flags);
	} while (got < 0 && errno == EINTR);
	return got;
}

static bool tell(int link, const void *bytes, size_t length)
{
	ssize_t sent;

	do
		sent = send(link, bytes, length, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)length;
}

static int fail(const char *what, struct tandem_error *reterr_error)
{
	if (errno == EAGAIN)
		return tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, "gate",
		                        "the other process has not %s within %d s", what,
		                        TANDEM_QEMU_HAND_S);
	if (errno != 0 && errno != EPIPE && errno != ECONNRESET)
		return tandem_error_set_errno(reterr_error, TANDEM_E_PEER_LOST, errno, "gate",
		                              "the other process has not %s", what);
	return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "gate",
	                        "the other process has not %s, and has closed the link", what);
}

int tandem_qemu_hand_give(struct tandem_qemu_gates *gates, pid_t qemu, int link,
                          struct tandem_error *reterr_error)
{
	const struct hello hello = {.qemu = qemu, .count = tandem_qemu_gates_user_count(gates)};
	char byte;

	if (!tell(link, &hello, sizeof(hello)))
		return fail("listened", reterr_error);
	const int status = tandem_qemu_gates_give(gates, link, reterr_error);
	if (status != 0)
		return status;
	if (receive(link, &byte, 1, 0) != 1 || !tell(link, &byte, 1))
		return fail("taken the guest's network", reterr_error);
	tandem_qemu_gates_yield(gates);
	return 0;
}

int tandem_qemu_hand_ask(int link, pid_t *ret_qemu, unsigned *ret_count,
                         struct tandem_error *reterr_error)
{
	struct hello hello;

	const ssize_t got = receive(link, &hello, sizeof(hello), MSG_TRUNC);
	if (got <= 0)
		return fail("said whose network it has", reterr_error);
	if (got != (ssize_t)sizeof(hello) || hello.qemu <= 0)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "gate",
		                        "the process that has the guest's network is of another "
		                        "version of Tandem: it lets go of it when QEMU ends");
	*ret_qemu = hello.qemu;
	*ret_count = hello.count;
	return 0;
}

int tandem_qemu_hand_take(struct tandem_qemu_gates *gates, struct event_base *base,
                          const char *run_directory, const char *pair, unsigned count, int link,
                          struct tandem_error *reterr_error)
{
	const unsigned wanted = tandem_qemu_gates_user_count(gates);

	if (count != wanted)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "gate",
		                        "the guest has %u cards with a gate user:..., and %u are "
		                        "wanted: say all of them, or start the guest anew",
		                        count, wanted);
	return tandem_qemu_gates_take(gates, base, run_directory, pair, link, reterr_error);
}

/* Behind the shutdown the other one can tell no more, and keeps them: what it has told until then
 * is all. */
static bool was_let_late(int link)
{
	const int cause = errno;
	char byte;
	const bool was_let =
	        shutdown(link, SHUT_RDWR) == 0 && receive(link, &byte, 1, MSG_DONTWAIT) == 1;

	errno = cause;
	return was_let;
}

int tandem_qemu_hand_confirm(struct tandem_qemu_gates *gates, int link,
                             struct tandem_error *reterr_error)
{
	char byte = 0;

	if (!tell(link, &byte, 1))
		return fail("waited", reterr_error);
	if (receive(link, &byte, 1, 0) != 1 && !was_let_late(link))
		return fail("let go of the guest's network", reterr_error);
	(void)!receive(link, &byte, 1, 0); /* until nothing else of it is in the way */
	tandem_qemu_gates_let(gates);
	return 0;
}
