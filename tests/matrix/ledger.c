/* A protected program that keeps a ledger and tells a sink each output that the gate has released:
 * see ledger_memory.h. What left too much, too early or from the wrong node shows at the sink. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/log.h>
#include <tandem/memory.h>
#include <tandem/random.h>
#include <tandem/tandem.h>

#include "ledger_memory.h"
#include "ledger_record.h"

#define PENDING_MAX   256u /* outputs that wait for the gate */
#define STEPS_WAITING 64u  /* of them, before no step is made */
#define ASKED_MAX     16u  /* requests taken in one turn */
#define WAIT_MS       20

static const char help[] =
        "usage: ledger --sink ADDRESS --node NAME [--pair NAME] [--run-dir DIR] [--step-us N]\n"
        "\n"
        "From the sink's first question on it makes a step of the ledger every N microseconds "
        "(500)\n"
        "and tells the sink what was released.\n"
        "ADDRESS: the path of a unix socket, or HOST:PORT.\n"
        "\n"
        "example: ledger --sink /tmp/sink --node a --pair kv --run-dir /run/tandem\n";

struct pending {
	uint64_t ticket;
	struct ledger_record record;
};

struct ledger {
	struct tandem *tandem;
	struct tandem_news news;
	uint8_t *memory;
	struct ledger_state state;
	uint64_t salt;
	uint64_t step_ns;
	uint64_t next_step_ns;
	bool is_asked; /* once */
	int sink;
	char node[4];
	struct pending pending[PENDING_MAX]; /* a ring */
	unsigned first;
	unsigned count;
	uint8_t asked[sizeof(uint64_t)]; /* of a request that has not arrived whole */
	size_t asked_bytes;
};

static void die(const char *what, const struct tandem_error *error)
{
	tandem_log(TANDEM_LOG_ERROR, "%s: %s", what, error ? error->detail : strerror(errno));
	exit(error && error->code == TANDEM_E_NOT_LEADER ? 3 : 1);
}

/* ---- the sink ---- */

static int connect_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

static int connect_host(const char *text)
{
	char host[64];
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
	const char *colon = strrchr(text, ':');

	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
		return -1;
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int status = connect(fd, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return status == 0 ? fd : -1;
}

static void tell(struct ledger *ledger, struct ledger_record *record)
{
	const char *bytes = (const char *)record;
	size_t left = sizeof(*record);

	record->at_ns = tandem_clock_now_ns();
	while (left > 0) {
		ssize_t sent = send(ledger->sink, bytes, left, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR)
			die("the sink", NULL);
		bytes += sent > 0 ? sent : 0;
		left -= sent > 0 ? (size_t)sent : 0;
	}
}

static struct ledger_record new_record(const struct ledger *ledger, enum ledger_record_type type)
{
	struct ledger_record record = {
	        .type = type, .generation = ledger->news.generation, .step = ledger->state.step};

	memcpy(record.node, ledger->node, sizeof(record.node));
	memcpy(record.link, ledger->state.link, sizeof(record.link));
	return record;
}

static void tell_start(struct ledger *ledger, const uint8_t *digest)
{
	struct ledger_record record = new_record(ledger, LEDGER_START);

	record.number = ledger->salt;
	memcpy(record.digest, digest, sizeof(record.digest));
	tell(ledger, &record);
}

/* ---- output ---- */

static void hold(struct ledger *ledger, uint64_t ticket, const struct ledger_record *record)
{
	struct pending *pending = &ledger->pending[(ledger->first + ledger->count++) % PENDING_MAX];

	*pending = (struct pending){.ticket = ticket, .record = *record};
}

static void release(struct ledger *ledger)
{
	while (ledger->count > 0 &&
	       ledger->pending[ledger->first].ticket <= ledger->news.released_ticket) {
		struct ledger_record *record = &ledger->pending[ledger->first].record;
		TANDEM_FAILPOINT("reply");
		record->generation = ledger->news.generation;
		tell(ledger, record);
		ledger->first = (ledger->first + 1) % PENDING_MAX;
		ledger->count--;
	}
}

/* ---- work ---- */

static uint64_t checkpoint(struct ledger *ledger)
{
	struct tandem_error error;
	uint64_t ticket;

	if (tandem_checkpoint(ledger->tandem, &ledger->state, sizeof(ledger->state), &ticket,
	                      &error) != 0)
		die("checkpoint", &error);
	return ticket;
}

static void make_step(struct ledger *ledger)
{
	ledger_memory_step(ledger->memory, &ledger->state, ledger->salt);
	struct ledger_record record = new_record(ledger, LEDGER_STEP);
	hold(ledger, checkpoint(ledger), &record);
}

static void answer(struct ledger *ledger, uint64_t number)
{
	struct ledger_record record = new_record(ledger, LEDGER_READ);
	struct tandem_error error;
	uint64_t ticket;

	record.number = number;
	if (tandem_confirm(ledger->tandem, &ticket, &error) != 0)
		die("confirm", &error);
	hold(ledger, ticket, &record);
}

static void take_requests(struct ledger *ledger)
{
	for (unsigned i = 0; i < ASKED_MAX && ledger->count < PENDING_MAX; i++) {
		ssize_t length = recv(ledger->sink, ledger->asked + ledger->asked_bytes,
		                      sizeof(ledger->asked) - ledger->asked_bytes, MSG_DONTWAIT);
		if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
			die("the sink", NULL);
		if (length < 0)
			return;
		ledger->asked_bytes += (size_t)length;
		if (ledger->asked_bytes < sizeof(ledger->asked))
			return;
		uint64_t number;
		memcpy(&number, ledger->asked, sizeof(number));
		ledger->asked_bytes = 0;
		ledger->is_asked = true;
		answer(ledger, number);
	}
}

static bool may_step(const struct ledger *ledger)
{
	return ledger->is_asked && ledger->news.can_checkpoint && ledger->count < STEPS_WAITING;
}

static void wait_for_work(const struct ledger *ledger)
{
	struct pollfd descriptors[] = {{.fd = tandem_event_fd(ledger->tandem), .events = POLLIN},
	                               {.fd = ledger->sink, .events = POLLIN}};
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t wait_ns = WAIT_MS * TANDEM_NS_PER_MS;

	if (may_step(ledger) && ledger->next_step_ns < now_ns + wait_ns)
		wait_ns = ledger->next_step_ns > now_ns ? ledger->next_step_ns - now_ns : 0;
	struct timespec wait = {.tv_nsec = (long)wait_ns};
	ppoll(descriptors, 2, &wait, NULL);
}

static void run(struct ledger *ledger)
{
	for (;;) {
		wait_for_work(ledger);
		tandem_poll(ledger->tandem, &ledger->news);
		if (ledger->news.is_halted)
			return;
		release(ledger);
		take_requests(ledger);
		if (may_step(ledger) && tandem_clock_now_ns() >= ledger->next_step_ns) {
			ledger->next_step_ns = tandem_clock_now_ns() + ledger->step_ns;
			make_step(ledger);
		} else if (ledger->news.wants_checkpoint && ledger->news.can_checkpoint) {
			checkpoint(ledger);
		}
	}
}

/* ---- start ---- */

static void attach_image(struct ledger *ledger, const struct tandem_recovery *recovery)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/ledger", recovery->image_directory);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	ledger->memory =
	        fd < 0 ? MAP_FAILED
	               : mmap(NULL, LEDGER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ledger->memory == MAP_FAILED)
		die(path, NULL);
	close(fd);
	fd = open(recovery->state_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &ledger->state, sizeof(ledger->state)) != sizeof(ledger->state))
		die(recovery->state_file, NULL);
	close(fd);
}

