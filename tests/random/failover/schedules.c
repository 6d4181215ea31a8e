#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <tandem/random.h>
#include <unistd.h>

#include "coverage.h"
#include "nemesis.h"

/* Seeded schedules of faults against two controllers. While they run: at most one node releases
 * output in an instant and in a generation, nothing published is ever contradicted, no stale or
 * half-copied standby is promoted. When all is healed: the pair is one again. */

#define MS                TANDEM_NS_PER_MS
#define EVENTS_MIN        1000
#define FAULTS_MIN        3
#define FAULTS_MORE       12
#define SCHEDULES         2000
#define COVERED_FROM      50000   /* schedules that must meet every cell and side */
#define RARE_COVERED_FROM 1000000 /* and the rare ones */
#define JOBS_MAX          64
#define PAUSE_MS          330
#define START_MS          1000

static const char *const bug_names[] = {
#define X(name) #name,
        BUG_TABLE(X)
#undef X
};

struct options {
	uint64_t schedule_count, seed, prove_count;
	unsigned job_count;
	enum bug bug;
	enum trace_level trace_level;
};

/* Shared with the process that ran the schedules. */
struct report {
	uint64_t seed; /* the schedule under way, or the one that failed */
	bool has_failed;
	bool is_done;
	uint64_t schedule_count, event_count, fault_count, word_count, publish_count;
	uint64_t take_over_count, pair_count, solo_count, force_count, hand_over_count, fence_count;
	uint64_t simulated_ns;
	unsigned long events_min;
	unsigned faults_min;
	char violation[400];
	struct coverage coverage;
};

static struct cluster cluster;

/* ---- one schedule ---- */

static void run_schedule(uint64_t seed, enum bug bug, enum trace_level trace_level)
{
	cluster_init(&cluster, seed, nemesis_draw_arbiter(seed));
	cluster.reads = (enum reads)(seed / 8 % (READS_ALWAYS + 1));
	cluster.trace_level = trace_level;
	cluster.bug = bug;
	nemesis_init(&cluster);
	cluster_start(&cluster);
	cluster_run(&cluster, (300 + cluster_draw(&cluster, START_MS)) * MS);
	uint64_t wanted_count = FAULTS_MIN + cluster_draw(&cluster, FAULTS_MORE);
	while (cluster.violation[0] == 0 &&
	       (cluster.fault_count < wanted_count || cluster.event_count < EVENTS_MIN)) {
		nemesis_strike(&cluster);
		nemesis_run(&cluster, cluster_draw(&cluster, PAUSE_MS) * MS);
	}
	if (cluster.violation[0] == 0)
		nemesis_end(&cluster);
	nemesis_settle(&cluster);
}

static void count(struct report *report)
{
	if (report->schedule_count == 0 || cluster.event_count < report->events_min)
		report->events_min = cluster.event_count;
	if (report->schedule_count == 0 || cluster.fault_count < report->faults_min)
		report->faults_min = cluster.fault_count;
	report->schedule_count++;
	report->event_count += cluster.event_count;
	report->fault_count += cluster.fault_count;
	report->word_count += cluster.word_count;
	report->publish_count += cluster.publish_count;
	report->take_over_count += cluster.take_over_count;
	report->pair_count += cluster.pair_count;
	report->solo_count += cluster.solo_count;
	report->force_count += cluster.force_count;
	report->hand_over_count += cluster.hand_over_count;
	report->fence_count += cluster.fence_count;
	report->simulated_ns += cluster.now_ns - 1000 * MS;
}

/* Every step-th schedule from `first` on, until one fails. */
static void run_some(const struct options *options, struct report *report, uint64_t first,
                     uint64_t step)
{
	coverage_begin(&report->coverage, options->bug);
	for (uint64_t i = first; i < options->schedule_count && !report->has_failed; i += step) {
		report->seed = options->seed + i;
		run_schedule(report->seed, options->bug, TRACE_NOTHING);
		count(report);
		if (cluster.violation[0] == 0)
			continue;
		report->has_failed = true;
		memcpy(report->violation, cluster.violation, sizeof(report->violation));
	}
	report->is_done = true;
}

/* ---- processes ---- */

static struct report *share_reports(size_t report_count)
{
	struct report *reports = mmap(NULL, report_count * sizeof(*reports), PROT_READ | PROT_WRITE,
	                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reports != MAP_FAILED)
		return reports;
	perror("failover_schedules: no memory for the reports");
	exit(2);
}

static pid_t begin_job(void (*run)(const struct options *options, struct report *report,
                                   uint64_t first, uint64_t step),
                       const struct options *options, struct report *report, uint64_t first)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0) {
		perror("failover_schedules: fork");
		exit(2);
	}
	if (pid > 0)
		return pid;
	run(options, report, first, options->job_count);
	_exit(0);
}

static void end_job(pid_t pid, struct report *report)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (report->is_done)
		return;
	report->has_failed = true;
	snprintf(report->violation, sizeof(report->violation), "the process died, status 0x%x",
	         (unsigned)status);
}

