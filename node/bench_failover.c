#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include <tandem/clock.h>
#include <tandem/random.h>

#include "bench_cluster.h"
#include "bench_failover_figures.h"
#include "bench_writers.h"

/* Load before each fault: this long, and by chance up to as much again. */
#define LOAD_NS      (50 * TANDEM_NS_PER_MS)
#define LOAD_LAST_NS (3 * TANDEM_NS_PER_MS)

/* Without a fault the roles are looked at so often. */
#define CHECK_NS TANDEM_NS_PER_S

/* In a row: then the machine is too busy for the profile. */
#define DISTURBANCES_MAX 20

static const char help[] =
        "usage: tandem-bench failover [options]\n"
        "\n"
        "Runs a pair of two nodes on this machine's loopback, with the real programs, and lets the "
        "node\n"
        "that leads fail under write load, again and again, each time the other one. Measures from "
        "the\n"
        "fault to the first reply to a client that was connected before, knows both addresses and "
        "tries\n"
        "them every 1 ms. Every client then reads its last acknowledged write back; one that is "
        "lost ends\n"
        "the run with an error. The next round begins when the pair is protected again.\n"
        "\n"
        "  --rounds N       (default 20)\n"
        "  --fault NAME     kill: the program's process dies (default); stop: every process of the "
        "node\n"
        "                   stops, as when its host hangs, and is ended after the take-over; "
        "none:\n"
        "                   nothing happens, and each change of a role is a false failover\n"
        "  --seconds N      how long nothing happens\n"
        "  --profile NAME   heartbeats: lan-rt (default), lan or vm\n"
        "  --size N         of the region (default 256M)\n"
        "  --fill PERCENT   of it that holds data before the first fault, 0 to 70 (default 25)\n"
        "  --connections N  that write, besides the one that measures, 0 to 64 (default 8)\n"
        "  --value-bytes N  of each write, 32 to 16K (default 1K)\n"
        "  --directory DIR  for the register, logs and sockets (default /tmp); what the register's "
        "syncs\n"
        "                   cost depends on it\n"
        "  --json FILE      writes the result there, too\n"
        "  --keep           leaves the directory with the logs\n"
        "\n"
        "examples:\n"
        "  tandem-bench failover --rounds 1000 --json failover.json\n"
        "  tandem-bench failover --rounds 100 --fault stop\n"
        "  tandem-bench failover --fault none --seconds 3600 --profile vm\n"
        "  tandem-bench failover --size 1G --connections 32 --profile vm\n";

struct run {
	const struct tandem_bench_failover_options *options;
	struct tandem_bench_failover_figures figures;
	struct tandem_bench_cluster cluster;
	struct tandem_bench_writers writers;
	unsigned leader;
	struct tandem_bench_status before; /* of the leader */
	uint64_t random;
};

static int await_pair_once(struct run *run, struct tandem_error *reterr_error)
{
	const int code = tandem_bench_cluster_await_pair(&run->cluster, &run->leader, &run->before,
	                                                 reterr_error);

	if (code == 0)
		run->figures.is_real_time = run->figures.is_real_time && run->before.is_real_time;
	return code < 0 ? code
	                : tandem_bench_writers_join(&run->writers,
	                                            &run->cluster.nodes[run->leader].server,
	                                            reterr_error);
}

/* A pair that failed over by itself while it was waited for is waited for again. */
static int await_pair(struct run *run, struct tandem_error *reterr_error)
{
	int code = await_pair_once(run, reterr_error);

	for (unsigned i = 0; code == TANDEM_E_PEER_LOST && i < DISTURBANCES_MAX; i++) {
		run->figures.disturbed_count++;
		code = await_pair_once(run, reterr_error);
	}
	return code;
}

static int fill(struct run *run, struct tandem_error *reterr_error)
{
	const uint64_t bytes = run->options->size_bytes / 100 * run->options->fill_percent;
	int code = tandem_bench_writers_fill(&run->writers, bytes, reterr_error);

	for (unsigned i = 0; code == TANDEM_E_PEER_LOST && i < DISTURBANCES_MAX; i++) {
		run->figures.disturbed_count++;
		code = await_pair(run, reterr_error);
		if (code == 0)
			code = tandem_bench_writers_fill(&run->writers, bytes, reterr_error);
	}
	return code;
}

