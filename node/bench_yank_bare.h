#ifndef TANDEM_BENCH_YANK_BARE_H
#define TANDEM_BENCH_YANK_BARE_H

#include <tandem/error.h>
#include <tandem/histogram.h>

/* What a yank is measured by: `count` TCP connections over loopback whose peer does not read and
 * whose buffers are full are shut down and closed. Adds the time of all shutdowns, and of all until
 * the last close. Errors: TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_bench_yank_bare(unsigned count, struct tandem_histogram *issue_ns,
                                             struct tandem_histogram *done_ns,
                                             struct tandem_error *reterr_error);

#endif
