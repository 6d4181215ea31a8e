#ifndef TANDEM_TEST_CONTROLLER_H
#define TANDEM_TEST_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/control.h>

/* A controller that does what the test says: it answers ATTACH with WELCOME by itself, keeps what
 * the data plane reports, and sends orders. */
struct controller;

struct controller *controller_new(const char *run_directory,
                                  const struct tandem_control_settings *settings);
struct controller *controller_free(struct controller *controller);
/* In the settings of the next WELCOME. */
void controller_verify_every(struct controller *controller, uint32_t verify_every);
/* What who attaches from now on is told. */
void controller_configure(struct controller *controller,
                          const struct tandem_control_settings *settings);
/* Ends the connection of the data plane, as a controller that dies; it may attach again. */
void controller_hang_up(struct controller *controller);

void controller_send(struct controller *controller, const struct tandem_control_message *message);
void controller_lead(struct controller *controller, uint64_t generation, bool is_pair);
void controller_stand_by(struct controller *controller, uint64_t generation,
                         uint64_t owner_incarnation);
/* The next message of that type, dropping what came before it; false when none comes in time. Of
 * REPORTs only those with a text are kept. */
bool controller_wait(struct controller *controller, enum tandem_control_type type,
                     struct tandem_control_message *ret_message);
/* Whether one of that type is there now; nothing is dropped. */
bool controller_has(struct controller *controller, enum tandem_control_type type);
/* The last REPORT, once `is_good` holds for it. */
bool controller_wait_report(struct controller *controller,
                            bool (*is_good)(const struct tandem_control_message *report,
                                            uint64_t value),
                            uint64_t value);
uint64_t controller_incarnation(struct controller *controller); /* of who attached last */

#endif
