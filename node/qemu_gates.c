#include "qemu_gates.h"

#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/log.h>

#define ROOM_BYTES   ((size_t)64 << 20) /* half a second of a link of 1 Gbit/s */
#define TELL_EACH_NS (10 * TANDEM_NS_PER_S)

static const struct kind {
	enum tandem_qemu_gate_kind kind;
	const char *prefix;
} kinds[] = {{TANDEM_QEMU_GATE_USER, "user:"}, {TANDEM_QEMU_GATE_PLUG, "plug:"}};

bool tandem_qemu_gates_add(struct tandem_qemu_gates *gates, const char *text)
{
	struct tandem_qemu_card *card = &gates->cards[gates->count];

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const size_t length = strlen(kinds[i].prefix);

		if (strncmp(text, kinds[i].prefix, length) != 0 || text[length] == 0 ||
		    gates->count == TANDEM_QEMU_GATES_MAX)
			continue;
		card->kind = kinds[i].kind;
		card->outside = text + length;
		if (card->kind == TANDEM_QEMU_GATE_PLUG)
			snprintf(card->details, sizeof(card->details), ",ifname=%.15s,",
			         card->outside);
		gates->ends[gates->count++] = (struct tandem_qemu_network_end){
		        .type = card->kind == TANDEM_QEMU_GATE_PLUG ? "tap" : "stream",
		        .details = card->details,
		};
		return true;
	}
	return false;
}

/* QEMU reads a comma twice as one. */
static void add_escaped(char *option, const char *text)
{
	char *to = option + strlen(option);

	for (; *text; text++) {
		if (*text == ',')
			*to++ = ',';
		*to++ = *text;
	}
	*to = 0;
}

/* `link`: where another process gives it; -1: it is made. */
static int open_user(struct tandem_qemu_card *card, unsigned number, struct event_base *base,
                     const char *at, int link, struct tandem_error *reterr_error)
{
	char socket_path[PATH_MAX], outside_path[PATH_MAX];
	const struct tandem_qemu_gate_options options = {
	        .socket_path = socket_path,
	        .outside = card->outside,
	        .outside_path = outside_path,
	        .room_bytes = ROOM_BYTES,
	};

	snprintf(socket_path, sizeof(socket_path), "%.4000s.card%u", at, number);
	snprintf(outside_path, sizeof(outside_path), "%.4000s.net%u", at, number);
	snprintf(card->netdev, sizeof(card->netdev),
	         "stream,id=tandem%u,server=off,addr.type=unix,addr.path=", number);
	add_escaped(card->netdev, socket_path);
	return link < 0 ? tandem_qemu_gate_open(base, &options, &card->gate, reterr_error)
	                : tandem_qemu_gate_take(base, &options, link, &card->gate, reterr_error);
}

static int open_plug(struct tandem_qemu_card *card, unsigned number,
                     struct tandem_error *reterr_error)
{
	const struct tandem_qemu_plug_options options = {
	        .interface = card->outside,
	        .room_bytes = ROOM_BYTES,
	};
	const int status = tandem_qemu_plug_open(&options, &card->plug, reterr_error);

	if (status != 0)
		return status;
	snprintf(card->netdev, sizeof(card->netdev),
	         "tap,id=tandem%u,script=no,downscript=no,ifname=", number);
	add_escaped(card->netdev, card->outside);
	return 0;
}

int tandem_qemu_gates_open(struct tandem_qemu_gates *gates, struct event_base *base,
                           const char *run_directory, const char *pair,
                           struct tandem_error *reterr_error)
{
	char at[PATH_MAX];
	int status = 0;

	snprintf(at, sizeof(at), "%s/%s", run_directory, pair);
	for (unsigned i = 0; status == 0 && i < gates->count; i++) {
		struct tandem_qemu_card *card = &gates->cards[i];

		if (card->kind == TANDEM_QEMU_GATE_PLUG)
			status = open_plug(card, i, reterr_error);
		else if (!card->gate)
			status = open_user(card, i, base, at, -1, reterr_error);
	}
	return status;
}

unsigned tandem_qemu_gates_user_count(const struct tandem_qemu_gates *gates)
{
	unsigned count = 0;

	for (unsigned i = 0; i < gates->count; i++)
		count += gates->cards[i].kind == TANDEM_QEMU_GATE_USER;
	return count;
}

int tandem_qemu_gates_give(const struct tandem_qemu_gates *gates, int link,
                           struct tandem_error *reterr_error)
{
	int status = 0;

