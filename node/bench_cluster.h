#ifndef TANDEM_BENCH_CLUSTER_H
#define TANDEM_BENCH_CLUSTER_H

#include <limits.h>
#include <netinet/in.h>

#include "bench_failover_options.h"
#include "bench_keeper.h"
#include "bench_status.h"

/* Two nodes on addresses of this machine's loopback: the real programs, from a configuration that
 * is made for them, in directories of their own. Calls that wait end with TANDEM_E_TIMEOUT after
 * TANDEM_BENCH_PAIR_NS, and TANDEM_E_AGAIN when a signal asked the bench to end. */
#define TANDEM_BENCH_PAIR    "kv"
#define TANDEM_BENCH_NODES   2
#define TANDEM_BENCH_PAIR_NS UINT64_C(60000000000)

struct tandem_bench_node {
	const char *name;
	char address[INET_ADDRSTRLEN];
	char run_directory[64];
	struct sockaddr_in server; /* of the protected program */
	pid_t controller;          /* 0: not running */
	pid_t data_plane;
	pid_t program;  /* that leads, or led last */
	int program_fd; /* its pidfd, -1: none */
};

struct tandem_bench_cluster {
	const struct tandem_bench_failover_options *options;
	char directory[64];
	char image_directory[64];
	char programs[PATH_MAX]; /* where tandem-bench is */
	struct tandem_bench_keeper keeper;
	struct tandem_bench_node nodes[TANDEM_BENCH_NODES];
};

/* Starts all of it; the program on node 0. Borrows the options. What was started before a failure
 * is ended by tandem_bench_cluster_end(). */
TANDEM_MUST_CHECK int tandem_bench_cluster_start(
        struct tandem_bench_cluster *cluster, const struct tandem_bench_failover_options *options,
        struct tandem_error *reterr_error);
/* Ends all of it; leaves the files where `keeps_files` says so. */
void tandem_bench_cluster_end(struct tandem_bench_cluster *cluster, bool keeps_files);

/* Until one node leads with a copy on the other: which one, and what its controller says. */
TANDEM_MUST_CHECK int tandem_bench_cluster_await_pair(struct tandem_bench_cluster *cluster,
                                                      unsigned *ret_leader,
                                                      struct tandem_bench_status *ret_status,
                                                      struct tandem_error *reterr_error);

/* TANDEM_E_PEER_LOST where that is no longer so. */
TANDEM_MUST_CHECK int tandem_bench_cluster_check_pair(const struct tandem_bench_cluster *cluster,
                                                      unsigned leader,
                                                      const struct tandem_bench_status *before,
                                                      struct tandem_error *reterr_error);

/* The fault, to the node that leads. *ret_at_ns is just before it. */
TANDEM_MUST_CHECK int tandem_bench_cluster_strike(struct tandem_bench_cluster *cluster,
                                                  unsigned node, uint64_t *ret_at_ns,
                                                  struct tandem_error *reterr_error);
/* Ends what was stopped and starts what does not start by itself. */
TANDEM_MUST_CHECK int tandem_bench_cluster_repair(struct tandem_bench_cluster *cluster,
                                                  unsigned node, struct tandem_error *reterr_error);

/* The signals SIGINT and SIGTERM end the bench from here on, in order. */
void tandem_bench_catch_signals(void);
bool tandem_bench_is_ending(void);

#endif
