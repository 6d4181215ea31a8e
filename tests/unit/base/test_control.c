#include <criterion/criterion.h>

#include <tandem/control.h>
#include <tandem/error.h>
#include <tandem/random.h>
#include <signal.h>
#include <string.h>

static struct tandem_control_message sample(void)
{
	struct tandem_control_message message = {
	        .type = TANDEM_CONTROL_WELCOME,
	        .kind = TANDEM_CONTROL_KIND_STANDBY,
	        .answers = TANDEM_CONTROL_FENCE,
	        .is_pair = true,
	        .has_copy = true,
	        .holds_output = true,
	        .keeps_old = true,
	        .status = TANDEM_E_FENCE,
	        .process_id = 77,
	        .incarnation = UINT64_C(0x1122334455667788),
	        .peer_incarnation = 5,
	        .generation = 6,
	        .epoch = UINT64_MAX,
	        .heard_age_ns = 8,
	        .lease_left_ns = 9,
	        .drain_ns = 9,
	        .behind_age_ns = 10,
	        .pair = "orders",
	        .text = "a reason",
	        .settings = {.node = "left",
	                     .provider = "rdma",
	                     .tracker = "auto",
	                     .rails = {{.local_address = "::1", .peer_address = "192.0.2.7"},
	                               {.local_address = "10.0.0.1", .peer_address = "10.0.0.2"}},
	                     .rail_count = 2,
	                     .write_depth = 64,
	                     .merge_bytes_max = 8192,
	                     .key = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
	                     .has_key = true,
	                     .peer_port = 7400,
	                     .channel_count = 4,
	                     .state_bytes_max = 1u << 20,
	                     .connect_timeout_ns = 1,
	                     .commit_timeout_ns = 2,
	                     .ping_interval_ns = 3,
	                     .report_interval_ns = 4,
	                     .reconnect_interval_ns = 5,
	                     .reconnect_interval_max_ns = 6,
	                     .poll_ns = 7,
	                     .verify_every = 9,
	                     .lease_ns = 8,
	                     .staging_bytes = 9,
	                     .push_interval_ns = 10,
	                     .push_rate_max = 11,
	                     .pause_budget_ns = 12,
	                     .overload_wait_ns = 13,
	                     .slows_program = true,
	                     .is_capture_auto = true},
	};
	return message;
}

static void assert_same_settings(const struct tandem_control_settings *a,
                                 const struct tandem_control_settings *b)
{
	cr_assert_str_eq(a->node, b->node);
	cr_assert_str_eq(a->provider, b->provider);
	cr_assert_str_eq(a->tracker, b->tracker);
	for (unsigned i = 0; i < TANDEM_CONTROL_RAILS_MAX; i++) {
		cr_assert_str_eq(a->rails[i].local_address, b->rails[i].local_address);
		cr_assert_str_eq(a->rails[i].peer_address, b->rails[i].peer_address);
	}
	cr_assert_eq(a->rail_count, b->rail_count);
	cr_assert_eq(a->write_depth, b->write_depth);
	cr_assert_eq(a->merge_bytes_max, b->merge_bytes_max);
	cr_assert_arr_eq(a->key.bytes, b->key.bytes, TANDEM_KEY_BYTES);
	cr_assert_eq(a->has_key, b->has_key);
	cr_assert_eq(a->peer_port, b->peer_port);
	cr_assert_eq(a->channel_count, b->channel_count);
	cr_assert_eq(a->state_bytes_max, b->state_bytes_max);
	cr_assert_eq(a->connect_timeout_ns, b->connect_timeout_ns);
	cr_assert_eq(a->commit_timeout_ns, b->commit_timeout_ns);
	cr_assert_eq(a->ping_interval_ns, b->ping_interval_ns);
	cr_assert_eq(a->report_interval_ns, b->report_interval_ns);
	cr_assert_eq(a->reconnect_interval_ns, b->reconnect_interval_ns);
	cr_assert_eq(a->reconnect_interval_max_ns, b->reconnect_interval_max_ns);
	cr_assert_eq(a->poll_ns, b->poll_ns);
	cr_assert_eq(a->verify_every, b->verify_every);
	cr_assert_eq(a->staging_bytes, b->staging_bytes);
	cr_assert_eq(a->push_interval_ns, b->push_interval_ns);
	cr_assert_eq(a->push_rate_max, b->push_rate_max);
	cr_assert_eq(a->pause_budget_ns, b->pause_budget_ns);
	cr_assert_eq(a->overload_wait_ns, b->overload_wait_ns);
	cr_assert_eq(a->slows_program, b->slows_program);
	cr_assert_eq(a->is_capture_auto, b->is_capture_auto);
}

