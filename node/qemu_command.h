#ifndef TANDEM_NODE_QEMU_COMMAND_H
#define TANDEM_NODE_QEMU_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>
#include <tandem/error.h>

/* The command line of a QEMU that runs. */

#define TANDEM_QEMU_WORDS_MAX 1024

struct tandem_qemu_line {
	char *words[TANDEM_QEMU_WORDS_MAX]; /* NULL behind the last one */
};

/* Whether some process listens at the control socket `qmp_path`, and which: for the operator, who
 * has to end it. */
#define TANDEM_QEMU_LISTENER_BYTES 200u
bool tandem_qemu_listener_find(const char *qmp_path, char ret_text[TANDEM_QEMU_LISTENER_BYTES]);

/* Who listens at the control socket `qmp_path`. Errors: TANDEM_E_SYSTEM (nobody does). */
int tandem_qemu_process_find(const char *qmp_path, pid_t *ret_process,
                             struct tandem_error *reterr_error);

/* Of a process. The caller's, tandem_memory_free(). Errors: TANDEM_E_SYSTEM, TANDEM_E_MEMORY. */
int tandem_qemu_process_words(pid_t process, struct tandem_qemu_line **ret_line,
                              struct tandem_error *reterr_error);

/* The guest of a QEMU that runs can go on in one that `words` start: the same machine and devices.
 * Errors: TANDEM_E_CONFIG, and what tandem_qemu_process_words() has. */
int tandem_qemu_process_compare(pid_t process, char *const *words,
                                struct tandem_error *reterr_error);

#endif
