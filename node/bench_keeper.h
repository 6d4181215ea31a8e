#ifndef TANDEM_BENCH_KEEPER_H
#define TANDEM_BENCH_KEEPER_H

#include <sys/types.h>

#include <tandem/error.h>

/* A process that leads the group of everything that a bench starts, and what that starts in turn.
 * It ends the whole group when the bench says so or ends, however that ends. */
struct tandem_bench_keeper {
	pid_t pid; /* 0: none */
	int word_fd;
};

TANDEM_MUST_CHECK int tandem_bench_keeper_start(struct tandem_bench_keeper *keeper,
                                                struct tandem_error *reterr_error);
/* Nothing of the group runs after it. */
void tandem_bench_keeper_end(struct tandem_bench_keeper *keeper);

/* Starts a program in the group, with standard output and error at the end of the file `log`. */
TANDEM_MUST_CHECK int tandem_bench_keeper_spawn(const struct tandem_bench_keeper *keeper,
                                                char *const *arguments, const char *log,
                                                pid_t *ret_pid, struct tandem_error *reterr_error);

#endif
