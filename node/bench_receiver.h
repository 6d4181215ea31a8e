#ifndef TANDEM_BENCH_RECEIVER_H
#define TANDEM_BENCH_RECEIVER_H

#include "bench_link.h"

/* The listening side of `tandem-bench transport`: serves one sender until it leaves. The listener
 * is there already. Gives 0 when the sender left after its RESULT. */
TANDEM_MUST_CHECK int tandem_bench_receiver_run(struct tandem_bench_link *link,
                                                struct tandem_error *reterr_error);

/* Processor time of this process, user and system. */
uint64_t tandem_bench_cpu_ns(void);

#endif
