#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "bench_bare.h"

#define POLL_NS    (20 * TANDEM_NS_PER_US) /* asked this long before it is waited for, as tcp does */
#define WAIT_MS    60000
#define CALL_PARTS 64u
#define PART_BYTES ((size_t)256 << 10)

/* Waits until one of the sockets of `mask` can do `events`. False: none could for a minute. */
static bool wait_any(const int *fds, unsigned count, uint32_t mask, short events)
{
	struct pollfd descriptors[TANDEM_BENCH_BARE_SOCKETS_MAX];
	const uint64_t begin_ns = tandem_clock_now_ns();
	int ready;

	for (unsigned i = 0; i < count; i++)
		descriptors[i] = (struct pollfd){.fd = (mask & 1u << i) != 0 ? fds[i] : -1,
		                                 .events = events};
	do
		ready = poll(descriptors, count, 0);
	while (ready == 0 && tandem_clock_now_ns() - begin_ns < POLL_NS);
	return ready != 0 || poll(descriptors, count, WAIT_MS) > 0;
}

/* ---- the receiver's process ---- */

struct inlet {
	uint8_t *room;
	size_t room_bytes;
	uint64_t begin_bytes; /* in its room, of this time */
	uint64_t length;      /* of this time */
	size_t header_bytes;
	uint64_t got_bytes;
};

static bool is_whole(const struct inlet *inlet)
{
	return inlet->header_bytes == sizeof inlet->length && inlet->got_bytes == inlet->length;
}

/* Bytes that arrived; 0: not now. Ends the process when the sender has gone. */
static size_t receive(int fd, void *to, size_t length)
{
	const ssize_t got = recv(fd, to, length, MSG_DONTWAIT);

	if (got > 0)
		return (size_t)got;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	_exit(EXIT_SUCCESS);
}

/* Each time behind the last one: a copy's pages are in no cache either when they come anew. */
static void begin(struct inlet *inlet)
{
	inlet->begin_bytes += inlet->got_bytes;
	inlet->header_bytes = 0;
	inlet->got_bytes = 0;
}

static bool pull(int fd, struct inlet *inlet)
{
	size_t got;

	if (inlet->header_bytes < sizeof inlet->length) {
		got = receive(fd, (uint8_t *)&inlet->length + inlet->header_bytes,
		              sizeof inlet->length - inlet->header_bytes);
		inlet->header_bytes += got;
		if (inlet->begin_bytes + inlet->length > inlet->room_bytes)
			inlet->begin_bytes = 0;
		return got > 0;
	}
	got = receive(fd, inlet->room + inlet->begin_bytes + inlet->got_bytes,
	              (size_t)(inlet->length - inlet->got_bytes));
	inlet->got_bytes += got;
	return got > 0;
}

static void receive_once(const int *fds, unsigned count, struct inlet *inlets)
{
	uint32_t open_mask = (1u << count) - 1;

	for (unsigned i = 0; i < count; i++)
		begin(&inlets[i]);
	while (open_mask != 0) {
		bool has_moved = false;

		for (unsigned i = 0; i < count; i++) {
			if ((open_mask & 1u << i) == 0)
				continue;
			has_moved |= pull(fds[i], &inlets[i]);
			if (is_whole(&inlets[i]))
				open_mask &= ~(1u << i);
		}
		if (!has_moved && open_mask != 0)
			wait_any(fds, count, open_mask, POLLIN);
	}
	if (send(fds[0], "", 1, MSG_NOSIGNAL) != 1)
		_exit(EXIT_SUCCESS);
}

/* A share has room for more than its part: parts are cut between ranges. */
static size_t share_room(size_t bytes_max, unsigned count)
{
	return bytes_max / count + 2 * PART_BYTES;
}

