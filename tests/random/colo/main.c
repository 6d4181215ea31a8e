#include "world.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/random.h>

/* colo_epochs [--schedules N] [--seed S] [--steps N] [--bug NAME] [--prove N] [--trace 1]
 * Without a bug every schedule must hold; --prove wants each bug found within N schedules.
 * --seed with --schedules 1 replays one. */

#define STEPS_DEFAULT 700

static const char *const bug_names[] = {
#define X(name) #name,
        BUG_TABLE(X)
#undef X
};

static const char *const met_names[] = {
#define X(name) #name,
        MET_TABLE(X)
#undef X
};

const char *met_name(enum met met)
{
	return met_names[met];
}

static struct world world;

static bool run(uint64_t seed, enum bug bug, unsigned steps, struct counts *counts)
{
	world_reset(&world, seed, bug, counts);
	counts->schedules++;
	for (unsigned step = 0; step < steps && !world.has_failed && !world.is_activated; step++) {
		world_outside(&world);
		primary_turn(&world);
	}
	world.has_faults = false;
	for (unsigned step = 0; step < HEAL_STEPS_MAX && !world.has_failed; step++) {
		if (world_is_at_rest(&world))
			break;
		world_outside(&world);
		primary_turn(&world);
	}
	if (!world.has_failed && !world_is_at_rest(&world))
		world_fail(&world,
		           "the pair does not come to rest: phase %s, gate mode %d, register %s",
		           tandem_primary_phase_name(world.primary.core.phase),
		           world.primary.core.gate.mode, world.reg.is_pair ? "PAIR" : "SOLO");
	if (!world.has_failed && !world.primary.is_dead && !world.is_taken_over)
		world_met(&world, MET_ENDED_PAIRED);
	world_done(&world);
	return !world.has_failed;
}

/* ---- what was met ---- */

static unsigned report_one(const char *group, const char *name, uint64_t count, bool is_wanted)
{
	printf("  %-18s %-28s %" PRIu64 "%s\n", group, name, count,
	       is_wanted && count == 0 ? "   NEVER MET" : "");
	return is_wanted && count == 0;
}

const char *primary_action_name(unsigned type)
{
	static const char *const names[] = {"CONNECT",
	                                    "DROP_SESSION",
	                                    "SEND",
	                                    "MARK_ALL",
	                                    "SLICE",
	                                    "SCAN",
	                                    "STAGE",
	                                    "DRAIN",
	                                    "UNSTAGE",
	                                    "PUSH",
	                                    "SEAL",
	                                    "SETTLE",
	                                    "RESUME",
	                                    "COMMIT_MAP",
	                                    "ABORT_MAP",
	                                    "REPUSH",
	                                    "FORGET_MAP",
	                                    "MERGE_MAPS",
	                                    "TAKE_DIGESTS",
	                                    "REPORT_UP",
	                                    "REPORT_LOST",
	                                    "REPORT_COPIED",
	                                    "REPORT_COMMITTED",
	                                    "RENEW_LEASE",
	                                    "END_LEASE",
	                                    "REPORT_QUIESCED"};

	_Static_assert(sizeof names / sizeof names[0] == PRIMARY_ACTION_LAST + 1, "a name each");

	return names[type];
}

static unsigned report_all(const struct counts *counts)
{
	static const char *const secondary_names[] = {
	        "SEND",  "DROP",           "PREPARE", "RENEW",        "COMMIT",
	        "APPLY", "FENCE_CHANNELS", "DISCARD", "SEND_DIGESTS", "REPORT_UP"};
	unsigned missing = 0;

	for (unsigned index = 0; index < MET_COUNT; index++)
		missing += report_one("met", met_names[index], counts->met[index], true);
	for (unsigned phase = 1; phase <= TANDEM_PRIMARY_HALTED; phase++)
		missing += report_one("phase", tandem_primary_phase_name(phase),
		                      counts->phase[phase], true);
	for (unsigned phase = 0; phase <= TANDEM_PRIMARY_HALTED; phase++)
		report_one("crash in phase", tandem_primary_phase_name(phase), counts->crash[phase],
		           false);
	/* No schedule has a lease: output is gated here. */
	for (unsigned type = 0; type <= PRIMARY_ACTION_LAST; type++)
		missing += report_one("primary action", primary_action_name(type),
		                      counts->primary_action[type],
		                      type != TANDEM_PRIMARY_DO_RENEW_LEASE &&
		                              type != TANDEM_PRIMARY_DO_END_LEASE);
	for (unsigned type = 0; type <= TANDEM_SECONDARY_DO_REPORT_UP; type++)
		missing += report_one("secondary action", secondary_names[type],
		                      counts->secondary_action[type],
		                      type != TANDEM_SECONDARY_DO_DROP);
	return missing;
}

