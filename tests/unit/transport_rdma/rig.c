#include "rig.h"

#include <criterion/criterion.h>
#include <string.h>

#include <tandem/memory.h>

#include "rdma/rdma_transport.h"

static struct rig *open_rig(uint64_t piece_bytes)
{
	struct rig *rig = tandem_memory_alloc(sizeof(*rig));
	struct tandem_error error = {0};

	fake_reset();
	cr_assert_not_null(rig);
	cr_assert_eq(tandem_contract_bed_open("rdma", "127.0.0.1", &rig->bed, &error), 0, "%s",
	             error.detail);
	((struct tandem_rdma_transport *)rig->bed.listening)->piece_bytes = piece_bytes;
	rig->options = pair_options(&rig->bed);
	rig->options.channel_count = 2;
	rig->options.write_depth = 64;
	return rig;
}

static struct rig *join_rig(struct rig *rig)
{
	cr_assert_eq(pair_begin(&rig->pair, &rig->bed, &rig->options), 0);
	cr_assert_eq(pair_join(&rig->pair), 0);
	return rig;
}

struct rig *rig_new(uint64_t piece_bytes)
{
	return join_rig(open_rig(piece_bytes));
}

struct rig *rig_new_with_lists(uint64_t piece_bytes)
{
	struct rig *rig = open_rig(piece_bytes);

	fake_deny_extended_posts();
	return join_rig(rig);
}

struct rig *rig_new_on_two_rails(void)
{
	struct rig *rig = open_rig(TANDEM_REGISTRATION_BYTES_MAX);

	strcpy(rig->options.rails[1].address, "127.1.0.1");
	rig->options.rail_count = 2;
	rig->options.channel_count = 4;
	cr_assert_eq(pair_begin(&rig->pair, &rig->bed, &rig->options), 0);
	cr_assert_eq(pair_join(&rig->pair), 0);
	return rig;
}

struct rig *rig_new_listening(void)
{
	struct rig *rig = open_rig(TANDEM_REGISTRATION_BYTES_MAX);
	struct tandem_error error = {0};

	rig->pair.bed = &rig->bed;
	cr_assert_eq(tandem_transport_listen(rig->bed.listening, &rig->options, &rig->pair.listener,
	                                     &error),
	             0, "%s", error.detail);
	rig->options.port = tandem_listener_port(rig->pair.listener);
	return rig;
}

void rig_free(struct rig *rig)
{
	pair_end(&rig->pair);
	tandem_contract_bed_close(&rig->bed);
	tandem_memory_free(rig);
	cr_expect_str_eq(fake_misuse(), "", "%s", fake_misuse());
	cr_expect_eq(fake_left_count(), 0, "%u objects are left", fake_live_count());
}

void rig_settle(struct rig *rig)
{
	for (unsigned i = 0; i < 10; i++) {
		pair_turn(&rig->pair);
		tandem_session_progress(rig->pair.listening.session);
		tandem_session_progress(rig->pair.connecting.session);
		pair_take(&rig->pair);
	}
}

struct tandem_rdma_session *rig_connecting(struct rig *rig)
{
	return tandem_rdma_session_of(rig->pair.connecting.session);
}

struct tandem_rdma_session *rig_listening(struct rig *rig)
{
	return tandem_rdma_session_of(rig->pair.listening.session);
}
