#include "gate.h"

/* A map grows page by page; what is told grows in steps. */
#define GATE_USED_STEP_BYTES ((size_t)1 << 20)

static int gate_use(struct tandem_kv_gate *gate, size_t used_bytes,
                    struct tandem_error *reterr_error)
{
	size_t steps = (used_bytes + GATE_USED_STEP_BYTES - 1) / GATE_USED_STEP_BYTES;
	size_t told_bytes = steps * GATE_USED_STEP_BYTES;

	if (told_bytes > gate->map_bytes)
		told_bytes = gate->map_bytes;
	if (told_bytes == gate->used_bytes)
		return 0;
	gate->used_bytes = told_bytes;
	return tandem_region_use(gate->tandem, "map", told_bytes, reterr_error);
}

int tandem_kv_gate_open(const struct tandem_kv_options *options, void *map, size_t map_bytes,
                        size_t used_bytes, struct tandem_kv_gate *ret_gate,
                        struct tandem_error *reterr_error)
{
	struct tandem_kv_gate gate = {.map = map, .map_bytes = map_bytes};
	struct tandem_options tandem_options = TANDEM_OPTIONS_DEFAULT;

	if (options->is_standalone) {
		*ret_gate = gate;
		return 0;
	}
	gate.is_marking = options->tracker == TANDEM_TRACKER_MARK;
	tandem_options.pair = options->pair;
	tandem_options.run_directory = options->run_directory;
	int result = tandem_open(&tandem_options, &gate.tandem, reterr_error);
	if (result != 0)
		return result;
	result = tandem_region_add(gate.tandem, "map", map, map_bytes, options->tracker,
	                           reterr_error);
	if (result == 0)
		result = gate_use(&gate, used_bytes, reterr_error);
	if (result == 0)
		result = tandem_start(gate.tandem, reterr_error);
	if (result != 0) {
		tandem_kv_gate_close(&gate);
		return result;
	}
	*ret_gate = gate;
	return 0;
}

void tandem_kv_gate_close(struct tandem_kv_gate *gate)
{
	gate->tandem = tandem_close(gate->tandem);
}

const char *tandem_kv_gate_tracker(const struct tandem_kv_gate *gate)
{
	return gate->tandem ? tandem_region_tracker(gate->tandem, "map") : "none";
}

int tandem_kv_gate_checkpoint(struct tandem_kv_gate *gate, size_t used_bytes, uint64_t *ret_ticket,
                              struct tandem_error *reterr_error)
{
	int result;

	if (!gate->tandem) {
		*ret_ticket = ++gate->ticket;
		return 0;
	}
	result = gate_use(gate, used_bytes, reterr_error);
	if (result != 0)
		return result;
	/* LMDB does not say which pages it wrote. */
	if (gate->is_marking)
		tandem_mark_dirty(gate->tandem, gate->map, gate->used_bytes);
	return tandem_checkpoint(gate->tandem, NULL, 0, ret_ticket, reterr_error);
}

int tandem_kv_gate_confirm(struct tandem_kv_gate *gate, uint64_t *ret_ticket,
                           struct tandem_error *reterr_error)
{
	if (!gate->tandem) {
		*ret_ticket = ++gate->ticket;
		return 0;
	}
	return tandem_confirm(gate->tandem, ret_ticket, reterr_error);
}

void tandem_kv_gate_poll(struct tandem_kv_gate *gate, struct tandem_news *ret_news)
{
	if (gate->tandem)
		tandem_poll(gate->tandem, ret_news);
	else
		*ret_news = (struct tandem_news){.released_ticket = gate->ticket,
		                                 .can_checkpoint = true};
}

int tandem_kv_gate_event_fd(const struct tandem_kv_gate *gate)
{
	return gate->tandem ? tandem_event_fd(gate->tandem) : -1;
}

void tandem_kv_gate_note_reply(struct tandem_kv_gate *gate, bool is_sending)
{
	if (gate->tandem)
		tandem_note_reply(gate->tandem, is_sending);
}
