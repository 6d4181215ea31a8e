#ifndef TANDEM_NODE_LIVE_H
#define TANDEM_NODE_LIVE_H

#include <tandem/controller.h>

#include "doctor.h"

/* What of a configuration this machine itself contradicts; findings as the doctor's. */

/* Modes and owners of the files and directories that the node uses. Looks only. */
void tandem_live_permissions(const struct tandem_config *config,
                             const struct tandem_config_node *node,
                             struct tandem_doctor_report *report);
/* Whether addresses can be bound and reached, the arbiter answers, agents and commands can be run
 * and images have room; some seconds. `pairs` as the controller gets them. A probe file is written
 * to an arbiter's directory and removed; nothing else changes. */
void tandem_live_probe(const struct tandem_config *config, const struct tandem_config_node *node,
                       const struct tandem_controller_pair *pairs, size_t pair_count,
                       struct tandem_doctor_report *report);

/* live_command.c: whether the shell finds what the command begins with; false and what that is. */
bool tandem_live_finds_command(const char *command, char *ret_word, size_t word_bytes);

/* live.c: one more finding; `fix` "" for none. */
void tandem_live_say(struct tandem_doctor_report *report, enum tandem_doctor_level level,
                     const char *topic, const char *fix, const char *format, ...)
        TANDEM_PRINTF(5, 6);

#endif
