#ifndef TANDEM_QEMU_WATCH_H
#define TANDEM_QEMU_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/error.h>

/* The last one who lets a guest go. Whoever protects a guest does so itself in time; when that
 * process hangs, QEMU waits for it for ever and its guest stands still. The watch is another
 * process, with a control socket of its own, and does nothing but look how long the guest has stood
 * still for a checkpoint. A guest that somebody else has stopped, such as its operator, stays as it
 * is. */
struct tandem_qemu_watch_options {
	const char *qmp_path;        /* a control socket of QEMU, for commands out of band too */
	uint64_t pause_timeout_ns;   /* how long the guest may stand still; never 0 */
	uint64_t start_timeout_ns;   /* how long QEMU may take to greet; never 0 */
	uint64_t command_timeout_ns; /* how long it may take to answer then; never 0 */
	/* The guest stood still for so long and is let go. False: not now, it is asked again. */
	bool (*on_release)(void *context, uint64_t stood_ns);
	void *context;
};

/* Looks until QEMU ends, which is told as 0. The program ignores SIGPIPE. Errors: what
 * tandem_qmp_connect() has, and why the conversation ended otherwise. */
int tandem_qemu_watch_run(const struct tandem_qemu_watch_options *options,
                          struct tandem_error *reterr_error);

#endif
