#ifndef TANDEM_KV_GATE_H
#define TANDEM_KV_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/tandem.h>

#include "options.h"

/* The library as this server uses it. Standing alone, every ticket is released at once. */
struct tandem_kv_gate {
	struct tandem *tandem; /* NULL: standalone */
	uint64_t ticket;       /* standalone: the last one given */
	void *map;
	size_t map_bytes;
	size_t used_bytes; /* of the map: the rest is neither looked at nor sent */
	bool is_marking;   /* the tracker sees nothing by itself */
};

/* Joins the controller, names the map as region "map", of which the first `used_bytes` hold
 * something, and waits until this node may lead. Errors as
 * tandem_open(), tandem_region_add() and tandem_start(). */
TANDEM_MUST_CHECK int tandem_kv_gate_open(const struct tandem_kv_options *options, void *map,
                                          size_t map_bytes, size_t used_bytes,
                                          struct tandem_kv_gate *ret_gate,
                                          struct tandem_error *reterr_error);
void tandem_kv_gate_close(struct tandem_kv_gate *gate);

/* How written pages are found, for people. */
const char *tandem_kv_gate_tracker(const struct tandem_kv_gate *gate);

/* Ends the epoch of turns that wrote; the map is used up to there now. */
TANDEM_MUST_CHECK int tandem_kv_gate_checkpoint(struct tandem_kv_gate *gate, size_t used_bytes,
                                                uint64_t *ret_ticket,
                                                struct tandem_error *reterr_error);
/* For turns that only read. */
TANDEM_MUST_CHECK int tandem_kv_gate_confirm(struct tandem_kv_gate *gate, uint64_t *ret_ticket,
                                             struct tandem_error *reterr_error);
void tandem_kv_gate_poll(struct tandem_kv_gate *gate, struct tandem_news *ret_news);
/* -1 when there is nothing to wait for. */
int tandem_kv_gate_event_fd(const struct tandem_kv_gate *gate);
void tandem_kv_gate_note_reply(struct tandem_kv_gate *gate, bool is_sending);

#endif