	for (unsigned i = 0; status == 0 && i < gates->count; i++) {
		if (gates->cards[i].gate)
			status = tandem_qemu_gate_give(gates->cards[i].gate, link, reterr_error);
	}
	return status;
}

int tandem_qemu_gates_take(struct tandem_qemu_gates *gates, struct event_base *base,
                           const char *run_directory, const char *pair, int link,
                           struct tandem_error *reterr_error)
{
	char at[PATH_MAX];
	int status = 0;

	snprintf(at, sizeof(at), "%s/%s", run_directory, pair);
	for (unsigned i = 0; status == 0 && i < gates->count; i++) {
		if (gates->cards[i].kind == TANDEM_QEMU_GATE_USER)
			status = open_user(&gates->cards[i], i, base, at, link, reterr_error);
	}
	if (status != 0)
		tandem_qemu_gates_yield(gates);
	return status;
}

void tandem_qemu_gates_yield(struct tandem_qemu_gates *gates)
{
	for (unsigned i = 0; i < gates->count; i++) {
		if (gates->cards[i].gate)
			tandem_qemu_gate_yield(gates->cards[i].gate);
		gates->cards[i].gate = NULL;
	}
}

void tandem_qemu_gates_forget(struct tandem_qemu_gates *gates)
{
	for (unsigned i = 0; i < gates->count; i++) {
		if (gates->cards[i].gate)
			tandem_qemu_gate_forget(gates->cards[i].gate);
	}
}

void tandem_qemu_gates_await(const struct tandem_qemu_gates *gates, uint64_t patience_ns)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + patience_ns;

	for (unsigned i = 0; i < gates->count; i++) {
		if (gates->cards[i].gate)
			tandem_qemu_gate_await(gates->cards[i].gate, deadline_ns);
	}
}

int tandem_qemu_gates_check(const struct tandem_qemu_gates *gates,
                            struct tandem_error *reterr_error)
{
	for (unsigned i = 0; i < gates->count; i++) {
		const struct tandem_qemu_card *card = &gates->cards[i];

		if (card->gate && !tandem_qemu_gate_is_connected(card->gate))
			return tandem_error_set(
			        reterr_error, TANDEM_E_CONFIG, "gate",
			        "QEMU's netdev tandem%u is not connected to its gate: -netdev "
			        "%.165s,reconnect-ms=100 needed",
			        i, card->netdev);
	}
	return 0;
}

void tandem_qemu_gates_let(struct tandem_qemu_gates *gates)
{
	for (unsigned i = 0; i < gates->count; i++) {
		if (gates->cards[i].gate)
			tandem_qemu_gate_let(gates->cards[i].gate);
		if (gates->cards[i].plug)
			tandem_qemu_plug_let(gates->cards[i].plug);
	}
}

int tandem_qemu_gates_mark(struct tandem_qemu_gates *gates, struct tandem_error *reterr_error)
{
	int status = 0;

	for (unsigned i = 0; status == 0 && i < gates->count; i++) {
		if (gates->cards[i].gate)
			tandem_qemu_gate_mark(gates->cards[i].gate);
		if (gates->cards[i].plug)
			status = tandem_qemu_plug_mark(gates->cards[i].plug, reterr_error);
	}
	return status;
}

void tandem_qemu_gates_promise(struct tandem_qemu_gates *gates, uint64_t ticket)
{
	for (unsigned i = 0; i < gates->count; i++) {
		if (gates->cards[i].gate)
			tandem_qemu_gate_promise(gates->cards[i].gate, ticket);
		if (gates->cards[i].plug)
			tandem_qemu_plug_promise(gates->cards[i].plug, ticket);
	}
}

/* ---- what the operator is told ---- */

void tandem_qemu_gates_look(const struct tandem_qemu_gates *gates, unsigned number,
                            struct tandem_qemu_gate_state *ret_state)
{
	const struct tandem_qemu_card *card = &gates->cards[number];
	struct tandem_qemu_gate_counts counts = {.taken_count = 0};
	struct tandem_qemu_plug_counts of_plug = {.dropped_count = 0};

