/* A protected program whose memory can be made again from outside (pattern.h).
 * Its writers work in steps, and between two steps, when all of them rest, it
 * ends an epoch. What was acknowledged is noted outside the protected memory.
 * Started to take over, it first compares what it was given with what the state
 * blob says, byte for byte, and writes down the verdict. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/log.h>
#include <tandem/memory.h>
#include <tandem/tandem.h>

#include "pattern.h"

#define STATE_MAGIC UINT64_C(0x72656b6365686374)
#define PENDING_MAX 64u
#define WAIT_MS     20
#define STORM_NS    TANDEM_NS_PER_MS
#define STEP_NS     TANDEM_NS_PER_MS /* from one step to the next, at least */
#define PATH_BYTES  512u

static const char help[] =
        "usage: checker --seed N [--pair NAME] [--run-dir DIR] [--storm]\n"
        "\n"
        "Writes a pattern to protected memory, an epoch after each step. DIR/acked "
        "holds the "
        "number "
        "of\n"
        "the newest acknowledged step; DIR/verdict what a promoted one found.\n"
        "  --storm  a signal each millisecond, with a handler that interrupts "
        "system calls\n"
        "\n"
        "example: checker --seed 1 --pair kv --run-dir /run/tandem\n";

static const char *const region_names[PATTERN_REGIONS] = {"anonymous", "shared"};

struct state {
	uint64_t magic;
	uint64_t seed;
	uint64_t step;
};

struct checker {
	struct tandem *tandem;
	struct tandem_news news;
	struct state state;
	uint8_t *regions[PATTERN_REGIONS];
	pthread_barrier_t begin, end;
	_Atomic uint64_t *acked; /* in a file */
	struct {
		uint64_t ticket, step;
	} pending[PENDING_MAX]; /* a ring */
	unsigned first, count;
	uint64_t next_step_ns;
	char run_directory[PATH_BYTES / 2];
};

static struct checker checker;

static void die(const char *what, const struct tandem_error *error)
{
	tandem_log(TANDEM_LOG_ERROR, "%s: %s", what, error ? error->detail : strerror(errno));
	exit(error && error->code == TANDEM_E_NOT_LEADER ? 3 : 1);
}

/* ---- writers ---- */

static void write_page(void *argument, const struct pattern_write *write)
{
	uint8_t *page = checker.regions[write->region] + (size_t)write->page * PATTERN_PAGE_BYTES;

	(void)argument;
	if (write->kind == PATTERN_FREED) {
		tandem_mark_free(checker.tandem, page, PATTERN_PAGE_BYTES);
		return;
	}
	if (write->kind == PATTERN_DATA)
		pattern_fill(page, checker.state.seed, checker.state.step, write->region,
		             write->page);
	else
		memset(page, 0, PATTERN_PAGE_BYTES);
	tandem_mark_dirty(checker.tandem, page, PATTERN_PAGE_BYTES);
}

static void *run_writer(void *argument)
{
	const unsigned *writer = argument;

	for (;;) {
		pthread_barrier_wait(&checker.begin);
		pattern_step(checker.state.seed, checker.state.step, *writer, write_page, NULL);
		pthread_barrier_wait(&checker.end);
	}
	return NULL;
}

static void start_writers(void)
{
	static unsigned numbers[PATTERN_WRITERS];
	pthread_t thread;

	pthread_barrier_init(&checker.begin, NULL, PATTERN_WRITERS + 1);
	pthread_barrier_init(&checker.end, NULL, PATTERN_WRITERS + 1);
	for (unsigned writer = 0; writer < PATTERN_WRITERS; writer++) {
		numbers[writer] = writer;
		errno = pthread_create(&thread, NULL, run_writer, &numbers[writer]);
		if (errno != 0)
			die("a writer's thread", NULL);
	}
}

/* ---- epochs ---- */

