#include "bench_upload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/random.h>

#define LINE_BYTES  64u
#define PIECE_BYTES 32768u
#define FILE_BYTES  (UINT64_C(1) << 20)

/* ---- the client ---- */

/* Sends what is due, and waits a millisecond when nothing is. */
static _Noreturn void send_file(int fd, uint64_t rate_bytes_s)
{
	static uint64_t file[(FILE_BYTES + PIECE_BYTES) / sizeof(uint64_t)];
	const uint64_t begin_ns = tandem_clock_now_ns();
	uint64_t sent = 0, seed = 1;

	for (size_t i = 0; i < sizeof file / sizeof *file; i++)
		file[i] = tandem_random_next(&seed);
	for (;;) {
		const double seconds = (double)(tandem_clock_now_ns() - begin_ns) / 1e9;

		if ((double)sent + PIECE_BYTES > seconds * (double)rate_bytes_s) {
			poll(NULL, 0, 1);
			continue;
		}
		/* Each time from another place, so that no buffer gets what it holds. */
		const char *piece = (const char *)file + sent / PIECE_BYTES * 4096 % FILE_BYTES;
		for (size_t left = PIECE_BYTES; left > 0;) {
			ssize_t taken = send(fd, piece + PIECE_BYTES - left, left, MSG_NOSIGNAL);

			if (taken < 0)
				_exit(EXIT_SUCCESS);
			left -= (size_t)taken;
		}
		sent += PIECE_BYTES;
	}
}

static int connect_pair(int listener, int *ret_client, int *ret_server)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;

	if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    listen(listener, 1) != 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &length) != 0)
		return -1;
	*ret_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret_client < 0 ||
	    connect(*ret_client, (struct sockaddr *)&address, sizeof address) != 0)
		return -1;
	*ret_server = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return *ret_server < 0 ? -1 : 0;
}

int tandem_bench_upload_open(uint64_t rate_bytes_s, struct tandem_bench_upload *ret_upload,
                             struct tandem_error *reterr_error)
{
	const pid_t parent = getpid();
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client = -1, code = 0;

	*ret_upload = (struct tandem_bench_upload){.fd = -1, .client = -1};
	if (listener < 0 || connect_pair(listener, &client, &ret_upload->fd) != 0)
		code = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "socket",
		                              "upload");
	if (listener >= 0)
		close(listener);
	if (code == 0)
		ret_upload->client = fork();
	if (code == 0 && ret_upload->client == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
			_exit(EXIT_FAILURE);
		close(ret_upload->fd);
		send_file(client, rate_bytes_s);
	}
	if (client >= 0)
		close(client);
	if (code == 0 && ret_upload->client < 0)
		code = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fork",
		                              "upload");
	return code;
}

void tandem_bench_upload_close(struct tandem_bench_upload *upload)
{
	if (upload->client > 0) {
		kill(upload->client, SIGKILL);
		while (waitpid(upload->client, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (upload->fd >= 0)
		close(upload->fd);
	*upload = (struct tandem_bench_upload){.fd = -1, .client = -1};
}

/* ---- the server's cache ---- */

struct tandem_bench_cache tandem_bench_cache_in(uint8_t *region, uint64_t region_bytes)
{
	const uint64_t count = region_bytes / (TANDEM_BENCH_BUFFER_BYTES + LINE_BYTES);
	uint64_t table_bytes = count * LINE_BYTES;

	table_bytes += (TANDEM_BENCH_BUFFER_BYTES - table_bytes % TANDEM_BENCH_BUFFER_BYTES) %
	               TANDEM_BENCH_BUFFER_BYTES;
	return (struct tandem_bench_cache){.table = region,
	                                   .buffers = region + table_bytes,
	                                   .buffer_count = (region_bytes - table_bytes) /
	                                                   TANDEM_BENCH_BUFFER_BYTES};
}

uint8_t *tandem_bench_cache_place(const struct tandem_bench_cache *cache, size_t *ret_room)
{
	const uint64_t buffer = cache->filled_count % cache->buffer_count;

	*ret_room = TANDEM_BENCH_BUFFER_BYTES - cache->filled_bytes;
	return cache->buffers + buffer * TANDEM_BENCH_BUFFER_BYTES + cache->filled_bytes;
}

void tandem_bench_cache_fill(struct tandem_bench_cache *cache, size_t length)
{
	const uint64_t buffer = cache->filled_count % cache->buffer_count;
	uint64_t line[LINE_BYTES / sizeof(uint64_t)] = {0};

	cache->filled_bytes += length;
	if (cache->filled_bytes < TANDEM_BENCH_BUFFER_BYTES)
		return;
	cache->filled_bytes = 0;
	cache->filled_count++;
	for (size_t i = 0; i < LINE_BYTES / sizeof *line; i++)
		line[i] = cache->filled_count;
	memcpy(cache->table + buffer * LINE_BYTES, line, sizeof line);
}
