#ifndef TANDEM_NODE_QEMU_PROCESS_H
#define TANDEM_NODE_QEMU_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tandem/error.h>
#include <tandem/qemu_restore.h>
#include <tandem/tandem.h>

#include "qemu_gates.h"

/* An epoch's state blob: the length of the stream's opening (little-endian), the opening, the state
 * of the devices. */
#define TANDEM_QEMU_BLOB_HEAD_BYTES 4u

/* The region that is a RAM block's copy. */
#define TANDEM_QEMU_REGION_BYTES 32u
void tandem_qemu_region_name(unsigned block, char ret_name[TANDEM_QEMU_REGION_BYTES]);

/* Starts a process that writes to a pipe what makes a guest of the image; gives the pipe's end to
 * read from. To be called before there are threads. Errors: TANDEM_E_SYSTEM, TANDEM_E_PROTOCOL (the
 * image is none of a guest). */
int tandem_qemu_restore_start(const struct tandem_recovery *recovery, int *ret_fd,
                              struct tandem_error *reterr_error);

/* Starts QEMU: `words`, and ours behind them, with a netdev for each gate; it lives no longer than
 * this thread. Its control socket is at `qmp_path`, where it can be connected to at once.
 * `restore_fd` is what it restores its guest from, or -1; it is taken. Errors: TANDEM_E_SYSTEM,
 * TANDEM_E_USAGE (too many words), TANDEM_E_CONFIG (the path is too long). */
int tandem_qemu_process_start(char *const *words, const struct tandem_qemu_gates *gates,
                              const char *qmp_path, int restore_fd, pid_t *ret_process,
                              struct tandem_error *reterr_error);

#endif
