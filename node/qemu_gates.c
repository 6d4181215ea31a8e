#include "qemu_gates.h"

#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/log.h>

#define ROOM_BYTES   ((size_t)64 << 20) /* half a second of a 1 Gbit/s link */
#define TELL_EACH_NS (10 * TANDEM_NS_PER_S)
#define PREFIX       "user:"

bool tandem_qemu_gates_add(struct tandem_qemu_gates *gates, const char *text)
{
	if (gates->count == TANDEM_QEMU_GATES_MAX || strncmp(text, PREFIX, strlen(PREFIX)) != 0 ||
	    text[strlen(PREFIX)] == 0)
		return false;
	gates->cards[gates->count++].outside = text + strlen(PREFIX);
	return true;
}

/* QEMU reads a comma twice as one. */
static void write_netdev(struct tandem_qemu_card *card, unsigned number, const char *path)
{
	char *to = card->netdev;

	to += snprintf(to, sizeof(card->netdev) - 2 * PATH_MAX,
	               "stream,id=tandem%u,server=off,addr.type=unix,addr.path=", number);
	for (; *path; path++) {
		if (*path == ',')
			*to++ = ',';
		*to++ = *path;
	}
	*to = 0;
}

static int open_one(struct tandem_qemu_gates *gates, unsigned number, struct event_base *base,
                    const char *at, struct tandem_error *reterr_error)
{
	struct tandem_qemu_card *card = &gates->cards[number];
	char socket_path[PATH_MAX], outside_path[PATH_MAX];
	const struct tandem_qemu_gate_options options = {
	        .socket_path = socket_path,
	        .outside = card->outside,
	        .outside_path = outside_path,
	        .room_bytes = ROOM_BYTES,
	};

	snprintf(socket_path, sizeof(socket_path), "%.4000s.card%u", at, number);
	snprintf(outside_path, sizeof(outside_path), "%.4000s.net%u", at, number);
	write_netdev(card, number, socket_path);
	return tandem_qemu_gate_open(base, &options, &card->gate, reterr_error);
}

int tandem_qemu_gates_open(struct tandem_qemu_gates *gates, struct event_base *base,
                           const char *run_directory, const char *pair,
                           struct tandem_error *reterr_error)
{
	char at[PATH_MAX];
	int status = 0;

	snprintf(at, sizeof(at), "%s/%s", run_directory, pair);
	for (unsigned i = 0; status == 0 && i < gates->count; i++)
		status = open_one(gates, i, base, at, reterr_error);
	return status;
}

void tandem_qemu_gates_let(struct tandem_qemu_gates *gates)
{
	for (unsigned i = 0; i < gates->count; i++) {
		if (gates->cards[i].gate)
			tandem_qemu_gate_let(gates->cards[i].gate);
	}
}

void tandem_qemu_gates_mark(struct tandem_qemu_gates *gates, uint64_t ticket)
{
	for (unsigned i = 0; i < gates->count; i++) {
		if (gates->cards[i].gate)
			tandem_qemu_gate_mark(gates->cards[i].gate, ticket);
	}
}

static bool has_lost_more(const struct tandem_qemu_card *card,
                          const struct tandem_qemu_gate_counts *counts)
{
	return counts->dropped_count != card->told.dropped_count ||
	       counts->lost_count != card->told.lost_count ||
	       counts->fault_count != card->told.fault_count;
}

static void tell(struct tandem_qemu_card *card)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	struct tandem_qemu_gate_counts counts;

	tandem_qemu_gate_count(card->gate, &counts);
	if (!has_lost_more(card, &counts) ||
	    (card->told_ns != 0 && now_ns - card->told_ns < TELL_EACH_NS))
		return;
	tandem_log(TANDEM_LOG_WARNING,
	           "gate to %.60s: of %llu frames of the guest %llu were dropped because more than "
	           "%zu MiB would have waited for a commit, and %llu were not taken by the "
	           "network; %zu bytes wait; QEMU sent what is no frame %llu times",
	           card->outside, (unsigned long long)counts.taken_count,
	           (unsigned long long)counts.dropped_count, ROOM_BYTES >> 20,
	           (unsigned long long)counts.lost_count, counts.held_bytes,
	           (unsigned long long)counts.fault_count);
	card->told = counts;
	card->told_ns = now_ns;
}

void tandem_qemu_gates_release(struct tandem_qemu_gates *gates, uint64_t released_ticket)
{
	for (unsigned i = 0; i < gates->count; i++) {
		if (!gates->cards[i].gate)
			continue;
		tandem_qemu_gate_release(gates->cards[i].gate, released_ticket);
		tell(&gates->cards[i]);
	}
}

void tandem_qemu_gates_close(struct tandem_qemu_gates *gates)
{
	for (unsigned i = 0; i < gates->count; i++) {
		tandem_qemu_gate_close(gates->cards[i].gate);
		gates->cards[i].gate = NULL;
	}
}
