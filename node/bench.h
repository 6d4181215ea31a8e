#ifndef TANDEM_BENCH_H
#define TANDEM_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/standby.h>

/* The commands of tandem-bench; `arguments` begins with the command. The exit status. */
int tandem_bench_checkpoint_main(int argument_count, char **arguments);
int tandem_bench_transport_main(int argument_count, char **arguments);
int tandem_bench_fence_main(int argument_count, char **arguments);
int tandem_bench_yank_main(int argument_count, char **arguments);
int tandem_bench_failover_main(int argument_count, char **arguments);

/* tandem-bench checkpoint: a pair inside one process: the library, a standby, and a controller that
 * always says yes. */

struct tandem_bench_options {
	uint64_t size_bytes;
	unsigned dirty_percent[8];
	unsigned dirty_count;
	unsigned epochs;
	unsigned channel_count;
	const char *provider;
	const char *tracker;
	const char *address;
	bool is_json;
};

/* `tandem-bench checkpoint`; the exit status. */
int tandem_bench_checkpoint(const struct tandem_bench_options *options);

/* The controller of the bench: answers the program and the standby over DIRECTORY/failoverd.sock as
 * a healthy pair. */
struct tandem_bench_controller;
TANDEM_MUST_CHECK int tandem_bench_controller_new(const char *directory,
                                                  const struct tandem_bench_options *options,
                                                  uint16_t port,
                                                  struct tandem_bench_controller **ret_controller,
                                                  struct tandem_error *reterr_error);
struct tandem_bench_controller *tandem_bench_controller_free(
        struct tandem_bench_controller *controller);

/* The standby's side of the bench: a listener whose sessions go to one standby. */
struct tandem_bench_peer;
TANDEM_MUST_CHECK int tandem_bench_peer_new(const char *directory,
                                            const struct tandem_bench_options *options,
                                            struct tandem_bench_peer **ret_peer, uint16_t *ret_port,
                                            struct tandem_error *reterr_error);
/* After the controller is there. */
TANDEM_MUST_CHECK int tandem_bench_peer_start(struct tandem_bench_peer *peer,
                                              struct tandem_error *reterr_error);
struct tandem_bench_peer *tandem_bench_peer_free(struct tandem_bench_peer *peer);

#endif
