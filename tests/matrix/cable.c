/* The cable between two nodes of a test, as bad as wanted: a tap in the network namespace of each,
 * and frames that are lost, late, doubled, overtaken or damaged on their way, as the lines on stdin
 * say. Seeded. Damage goes up to the programs in datagrams (their checksum is taken off), and ends
 * as a loss in TCP, as it does where a network has no other bug. */

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/random.h>

#define FRAME_BYTES_MAX 1600u
#define FRAMES_MAX      8192u /* on their way; a cable that is full loses what comes */
#define TURN_FRAMES     64u
#define MILLION         1000000u
#define IP_OFFSET       14u
#define PROTOCOL_UDP    17

static const char help[] =
        "usage: cable NAMESPACE NAMESPACE TAP SEED\n"
        "\n"
        "Joins two network namespaces by taps of that name. Lines on stdin: LOSS DUPLICATION "
        "DAMAGE\n"
        "(each of a million frames) DELAY_MIN DELAY_MAX (microseconds) OVERTAKING (0 or 1). Says "
        "\"ready\"\n"
        "and answers each line with \"ok\".\n";

struct frame {
	uint64_t due_ns;
	uint32_t length;
	unsigned to;
	uint8_t bytes[FRAME_BYTES_MAX];
};

struct cable {
	int taps[2];
	uint64_t random;
	uint64_t last_due_ns[2];
	unsigned loss, duplication, damage, delay_min_us, delay_max_us, overtaking;
	struct frame *frames; /* a heap: the first one is due first */
	size_t count;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t below(struct cable *cable, uint64_t limit)
{
	return tandem_random_next(&cable->random) % limit;
}

/* ---- the heap ---- */

static void swap(struct cable *cable, size_t one, size_t other)
{
	struct frame kept = cable->frames[one];

	cable->frames[one] = cable->frames[other];
	cable->frames[other] = kept;
}

static void add(struct cable *cable, const struct frame *frame)
{
	size_t at = cable->count;

	if (cable->count == FRAMES_MAX)
		return;
	cable->frames[cable->count++] = *frame;
	for (; at > 0 && cable->frames[at].due_ns < cable->frames[(at - 1) / 2].due_ns;
	     at = (at - 1) / 2)
		swap(cable, at, (at - 1) / 2);
}

static void remove_first(struct cable *cable)
{
	size_t at = 0;

	cable->frames[0] = cable->frames[--cable->count];
	for (;;) {
		size_t least = at;
		for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < cable->count;
		     child++) {
			if (cable->frames[child].due_ns < cable->frames[least].due_ns)
				least = child;
		}
		if (least == at)
			return;
		swap(cable, at, least);
		at = least;
	}
}

/* ---- frames ---- */

/* A bit behind all headers; a datagram's checksum becomes "none". */
static void damage(struct cable *cable, struct frame *frame)
{
	uint8_t *ip = frame->bytes + IP_OFFSET;
	size_t header = IP_OFFSET + (size_t)(ip[0] & 15) * 4;
	bool is_datagram = frame->length > header + 8 && frame->bytes[12] == 8 &&
	                   frame->bytes[13] == 0 && ip[9] == PROTOCOL_UDP;
	size_t first = is_datagram ? header + 8 : IP_OFFSET + 20;

	if (frame->length <= first)
		return;
	if (is_datagram)
		memset(frame->bytes + header + 6, 0, 2);
	frame->bytes[first + below(cable, frame->length - first)] ^=
	        (uint8_t)(1u << below(cable, 8));
}

static void send_off(struct cable *cable, const struct frame *frame, uint64_t now_ns)
{
	struct frame late = *frame;
	uint64_t spread_us = cable->delay_max_us - cable->delay_min_us + 1;

	late.due_ns = now_ns + (cable->delay_min_us + below(cable, spread_us)) * TANDEM_NS_PER_US;
	if (!cable->overtaking && late.due_ns < cable->last_due_ns[frame->to])
		late.due_ns = cable->last_due_ns[frame->to];
	cable->last_due_ns[frame->to] = late.due_ns;
	if (below(cable, MILLION) < cable->damage)
		damage(cable, &late);
	add(cable, &late);
}

