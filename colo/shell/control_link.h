#ifndef TANDEM_CONTROL_LINK_H
#define TANDEM_CONTROL_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tandem/control.h>
#include <tandem/error.h>

/* A data plane's line to the local controller: a thread that reads its orders, reports at an
 * interval, and attaches again when the controller was restarted (its restart changes nothing
 * here). docs/protocol.md, section L. */
struct tandem_control_link;

struct tandem_control_callbacks {
	/* All on the link's thread; none may wait for the session. */
	void (*on_message)(void *argument, const struct tandem_control_message *message);
	void (*on_report)(void *argument, struct tandem_control_message *report); /* fill it */
	void (*on_attached)(
	        void *argument); /* attached again: repeat what the controller must know */
	void *argument;
	/* Others learn from it at once when the link's thread ends (tandem/life.h); NULL: nobody
	 * asks. It stays as long as the link. */
	_Atomic uint32_t *life;
};

/* Connects and attaches; waits for WELCOME until `timeout_ns` from now. `attach` is copied and sent
 * again at each attachment. Errors: TANDEM_E_SYSTEM (no controller there), TANDEM_E_TIMEOUT,
 * TANDEM_E_CONFIG or what FAILED says. */
TANDEM_MUST_CHECK int tandem_control_link_open(const char *run_directory,
                                               const struct tandem_control_message *attach,
                                               uint64_t timeout_ns,
                                               struct tandem_control_link **ret_link,
                                               struct tandem_control_message *ret_welcome,
                                               struct tandem_error *reterr_error);
/* Starts the thread. */
TANDEM_MUST_CHECK int tandem_control_link_start(struct tandem_control_link *link,
                                                const struct tandem_control_callbacks *callbacks,
                                                uint64_t report_interval_ns,
                                                struct tandem_error *reterr_error);
/* Before the thread is started: tells what has come, without waiting. */
void tandem_control_link_look(struct tandem_control_link *link,
                              void (*on_message)(void *argument,
                                                 const struct tandem_control_message *message),
                              void *argument);
/* Any thread. A message that cannot be delivered is lost with the controller: on_attached repeats
 * what matters. */
void tandem_control_link_send(struct tandem_control_link *link,
                              const struct tandem_control_message *message);
/* Any thread. The next report goes now. */
void tandem_control_link_report(struct tandem_control_link *link);
/* Ends the thread. Not from a callback. NULL is allowed. */
struct tandem_control_link *tandem_control_link_free(struct tandem_control_link *link);

#endif