static uint64_t end_epoch(void)
{
	struct tandem_error error;
	uint64_t ticket;

	if (tandem_checkpoint(checker.tandem, &checker.state, sizeof checker.state, &ticket,
	                      &error) != 0)
		die("checkpoint", &error);
	return ticket;
}

static void make_step(void)
{
	unsigned last = (checker.first + checker.count++) % PENDING_MAX;

	checker.state.step++;
	pthread_barrier_wait(&checker.begin);
	pthread_barrier_wait(&checker.end);
	checker.pending[last].step = checker.state.step;
	checker.pending[last].ticket = end_epoch();
}

static void acknowledge(void)
{
	while (checker.count > 0 &&
	       checker.pending[checker.first].ticket <= checker.news.released_ticket) {
		TANDEM_FAILPOINT("reply");
		atomic_store(checker.acked, checker.pending[checker.first].step);
		checker.first = (checker.first + 1) % PENDING_MAX;
		checker.count--;
	}
}

static bool may_step(void)
{
	return checker.news.can_checkpoint && checker.count < PENDING_MAX;
}

static void wait_for_news(void)
{
	struct pollfd descriptor = {.fd = tandem_event_fd(checker.tandem), .events = POLLIN};
	uint64_t now_ns = tandem_clock_now_ns();
	struct timespec wait = {.tv_nsec = WAIT_MS * (long)TANDEM_NS_PER_MS};

	if (may_step())
		wait.tv_nsec =
		        now_ns < checker.next_step_ns ? (long)(checker.next_step_ns - now_ns) : 0;
	ppoll(&descriptor, 1, &wait, NULL);
	tandem_poll(checker.tandem, &checker.news);
}

static void run(void)
{
	while (!checker.news.is_halted) {
		wait_for_news();
		acknowledge();
		if (may_step() && tandem_clock_now_ns() >= checker.next_step_ns) {
			checker.next_step_ns = tandem_clock_now_ns() + STEP_NS;
			make_step();
		} else if (checker.news.wants_checkpoint && checker.news.can_checkpoint) {
			end_epoch();
		}
	}
}

/* ---- what a promoted one is given ---- */

static void *map_file(const char *path, size_t bytes, int more_flags)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | more_flags, 0600);
	void *memory;

	if (fd < 0 || (more_flags != 0 && ftruncate(fd, (off_t)bytes) != 0))
		die(path, NULL);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die(path, NULL);
	close(fd);
	return memory;
}

static void read_state(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, &checker.state, sizeof checker.state) != sizeof checker.state)
		die(path, NULL);
	close(fd);
}

static void tell_verdict(const struct tandem_recovery *recovery,
                         const struct pattern_difference *difference, bool is_state_good)
{
	char path[PATH_BYTES], whole[PATH_BYTES];
	FILE *file;

	snprintf(path, sizeof path, "%s/verdict.new", checker.run_directory);
	snprintf(whole, sizeof whole, "%s/verdict", checker.run_directory);
	file = fopen(path, "w");
	if (file == NULL)
		die(path, NULL);
	fprintf(file,
	        "{\"is_state_good\": %s, \"seed\": %llu, \"step\": %llu, \"epoch\": "
	        "%llu, "
	        "\"different_pages\": %llu, \"region\": \"%s\", \"page\": %u, "
	        "\"expected_step\": "
	        "%llu}\n",
	        is_state_good ? "true" : "false", (unsigned long long)checker.state.seed,
	        (unsigned long long)checker.state.step, (unsigned long long)recovery->epoch,
	        (unsigned long long)difference->pages, region_names[difference->region],
	        difference->page, (unsigned long long)difference->expected_step);
	if (fclose(file) != 0 || rename(path, whole) != 0)
		die(whole, NULL);
}

