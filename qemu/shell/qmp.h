#ifndef TANDEM_QEMU_QMP_H
#define TANDEM_QEMU_QMP_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/error.h>

#include "shell/qmp_message.h"

struct event_base;

/* A conversation with one QEMU's control socket (QMP), with commands out of band: those QEMU's
 * control thread does itself, while its main loop hangs in a migration. Everything has a deadline.
 * One thread: the one that runs the loop, which also makes all calls. Calls may be made from within
 * what a call or the loop tells. The program ignores SIGPIPE. */
struct tandem_qmp;

/* QEMU reads no further once 8 commands wait for its main loop, not even one out of band. */
#define TANDEM_QMP_COMMANDS_MAX             4u /* unanswered at a time */
#define TANDEM_QMP_OUT_OF_BAND_COMMANDS_MAX 4u

struct tandem_qmp_handler {
	/* QEMU has greeted and takes commands. Once, and before any event. */
	void (*on_ready)(void *context, const struct tandem_qemu_numbers *version);
	/* `data` may be NULL; borrowed until this returns. */
	void (*on_event)(void *context, const char *name, struct json_object *data);
	/* Why there is nobody to speak to any more; all commands were told before. Once, and the
	 * last call; what is left to do is tandem_qmp_close(). */
	void (*on_end)(void *context, const struct tandem_error *error);
	void *context;
};

/* What became of a command, told exactly once: its value (borrowed until this returns, and `error`
 * is NULL) or why there is none: TANDEM_E_REFUSED (QEMU says why), TANDEM_E_TIMEOUT (it may be done
 * yet), and what ended the conversation. Not told once tandem_qmp_close() was called. */
typedef void (*tandem_qmp_answer)(void *context, struct json_object *value,
                                  const struct tandem_error *error);

/* Begins a conversation on a connected stream socket, which it takes in any case, and that QEMU has
 * `start_timeout_ns` to begin. Copies the handler. Errors: TANDEM_E_MEMORY, TANDEM_E_SYSTEM. */
int tandem_qmp_open(struct event_base *base, int fd, uint64_t start_timeout_ns,
                    const struct tandem_qmp_handler *handler, struct tandem_qmp **ret_qmp,
                    struct tandem_error *reterr_error);

/* The same on the socket `path`. Errors: also TANDEM_E_CONFIG (a path that is too long),
 * TANDEM_E_SYSTEM (nobody listens there). */
int tandem_qmp_connect(struct event_base *base, const char *path, uint64_t start_timeout_ns,
                       const struct tandem_qmp_handler *handler, struct tandem_qmp **ret_qmp,
                       struct tandem_error *reterr_error);

/* Sends a command; takes `arguments` (NULL: none) in any case. Errors, and then `answer` is not
 * called: TANDEM_E_AGAIN (as many as can be wait for their answers), TANDEM_E_USAGE (QEMU has not
 * greeted, or the conversation has ended), TANDEM_E_MEMORY. */
int tandem_qmp_execute(struct tandem_qmp *qmp, const char *command, struct json_object *arguments,
                       uint64_t timeout_ns, tandem_qmp_answer answer, void *context,
                       struct tandem_error *reterr_error);
int tandem_qmp_execute_out_of_band(struct tandem_qmp *qmp, const char *command,
                                   struct json_object *arguments, uint64_t timeout_ns,
                                   tandem_qmp_answer answer, void *context,
                                   struct tandem_error *reterr_error);

/* The same for the command that ends what QEMU sends or awaits in a migration, out of band. */
int tandem_qmp_yank(struct tandem_qmp *qmp, uint64_t timeout_ns, tandem_qmp_answer answer,
                    void *context, struct tandem_error *reterr_error);

/* Closes the socket and tells nobody. NULL is allowed. */
void tandem_qmp_close(struct tandem_qmp *qmp);

#endif
