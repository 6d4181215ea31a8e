#ifndef TANDEM_QEMU_ARGUMENTS_H
#define TANDEM_QEMU_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

/* QEMU's command line, as words that end with NULL. Pure. A guest that is restored needs a QEMU
 * with the machine and the devices of the one that it comes from, in their order. */

/* From the command line of a QEMU that runs: what starts another one with the same machine. Left
 * out is what belongs to that one alone: how it was started (-S, -incoming, -daemonize, -pidfile),
 * and control sockets and networks that Tandem gives it, which are at `sockets` or have Tandem's
 * names. Returns how many words it wrote, without the NULL behind them; borrowed from `words`. */
size_t tandem_qemu_arguments_derive(char *const *words, const char *const *sockets,
                                    size_t socket_count, const char **ret_words, size_t words_max);

/* Which word is QEMU's program: the first one, if none before QEMU's options is of a file that is
 * named qemu-system-*, qemu-kvm or kvm. Words before it start it in their way, such as taskset. */
size_t tandem_qemu_arguments_program(char *const *words);

#define TANDEM_QEMU_MACHINE_BYTES 64u

/* The type of its machine as the words name it; "" where they do not, and QEMU takes its own. */
void tandem_qemu_arguments_machine(char *const *words, char ret_machine[TANDEM_QEMU_MACHINE_BYTES]);

/* The first option of either that the guest's state depends on and that the other one has not at
 * this place: "-device x" as two words, "" where there is none. False: they are alike. */
struct tandem_qemu_difference {
	const char *option; /* of `needed`, or of `seen` */
	const char *seen;
	const char *needed;
};
bool tandem_qemu_arguments_differ(char *const *seen, char *const *needed,
                                  struct tandem_qemu_difference *ret_difference);

#endif