static int write_for(struct run *run, uint64_t span_ns, struct tandem_error *reterr_error)
{
	return tandem_bench_writers_write(&run->writers, tandem_clock_now_ns() + span_ns,
	                                  reterr_error);
}

/* TANDEM_E_PEER_LOST where the pair is not the one that was waited for: a fault would then hit
 * what nobody protects. */
static int load(struct run *run, struct tandem_error *reterr_error)
{
	int code =
	        write_for(run, LOAD_NS + tandem_random_next(&run->random) % LOAD_NS, reterr_error);

	if (code == 0)
		code = tandem_bench_cluster_check_pair(&run->cluster, run->leader, &run->before,
		                                       reterr_error);
	return code < 0 ? code : write_for(run, LOAD_LAST_NS, reterr_error);
}

/* The fault of the bench came first, and one take-over followed it. */
static bool is_ours(const struct run *run, const struct tandem_bench_status *status,
                    uint64_t struck_ns)
{
	return status->has_take_over && status->suspected_ns >= struck_ns &&
	       status->generation == run->before.generation + 1;
}

static void note(struct tandem_bench_failover_figures *figures, uint64_t struck_ns,
                 uint64_t reply_ns, const struct tandem_bench_status *status)
{
	const uint64_t parts[TANDEM_BENCH_PARTS] = {
	        [TANDEM_BENCH_PART_DETECT] = status->suspected_ns - struck_ns,
	        [TANDEM_BENCH_PART_DECIDE] = status->decide_ns,
	        [TANDEM_BENCH_PART_FENCE] = status->fence_ns,
	        [TANDEM_BENCH_PART_DRAIN] = status->drain_ns,
	        [TANDEM_BENCH_PART_ACTIVATE] = status->activate_ns,
	};
	uint64_t left_ns = reply_ns - struck_ns;

	tandem_bench_samples_add(&figures->total_ns, left_ns);
	for (unsigned i = 0; i < TANDEM_BENCH_PART_REPLY; i++) {
		tandem_bench_samples_add(&figures->parts_ns[i], parts[i]);
		left_ns -= parts[i] < left_ns ? parts[i] : left_ns;
	}
	tandem_bench_samples_add(&figures->parts_ns[TANDEM_BENCH_PART_REPLY], left_ns);
}

/* From the fault to the pair's next protection. */
static int fail_over(struct run *run, struct tandem_error *reterr_error)
{
	const unsigned other = 1 - run->leader, failed = run->leader;
	const struct sockaddr_in servers[TANDEM_BENCH_SERVERS] = {run->cluster.nodes[0].server,
	                                                          run->cluster.nodes[1].server};
	struct tandem_bench_status status = {.generation = 0};
	uint64_t struck_ns = 0, reply_ns = 0;
	int code = tandem_bench_cluster_strike(&run->cluster, failed, &struck_ns, reterr_error);
	bool is_measured = false;

	if (code == 0)
		code = tandem_bench_writers_try(&run->writers, servers, &reply_ns, reterr_error);
	if (code == 0)
		code = tandem_bench_status_ask(run->cluster.nodes[other].run_directory,
		                               TANDEM_BENCH_PAIR, &status, reterr_error);
	if (code == 0)
		code = tandem_bench_cluster_repair(&run->cluster, failed, reterr_error);
	is_measured = code == 0 && is_ours(run, &status, struck_ns);
	if (code == 0)
		code = await_pair(run, reterr_error);
	if (code < 0)
		return code;
	if (!is_measured) {
		run->figures.disturbed_count++;
		return 0;
	}
	note(&run->figures, struck_ns, reply_ns, &status);
	tandem_bench_samples_add(&run->figures.pair_ns, tandem_clock_now_ns() - reply_ns);
	return 0;
}

/* A pair that failed over by itself under the load is waited for, and the round begins anew. */
static int run_round(struct run *run, struct tandem_error *reterr_error)
{
	int code = load(run, reterr_error);

	if (code == TANDEM_E_PEER_LOST) {
		run->figures.disturbed_count++;
		return await_pair(run, reterr_error);
	}
	return code < 0 ? code : fail_over(run, reterr_error);
}