	if (card->gate)
		tandem_qemu_gate_count(card->gate, &counts);
	if (card->plug)
		tandem_qemu_plug_count(card->plug, &of_plug);
	*ret_state = (struct tandem_qemu_gate_state){
	        .way = card->kind == TANDEM_QEMU_GATE_PLUG ? "plug" : "user",
	        .outside = card->outside,
	        .is_open = counts.is_open,
	        .held_bytes = counts.held_bytes + of_plug.held_bytes,
	        .room_bytes = ROOM_BYTES,
	        .dropped_count = counts.dropped_count + of_plug.dropped_count,
	        .lost_count = counts.lost_count,
	};
}

static uint64_t tell_user(const struct tandem_qemu_card *card)
{
	struct tandem_qemu_gate_counts counts;

	tandem_qemu_gate_count(card->gate, &counts);
	const uint64_t lost_count = counts.dropped_count + counts.lost_count + counts.fault_count;
	if (lost_count != card->told_lost_count)
		tandem_log(TANDEM_LOG_WARNING,
		           "gate to %.60s: of %llu frames of the guest %llu were dropped because "
		           "more than %zu MiB would have waited for a commit, and %llu were not "
		           "taken by the network; %zu bytes wait; QEMU sent what is no frame %llu "
		           "times",
		           card->outside, (unsigned long long)counts.taken_count,
		           (unsigned long long)counts.dropped_count, ROOM_BYTES >> 20,
		           (unsigned long long)counts.lost_count, counts.held_bytes,
		           (unsigned long long)counts.fault_count);
	return lost_count;
}

static uint64_t tell_plug(const struct tandem_qemu_card *card)
{
	struct tandem_qemu_plug_counts counts;

	tandem_qemu_plug_count(card->plug, &counts);
	const uint64_t dropped_count = counts.dropped_count;
	const uint64_t fault_count = tandem_qemu_plug_fault_count(card->plug);

	if (dropped_count + fault_count != card->told_lost_count)
		tandem_log(
		        TANDEM_LOG_WARNING,
		        "gate to %.60s: %llu frames of the guest were dropped because more than "
		        "%zu MiB would have waited for a commit; the kernel refused %llu orders, "
		        "whose frames wait longer",
		        card->outside, (unsigned long long)dropped_count, ROOM_BYTES >> 20,
		        (unsigned long long)fault_count);
	return dropped_count + fault_count;
}

static void tell(struct tandem_qemu_card *card)
{
	const uint64_t now_ns = tandem_clock_now_ns();

	if (card->told_ns != 0 && now_ns - card->told_ns < TELL_EACH_NS)
		return;
	card->told_ns = now_ns;
	card->told_lost_count = card->gate ? tell_user(card) : tell_plug(card);
}

void tandem_qemu_gates_release(struct tandem_qemu_gates *gates, uint64_t released_ticket)
{
	for (unsigned i = 0; i < gates->count; i++) {
		struct tandem_qemu_card *card = &gates->cards[i];

		if (card->gate)
			tandem_qemu_gate_release(card->gate, released_ticket);
		if (card->plug)
			tandem_qemu_plug_release(card->plug, released_ticket);
		if (card->gate || card->plug)
			tell(card);
	}
}

bool tandem_qemu_gates_are_open(const struct tandem_qemu_gates *gates)
{
	for (unsigned i = 0; i < gates->count; i++) {
		if (gates->cards[i].gate)
			return true;
	}
	return false;
}

void tandem_qemu_gates_leave(struct tandem_qemu_gates *gates)
{
	struct tandem_error error;

	for (unsigned i = 0; i < gates->count; i++) {
		if (gates->cards[i].gate)
			tandem_qemu_gate_leave(gates->cards[i].gate);
		if (gates->cards[i].plug &&
		    tandem_qemu_plug_leave(gates->cards[i].plug, &error) != 0)
			tandem_log(TANDEM_LOG_ERROR, "gate to %.60s: %s", gates->cards[i].outside,
			           error.detail);
	}
}

void tandem_qemu_gates_shut(struct tandem_qemu_gates *gates)
{
	for (unsigned i = 0; i < gates->count; i++) {
		tandem_qemu_gate_close(gates->cards[i].gate);
		gates->cards[i].gate = NULL;
		if (gates->cards[i].plug)
			tandem_qemu_plug_shut(gates->cards[i].plug);
	}
}

void tandem_qemu_gates_close(struct tandem_qemu_gates *gates)
{
	tandem_qemu_gates_shut(gates);
	for (unsigned i = 0; i < gates->count; i++) {
		tandem_qemu_plug_close(gates->cards[i].plug);
		gates->cards[i].plug = NULL;
	}
}
