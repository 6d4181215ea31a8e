#include "bench_kv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/assert.h>

bool tandem_bench_kv_connect(struct tandem_bench_kv *kv, const struct sockaddr_in *server)
{
	const int yes = 1;

	tandem_bench_kv_close(kv);
	kv->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (kv->fd < 0)
		return false;
	setsockopt(kv->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	kv->is_connected = connect(kv->fd, (const struct sockaddr *)server, sizeof *server) == 0;
	if (kv->is_connected || errno == EINPROGRESS)
		return true;
	tandem_bench_kv_close(kv);
	return false;
}

void tandem_bench_kv_close(struct tandem_bench_kv *kv)
{
	if (kv->fd >= 0)
		close(kv->fd);
	kv->fd = -1;
	kv->is_connected = false;
	kv->waiting_count = 0;
	kv->out_sent = kv->out_bytes = 0;
	kv->in_taken = kv->in_bytes = 0;
}

static void add(struct tandem_bench_kv *kv, const void *bytes, size_t length)
{
	TANDEM_ASSERT(length <= sizeof kv->out - kv->out_bytes);
	memcpy(kv->out + kv->out_bytes, bytes, length);
	kv->out_bytes += length;
}

static void add_word(struct tandem_bench_kv *kv, const void *bytes, size_t length)
{
	char head[32];

	add(kv, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", length));
	add(kv, bytes, length);
	add(kv, "\r\n", 2);
}

void tandem_bench_kv_set(struct tandem_bench_kv *kv, const char *key, const char *value,
                         size_t value_bytes)
{
	add(kv, "*3\r\n$3\r\nSET\r\n", 13);
	add_word(kv, key, strlen(key));
	add_word(kv, value, value_bytes);
	kv->waiting_count++;
}

void tandem_bench_kv_get(struct tandem_bench_kv *kv, const char *key)
{
	add(kv, "*2\r\n$3\r\nGET\r\n", 13);
	add_word(kv, key, strlen(key));
	kv->waiting_count++;
}

struct pollfd tandem_bench_kv_pollfd(const struct tandem_bench_kv *kv)
{
	const bool has_more = !kv->is_connected || kv->out_sent < kv->out_bytes;

	return (struct pollfd){.fd = kv->fd, .events = has_more ? POLLIN | POLLOUT : POLLIN};
}

static bool is_later(ssize_t count)
{
	return count < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN);
}

static bool send_out(struct tandem_bench_kv *kv)
{
	while (kv->out_sent < kv->out_bytes) {
		const ssize_t count = send(kv->fd, kv->out + kv->out_sent,
		                           kv->out_bytes - kv->out_sent, MSG_NOSIGNAL);

		if (count < 0)
			return is_later(count);
		kv->is_connected = true;
		kv->out_sent += (size_t)count;
	}
	kv->out_sent = kv->out_bytes = 0;
	return true;
}

static bool receive_in(struct tandem_bench_kv *kv)
{
	while (kv->in_bytes < sizeof kv->in) {
		const ssize_t count =
		        recv(kv->fd, kv->in + kv->in_bytes, sizeof kv->in - kv->in_bytes, 0);

		if (count <= 0)
			return is_later(count);
		kv->in_bytes += (size_t)count;
	}
	return true;
}

static void make_room(struct tandem_bench_kv *kv)
{
	memmove(kv->in, kv->in + kv->in_taken, kv->in_bytes - kv->in_taken);
	kv->in_bytes -= kv->in_taken;
	kv->in_taken = 0;
}

bool tandem_bench_kv_move(struct tandem_bench_kv *kv)
{
	bool is_sent, is_received;

	if (kv->fd < 0)
		return false;
	make_room(kv);
	is_sent = send_out(kv);
	/* What came before the connection ended counts. */
	is_received = receive_in(kv);
	return is_sent && is_received;
}

/* "$5\r\nhello\r\n" behind its head; false where not all of it is there. */
static bool take_value(struct tandem_bench_kv *kv, size_t head_bytes, long length,
                       struct tandem_bench_kv_reply *ret_reply)
{
	const size_t bytes = (size_t)length;

	if (kv->in_bytes - kv->in_taken < head_bytes + bytes + 2)
		return false;
	*ret_reply = (struct tandem_bench_kv_reply){.kind = TANDEM_BENCH_KV_VALUE,
	                                            .value = kv->in + kv->in_taken + head_bytes,
	                                            .value_bytes = bytes};
	kv->in_taken += head_bytes + bytes + 2;
	return true;
}

bool tandem_bench_kv_next(struct tandem_bench_kv *kv, struct tandem_bench_kv_reply *ret_reply)
{
	const char *start = kv->in + kv->in_taken;
	const char *end = memchr(start, '\n', kv->in_bytes - kv->in_taken);
	size_t head_bytes;
	long length;

	if (end == NULL || kv->waiting_count == 0)
		return false;
	head_bytes = (size_t)(end - start) + 1;
	length = *start == '$' ? strtol(start + 1, NULL, 10) : -1;
	if (length >= 0 && (size_t)length < sizeof kv->in) {
		if (!take_value(kv, head_bytes, length, ret_reply))
			return false;
	} else {
		*ret_reply = (struct tandem_bench_kv_reply){
		        .kind = *start == '+'   ? TANDEM_BENCH_KV_OK
		                : *start == '$' ? TANDEM_BENCH_KV_NONE
		                                : TANDEM_BENCH_KV_ERROR,
		        .value = start,
		        .value_bytes = head_bytes};
		kv->in_taken += head_bytes;
	}
	kv->waiting_count--;
	return true;
}