Test(control, every_field_comes_back)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	struct tandem_control_message sent = sample(), got;
	tandem_control_encode(&sent, bytes);
	cr_assert_eq(tandem_control_decode(bytes, sizeof(bytes), &got), 0);
	cr_assert_eq(got.type, sent.type);
	cr_assert_eq(got.kind, sent.kind);
	cr_assert_eq(got.answers, sent.answers);
	cr_assert(got.is_pair && !got.has_session && got.has_copy);
	cr_assert(got.holds_output && !got.has_lease && got.keeps_old);
	cr_assert_eq(got.status, sent.status);
	cr_assert_eq(got.process_id, sent.process_id);
	cr_assert_eq(got.incarnation, sent.incarnation);
	cr_assert_eq(got.peer_incarnation, sent.peer_incarnation);
	cr_assert_eq(got.generation, sent.generation);
	cr_assert_eq(got.epoch, sent.epoch);
	cr_assert_eq(got.heard_age_ns, sent.heard_age_ns);
	cr_assert_eq(got.lease_left_ns, sent.lease_left_ns);
	cr_assert_eq(got.settings.lease_ns, sent.settings.lease_ns);
	cr_assert_eq(got.drain_ns, sent.drain_ns);
	cr_assert_eq(got.behind_age_ns, sent.behind_age_ns);
	cr_assert_str_eq(got.pair, sent.pair);
	cr_assert_str_eq(got.text, sent.text);
	assert_same_settings(&got.settings, &sent.settings);
}

/* One byte of a good message is replaced; the offsets are those of docs/protocol.md, section L. */
struct damage {
	unsigned offset;
	uint8_t value;
	int wanted;
};

static const struct damage damages[] = {
        {0, 0, TANDEM_E_PROTOCOL},    /* magic */
        {4, 1, TANDEM_E_VERSION},     /* version */
        {6, 0, TANDEM_E_PROTOCOL},    /* type */
        {6, 10, TANDEM_E_PROTOCOL},   /* type between the two groups */
        {6, 43, TANDEM_E_PROTOCOL},   /* type after the last */
        {7, 3, TANDEM_E_PROTOCOL},    /* kind */
        {8, 20, TANDEM_E_PROTOCOL},   /* answers */
        {9, 2, TANDEM_E_PROTOCOL},    /* is_pair */
        {10, 255, TANDEM_E_PROTOCOL}, /* has_session */
        {11, 3, TANDEM_E_PROTOCOL},   /* has_copy */
        {12, 2, TANDEM_E_PROTOCOL},   /* holds_output */
        {13, 2, TANDEM_E_PROTOCOL},   /* has_lease */
        {14, 2, TANDEM_E_PROTOCOL},   /* keeps_old */
        {15, 1, TANDEM_E_PROTOCOL},   /* status: unknown negative */
        {18, 0, TANDEM_E_PROTOCOL},   /* status: positive */
        {1094, 1, TANDEM_E_PROTOCOL}, /* peer_beat: only a REPORT has one */
        {1095, 1, TANDEM_E_PROTOCOL}, /* beat_age_ns of what is unknown */
        {1103, 2, TANDEM_E_PROTOCOL}, /* leaves */
        {1279, 1, TANDEM_E_PROTOCOL}, /* padding */
};

Test(control, damaged_bytes_are_refused)
{
	for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		uint8_t bytes[TANDEM_CONTROL_BYTES];
		struct tandem_control_message sent = sample(), got = {.epoch = 42};
		tandem_control_encode(&sent, bytes);
		bytes[damages[i].offset] = damages[i].value;
		cr_assert_eq(tandem_control_decode(bytes, sizeof(bytes), &got), damages[i].wanted,
		             "row %u", i);
		cr_assert_eq(got.epoch, 42, "row %u: output touched", i);
	}
}