static void run_jobs(const struct options *options, struct report *reports)
{
	pid_t pids[JOBS_MAX];
	for (unsigned i = 0; i < options->job_count; i++)
		pids[i] = begin_job(run_some, options, &reports[i], i);
	for (unsigned i = 0; i < options->job_count; i++)
		end_job(pids[i], &reports[i]);
}

/* ---- all schedules ---- */

static void add(struct report *sum, const struct report *more)
{
	if (more->schedule_count > 0 &&
	    (sum->schedule_count == 0 || more->events_min < sum->events_min))
		sum->events_min = more->events_min;
	if (more->schedule_count > 0 &&
	    (sum->schedule_count == 0 || more->faults_min < sum->faults_min))
		sum->faults_min = more->faults_min;
	sum->schedule_count += more->schedule_count;
	sum->event_count += more->event_count;
	sum->fault_count += more->fault_count;
	sum->word_count += more->word_count;
	sum->publish_count += more->publish_count;
	sum->take_over_count += more->take_over_count;
	sum->pair_count += more->pair_count;
	sum->solo_count += more->solo_count;
	sum->force_count += more->force_count;
	sum->hand_over_count += more->hand_over_count;
	sum->fence_count += more->fence_count;
	sum->simulated_ns += more->simulated_ns;
	coverage_add(&sum->coverage, &more->coverage);
	if (!more->has_failed || (sum->has_failed && sum->seed < more->seed))
		return;
	sum->has_failed = true;
	sum->seed = more->seed;
	memcpy(sum->violation, more->violation, sizeof(sum->violation));
}

static void print_totals(const struct report *sum)
{
	printf("%" PRIu64 " schedules, %" PRIu64 " events (at least %lu each), %" PRIu64
	       " faults (at least %u each), %" PRIu64 " words of the operator, %" PRIu64
	       " s simulated\n",
	       sum->schedule_count, sum->event_count, sum->events_min, sum->fault_count,
	       sum->faults_min, sum->word_count, sum->simulated_ns / TANDEM_NS_PER_S);
	printf("%" PRIu64 " take-overs, %" PRIu64 " pairings, %" PRIu64 " times SOLO, %" PRIu64
	       " forced, %" PRIu64 " handed over, %" PRIu64 " fenced, %" PRIu64
	       " epochs published\n",
	       sum->take_over_count, sum->pair_count, sum->solo_count, sum->force_count,
	       sum->hand_over_count, sum->fence_count, sum->publish_count);
}

static void print_failure(const struct options *options, const struct report *sum)
{
	bool is_bug = options->bug != BUG_NONE;
	coverage_begin(&(struct coverage){.cells = {{0}}}, options->bug);
	run_schedule(sum->seed, options->bug, TRACE_WORLD);
	printf("%s", cluster.trace);
	printf("seed 0x%" PRIx64 ": %s\nreplay: failover_schedules --schedules 1 --seed 0x%" PRIx64
	       "%s%s\n",
	       sum->seed, sum->violation, sum->seed, is_bug ? " --bug " : "",
	       is_bug ? bug_names[options->bug] : "");
}

static int run_all(const struct options *options)
{
	struct report *reports = share_reports(options->job_count);
	static struct report sum;
	printf("%" PRIu64 " schedules, first seed 0x%" PRIx64 "\n", options->schedule_count,
	       options->seed);
	run_jobs(options, reports);
	for (unsigned i = 0; i < options->job_count; i++)
		add(&sum, &reports[i]);
	if (sum.has_failed) {
		print_failure(options, &sum);
		return EXIT_FAILURE;
	}
	unsigned missing_count =
	        coverage_print(&sum.coverage, options->schedule_count >= RARE_COVERED_FROM);
	print_totals(&sum);
	if (sum.events_min < EVENTS_MIN || sum.faults_min < FAULTS_MIN) {
		printf("FAILED: a schedule was shorter than %d events or %d faults\n", EVENTS_MIN,
		       FAULTS_MIN);
		return EXIT_FAILURE;
	}
	if (missing_count == 0 || options->schedule_count < COVERED_FROM)
		return EXIT_SUCCESS;
	printf("FAILED: %u cells or sides were never met\n", missing_count);
	return EXIT_FAILURE;
}

