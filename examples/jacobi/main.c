#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "keeper.h"
#include "solver.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_WRONG_USE = 2, EXIT_NOT_LEADER = 3 };

struct options {
	struct tandem_options tandem;
	uint64_t side, iterations, threads, interval;
	bool is_standalone, is_json;
};

static const char help[] =
        "usage: jacobi --pair PAIR [--run-dir DIR] [options]\n"
        "       jacobi --standalone [options]\n"
        "\n"
        "Computes how heat spreads over a square plate, with several threads, and keeps the plate\n"
        "alive on a second node: when this one dies, the other goes on from the last checkpoint.\n"
        "\n"
        "  --pair PAIR      the pair of the configuration file that this program is\n"
        "  --run-dir DIR    where the controller's socket is (default /run/tandem)\n"
        "  --standalone     without Tandem: nothing is kept\n"
        "  --size N         points a side, 3 to 32768 (default 1024)\n"
        "  --iterations N   (default 10000)\n"
        "  --threads N      1 to 64 (default 2)\n"
        "  --interval N     iterations from one checkpoint to the next (default 100)\n"
        "  --json           the result as JSON\n"
        "  --help           this text\n"
        "\n"
        "Progress is told on standard error, the result on standard output, each when it is safe "
        "on\n"
        "both nodes. Both nodes need the same --size.\n"
        "\n"
        "examples:\n"
        "  jacobi --standalone --size 256 --iterations 5000\n"
        "  jacobi --pair heat --size 4096 --threads 16 --interval 50\n"
        "\n"
        "exit status: 0 done, 1 failed, 2 wrong use, 3 another node leads\n";

static bool read_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number)
{
	char *end;
	uint64_t number = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || number < min || number > max) {
		fprintf(stderr, "jacobi: '%s' must be a number from %llu to %llu\n", text,
		        (unsigned long long)min, (unsigned long long)max);
		return false;
	}
	*ret_number = number;
	return true;
}

static bool take_option(struct options *options, int option)
{
	switch (option) {
	case 'p':
		options->tandem.pair = optarg;
		return true;
	case 'r':
		options->tandem.run_directory = optarg;
		return true;
	case 's':
		options->is_standalone = true;
		return true;
	case 'n':
		return read_number(optarg, 3, 32768, &options->side);
	case 'i':
		return read_number(optarg, 1, UINT64_MAX - 1, &options->iterations);
	case 't':
		return read_number(optarg, 1, SOLVER_THREADS_MAX, &options->threads);
	case 'c':
		return read_number(optarg, 1, UINT64_MAX - 1, &options->interval);
	case 'j':
		options->is_json = true;
		return true;
	default:
		return false;
	}
}

/* -1 when the program may run, else an exit status. */
static int read_options(int argument_count, char **arguments, struct options *options)
{
	static const struct option known[] = {
	        {"pair", required_argument, NULL, 'p'},
	        {"run-dir", required_argument, NULL, 'r'},
	        {"standalone", no_argument, NULL, 's'},
	        {"size", required_argument, NULL, 'n'},
	        {"iterations", required_argument, NULL, 'i'},
	        {"threads", required_argument, NULL, 't'},
	        {"interval", required_argument, NULL, 'c'},
	        {"json", no_argument, NULL, 'j'},
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argument_count, arguments, "", known, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return EXIT_DONE;
		}
		if (!take_option(options, option))
			return EXIT_WRONG_USE;
	}
	if (optind < argument_count || (options->tandem.pair == NULL) != options->is_standalone) {
		fputs("jacobi: give either --pair or --standalone (see --help)\n", stderr);
		return EXIT_WRONG_USE;
	}
	return -1;
}

static void tell_result(const struct options *options, const struct solver *solver,
                        const struct keeper *keeper)
{
	const char *format =
	        options->is_json
	                ? "{\"size\": %u, \"iterations\": %llu, \"resumed_at\": %llu, "
	                  "\"change\": %.17g, \"digest\": \"%016llx\"}\n"
	                : "result: size %u, %llu iterations (resumed at %llu), last change %.3g, "
	                  "digest %016llx\n";

	printf(format, solver->side, (unsigned long long)solver->iteration,
	       (unsigned long long)keeper->resumed_at, solver_change(solver),
	       (unsigned long long)solver_digest(solver));
}

static int tell_failure(const struct keeper *keeper)
{
	const char *detail = keeper->error.detail[0] != '\0' ? keeper->error.detail
	                                                     : tandem_error_text(keeper->code);

	fprintf(stderr, "jacobi: %s\n", detail);
	return keeper->code == TANDEM_E_NOT_LEADER ? EXIT_NOT_LEADER : EXIT_FAILED;
}

static int solve(const struct options *options, struct solver *solver, struct keeper *keeper)
{
	solver_begin(solver);
	if (!options->is_standalone && !keeper_open(keeper, &options->tandem, solver))
		return tell_failure(keeper);
	if (keeper->resumed_at != 0)
		fprintf(stderr, "jacobi: goes on from iteration %llu\n",
		        (unsigned long long)keeper->resumed_at);
	solver_run(solver, options->iterations, keeper_between, keeper);
	if (keeper->code != 0 || !keeper_finish(keeper, solver))
		return tell_failure(keeper);
	tell_result(options, solver, keeper);
	return EXIT_DONE;
}

int main(int argument_count, char **arguments)
{
	struct options options = {.tandem = TANDEM_OPTIONS_DEFAULT,
	                          .side = 1024,
	                          .iterations = 10000,
	                          .threads = 2,
	                          .interval = 100};
	int status = read_options(argument_count, arguments, &options);

	if (status >= 0)
		return status;
	struct solver solver = {.side = (unsigned)options.side,
	                        .thread_count = (unsigned)options.threads};
	struct keeper keeper = {.interval = options.interval};

	/* Whole pages, as a region has to be. */
	solver.grids = mmap(NULL, solver_bytes(solver.side), PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (solver.grids == MAP_FAILED) {
		perror("jacobi: memory for the grids");
		return EXIT_FAILED;
	}
	status = solve(&options, &solver, &keeper);
	keeper_close(&keeper);
	return status;
}
