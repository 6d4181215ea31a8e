#ifndef TANDEM_NODE_QEMU_IDENTITY_H
#define TANDEM_NODE_QEMU_IDENTITY_H

#include <stdint.h>

/* Prints one JSON object: `identity` (tandem_qemu_identity()) of the QEMU that the words start, or
 * `error`, `program`, its file, and `file`, the mark of that before the question, which tell when
 * to ask again. The exit status. */
int tandem_qemu_identity_say(char *const *words, uint64_t timeout_ns);

#endif