static int replay(const struct options *options)
{
	static struct coverage coverage;
	coverage_begin(&coverage, options->bug);
	run_schedule(options->seed, options->bug, options->trace_level);
	printf("%s%s\n", cluster.trace,
	       cluster.violation[0] != 0 ? cluster.violation : "every checker is content");
	printf("seed 0x%" PRIx64 ": %lu events, %u faults\n", options->seed, cluster.event_count,
	       cluster.fault_count);
	return cluster.violation[0] != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the checkers themselves ---- */

static void prove_some(const struct options *options, struct report *reports, uint64_t first,
                       uint64_t step)
{
	struct options each = *options;
	for (uint64_t bug = BUG_NONE + 1 + first; bug < BUG_COUNT; bug += step) {
		each.bug = (enum bug)bug;
		each.schedule_count = options->prove_count;
		run_some(&each, &reports[bug], 0, 1);
	}
}

static int prove(const struct options *options)
{
	struct report *reports = share_reports(BUG_COUNT);
	pid_t pids[JOBS_MAX];
	unsigned missed_count = 0;
	printf("each bug must be found within %" PRIu64 " schedules, first seed 0x%" PRIx64 "\n",
	       options->prove_count, options->seed);
	for (unsigned i = 0; i < options->job_count; i++)
		pids[i] = begin_job(prove_some, options, reports, i);
	for (unsigned i = 0; i < options->job_count; i++) {
		struct report last = {.is_done = true};
		end_job(pids[i], &last);
	}
	for (unsigned bug = BUG_NONE + 1; bug < BUG_COUNT; bug++) {
		const struct report *report = &reports[bug];
		missed_count += !report->is_done || !report->has_failed;
		printf("  %-36s %s %" PRIu64 " schedules: %s\n", bug_names[bug],
		       report->has_failed ? "found after" : "NOT FOUND in", report->schedule_count,
		       report->violation);
	}
	return missed_count > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- options ---- */

static void print_help(void)
{
	printf("usage: failover_schedules [OPTIONS] [SCHEDULES [SEED]]\n"
	       "Two controllers, their data planes, links and arbiter, simulated: seeded faults, "
	       "checkers after every step.\n"
	       "  --schedules N  how many (default %d); 1 replays the seed and prints its trace\n"
	       "  --seed S       of the first schedule, the next has the next number; 'new' is the "
	       "default\n"
	       "  --jobs N       processes (default 1)\n"
	       "  --bug NAME     with this seeded bug\n"
	       "  --prove N      each seeded bug must be found within N schedules\n"
	       "  --events       a replay tells what each controller hears, too\n"
	       "  --help         this text\n"
	       "At least %d schedules must meet every cell of the table and both sides of every "
	       "guard in every row.\n"
	       "examples:\n"
	       "  failover_schedules --schedules 50000 --jobs 2\n"
	       "  failover_schedules 1 0x59e54f3cca9856c3\n"
	       "  failover_schedules --prove 2000 --seed 1\n"
	       "bugs:\n",
	       SCHEDULES, COVERED_FROM);
	for (unsigned bug = BUG_NONE + 1; bug < BUG_COUNT; bug++)
		printf("  %s\n", bug_names[bug]);
}

static uint64_t parse_number(const char *option, const char *text)
{
	char *end = NULL;
	errno = 0;
	uint64_t number = strtoull(text, &end, 0);
	if (errno == 0 && end != text && *end == 0)
		return number;
	fprintf(stderr, "failover_schedules: %s: '%s' is not a number\n", option, text);
	exit(2);
}

static enum bug parse_bug(const char *name)
{
	for (unsigned bug = 0; bug < BUG_COUNT; bug++) {
		if (strcmp(name, bug_names[bug]) == 0)
			return (enum bug)bug;
	}
	fprintf(stderr, "failover_schedules: --bug: no bug '%s'; --help lists them\n", name);
	exit(2);
}

static uint64_t parse_seed(const char *text)
{
	return strcmp(text, "new") == 0 ? tandem_random_unique() : parse_number("--seed", text);
}

static void parse(int argument_count, char **arguments, struct options *options)
{
	static const struct option known[] = {
	        {"schedules", required_argument, NULL, 'n'},
	        {"seed", required_argument, NULL, 's'},
	        {"jobs", required_argument, NULL, 'j'},
	        {"bug", required_argument, NULL, 'b'},
	        {"prove", required_argument, NULL, 'p'},
	        {"events", no_argument, NULL, 'e'},
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	int option;
	while ((option = getopt_long(argument_count, arguments, "h", known, NULL)) != -1) {
		if (option == 'n')
			options->schedule_count = parse_number("--schedules", optarg);
		else if (option == 's')
			options->seed = parse_seed(optarg);
		else if (option == 'j')
			options->job_count = (unsigned)parse_number("--jobs", optarg);
		else if (option == 'b')
			options->bug = parse_bug(optarg);
		else if (option == 'p')
			options->prove_count = parse_number("--prove", optarg);
		else if (option == 'e')
			options->trace_level = TRACE_EVENTS;
		else if (option == 'h')
			print_help();
		if (option == 'h' || option == '?')
			exit(option == 'h' ? EXIT_SUCCESS : 2);
	}
	if (optind < argument_count)
		options->schedule_count = parse_number("SCHEDULES", arguments[optind]);
	if (optind + 1 < argument_count)
		options->seed = parse_seed(arguments[optind + 1]);
}

int main(int argument_count, char **arguments)
{
	struct options options = {.schedule_count = SCHEDULES,
	                          .seed = tandem_random_unique(),
	                          .job_count = 1,
	                          .trace_level = TRACE_WORLD};
	parse(argument_count, arguments, &options);
	if (options.job_count < 1 || options.job_count > JOBS_MAX || options.schedule_count < 1) {
		fprintf(stderr,
		        "failover_schedules: --jobs is %u, it must be 1 to %d; --schedules "
		        "at least 1\n",
		        options.job_count, JOBS_MAX);
		return 2;
	}
	if (options.prove_count > 0)
		return prove(&options);
	return options.schedule_count == 1 ? replay(&options) : run_all(&options);
}
