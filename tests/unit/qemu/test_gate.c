#include <criterion/criterion.h>

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <tandem/qemu_gate.h>

#include "core/frames.h"

#define ROOM_BYTES 4096u
#define TEXT_BYTES 512

/* A gate between a test that is QEMU and one that is the network. */
struct bed {
	char folder[32];
	char card_path[64], outside_path[64], network_path[64];
	struct event_base *base;
	struct tandem_qemu_gate *gate;
	int qemu;
	int network;
	char text[TEXT_BYTES];
};

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

/* All that is due now. */
static void turn(struct bed *bed)
{
	for (unsigned i = 0; i < 8; i++)
		event_base_loop(bed->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static int connect_to(const char *path)
{
	const struct sockaddr_un address = address_of(path);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int listen_at(const char *path)
{
	const struct sockaddr_un address = address_of(path);
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void open_bed(struct bed *bed)
{
	struct tandem_error error = {.code = 0};

	*bed = (struct bed){.folder = "/tmp/tandem-gate-XXXXXX"};
	cr_assert_not_null(mkdtemp(bed->folder));
	snprintf(bed->card_path, sizeof(bed->card_path), "%s/card", bed->folder);
	snprintf(bed->outside_path, sizeof(bed->outside_path), "%s/outside", bed->folder);
	snprintf(bed->network_path, sizeof(bed->network_path), "%s/network", bed->folder);
	bed->base = event_base_new();
	bed->network = listen_at(bed->network_path);
	const struct tandem_qemu_gate_options options = {.socket_path = bed->card_path,
	                                                 .outside = bed->network_path,
	                                                 .outside_path = bed->outside_path,
	                                                 .room_bytes = ROOM_BYTES};
	cr_assert_eq(tandem_qemu_gate_open(bed->base, &options, &bed->gate, &error), 0, "%s",
	             error.detail);
	bed->qemu = connect_to(bed->card_path);
	turn(bed);
}

static void close_bed(struct bed *bed)
{
	tandem_qemu_gate_close(bed->gate);
	close(bed->qemu);
	close(bed->network);
	event_base_free(bed->base);
	unlink(bed->network_path);
	cr_assert_eq(rmdir(bed->folder), 0, "the gate leaves nothing behind");
}

static void mark(struct bed *bed, uint64_t ticket)
{
	tandem_qemu_gate_mark(bed->gate);
	tandem_qemu_gate_promise(bed->gate, ticket);
}

static size_t put(uint8_t *to, const char *text)
{
	tandem_qemu_frame_head(strlen(text), to);
	memcpy(to + TANDEM_QEMU_FRAME_HEAD_BYTES, text, strlen(text));
	return TANDEM_QEMU_FRAME_HEAD_BYTES + strlen(text);
}

static void guest_sends(struct bed *bed, const char *text)
{
	uint8_t record[TEXT_BYTES];
	const size_t length = put(record, text);

	cr_assert_eq(send(bed->qemu, record, length, 0), (ssize_t)length);
}

/* The frames that are outside, one behind the other. */
static const char *network_gets(struct bed *bed)
{
	size_t length = 0;
	ssize_t got;

	turn(bed);
	while ((got = recv(bed->network, bed->text + length, TEXT_BYTES - 1 - length, 0)) > 0) {
		length += (size_t)got;
		turn(bed);
	}
	bed->text[length] = 0;
	return bed->text;
}

Test(gate, an_epoch_leaves_when_its_ticket_is_released)
{
	struct bed bed;

	open_bed(&bed);
	guest_sends(&bed, "a");
	cr_assert_str_eq(network_gets(&bed), "");
	guest_sends(&bed, "b"); /* the gate has not looked at it yet */
	mark(&bed, 1);
	guest_sends(&bed, "c");
	cr_assert_str_eq(network_gets(&bed), "");
	tandem_qemu_gate_release(bed.gate, 1);
	cr_assert_str_eq(network_gets(&bed), "ab");
	close_bed(&bed);
}

Test(gate, what_is_held_is_gone_with_the_gate)
{
	struct bed bed;

	open_bed(&bed);
	guest_sends(&bed, "a");
	mark(&bed, 1);
	tandem_qemu_gate_close(bed.gate);
	bed.gate = NULL;
	cr_assert_str_eq(network_gets(&bed), "");
	close_bed(&bed);
}

Test(gate, without_an_epoch_a_leader_is_free_to_send)
{
	struct bed bed;

	open_bed(&bed);
	guest_sends(&bed, "a");
	turn(&bed);
	tandem_qemu_gate_let(bed.gate);
	guest_sends(&bed, "b");
	cr_assert_str_eq(network_gets(&bed), "ab");
	mark(&bed, 1);
	guest_sends(&bed, "c");
	cr_assert_str_eq(network_gets(&bed), "");
	close_bed(&bed);
}

Test(gate, a_network_that_comes_later_is_found)
{
	struct tandem_qemu_gate_counts counts;
	struct bed bed;

	open_bed(&bed);
	tandem_qemu_gate_let(bed.gate);
	close(bed.network);
	unlink(bed.network_path);
	guest_sends(&bed, "a");
	turn(&bed);
	bed.network = listen_at(bed.network_path);
	guest_sends(&bed, "b");
	cr_assert_str_eq(network_gets(&bed), "b");
	tandem_qemu_gate_count(bed.gate, &counts);
	cr_assert_eq(counts.lost_count, 1);
	cr_assert_eq(counts.sent_count, 1);
	close_bed(&bed);
}

Test(gate, all_of_an_epoch_leaves_however_slow_the_network_is)
{
	struct tandem_qemu_gate_counts counts;
	struct bed bed;

	open_bed(&bed);
	for (char name = 'a'; name <= 'z'; name++)
		guest_sends(&bed, (const char[]){name, 0});
	mark(&bed, 1);
	tandem_qemu_gate_release(bed.gate, 1); /* more than a socket's queue has room for */
	cr_assert_str_eq(network_gets(&bed), "abcdefghijklmnopqrstuvwxyz");
	tandem_qemu_gate_count(bed.gate, &counts);
	cr_assert_eq(counts.sent_count, 26);
	cr_assert_eq(counts.held_bytes, 0);
	close_bed(&bed);
}

/* More than leave in one turn of the loop. */
Test(gate, a_long_epoch_leaves_in_order)
{
	struct bed bed;

	open_bed(&bed);
	for (unsigned i = 0; i < 600; i++) {
		guest_sends(&bed, (const char[]){(char)('a' + i % 26), 0});
		turn(&bed);
	}
	mark(&bed, 1);
	tandem_qemu_gate_release(bed.gate, 1);
	for (unsigned i = 0; i < 600; i++) {
		char name = 0;

		while (recv(bed.network, &name, 1, 0) < 0)
			turn(&bed);
		cr_assert_eq(name, (char)('a' + i % 26), "frame %u", i);
	}
	close_bed(&bed);
}

Test(gate, the_newest_frames_are_dropped_and_counted)
{
	const size_t held_max = ROOM_BYTES / (TANDEM_QEMU_FRAME_HEAD_BYTES + 5);
	struct tandem_qemu_gate_counts counts;
	struct bed bed;

	open_bed(&bed);
	for (unsigned i = 0; i < 1000; i++) {
		char text[8];

		snprintf(text, sizeof(text), "%05u", i);
		guest_sends(&bed, text);
		turn(&bed);
	}
	tandem_qemu_gate_count(bed.gate, &counts);
	cr_assert_eq(counts.taken_count, 1000);
	cr_assert_eq(counts.dropped_count, 1000 - held_max);
	cr_assert_leq(counts.held_bytes, ROOM_BYTES);
	close_bed(&bed);
}

Test(gate, what_comes_passes_at_once)
{
	uint8_t expected[TEXT_BYTES], got[TEXT_BYTES];
	struct sockaddr_un address;
	struct bed bed;

	open_bed(&bed);
	address = address_of(bed.outside_path);
	cr_assert_eq(sendto(bed.network, "hello", 5, 0, (const struct sockaddr *)&address,
	                    sizeof(address)),
	             5);
	turn(&bed);
	const size_t length = put(expected, "hello");
	cr_assert_eq(recv(bed.qemu, got, sizeof(got), 0), (ssize_t)length);
	cr_assert_arr_eq(got, expected, length);
	close_bed(&bed);
}

static void comes(struct bed *bed, const char *text)
{
	const struct sockaddr_un address = address_of(bed->outside_path);

	cr_assert_eq(sendto(bed->network, text, strlen(text), 0, (const struct sockaddr *)&address,
	                    sizeof(address)),
	             (ssize_t)strlen(text));
}

/* A gate that was open long before its guest goes on. */
Test(gate, what_came_for_nobody_is_forgotten)
{
	uint8_t expected[TEXT_BYTES], got[TEXT_BYTES];
	struct bed bed;

	open_bed(&bed);
	comes(&bed, "old");
	comes(&bed, "older");
	tandem_qemu_gate_forget(bed.gate);
	comes(&bed, "new");
	turn(&bed);
	const size_t length = put(expected, "new");
	cr_assert_eq(recv(bed.qemu, got, sizeof(got), 0), (ssize_t)length);
	cr_assert_arr_eq(got, expected, length);
	close_bed(&bed);
}

#define FRAMES_SENT 200

static uint8_t large_frame[32768];

/* As many as there is room for. */
static size_t network_sends(struct bed *bed)
{
	const struct sockaddr_un address = address_of(bed->outside_path);
	size_t sent_count = 0;

	for (unsigned i = 0; i < FRAMES_SENT; i++) {
		if (sendto(bed->network, large_frame, sizeof(large_frame), 0,
		           (const struct sockaddr *)&address,
		           sizeof(address)) == (ssize_t)sizeof(large_frame))
			sent_count++;
		turn(bed);
	}
	return sent_count;
}

static void qemu_gets(struct bed *bed, size_t frame_count)
{
	static uint8_t got[1 << 20];
	size_t got_bytes = 0;
	ssize_t length;

	do {
		turn(bed);
		length = recv(bed->qemu, got, sizeof(got), 0);
		got_bytes += length > 0 ? (size_t)length : 0;
	} while (length > 0);
	cr_assert_eq(got_bytes, frame_count * (sizeof(large_frame) + TANDEM_QEMU_FRAME_HEAD_BYTES));
}

/* QEMU does not read: the gate waits for it and loses nothing that it took. */
Test(gate, what_comes_waits_for_a_qemu_that_is_slow)
{
	struct bed bed;

	open_bed(&bed);
	const size_t sent_count = network_sends(&bed);
	cr_assert_lt(sent_count, FRAMES_SENT, "the network is held up in the end");
	qemu_gets(&bed, sent_count);
	close_bed(&bed);
}

/* ---- from one process to another ---- */

static int take(struct bed *bed, const char *outside, int link, struct tandem_qemu_gate **ret_gate,
                struct tandem_error *reterr_error)
{
	const struct tandem_qemu_gate_options options = {.socket_path = bed->card_path,
	                                                 .outside = outside,
	                                                 .outside_path = bed->outside_path,
	                                                 .room_bytes = ROOM_BYTES};

	return tandem_qemu_gate_take(bed->base, &options, link, ret_gate, reterr_error);
}

static void hand_over(struct bed *bed)
{
	struct tandem_qemu_gate *gate = NULL;
	struct tandem_error error = {.code = 0};
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	cr_assert_eq(tandem_qemu_gate_give(bed->gate, ends[0], &error), 0, "%s", error.detail);
	cr_assert_eq(take(bed, bed->network_path, ends[1], &gate, &error), 0, "%s", error.detail);
	tandem_qemu_gate_yield(bed->gate);
	bed->gate = gate;
	close(ends[0]);
	close(ends[1]);
}

Test(gate, one_that_is_handed_over_loses_nothing_that_the_guest_sends)
{
	uint8_t record[TEXT_BYTES];
	struct bed bed;

	open_bed(&bed);
	guest_sends(&bed, "a");
	mark(&bed, 1);
	const size_t length = put(record, "bcd");
	cr_assert_eq(send(bed.qemu, record, length - 2, 0), (ssize_t)length - 2);
	turn(&bed); /* the middle of a frame */
	hand_over(&bed);
	cr_assert_eq(send(bed.qemu, record + length - 2, 2, 0), 2);
	guest_sends(&bed, "e");
	cr_assert_str_eq(network_gets(&bed), "abcde", "in order, and held back no more");
	mark(&bed, 1);
	guest_sends(&bed, "f");
	cr_assert_str_eq(network_gets(&bed), "", "but behind a mark");
	close_bed(&bed);
}

/* Its QEMU connects anew, or has another card yet. */
Test(gate, one_that_is_handed_over_without_qemu_loses_nothing_that_is_held)
{
	uint8_t record[TEXT_BYTES];
	struct bed bed;

	open_bed(&bed);
	guest_sends(&bed, "a");
	mark(&bed, 1);
	guest_sends(&bed, "b");
	const size_t length = put(record, "c");
	cr_assert_eq(send(bed.qemu, record, length - 1, 0), (ssize_t)length - 1);
	turn(&bed);
	cr_assert_eq(shutdown(bed.qemu, SHUT_RDWR), 0);
	turn(&bed);
	cr_assert_not(tandem_qemu_gate_is_connected(bed.gate));
	hand_over(&bed);
	tandem_qemu_gate_let(bed.gate);
	cr_assert_str_eq(network_gets(&bed), "ab", "and not what was sent in part");
	close_bed(&bed);
}

/* QEMU has some of a frame, and gets the rest by the other gate. */
Test(gate, one_that_is_handed_over_loses_nothing_that_comes)
{
	struct bed bed;

	open_bed(&bed);
	const size_t sent_count = network_sends(&bed);
	hand_over(&bed);
	qemu_gets(&bed, sent_count);
	close_bed(&bed);
}

Test(gate, a_qemu_that_comes_later_connects_to_who_has_it_now)
{
	struct bed bed;

	open_bed(&bed);
	close(bed.qemu);
	turn(&bed);
	hand_over(&bed);
	cr_assert_not(tandem_qemu_gate_is_connected(bed.gate));
	bed.qemu = connect_to(bed.card_path);
	turn(&bed);
	guest_sends(&bed, "a");
	cr_assert_str_eq(network_gets(&bed), "a");
	close_bed(&bed);
}

Test(gate, one_that_leads_elsewhere_stays_whose_it_is)
{
	struct tandem_qemu_gate *gate = NULL;
	struct tandem_error error = {.code = 0};
	struct bed bed;
	int ends[2];

	open_bed(&bed);
	tandem_qemu_gate_let(bed.gate);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	cr_assert_eq(tandem_qemu_gate_give(bed.gate, ends[0], &error), 0, "%s", error.detail);
	cr_assert_eq(take(&bed, "vm1", ends[1], &gate, &error), TANDEM_E_CONFIG);
	cr_assert_not_null(strstr(error.detail, "vm1 is wanted"), "%s", error.detail);
	cr_assert_null(gate);
	guest_sends(&bed, "a");
	cr_assert_str_eq(network_gets(&bed), "a");
	close(ends[0]);
	close(ends[1]);
	close_bed(&bed);
}

Test(gate, what_is_no_gate_is_not_taken)
{
	static const uint8_t bytes[4096];
	struct tandem_qemu_gate *gate = NULL;
	struct tandem_error error = {.code = 0};
	struct bed bed;
	int ends[2];

	open_bed(&bed);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	for (size_t length = 1; length < 300; length++) {
		cr_assert_eq(send(ends[0], bytes, length, 0), (ssize_t)length);
		cr_assert_eq(take(&bed, bed.network_path, ends[1], &gate, &error),
		             TANDEM_E_PROTOCOL, "%zu bytes", length);
	}
	close(ends[0]);
	cr_assert_eq(take(&bed, bed.network_path, ends[1], &gate, &error), TANDEM_E_SYSTEM);
	close(ends[1]);
	close_bed(&bed);
}

Test(gate, what_is_no_frame_ends_the_connection_and_another_may_come)
{
	const uint8_t bytes[] = {0xff, 0xff, 0xff, 0xff, 1, 2, 3};
	struct tandem_qemu_gate_counts counts;
	struct bed bed;
	uint8_t byte;

	open_bed(&bed);
	guest_sends(&bed, "a");
	cr_assert_eq(send(bed.qemu, bytes, sizeof(bytes), 0), (ssize_t)sizeof(bytes));
	turn(&bed);
	cr_assert_eq(recv(bed.qemu, &byte, 1, 0), 0);
	close(bed.qemu);
	bed.qemu = connect_to(bed.card_path);
	turn(&bed);
	guest_sends(&bed, "b");
	mark(&bed, 1);
	tandem_qemu_gate_release(bed.gate, 1);
	cr_assert_str_eq(network_gets(&bed), "ab");
	tandem_qemu_gate_count(bed.gate, &counts);
	cr_assert_eq(counts.fault_count, 1);
	close_bed(&bed);
}

Test(gate, an_interface_that_is_not_there_is_refused_with_the_cure)
{
	const struct tandem_qemu_gate_options options = {.socket_path = "/tmp/none",
	                                                 .outside = "tandem-none",
	                                                 .outside_path = "/tmp/none",
	                                                 .room_bytes = ROOM_BYTES};
	struct event_base *base = event_base_new();
	struct tandem_qemu_gate *gate = NULL;
	struct tandem_error error;

	cr_assert_eq(tandem_qemu_gate_open(base, &options, &gate, &error), TANDEM_E_CONFIG);
	cr_assert_not_null(strstr(error.detail, "ip tuntap add tandem-none"));
	cr_assert_null(gate);
	event_base_free(base);
}
