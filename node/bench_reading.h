#ifndef TANDEM_BENCH_READING_H
#define TANDEM_BENCH_READING_H

/* What a command line asks for. */
enum tandem_bench_reading {
	TANDEM_BENCH_RUN,
	TANDEM_BENCH_HELP,
	TANDEM_BENCH_WRONG, /* said on standard error */
};

#endif
