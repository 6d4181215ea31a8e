#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tandem/random.h>
#include <unistd.h>

#include "bed.h"
#include "core/heartbeat.h"

/* Who must not be believed. After each the controller goes on. */
TestSuite(strangers, .init = bed_begin, .fini = bed_end);

static int stranger;

static bool is_hung_up(void)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	return recv(stranger, bytes, sizeof(bytes), MSG_DONTWAIT) == 0;
}

static void expect_hung_up_on(const void *bytes, size_t length, const char *what)
{
	stranger = bed_connect(0, TANDEM_CONTROL_SOCKET, SOCK_SEQPACKET);
	cr_assert(send(stranger, bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
	bed_wait_until(is_hung_up, what);
	close(stranger);
}

static void expect_message_refused(struct tandem_control_message message, const char *what)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	tandem_control_encode(&message, bytes);
	expect_hung_up_on(bytes, sizeof(bytes), what);
}

Test(strangers, wrong_packets_end_the_connection)
{
	uint64_t state = 42;
	uint8_t bytes[TANDEM_CONTROL_BYTES + 8];
	struct tandem_control_message attach = {.type = TANDEM_CONTROL_ATTACH,
	                                        .kind = TANDEM_CONTROL_KIND_PROGRAM,
	                                        .incarnation = 1,
	                                        .process_id = (uint32_t)getpid(),
	                                        .pair = "kv"};
	struct tandem_control_message other = attach;
	expect_hung_up_on("x", 1, "the end after a short packet");
	for (unsigned round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)tandem_random_next(&state);
		expect_hung_up_on(bytes, TANDEM_CONTROL_BYTES, "the end after random bytes");
	}
	other.type = TANDEM_CONTROL_READY;
	expect_message_refused(other, "the end without ATTACH");
	other = attach;
	other.process_id++;
	expect_message_refused(other, "the end with another's process");
	other = attach;
	other.pair[0] = 'x';
	expect_message_refused(other, "the end with another pair");
	other = attach;
	other.type = TANDEM_CONTROL_LEAD;
	expect_message_refused(other, "the end with an order");
	other = attach;
	other.incarnation = 0;
	stranger = -1;
	struct bed_plane *plane = bed_attach(0, TANDEM_CONTROL_KIND_PROGRAM, 0);
	bed_wait(plane, TANDEM_CONTROL_HALT);
	bed_hang_up(plane);
	cr_expect(bed.complaint_count > 0);
	bed_wait_state(0, "JOINING");
}

Test(strangers, a_second_program_is_halted_and_the_first_stays)
{
	struct tandem_control_message ready = {.type = TANDEM_CONTROL_READY};
	struct bed_plane *first = bed_attach(0, TANDEM_CONTROL_KIND_PROGRAM, 1);
	bed_say(first, ready);
	bed_wait(first, TANDEM_CONTROL_LEAD);
	struct bed_plane *second = bed_attach(0, TANDEM_CONTROL_KIND_PROGRAM, 2);
	bed_wait(second, TANDEM_CONTROL_HALT);
	bed_wait_state(0, "PRIMARY_SOLO");
	cr_expect(!first->is_closed);
}

static unsigned long refused_count(void)
{
	struct json_object *answer = bed_ask(0, "{\"command\":\"status\"}");
	struct json_object *pair =
	        json_object_array_get_idx(json_object_object_get(answer, "pairs"), 0);
	struct json_object *peer = json_object_object_get(pair, "peer");
	unsigned long count =
	        json_object_get_uint64(json_object_object_get(peer, "refused_heartbeats"));
	json_object_put(answer);
	return count;
}

static bool has_refused_three(void)
{
	return refused_count() >= 3;
}

static void send_heartbeat(int fd, const uint8_t *bytes, size_t length)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
	                              .sin_port = htons(bed.pairs[0].links[0].local_port)};
	cr_assert(sendto(fd, bytes, length, 0, (struct sockaddr *)&address, sizeof(address)) ==
	          (ssize_t)length);
}

/* Of a node that is dead: nothing that a stranger sends makes it look alive. */
Test(strangers, forged_heartbeats_are_no_life)
{
	struct tandem_heartbeat heartbeat = {
	        .pair = "kv", .node = "b", .instance = 1, .echo_instance = 1, .sequence = 1};
	uint8_t wrong_key[TANDEM_CONTROLLER_KEY_BYTES] = {1};
	uint8_t bytes[TANDEM_HEARTBEAT_BYTES];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bed_end_controller(1);
	tandem_heartbeat_encode(&heartbeat, wrong_key, bytes);
	send_heartbeat(fd, bytes, sizeof(bytes));
	tandem_heartbeat_encode(&heartbeat, bed.pairs[0].key, bytes);
	send_heartbeat(fd, bytes, sizeof(bytes)); /* the right key, another address */
	bytes[20] ^= 1;
	send_heartbeat(fd, bytes, sizeof(bytes));
	send_heartbeat(fd, bytes, 3);
	bytes[40] ^= 1;
	send_heartbeat(fd, bytes, sizeof(bytes));
	bed_wait_until(has_refused_three, "three refusals");
	close(fd);
}
