#ifndef TANDEM_BENCH_PLOT_H
#define TANDEM_BENCH_PLOT_H

#include <stdio.h>

#include "bench_checkpoint_figures.h"

/* Draws the rows with gnuplot into options->plot_path. Errors: TANDEM_E_SYSTEM (gnuplot is missing,
 * or failed: it says why itself). */
TANDEM_MUST_CHECK int tandem_bench_plot(const struct tandem_bench_checkpoint_options *options,
                                        const struct tandem_bench_checkpoint_figures *figures,
                                        struct tandem_error *reterr_error);
/* What gnuplot is told. */
void tandem_bench_plot_write(FILE *out, const struct tandem_bench_checkpoint_options *options,
                             const struct tandem_bench_checkpoint_figures *figures);

#endif
