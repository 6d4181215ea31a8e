#include "gate.h"

#include <stddef.h>
#include <string.h>

static uint64_t larger(uint64_t one, uint64_t other)
{
	return one > other ? one : other;
}

static bool is_satisfied(const struct tandem_gate *gate, const struct tandem_gate_ticket *ticket)
{
	if (gate->mode == TANDEM_GATE_OPEN)
		return true;
	if (gate->mode != TANDEM_GATE_PAIR)
		return false;
	return gate->acked_epoch >= ticket->epoch ||
	       (ticket->ping != 0 && gate->acked_ping >= ticket->ping);
}

static void release(struct tandem_gate *gate)
{
	unsigned count = 0;

	while (count < gate->pending_count && is_satisfied(gate, &gate->pending[count]))
		gate->released_ticket = gate->pending[count++].ticket;
	gate->pending_count -= count;
	memmove(gate->pending, gate->pending + count, gate->pending_count * sizeof *gate->pending);
}

void tandem_gate_init(struct tandem_gate *gate)
{
	memset(gate, 0, sizeof *gate);
	gate->mode = TANDEM_GATE_HOLD;
}

uint64_t tandem_gate_ticket(struct tandem_gate *gate, uint64_t epoch, uint64_t ping,
                            uint64_t now_ns)
{
	unsigned count = gate->pending_count;
	struct tandem_gate_ticket *last = count > 0 ? &gate->pending[count - 1] : NULL;
	uint64_t ticket = ++gate->last_ticket;

	if (last && count == TANDEM_GATE_PENDING_MAX) {
		last->ticket = ticket;
		last->epoch = larger(last->epoch, epoch);
		last->ping = last->ping == 0 || ping == 0 ? 0 : larger(last->ping, ping);
	} else if (last && last->epoch == epoch && last->ping == ping) {
		last->ticket = ticket;
	} else {
		gate->pending[gate->pending_count++] = (struct tandem_gate_ticket){
		        .ticket = ticket, .epoch = epoch, .ping = ping, .since_ns = now_ns};
	}
	release(gate);
	return ticket;
}

void tandem_gate_lead(struct tandem_gate *gate, uint64_t generation, enum tandem_gate_mode mode)
{
	if (gate->mode == TANDEM_GATE_SHUT)
		return;
	gate->mode = mode;
	if (gate->generation != generation) {
		gate->acked_epoch = 0;
		gate->acked_ping = 0;
	}
	gate->generation = generation;
	release(gate);
}

void tandem_gate_hold(struct tandem_gate *gate)
{
	if (gate->mode != TANDEM_GATE_SHUT)
		gate->mode = TANDEM_GATE_HOLD;
}

void tandem_gate_shut(struct tandem_gate *gate)
{
	gate->mode = TANDEM_GATE_SHUT;
}

void tandem_gate_acknowledge(struct tandem_gate *gate, uint64_t generation, uint64_t epoch,
                             uint64_t ping)
{
	if (generation != gate->generation || gate->mode != TANDEM_GATE_PAIR)
		return;
	gate->acked_epoch = larger(gate->acked_epoch, epoch);
	gate->acked_ping = larger(gate->acked_ping, ping);
	release(gate);
}

uint64_t tandem_gate_held_since_ns(const struct tandem_gate *gate)
{
	if (gate->pending_count == 0 || gate->mode == TANDEM_GATE_SHUT)
		return 0;
	return gate->pending[0].since_ns;
}

uint64_t tandem_gate_behind_since_ns(const struct tandem_gate *gate)
{
	if (gate->mode == TANDEM_GATE_SHUT)
		return 0;
	for (unsigned i = 0; i < gate->pending_count; i++) {
		if (gate->pending[i].ping == 0)
			return gate->pending[i].since_ns;
	}
	return 0;
}
