#ifndef TANDEM_CHILDREN_H
#define TANDEM_CHILDREN_H

#include <sys/types.h>

#include <tandem/error.h>
#include <tandem/standby.h>

/* The programs that tandemd started on promotion. Any thread. */
#define TANDEM_CHILDREN_MAX 64

/* Runs `command` by /bin/sh -c with the TANDEM_* variables of the activation, TANDEM_RUN_DIR and
 * TANDEM_BIN_DIR, and remembers it for `standby`. Errors: TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_children_start(const char *command, const char *node,
                                            const char *run_directory, const char *bin_directory,
                                            const struct tandem_activation *activation,
                                            struct tandem_standby *standby,
                                            struct tandem_error *reterr_error);

/* Reaps one that has ended: its standby and *ret_status, or NULL when none has. */
struct tandem_standby *tandem_children_reap(int *ret_status);

#endif