/* ---- runs ---- */

struct options {
	uint64_t schedules, seed, prove;
	unsigned steps;
	enum bug bug;
};

static int run_schedules(const struct options *options)
{
	static struct counts counts;
	uint64_t seed = options->seed;

	printf("seed %" PRIu64 ", %" PRIu64 " schedules of %u steps, bug %s\n", options->seed,
	       options->schedules, options->steps, bug_names[options->bug]);
	for (uint64_t schedule = 0; schedule < options->schedules; schedule++, seed++) {
		if (run(seed, options->bug, options->steps, &counts))
			continue;
		printf("FAILED in schedule %" PRIu64 ": %s\nreplay with --seed %" PRIu64
		       " --schedules 1 --steps %u\n",
		       schedule, world.failure, seed, options->steps);
		return 1;
	}
	unsigned missing = options->schedules > 1 ? report_all(&counts) : 0;
	printf("%" PRIu64 " schedules, %" PRIu64 " steps: every image, blob and output was right\n",
	       counts.schedules, counts.steps);
	return missing > 0;
}

static bool prove_one(const struct options *options, enum bug bug)
{
	static struct counts counts;

	for (uint64_t schedule = 0; schedule < options->prove; schedule++) {
		if (run(options->seed + schedule, bug, options->steps, &counts))
			continue;
		printf("  %-26s found in schedule %4" PRIu64 ": %s\n", bug_names[bug], schedule,
		       world.failure);
		return true;
	}
	printf("  %-26s NOT FOUND in %" PRIu64 " schedules\n", bug_names[bug], options->prove);
	return false;
}

/* In a process of its own: what the core asserts finds a bug, too. */
static bool is_found(const struct options *options, enum bug bug)
{
	int status = 0;

	fflush(stdout);
	const pid_t child = fork();
	if (child == 0) {
		const bool is_one = prove_one(options, bug);

		fflush(stdout);
		_exit(is_one ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) {
		printf("  %-26s found by an assertion of the core\n", bug_names[bug]);
		return true;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

static int prove(const struct options *options)
{
	int missed = 0;

	printf("seed %" PRIu64 ": each bug must be found\n", options->seed);
	for (unsigned bug = BUG_NONE + 1; bug < BUG_COUNT; bug++)
		missed += !is_found(options, (enum bug)bug);
	return missed > 0;
}

static enum bug parse_bug(const char *name)
{
	for (unsigned bug = 0; bug < BUG_COUNT; bug++) {
		if (strcmp(name, bug_names[bug]) == 0)
			return (enum bug)bug;
	}
	fprintf(stderr, "unknown bug %s\n", name);
	exit(2);
}

int main(int argument_count, char **arguments)
{
	struct options options = {.schedules = 1000, .seed = 1, .steps = STEPS_DEFAULT};

	for (int index = 1; index + 1 < argument_count; index += 2) {
		const char *value = arguments[index + 1];

		if (strcmp(arguments[index], "--schedules") == 0)
			options.schedules = strtoull(value, NULL, 10);
		else if (strcmp(arguments[index], "--seed") == 0)
			options.seed = strcmp(value, "new") == 0 ? tandem_random_unique()
			                                         : strtoull(value, NULL, 10);
		else if (strcmp(arguments[index], "--steps") == 0)
			options.steps = (unsigned)strtoul(value, NULL, 10);
		else if (strcmp(arguments[index], "--prove") == 0)
			options.prove = strtoull(value, NULL, 10);
		else if (strcmp(arguments[index], "--bug") == 0)
			options.bug = parse_bug(value);
		else if (strcmp(arguments[index], "--trace") == 0)
			world.is_tracing = strcmp(value, "1") == 0;
	}
	return options.prove > 0 ? prove(&options) : run_schedules(&options);
}