Test(control, a_text_without_end_is_refused)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	struct tandem_control_message sent = sample(), got;
	tandem_control_encode(&sent, bytes);
	memset(bytes + 71, 'x', TANDEM_NAME_BYTES); /* pair */
	cr_assert_eq(tandem_control_decode(bytes, sizeof(bytes), &got), TANDEM_E_PROTOCOL);
}

Test(control, attach_needs_a_kind_and_failed_names_its_order)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	struct tandem_control_message got;
	struct tandem_control_message attach = {.type = TANDEM_CONTROL_ATTACH};
	struct tandem_control_message failed = {.type = TANDEM_CONTROL_FAILED};
	struct tandem_control_message ready = {.type = TANDEM_CONTROL_READY};
	tandem_control_encode(&attach, bytes);
	cr_assert_eq(tandem_control_decode(bytes, sizeof(bytes), &got), TANDEM_E_PROTOCOL);
	tandem_control_encode(&failed, bytes);
	cr_assert_eq(tandem_control_decode(bytes, sizeof(bytes), &got), TANDEM_E_PROTOCOL);
	tandem_control_encode(&ready, bytes);
	cr_assert_eq(tandem_control_decode(bytes, sizeof(bytes), &got), 0);
}

Test(control, a_report_says_how_the_peers_word_stands)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	struct tandem_control_message got, report = {.type = TANDEM_CONTROL_REPORT,
	                                             .peer_beat = TANDEM_PEER_BEAT_STILL,
	                                             .beat_age_ns = 11};
	tandem_control_encode(&report, bytes);
	cr_assert_eq(tandem_control_decode(bytes, sizeof(bytes), &got), 0);
	cr_assert_eq(got.peer_beat, TANDEM_PEER_BEAT_STILL);
	cr_assert_eq(got.beat_age_ns, 11);
	bytes[1094] = TANDEM_PEER_BEAT_COUNT;
	cr_assert_eq(tandem_control_decode(bytes, sizeof(bytes), &got), TANDEM_E_PROTOCOL);
	bytes[1094] = TANDEM_PEER_BEAT_UNKNOWN;
	cr_assert_eq(tandem_control_decode(bytes, sizeof(bytes), &got), TANDEM_E_PROTOCOL);
}

Test(control, other_lengths_are_refused)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES + 1] = {0};
	struct tandem_control_message sent = sample(), got;
	tandem_control_encode(&sent, bytes);
	for (size_t length = 0; length < TANDEM_CONTROL_BYTES; length++)
		cr_assert_eq(tandem_control_decode(bytes, length, &got), TANDEM_E_PROTOCOL);
	cr_assert_eq(tandem_control_decode(bytes, sizeof(bytes), &got), TANDEM_E_PROTOCOL);
}

Test(control, random_bytes_do_no_harm)
{
	uint64_t seed = 20;
	struct tandem_control_message got;
	for (int round = 0; round < 2000; round++) {
		uint8_t bytes[TANDEM_CONTROL_BYTES];
		struct tandem_control_message sent = sample();
		tandem_control_encode(&sent, bytes);
		for (int i = 0; i < 4; i++)
			bytes[tandem_random_next(&seed) % sizeof(bytes)] =
			        (uint8_t)tandem_random_next(&seed);
		int status = tandem_control_decode(bytes, sizeof(bytes), &got);
		cr_assert(status == 0 || status == TANDEM_E_PROTOCOL || status == TANDEM_E_VERSION);
		cr_assert(status != 0 || memchr(got.text, 0, sizeof(got.text)));
	}
}

Test(control, encoding_a_text_without_end_is_our_mistake, .signal = SIGABRT)
{
	uint8_t bytes[TANDEM_CONTROL_BYTES];
	struct tandem_control_message message = sample();
	memset(message.pair, 'x', sizeof(message.pair));
	tandem_control_encode(&message, bytes);
}

Test(control, types_have_names)
{
	cr_assert_str_eq(tandem_control_type_name(TANDEM_CONTROL_ATTACH), "ATTACH");
	cr_assert_str_eq(tandem_control_type_name(TANDEM_CONTROL_YANK), "YANK");
	cr_assert_str_eq(tandem_control_type_name((enum tandem_control_type)10), "unknown");
}
