#ifndef TANDEM_FAILOVER_REQUEST_H
#define TANDEM_FAILOVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/control.h>
#include <tandem/error.h>

/* One line of the operator's socket, as JSON: {"command": "...", "pair": "...", ...}. */
#define TANDEM_REQUEST_BYTES_MAX 4096

#define TANDEM_COMMAND_TABLE(X)                                                                    \
	X(STATUS, "status")                                                                        \
	X(EVENTS, "events")                                                                        \
	X(YANK, "yank")                                                                            \
	X(PROMOTE, "promote")                                                                      \
	X(FORCE_PRIMARY, "force-primary")                                                          \
	X(SWITCHOVER, "switchover")                                                                \
	X(RESYNC, "resync")                                                                        \
	X(PROTECT, "protect")                                                                      \
	X(UNPROTECT, "unprotect")                                                                  \
	X(MAINTENANCE, "maintenance")                                                              \
	X(FENCE_ACK, "fence-ack")

enum tandem_command {
#define X(name, text) TANDEM_COMMAND_##name,
	TANDEM_COMMAND_TABLE(X)
#undef X
	        TANDEM_COMMAND_COUNT,
};

struct tandem_request {
	enum tandem_command command;
	bool has_pair;
	bool has_generation;
	bool has_on;
	bool is_on;
	bool accepts_data_loss;
	uint64_t generation;
	char pair[TANDEM_NAME_BYTES];
};

/* 0 or TANDEM_E_USAGE with what is wrong with it. Any bytes are safe. */
TANDEM_MUST_CHECK int tandem_request_parse(const char *line, size_t length,
                                           struct tandem_request *ret_request,
                                           struct tandem_error *reterr_error);
const char *tandem_command_name(enum tandem_command command);

#endif