static int run_rounds(struct run *run, struct tandem_error *reterr_error)
{
	int code = 0;

	while (code == 0 && run->figures.total_ns.count < run->options->rounds) {
		code = run_round(run, reterr_error);
		if (code == 0 &&
		    run->figures.disturbed_count > run->options->rounds + DISTURBANCES_MAX)
			code = tandem_error_set(
			        reterr_error, TANDEM_E_TIMEOUT, "rounds",
			        "%u take-overs without a fault: this machine is too "
			        "busy for --profile %s",
			        run->figures.disturbed_count, run->options->profile);
	}
	return code;
}

/* The pair is one again: was it a take-over, or did the primary go on alone for a while? */
static int await_end_of_trouble(struct run *run, struct tandem_error *reterr_error)
{
	const uint64_t seen_ns = run->before.suspected_ns;
	const unsigned leader = run->leader;
	const int code = await_pair(run, reterr_error);

	if (code == 0 && (run->leader != leader || run->before.suspected_ns != seen_ns))
		run->figures.disturbed_count++;
	else
		run->figures.lost_copy_count++;
	return code;
}

/* Load, and no fault; then everything that was acknowledged is read back. */
static int run_undisturbed(struct run *run, struct tandem_error *reterr_error)
{
	const uint64_t end_ns = tandem_clock_now_ns() + run->options->seconds * TANDEM_NS_PER_S;
	int code = 0;

	while (code == 0 && tandem_clock_now_ns() < end_ns) {
		code = write_for(run, CHECK_NS, reterr_error);
		if (code == 0)
			code = tandem_bench_cluster_check_pair(&run->cluster, run->leader,
			                                       &run->before, reterr_error);
		if (code == TANDEM_E_PEER_LOST)
			code = await_end_of_trouble(run, reterr_error);
	}
	return code < 0 ? code : await_pair(run, reterr_error);
}

static int run_filled(struct run *run, struct tandem_error *reterr_error)
{
	const uint64_t begin_ns = tandem_clock_now_ns();
	int code = await_pair(run, reterr_error);

	if (code == 0)
		code = fill(run, reterr_error);
	if (code == 0)
		code = run->options->fault == TANDEM_BENCH_FAULT_NONE
		               ? run_undisturbed(run, reterr_error)
		               : run_rounds(run, reterr_error);
	run->figures.elapsed_ns = tandem_clock_now_ns() - begin_ns;
	run->figures.acknowledged_count = tandem_bench_writers_acknowledged(&run->writers);
	return code;
}

static void take_load(double *ret_load)
{
	double load = 0;

	*ret_load = getloadavg(&load, 1) == 1 ? load : 0;
}

static int run_all(struct run *run, struct tandem_error *reterr_error)
{
	int code = tandem_bench_failover_figures_make(&run->figures, run->options->rounds,
	                                              reterr_error);

	take_load(&run->figures.loads[0]);
	tandem_bench_writers_init(&run->writers, run->options);
	if (code == 0)
		code = tandem_bench_cluster_start(&run->cluster, run->options, reterr_error);
	if (code == 0)
		code = run_filled(run, reterr_error);
	take_load(&run->figures.loads[1]);
	tandem_bench_writers_close(&run->writers);
	tandem_bench_cluster_end(&run->cluster, code < 0 || run->options->keeps_files);
	return code < 0 ? code
	                : tandem_bench_failover_report(run->options, &run->figures, reterr_error);
}

int tandem_bench_failover_main(int argument_count, char **arguments)
{
	static struct run run;
	struct tandem_bench_failover_options options;
	struct tandem_error error = {.code = 0};
	const enum tandem_bench_reading reading =
	        tandem_bench_failover_options_read(argument_count, arguments, &options);
	bool is_good;
	int code;

	if (reading != TANDEM_BENCH_RUN) {
		fputs(help, reading == TANDEM_BENCH_HELP ? stdout : stderr);
		return reading == TANDEM_BENCH_HELP ? EXIT_SUCCESS : 2;
	}
	tandem_bench_catch_signals();
	run.options = &options;
	run.random = tandem_random_unique();
	code = run_all(&run, &error);
	if (code < 0)
		fprintf(stderr, "tandem-bench: %s: %s\n", error.operation, error.detail);
	if (code < 0 || options.keeps_files)
		fprintf(stderr, "tandem-bench: logs and configuration: %s\n",
		        run.cluster.directory);
	is_good = code == 0 &&
	          (options.fault != TANDEM_BENCH_FAULT_NONE || run.figures.disturbed_count == 0);
	tandem_bench_failover_figures_clear(&run.figures);
	return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
