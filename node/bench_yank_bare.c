#include "bench_yank_bare.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/transport.h>

#define CONNECTIONS_MAX (TANDEM_CHANNELS_MAX + 1)

struct bare {
	int listener;
	unsigned count;
	int local[CONNECTIONS_MAX];
	int peer[CONNECTIONS_MAX];
};

static int fail(const char *operation, struct tandem_error *reterr_error)
{
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, operation,
	                              "bare sockets");
}

static int listen_somewhere(struct bare *bare, struct sockaddr_in *ret_address,
                            struct tandem_error *reterr_error)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;

	bare->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bare->listener < 0 ||
	    bind(bare->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    listen(bare->listener, CONNECTIONS_MAX) != 0 ||
	    getsockname(bare->listener, (struct sockaddr *)&address, &length) != 0)
		return fail("listen", reterr_error);
	*ret_address = address;
	return 0;
}

static int connect_one(struct bare *bare, const struct sockaddr_in *address,
                       struct tandem_error *reterr_error)
{
	const int local = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (local < 0)
		return fail("socket", reterr_error);
	bare->local[bare->count] = local;
	bare->peer[bare->count] = -1;
	bare->count++;
	if (connect(local, (const struct sockaddr *)address, sizeof *address) != 0)
		return fail("connect", reterr_error);
	bare->peer[bare->count - 1] = accept(bare->listener, NULL, NULL);
	return bare->peer[bare->count - 1] < 0 ? fail("accept", reterr_error) : 0;
}

static void fill(const struct bare *bare)
{
	static const char bytes[65536];

	for (unsigned i = 0; i < bare->count; i++) {
		while (send(bare->local[i], bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			;
	}
}

static void end(struct bare *bare)
{
	for (unsigned i = 0; i < bare->count; i++) {
		if (bare->peer[i] >= 0)
			close(bare->peer[i]);
	}
	if (bare->listener >= 0)
		close(bare->listener);
}

int tandem_bench_yank_bare(unsigned count, struct tandem_histogram *issue_ns,
                           struct tandem_histogram *done_ns, struct tandem_error *reterr_error)
{
	struct bare bare = {.listener = -1};
	struct sockaddr_in address;
	uint64_t begin_ns;
	int code = listen_somewhere(&bare, &address, reterr_error);

	for (unsigned i = 0; code == 0 && i < count && i < CONNECTIONS_MAX; i++)
		code = connect_one(&bare, &address, reterr_error);
	fill(&bare);
	begin_ns = tandem_clock_now_ns();
	for (unsigned i = 0; i < bare.count; i++)
		shutdown(bare.local[i], SHUT_RDWR);
	tandem_histogram_add(issue_ns, tandem_clock_now_ns() - begin_ns);
	for (unsigned i = 0; i < bare.count; i++)
		close(bare.local[i]);
	tandem_histogram_add(done_ns, tandem_clock_now_ns() - begin_ns);
	end(&bare);
	return code;
}
