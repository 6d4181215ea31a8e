#ifndef TANDEM_QEMU_PROBE_H
#define TANDEM_QEMU_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/error.h>
#include <tandem/qemu_version.h>

/* A QEMU that is started to be asked what it is, without a machine, and ended again. */

/* What has to be alike for a guest to go on in another QEMU, besides its devices: its version, and
 * the machine by the name that tells the machine's. */
#define TANDEM_QEMU_IDENTITY_BYTES 96u
void tandem_qemu_identity(const struct tandem_qemu_numbers *version, const char *machine,
                          char ret_text[TANDEM_QEMU_IDENTITY_BYTES]);

/* Asks the one that a command line starts, and for the machine in it: `ret_text` as
 * tandem_qemu_identity() says it. Waits; for a process that has nothing else to do, and no other
 * thread. Errors: TANDEM_E_SYSTEM (it does not start, or answers nothing for `timeout_ns`),
 * TANDEM_E_CONFIG (it knows no such machine), and what tandem_qmp_open() has. */
int tandem_qemu_probe(char *const *words, uint64_t timeout_ns,
                      char ret_text[TANDEM_QEMU_IDENTITY_BYTES], struct tandem_error *reterr_error);

/* Whether the QEMU whose control socket this is waits for its guest (-incoming defer); `ends`: it
 * is told to end. `owner_fd` is a socket to who wants to know, -1: none. Waits, as above. Errors:
 * TANDEM_E_CONFIG (it does something else), TANDEM_E_PEER_LOST (the owner has closed its end, with
 * nothing said), and what tandem_qmp_connect() has: it has ended, or answers nothing for
 * `timeout_ns`. */
int tandem_qemu_probe_waiting(const char *qmp_path, uint64_t timeout_ns, bool ends, int owner_fd,
                              struct tandem_error *reterr_error);

#endif
