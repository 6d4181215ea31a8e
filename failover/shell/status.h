#ifndef TANDEM_FAILOVER_STATUS_H
#define TANDEM_FAILOVER_STATUS_H

#include <json-c/json.h>

#include "shell/headline.h"
#include "shell/service.h"

/* What the operator sees; the caller owns what is returned, NULL when there is no memory. */
struct json_object *tandem_status_of_pair(const struct tandem_pair *pair);
/* What the node's timing rests on: real-time priority, locked memory, how late its threads were. */
void tandem_status_add_timing(struct json_object *object, struct tandem_controller *controller);
/* events.c; `pair` NULL: of all. */
struct json_object *tandem_status_of_history(const struct tandem_history *history,
                                             const char *pair);
/* status_arbiter.c */
struct json_object *tandem_status_of_arbiter(const struct tandem_pair *pair);
/* stats.c: PAIR.stats of the run directory, or NULL. */
struct json_object *tandem_status_of_stats(const char *directory, const char *pair);
/* stats.c: what the page of the program that is attached says; nothing of one that has ended. */
void tandem_status_facts(const struct tandem_pair *pair, uint64_t now_ns,
                         struct tandem_headline_facts *ret_facts);
/* stats.c: how far a copy to the other node is, null when none is under way. left_ms is null while
 * nobody can tell. */
struct json_object *tandem_status_of_copy(const struct tandem_headline_facts *facts);
/* stats.c: the data channels of the same file, an empty list without it. */
struct json_object *tandem_status_of_channels(const char *directory, const char *pair);
/* p50_ms, p99_ms, max_ms and count. */
struct json_object *tandem_status_spread(const struct tandem_histogram *spread_ns);
/* Milliseconds and so on with three digits behind the point. */
struct json_object *tandem_status_number(uint64_t value, uint64_t unit);
/* "2026-11-21T06:40:00.123Z" */
struct json_object *tandem_status_time(uint64_t wall_ns);
/* Incarnations as 16 hex digits: JSON numbers of readers lose bits above 2^53. */
struct json_object *tandem_status_name(uint64_t number);

#endif
