#ifndef TANDEM_NODE_QEMU_OPTIONS_H
#define TANDEM_NODE_QEMU_OPTIONS_H

#include <limits.h>
#include <tandem/qemu_guest.h>

#include "qemu_gates.h"
#include "qemu_shared.h"

/* What tandem-qemu was told, on its command line or by the configuration. */
struct tandem_qemu_options {
	const char *pair;
	const char *run_directory;
	char *const *words; /* QEMU's command line; NULL: it runs already */
	/* What starts it on the node that takes over, to be compared with one that runs; NULL: not
	 * known here. */
	char *const *other_words;
	bool asks_identity; /* of the QEMU that other_words start, and no more */
	int ahead_fd;       /* where it is told to take over; -1: it need not be */
	int forward_fd; /* where it takes the network of a guest that was let go; -1: it need not */
	bool is_on_trial; /* it is started and ended again, and no more */
	char qmp_path[PATH_MAX];
	char watch_path[PATH_MAX]; /* its second control socket */
	char stream_path[PATH_MAX];
	struct tandem_qemu_gates gates;
	enum tandem_qemu_way way;
	struct tandem_qemu_guest_options guest; /* without paths */
};

/* 0, or an exit status and one more; what is wrong has been said. Borrows the arguments. */
int tandem_qemu_options_read(int argument_count, char **arguments,
                             struct tandem_qemu_options *options);

#endif