static void take(struct cable *cable, unsigned from)
{
	struct frame frame = {.to = 1 - from};

	for (unsigned i = 0; i < TURN_FRAMES; i++) {
		ssize_t length = read(cable->taps[from], frame.bytes, sizeof(frame.bytes));
		if (length <= 0)
			return;
		frame.length = (uint32_t)length;
		if (below(cable, MILLION) < cable->loss)
			continue;
		send_off(cable, &frame, tandem_clock_now_ns());
		if (below(cable, MILLION) < cable->duplication)
			send_off(cable, &frame, tandem_clock_now_ns());
	}
}

static void deliver(struct cable *cable)
{
	while (cable->count > 0 && cable->frames[0].due_ns <= tandem_clock_now_ns()) {
		const struct frame *frame = &cable->frames[0];
		/* A tap that takes none, or that is down, loses it. */
		ssize_t written = write(cable->taps[frame->to], frame->bytes, frame->length);
		(void)written;
		remove_first(cable);
	}
}

/* ---- set-up ---- */

static int open_tap(const char *namespace, const char *name)
{
	char path[300];
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

	snprintf(path, sizeof(path), "/run/netns/%s", namespace);
	int place = open(path, O_RDONLY | O_CLOEXEC);
	if (place < 0 || setns(place, CLONE_NEWNET) != 0)
		die(path);
	close(place);
	int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &request) != 0)
		die("/dev/net/tun");
	return tap;
}

static bool take_line(struct cable *cable)
{
	char line[200];

	if (!fgets(line, sizeof(line), stdin))
		return false;
	if (sscanf(line, "%u %u %u %u %u %u", &cable->loss, &cable->duplication, &cable->damage,
	           &cable->delay_min_us, &cable->delay_max_us, &cable->overtaking) != 6 ||
	    cable->delay_max_us < cable->delay_min_us) {
		fputs(help, stderr);
		return false;
	}
	puts("ok");
	return true;
}

static void run(struct cable *cable)
{
	struct pollfd ready[] = {{.fd = cable->taps[0], .events = POLLIN},
	                         {.fd = cable->taps[1], .events = POLLIN},
	                         {.fd = STDIN_FILENO, .events = POLLIN}};

	for (;;) {
		uint64_t now_ns = tandem_clock_now_ns();
		uint64_t wait_ns = TANDEM_NS_PER_S;
		if (cable->count > 0)
			wait_ns = cable->frames[0].due_ns > now_ns
			                  ? cable->frames[0].due_ns - now_ns
			                  : 0;
		wait_ns = wait_ns < TANDEM_NS_PER_S ? wait_ns : TANDEM_NS_PER_S - 1;
		struct timespec wait = {.tv_nsec = (long)wait_ns};
		if (ppoll(ready, 3, &wait, NULL) < 0 && errno != EINTR)
			die("ppoll");
		for (unsigned side = 0; side < 2; side++) {
			if (ready[side].revents != 0)
				take(cable, side);
		}
		deliver(cable);
		if (ready[2].revents != 0 && !take_line(cable))
			return;
	}
}

int main(int argument_count, char **arguments)
{
	static struct cable cable;

	if (argument_count != 5)
		return fputs(help, argument_count == 1 ? stdout : stderr) < 0 ? 1 : 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	cable.random = strtoull(arguments[4], NULL, 10);
	cable.frames = tandem_memory_alloc_array(FRAMES_MAX, sizeof(*cable.frames));
	if (!cable.frames)
		die("frames");
	for (unsigned side = 0; side < 2; side++)
		cable.taps[side] = open_tap(arguments[1 + side], arguments[3]);
	puts("ready");
	run(&cable);
	return 0;
}
