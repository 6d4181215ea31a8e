#ifndef TANDEM_FAILOVER_SCRIPT_H
#define TANDEM_FAILOVER_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>

/* One run of a shell command of the operator's, which may do whatever it wants and must not hurt:
 * it is started by a thread of its own, because even that may wait for a disk; it gets no real-time
 * priority and none of this program's signals; its output is read up to a limit and then closed;
 * after its time its process group is killed. */
#define TANDEM_SCRIPT_BYTES         1024
#define TANDEM_SCRIPT_LINE_BYTES    200
#define TANDEM_SCRIPT_OUTPUT_MAX    (256u << 10)
#define TANDEM_SCRIPT_VARIABLES_MAX 16

struct event_base;
struct tandem_script;

struct tandem_script_end {
	int failure; /* errno: it could not be started; else 0 */
	int status;  /* as of waitpid(2) */
	bool is_late;
	bool is_flood; /* its output was closed */
	uint64_t took_ns;
	const char *last_line; /* of its output, printable; borrowed */
};

struct tandem_script_variable {
	char name[32];
	char value[256];
};

struct tandem_script_options {
	struct event_base *base;
	const char *text;                               /* for /bin/sh -c; copied */
	const struct tandem_script_variable *variables; /* copied */
	size_t variable_count;
	uint64_t timeout_ns;
	/* The end, told once, from the loop; the command is freed before that. */
	void (*on_end)(void *context, const struct tandem_script_end *end);
	void *context;
};

/* TANDEM_E_MEMORY, TANDEM_E_SYSTEM: it was not started, and on_end is not called. */
TANDEM_MUST_CHECK int tandem_script_start(const struct tandem_script_options *options,
                                          struct tandem_script **ret_script,
                                          struct tandem_error *reterr_error);
/* Kills it; its end is not told. NULL is allowed. */
void tandem_script_free(struct tandem_script *script);

#endif
