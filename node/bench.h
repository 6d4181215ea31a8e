#ifndef TANDEM_BENCH_H
#define TANDEM_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/standby.h>

#include "bench_checkpoint_options.h"

/* The commands of tandem-bench; `arguments` begins with the command. The exit status. */
int tandem_bench_checkpoint_main(int argument_count, char **arguments);
int tandem_bench_copy_main(int argument_count, char **arguments);
int tandem_bench_transport_main(int argument_count, char **arguments);
int tandem_bench_fence_main(int argument_count, char **arguments);
int tandem_bench_yank_main(int argument_count, char **arguments);
int tandem_bench_failover_main(int argument_count, char **arguments);

/* The controller of a bench's pair: answers the program and the standby over
 * DIRECTORY/failoverd.sock as a healthy pair. */
struct tandem_bench_controller;
TANDEM_MUST_CHECK int tandem_bench_controller_new(
        const char *directory, const struct tandem_bench_checkpoint_options *options, uint16_t port,
        struct tandem_bench_controller **ret_controller, struct tandem_error *reterr_error);
/* When the program said that the standby had answered it, with its memory ready; 0: never. */
uint64_t tandem_bench_controller_session_up_ns(const struct tandem_bench_controller *controller);
struct tandem_bench_controller *tandem_bench_controller_free(
        struct tandem_bench_controller *controller);

/* The standby's side: a listener whose sessions go to one standby. */
struct tandem_bench_peer;
TANDEM_MUST_CHECK int tandem_bench_peer_new(const char *directory,
                                            const struct tandem_bench_checkpoint_options *options,
                                            struct tandem_bench_peer **ret_peer, uint16_t *ret_port,
                                            struct tandem_error *reterr_error);
/* After the controller is there. */
TANDEM_MUST_CHECK int tandem_bench_peer_start(struct tandem_bench_peer *peer,
                                              struct tandem_error *reterr_error);
struct tandem_bench_peer *tandem_bench_peer_free(struct tandem_bench_peer *peer);

#endif