static void open_memory(struct ledger *ledger)
{
	struct tandem_recovery recovery;

	if (tandem_recovery_read(&recovery))
		attach_image(ledger, &recovery);
	else
		ledger->memory = tandem_memory_map(LEDGER_BYTES);
	if (!ledger->memory)
		die("memory", NULL);
}

static void start(struct ledger *ledger, const struct tandem_options *options)
{
	struct tandem_error error;
	uint8_t digest[TANDEM_MAC_BYTES];

	open_memory(ledger);
	ledger_memory_digest(ledger->memory, digest);
	if (tandem_open(options, &ledger->tandem, &error) != 0)
		die("open", &error);
	if (tandem_region_add(ledger->tandem, "ledger", ledger->memory, LEDGER_BYTES,
	                      TANDEM_TRACKER_AUTO, &error) != 0)
		die("region", &error);
	if (tandem_start(ledger->tandem, &error) != 0)
		die("start", &error);
	tandem_poll(ledger->tandem, &ledger->news);
	tell_start(ledger, digest);
}

int main(int argument_count, char **arguments)
{
	static const struct option options[] = {
	        {"sink", required_argument, NULL, 's'},
	        {"node", required_argument, NULL, 'n'},
	        {"pair", required_argument, NULL, 'p'},
	        {"run-dir", required_argument, NULL, 'r'},
	        {"step-us", required_argument, NULL, 'u'},
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	static struct ledger ledger = {.sink = -1, .step_ns = 500 * TANDEM_NS_PER_US};
	struct tandem_options tandem_options = TANDEM_OPTIONS_DEFAULT;
	int option;

	tandem_log_open("ledger");
	while ((option = getopt_long(argument_count, arguments, "", options, NULL)) != -1) {
		if (option == 's')
			ledger.sink =
			        optarg[0] == '/' ? connect_path(optarg) : connect_host(optarg);
		else if (option == 'n')
			memcpy(ledger.node, optarg, strnlen(optarg, sizeof(ledger.node) - 1));
		else if (option == 'p')
			tandem_options.pair = optarg;
		else if (option == 'r')
			tandem_options.run_directory = optarg;
		else if (option == 'u')
			ledger.step_ns = strtoull(optarg, NULL, 10) * TANDEM_NS_PER_US;
		else
			return fputs(help, option == 'h' ? stdout : stderr) < 0 || option != 'h'
			               ? 2
			               : 0;
	}
	if (ledger.sink < 0)
		die("the sink", NULL);
	tandem_failpoint_load();
	ledger.salt = tandem_random_unique();
	start(&ledger, &tandem_options);
	run(&ledger);
	struct ledger_record record = new_record(&ledger, LEDGER_HALTED);
	tell(&ledger, &record);
	tandem_log(TANDEM_LOG_INFO, "another node leads");
	return 3;
}