static void take_over(const struct tandem_recovery *recovery)
{
	struct pattern_difference difference = {.pages = 0};
	const uint8_t *regions[PATTERN_REGIONS];
	char path[PATH_BYTES];
	bool is_state_good;

	for (unsigned region = 0; region < PATTERN_REGIONS; region++) {
		snprintf(path, sizeof path, "%s/%s", recovery->image_directory,
		         region_names[region]);
		checker.regions[region] = map_file(path, PATTERN_REGION_BYTES, 0);
		regions[region] = checker.regions[region];
	}
	read_state(recovery->state_file);
	is_state_good = checker.state.magic == STATE_MAGIC;
	if (is_state_good &&
	    !pattern_compare(regions, checker.state.seed, checker.state.step, &difference))
		die("no memory for the comparison", NULL);
	tell_verdict(recovery, &difference, is_state_good);
}

/* ---- start ---- */

static void make_memory(uint64_t seed)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)PATTERN_REGION_BYTES) != 0)
		die("memfd", NULL);
	checker.regions[0] = tandem_memory_map(PATTERN_REGION_BYTES);
	checker.regions[1] =
	        mmap(NULL, PATTERN_REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (checker.regions[0] == NULL || checker.regions[1] == MAP_FAILED)
		die("memory", NULL);
	close(fd);
	checker.state = (struct state){.magic = STATE_MAGIC, .seed = seed};
}

static void on_signal(int number)
{
	(void)number;
}

/* One without SA_RESTART: whatever can be interrupted is. */
static void start_storm(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec interval = {.it_interval = {.tv_nsec = STORM_NS},
	                              .it_value = {.tv_nsec = STORM_NS}};
	timer_t timer;

	if (sigaction(SIGUSR1, &action, NULL) != 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &interval, NULL) != 0)
		die("the signals", NULL);
}

static void protect(const struct tandem_options *options)
{
	struct tandem_error error;

	if (tandem_open(options, &checker.tandem, &error) != 0)
		die("open", &error);
	for (unsigned region = 0; region < PATTERN_REGIONS; region++) {
		if (tandem_region_add(checker.tandem, region_names[region], checker.regions[region],
		                      PATTERN_REGION_BYTES, TANDEM_TRACKER_AUTO, &error) != 0)
			die("region", &error);
	}
	if (tandem_start(checker.tandem, &error) != 0)
		die("start", &error);
}

int main(int argument_count, char **arguments)
{
	static const struct option options[] = {
	        {"seed", required_argument, NULL, 's'},    {"pair", required_argument, NULL, 'p'},
	        {"run-dir", required_argument, NULL, 'r'}, {"storm", no_argument, NULL, 'S'},
	        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
	};
	struct tandem_options tandem_options = TANDEM_OPTIONS_DEFAULT;
	struct tandem_recovery recovery;
	bool has_storm = false;
	uint64_t seed = 0;
	char path[PATH_BYTES];
	int option;

	tandem_log_open("checker");
	while ((option = getopt_long(argument_count, arguments, "", options, NULL)) != -1) {
		if (option == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (option == 'p')
			tandem_options.pair = optarg;
		else if (option == 'r')
			tandem_options.run_directory = optarg;
		else if (option == 'S')
			has_storm = true;
		else
			return fputs(help, option == 'h' ? stdout : stderr) < 0 || option != 'h'
			               ? 2
			               : 0;
	}
	if (tandem_options.run_directory == NULL)
		return fputs(help, stderr) < 0 ? 1 : 2;
	tandem_failpoint_load();
	snprintf(checker.run_directory, sizeof checker.run_directory, "%s",
	         tandem_options.run_directory);
	if (tandem_recovery_read(&recovery))
		take_over(&recovery);
	else
		make_memory(seed);
	snprintf(path, sizeof path, "%s/acked", checker.run_directory);
	checker.acked = map_file(path, sizeof *checker.acked, O_CREAT);
	protect(&tandem_options);
	start_writers();
	if (has_storm)
		start_storm();
	run();
	tandem_log(TANDEM_LOG_INFO, "another node leads");
	return 3;
}
