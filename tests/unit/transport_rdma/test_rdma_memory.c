#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tandem/memory.h>

#include "rig.h"

#define MIB (UINT64_C(1) << 20)

static void limit_memory_lock(rlim_t bytes)
{
	struct rlimit limit;

	cr_assert_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	limit.rlim_cur = bytes;
	if (limit.rlim_max != RLIM_INFINITY && bytes > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

Test(rdma_memory, that_cannot_be_locked_is_told_with_limit_and_fix)
{
	struct rig *rig = rig_new(MIB);
	uint8_t *memory = tandem_memory_map(8 * MIB);
	struct tandem_error error = {0};
	unsigned live;

	limit_memory_lock(6 * MIB);
	live = fake_live_count();
	fake_limit_registered(6 * MIB);
	cr_expect_eq(tandem_session_expose(rig->pair.listening.session, 0, memory, 8 * MIB, &error),
	             TANDEM_E_MEMLOCK);
	/* [T16] Each channel registers all of it. */
	cr_expect_not_null(strstr(error.detail, "2 data channels"), "%s", error.detail);
	cr_expect_not_null(strstr(error.detail, "16384 KiB"), "%s", error.detail);
	cr_expect_not_null(strstr(error.detail, "6144 KiB"), "%s", error.detail);
	cr_expect_not_null(strstr(error.detail, "LimitMEMLOCK"), "%s", error.detail);
	cr_expect_eq(fake_live_count(), live, "the pieces before are given back");
	cr_expect_eq(tandem_session_register(rig->pair.connecting.session, memory, 8 * MIB, &error),
	             TANDEM_E_MEMLOCK);
	cr_expect_eq(fake_live_count(), live);
	/* The id is free again. */
	fake_limit_registered(UINT64_MAX);
	cr_expect_eq(tandem_session_expose(rig->pair.listening.session, 0, memory, 8 * MIB, &error),
	             0);
	pair_end(&rig->pair);
	tandem_memory_unmap(memory, 8 * MIB);
	rig_free(rig);
}

Test(rdma_memory, may_be_registered_before_the_session_is_up)
{
	struct rig *rig = rig_new_listening();
	uint8_t *memory = tandem_memory_map(MIB);
	unsigned taken = 0;

	cr_assert_eq(tandem_transport_connect(rig->bed.connecting, &rig->options,
	                                      &rig->pair.connecting.session, NULL),
	             0);
	cr_assert_eq(tandem_session_register(rig->pair.connecting.session, memory, MIB, NULL), 0);
	rig->pair.options = rig->options;
	cr_assert_eq(pair_join(&rig->pair), 0);
	cr_assert_eq(pair_map(&rig->pair), 0);
	cr_expect_eq(tandem_session_write(rig->pair.connecting.session, 0,
	                                  &(struct tandem_write){.source = memory, .length = 9}, 1,
	                                  &taken),
	             0);
	cr_expect_eq(taken, 1);
	rig_settle(rig);
	pair_end(&rig->pair);
	tandem_memory_unmap(memory, MIB);
	rig_free(rig);
}

static bool is_known(const struct pair *pair, uint64_t argument)
{
	return tandem_session_exposed_bytes(pair->connecting.session, 7) == argument;
}

/* The same MiB over and over, because exposed memory is touched. */
static uint8_t *map_again_and_again(uint64_t length)
{
	uint8_t *memory =
	        mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	const int file = memfd_create("again", MFD_CLOEXEC);

	cr_assert_neq(memory, MAP_FAILED);
	cr_assert_eq(ftruncate(file, MIB), 0);
	for (uint64_t at = 0; at < length; at += MIB)
		cr_assert_neq(mmap(memory + at, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		                   file, 0),
		              MAP_FAILED);
	close(file);
	return memory;
}

/* More pieces than one message names, and the queue is full when it is exposed. */
Test(rdma_memory, of_very_many_pieces_is_announced_whole_and_before_later_messages)
{
	struct rig *rig = rig_new(MIB);
	struct tandem_session *listening = rig->pair.listening.session;
	const uint64_t length = 2000 * MIB;
	uint8_t *memory = map_again_and_again(length);
	unsigned before = 0;

	while (tandem_session_send(listening, "before", 6) == 0)
		before++;
	cr_assert_eq(tandem_session_expose(listening, 7, memory, length, NULL), 0);
	while (tandem_session_send(listening, "after", 5) == TANDEM_E_AGAIN) {
		tandem_session_progress(rig->pair.connecting.session);
		pair_take(&rig->pair);
		tandem_session_progress(listening);
	}
	cr_expect_eq(rig_listening(rig)->channels[1].unannounced_count, 0);
	cr_expect_eq(rig_listening(rig)->channels[2].unannounced_count, 0);
	while (rig->pair.connecting.message_count <= before)
		rig_settle(rig);
	cr_expect(is_known(&rig->pair, length));
	pair_end(&rig->pair);
	munmap(memory, length);
	rig_free(rig);
}

/* ---- opening ---- */

Test(rdma_open, names_the_device_and_what_is_wrong_with_it)
{
	struct tandem_transport *transport = NULL;
	struct tandem_error error = {0};

	fake_reset();
	cr_assert_eq(tandem_transport_open("rdma", "127.0.0.1", &transport, &error), 0);
	cr_expect_not_null(strstr(tandem_transport_capabilities(transport)->detail,
	                          "fake0 port 1, GID 1 (RoCE v2), path MTU 4096"));
	cr_expect_null(strstr(tandem_transport_capabilities(transport)->detail, "small"));
	tandem_transport_free(transport);
	fake_set_mtu(IBV_MTU_1024);
	cr_assert_eq(tandem_transport_open("rdma", "", &transport, &error), 0);
	cr_expect_not_null(strstr(tandem_transport_capabilities(transport)->detail,
	                          "path MTU 1024 (small: set the network device's MTU to 4200"));
	tandem_transport_free(transport);
	cr_expect_eq(tandem_transport_open("rdma", "192.0.2.1", &transport, &error),
	             TANDEM_E_DEVICE);
	cr_expect_not_null(strstr(error.detail, "192.0.2.1"));
	cr_expect_not_null(strstr(error.detail, "rdma link add"));
	fake_set_port_state(IBV_PORT_DOWN);
	cr_expect_eq(tandem_transport_open("rdma", "127.0.0.1", &transport, &error),
	             TANDEM_E_DEVICE);
	cr_expect_not_null(strstr(error.detail, "not ACTIVE"));
	cr_expect_eq(tandem_transport_open("rdma", "", &transport, &error), TANDEM_E_DEVICE);
	cr_expect_eq(fake_live_count(), 0);
}

Test(rdma_listen, tells_a_taken_port_from_a_foreign_address)
{
	struct rig *rig = rig_new_listening();
	struct tandem_listener *second = NULL;
	struct tandem_error error = {0};

	cr_expect_eq(tandem_transport_listen(rig->bed.listening, &rig->options, &second, &error),
	             TANDEM_E_SYSTEM);
	strcpy(rig->options.rails[0].address, "192.0.2.7");
	cr_expect_eq(tandem_transport_listen(rig->bed.listening, &rig->options, &second, &error),
	             TANDEM_E_CONFIG);
	cr_expect_not_null(strstr(error.detail, "192.0.2.7"));
	rig_free(rig);
}

Test(rdma_describe, shows_each_channel_and_ends_at_its_room)
{
	struct rig *rig = rig_new(TANDEM_REGISTRATION_BYTES_MAX);
	char text[1024];
	unsigned taken;

	cr_assert_eq(pair_map(&rig->pair), 0);
	fake_hold(true);
	cr_assert_eq(tandem_session_write(
	                     rig->pair.connecting.session, 1,
	                     &(struct tandem_write){.source = rig->pair.source, .length = 1}, 1,
	                     &taken),
	             0);
	tandem_session_describe(rig->pair.connecting.session, text, sizeof(text));
	cr_expect_not_null(strstr(text, "control channel: queue pair"), "%s", text);
	cr_expect_not_null(strstr(text, "data channel 1: queue pair"), "%s", text);
	cr_expect_not_null(strstr(text, "RTS, 1 in flight"), "%s", text);
	cr_expect_not_null(strstr(text, "oldest"), "%s", text);
	for (size_t room = 1; room < 60; room++) {
		memset(text, 0x7f, sizeof(text));
		tandem_session_describe(rig->pair.connecting.session, text, room);
		cr_assert_eq(strlen(text), room - 1);
		cr_assert_eq(text[room], 0x7f);
	}
	fake_hold(false);
	rig_free(rig);
}
