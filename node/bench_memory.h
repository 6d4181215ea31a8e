#ifndef TANDEM_BENCH_MEMORY_H
#define TANDEM_BENCH_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

#include <tandem/error.h>

/* What a process keeps in memory: what is its own, its share of what it has in common with others
 * (PSS), and the files in memory that are its. */

/* Of a process that runs: /proc/PID/smaps_rollup, without shared memory, whose files count as a
 * whole. Errors: TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_bench_memory_of(pid_t process, uint64_t *ret_bytes,
                                             struct tandem_error *reterr_error);
/* What the files right under `directory` take, holes left out; 0 where there is none. */
uint64_t tandem_bench_memory_of_files(const char *directory);

#endif