static _Noreturn void run_receiver(const int *fds, unsigned count, size_t bytes_max)
{
	const size_t share_bytes = share_room(bytes_max, count);
	struct inlet inlets[TANDEM_BENCH_BARE_SOCKETS_MAX] = {{0}};
	uint8_t *region = tandem_memory_map(share_bytes * count);

	if (region == NULL)
		_exit(EXIT_FAILURE);
	memset(region, 1, share_bytes * count);
	for (unsigned i = 0; i < count; i++) {
		inlets[i].room = region + i * share_bytes;
		inlets[i].room_bytes = share_bytes;
	}
	for (;;)
		receive_once(fds, count, inlets);
}

/* ---- the sender ---- */

struct outlet {
	struct iovec *parts;
	size_t count;
	uint64_t length;
	size_t header_bytes; /* that left */
};

/* Ranges in pieces, dealt to the sockets in even shares; the next socket begins where the one
 * before has its share. */
static void deal(struct tandem_bench_bare_link *link, struct outlet *outlets,
                 const struct tandem_bench_bare_range *ranges, size_t range_count)
{
	uint64_t total = 0, dealt = 0;
	size_t part = 0;
	unsigned socket = 0;

	for (size_t i = 0; i < range_count; i++)
		total += ranges[i].length;
	outlets[0].parts = link->parts;
	for (size_t i = 0; i < range_count; i++) {
		for (size_t at = 0; at < ranges[i].length; at += PART_BYTES) {
			const size_t left = ranges[i].length - at;
			const size_t length = left < PART_BYTES ? left : PART_BYTES;

			if (socket + 1 < link->count && dealt * link->count >= total * (socket + 1))
				outlets[++socket].parts = link->parts + part;
			link->parts[part++] = (struct iovec){
			        .iov_base = (uint8_t *)(uintptr_t)ranges[i].start + at,
			        .iov_len = length};
			outlets[socket].count++;
			outlets[socket].length += length;
			dealt += length;
		}
	}
}

static void drop_sent(struct outlet *outlet, size_t sent)
{
	const size_t header_left = sizeof outlet->length - outlet->header_bytes;
	const size_t of_header = sent < header_left ? sent : header_left;

	outlet->header_bytes += of_header;
	sent -= of_header;
	while (sent > 0) {
		struct iovec *part = outlet->parts;
		const size_t cut = sent < part->iov_len ? sent : part->iov_len;

		part->iov_base = (uint8_t *)part->iov_base + cut;
		part->iov_len -= cut;
		sent -= cut;
		if (part->iov_len == 0) {
			outlet->parts++;
			outlet->count--;
		}
	}
}

static bool is_sent(const struct outlet *outlet)
{
	return outlet->header_bytes == sizeof outlet->length && outlet->count == 0;
}

/* One call of the kernel. 1: something left, 0: not now, -1: the receiver has gone. */
static int push(int fd, struct outlet *outlet)
{
	struct iovec parts[1 + CALL_PARTS];
	const size_t count = outlet->count < CALL_PARTS ? outlet->count : CALL_PARTS;
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1 + count};
	ssize_t sent;

	parts[0] = (struct iovec){.iov_base = (uint8_t *)&outlet->length + outlet->header_bytes,
	                          .iov_len = sizeof outlet->length - outlet->header_bytes};
	if (count > 0)
		memcpy(parts + 1, outlet->parts, count * sizeof *parts);
	sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	drop_sent(outlet, (size_t)sent);
	return 1;
}

static int send_all(struct tandem_bench_bare_link *link, struct outlet *outlets)
{
	uint32_t open_mask = (1u << link->count) - 1;

	while (open_mask != 0) {
		bool has_moved = false;

		for (unsigned i = 0; i < link->count; i++) {
			const int moved =
			        (open_mask & 1u << i) != 0 ? push(link->fds[i], &outlets[i]) : 0;

			if (moved < 0)
				return -1;
			has_moved |= moved > 0;
			if (is_sent(&outlets[i]))
				open_mask &= ~(1u << i);
		}
		if (!has_moved && !wait_any(link->fds, link->count, open_mask, POLLOUT))
			return -1;
	}
	return 0;
}

