#ifndef TANDEM_BENCH_FAILOVER_OPTIONS_H
#define TANDEM_BENCH_FAILOVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench_reading.h"

/* What `tandem-bench failover` is asked for. */

#define TANDEM_BENCH_CONNECTIONS_MAX  64
#define TANDEM_BENCH_VALUE_BYTES_MAX  16384
#define TANDEM_BENCH_FILL_PERCENT_MAX 70 /* the writers need room, too */

/* Keys of each writer; the fewest are those that one fault can leave open. */
#define TANDEM_BENCH_WRITER_SLOTS_MIN 4
#define TANDEM_BENCH_WRITER_SLOTS_MAX 1024
#define TANDEM_BENCH_KEY_BYTES        64

enum tandem_bench_fault {
	TANDEM_BENCH_FAULT_KILL, /* the program's process dies */
	TANDEM_BENCH_FAULT_STOP, /* every process of the node stops, as when its host hangs */
	TANDEM_BENCH_FAULT_NONE, /* load only: no role may change */
};

struct tandem_bench_failover_options {
	unsigned rounds;
	unsigned seconds; /* of load where there is no fault; 0 with any other */
	enum tandem_bench_fault fault;
	const char *profile;   /* of the heartbeats */
	uint64_t size_bytes;   /* of the region */
	unsigned fill_percent; /* of it that holds data before the first fault */
	unsigned connections;  /* that write, besides the one that measures */
	uint64_t value_bytes;  /* of each write */
	const char *directory; /* for register, logs and sockets */
	const char *json_path; /* NULL: none */
	bool keeps_files;
};

#define TANDEM_BENCH_FAILOVER_OPTIONS_DEFAULT                                                      \
	((struct tandem_bench_failover_options){.rounds = 20,                                      \
	                                        .fault = TANDEM_BENCH_FAULT_KILL,                  \
	                                        .profile = "lan-rt",                               \
	                                        .size_bytes = UINT64_C(256) << 20,                 \
	                                        .fill_percent = 25,                                \
	                                        .connections = 8,                                  \
	                                        .value_bytes = 1024,                               \
	                                        .directory = "/tmp"})

/* `arguments` begins with the command; texts are borrowed from it. */
enum tandem_bench_reading tandem_bench_failover_options_read(
        int argument_count, char **arguments, struct tandem_bench_failover_options *ret_options);

/* How many keys of each writer the region has room for beside its filling, at most
 * TANDEM_BENCH_WRITER_SLOTS_MAX. */
uint64_t tandem_bench_writer_slots(const struct tandem_bench_failover_options *options);

const char *tandem_bench_fault_text(enum tandem_bench_fault fault);

#endif
