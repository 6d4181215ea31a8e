#ifndef TANDEM_NODE_CONFIGURATION_H
#define TANDEM_NODE_CONFIGURATION_H

#include <limits.h>
#include <tandem/config.h>

/* Loads the file and finds the node (NULL: the host name); every mistake is one line of the log.
 * *ret_config is the caller's, *ret_node borrowed from it. Errors: as tandem_config_load() and
 * tandem_config_node(); they have been logged. */
TANDEM_MUST_CHECK int tandem_node_configure(const char *path, const char *name,
                                            struct tandem_config **ret_config,
                                            const struct tandem_config_node **ret_node);

/* Where this program is, and the others with it: TANDEM_BIN_DIR. "" where that cannot be known. */
void tandem_node_find_programs(char ret_directory[PATH_MAX]);

#endif
