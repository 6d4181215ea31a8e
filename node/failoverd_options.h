#ifndef TANDEM_NODE_FAILOVERD_OPTIONS_H
#define TANDEM_NODE_FAILOVERD_OPTIONS_H

#include <tandem/config.h>
#include <tandem/controller.h>

/* From the file's view of a node and a pair to the controller's. TANDEM_E_CONFIG: a key file cannot
 * be used, a path is too long; TANDEM_E_USAGE: the node does not serve the pair. */
TANDEM_MUST_CHECK int tandem_failoverd_pair(const struct tandem_config *config,
                                            const struct tandem_config_node *node,
                                            const struct tandem_config_pair *pair,
                                            struct tandem_controller_pair *ret_pair,
                                            struct tandem_error *reterr_error);

/* All pairs that the node serves, and checks the whole. `pairs` has room for
 * TANDEM_CONTROLLER_PAIRS_MAX and is borrowed by *ret_options. TANDEM_E_CONFIG also when it serves
 * none. */
TANDEM_MUST_CHECK int tandem_failoverd_options(const struct tandem_config *config,
                                               const struct tandem_config_node *node,
                                               struct tandem_controller_pair *pairs,
                                               struct tandem_controller_options *ret_options,
                                               struct tandem_error *reterr_error);

#endif