static int await_answer(const struct tandem_bench_bare_link *link)
{
	char word;

	while (recv(link->fds[0], &word, 1, MSG_DONTWAIT) != 1) {
		if (errno != EAGAIN && errno != EINTR)
			return -1;
		if (!wait_any(link->fds, 1, 1, POLLIN))
			return -1;
	}
	return 0;
}

int tandem_bench_bare_link_send(struct tandem_bench_bare_link *link,
                                const struct tandem_bench_bare_range *ranges, size_t range_count,
                                uint64_t *ret_ns, struct tandem_error *reterr_error)
{
	struct outlet outlets[TANDEM_BENCH_BARE_SOCKETS_MAX] = {{0}};
	uint64_t begin_ns;

	deal(link, outlets, ranges, range_count);
	begin_ns = tandem_clock_now_ns();
	if (send_all(link, outlets) != 0 || await_answer(link) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_PEER_LOST, errno, "plain send",
		                              "the receiver does not answer");
	*ret_ns = tandem_clock_now_ns() - begin_ns;
	return 0;
}

/* ---- life ---- */

static int tune(int fd)
{
	const int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int connect_one(int listener, const struct sockaddr_in *address, int *ret_sender,
                       int *ret_receiver)
{
	*ret_sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret_sender < 0 ||
	    connect(*ret_sender, (const struct sockaddr *)address, sizeof *address) != 0)
		return -1;
	*ret_receiver = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return *ret_receiver < 0 || tune(*ret_sender) != 0 || tune(*ret_receiver) != 0 ? -1 : 0;
}

static int connect_all(struct tandem_bench_bare_link *link, int *receivers)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int failed = listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 ||
	             listen(listener, 1) != 0 ||
	             getsockname(listener, (struct sockaddr *)&address, &length) != 0;

	for (unsigned i = 0; !failed && i < link->count; i++)
		failed = connect_one(listener, &address, &link->fds[i], &receivers[i]);
	if (listener >= 0)
		close(listener);
	return failed ? -1 : 0;
}

static void close_all(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static int start_receiver(struct tandem_bench_bare_link *link, int *receivers, size_t bytes_max,
                          struct tandem_error *reterr_error)
{
	const pid_t parent = getpid();

	if (connect_all(link, receivers) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "socket",
		                              "plain send");
	link->receiver = fork();
	if (link->receiver == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
			_exit(EXIT_FAILURE);
		close_all(link->fds, link->count);
		run_receiver(receivers, link->count, bytes_max);
	}
	if (link->receiver < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fork",
		                              "plain send");
	return 0;
}

int tandem_bench_bare_link_open(size_t bytes_max, unsigned count,
                                struct tandem_bench_bare_link *ret_link,
                                struct tandem_error *reterr_error)
{
	int receivers[TANDEM_BENCH_BARE_SOCKETS_MAX];
	int code;

	*ret_link = (struct tandem_bench_bare_link){.count = count, .receiver = -1};
	for (unsigned i = 0; i < TANDEM_BENCH_BARE_SOCKETS_MAX; i++)
		ret_link->fds[i] = receivers[i] = -1;
	ret_link->part_capacity = bytes_max / 4096 + 1;
	ret_link->parts =
	        tandem_memory_alloc_array(ret_link->part_capacity, sizeof *ret_link->parts);
	if (ret_link->parts == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "plain send",
		                        "no memory for %zu parts", ret_link->part_capacity);
	memset(ret_link->parts, 1, ret_link->part_capacity * sizeof *ret_link->parts);
	code = start_receiver(ret_link, receivers, bytes_max, reterr_error);
	close_all(receivers, count);
	return code;
}

void tandem_bench_bare_link_close(struct tandem_bench_bare_link *link)
{
	close_all(link->fds, link->count);
	while (link->receiver > 0 && waitpid(link->receiver, NULL, 0) < 0 && errno == EINTR)
		;
	link->receiver = -1;
	tandem_memory_free(link->parts);
	link->parts = NULL;
}
