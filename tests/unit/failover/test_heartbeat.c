#include <criterion/criterion.h>
#include <string.h>
#include <tandem/error.h>

#include "core/heartbeat.h"

static const uint8_t key[TANDEM_CONTROLLER_KEY_BYTES] = "0123456789abcde";
static const uint8_t other_key[TANDEM_CONTROLLER_KEY_BYTES] = "0123456789abcdf";

static struct tandem_heartbeat make_heartbeat(void)
{
	return (struct tandem_heartbeat){
	        .pair = "kv",
	        .node = "b",
	        .instance = 11,
	        .echo_instance = 12,
	        .echo_sequence = 14,
	        .sequence = 13,
	        .link = 1,
	        .statement = {.is_settled = true,
	                      .state = 4,
	                      .program = {TANDEM_PLANE_ALIVE, 21, 22},
	                      .standby = {TANDEM_PLANE_SILENT, 23, 24},
	                      .agreement = {.values = {41, 42, 43, 44, 45, 46, 47, 48, 49, 50}},
	                      .record = {.generation = 3,
	                                 .owner_incarnation = 31,
	                                 .decision = 32,
	                                 .pair = "kv",
	                                 .owner = "a"}}};
}

Test(heartbeat, comes_back_as_it_was)
{
	struct tandem_heartbeat heartbeat = make_heartbeat(), back;
	uint8_t bytes[TANDEM_HEARTBEAT_BYTES];
	char pair[TANDEM_NAME_BYTES];
	tandem_heartbeat_encode(&heartbeat, key, bytes);
	cr_assert(tandem_heartbeat_peek(bytes, sizeof(bytes), pair));
	cr_assert(strcmp(pair, "kv") == 0);
	cr_assert(tandem_heartbeat_decode(bytes, sizeof(bytes), key, &back) == 0);
	cr_assert(strcmp(back.node, "b") == 0);
	cr_assert(back.instance == 11);
	cr_assert(back.echo_instance == 12);
	cr_assert(back.echo_sequence == 14);
	cr_assert(back.sequence == 13);
	cr_assert(back.link == 1);
	cr_assert(back.statement.is_settled);
	cr_assert(!(back.statement.in_maintenance));
	cr_assert(back.statement.program.status == TANDEM_PLANE_ALIVE);
	cr_assert(back.statement.program.dead_incarnation == 22);
	cr_assert(back.statement.standby.status == TANDEM_PLANE_SILENT);
	cr_assert(back.statement.standby.incarnation == 23);
	cr_assert(back.statement.record.generation == 3);
	for (uint32_t i = 0; i < TANDEM_AGREEMENT_COUNT; i++)
		cr_assert(back.statement.agreement.values[i] == 41 + i);
	cr_assert(strcmp(back.statement.record.owner, "a") == 0);
}

Test(heartbeat, an_unknown_record_stays_unknown)
{
	struct tandem_heartbeat heartbeat = make_heartbeat(), back;
	uint8_t bytes[TANDEM_HEARTBEAT_BYTES];
	heartbeat.statement.record = (struct tandem_record){.generation = 0};
	tandem_heartbeat_encode(&heartbeat, key, bytes);
	cr_assert(tandem_heartbeat_decode(bytes, sizeof(bytes), key, &back) == 0);
	cr_assert(back.statement.record.generation == 0);
}

Test(heartbeat, every_changed_bit_and_another_key_are_refused)
{
	struct tandem_heartbeat heartbeat = make_heartbeat(), back;
	uint8_t bytes[TANDEM_HEARTBEAT_BYTES];
	tandem_heartbeat_encode(&heartbeat, key, bytes);
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_expect(tandem_heartbeat_decode(bytes, sizeof(bytes), key, &back) < 0);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	cr_assert(tandem_heartbeat_decode(bytes, sizeof(bytes), other_key, &back) ==
	          TANDEM_E_PROTOCOL);
	for (size_t length = 0; length < sizeof(bytes); length++)
		cr_expect(tandem_heartbeat_decode(bytes, length, key, &back) < 0);
}

Test(heartbeat, another_version_is_named_as_such)
{
	struct tandem_heartbeat heartbeat = make_heartbeat(), back;
	uint8_t bytes[TANDEM_HEARTBEAT_BYTES];
	tandem_heartbeat_encode(&heartbeat, key, bytes);
	bytes[4]++;
	cr_assert(tandem_heartbeat_decode(bytes, sizeof(bytes), key, &back) == TANDEM_E_VERSION);
}

/* ---- what is new of what is heard ---- */

static enum tandem_heartbeat_verdict judge_echo(struct tandem_heartbeat_filter *filter,
                                                uint64_t instance, uint64_t echo,
                                                uint64_t echo_sequence, uint64_t sequence,
                                                uint8_t link)
{
	struct tandem_heartbeat heartbeat = {.instance = instance,
	                                     .echo_instance = echo,
	                                     .echo_sequence = echo_sequence,
	                                     .sequence = sequence,
	                                     .link = link};
	return tandem_heartbeat_filter_judge(filter, &heartbeat);
}

/* Each one that names a life names a later heartbeat of it than the one before. */
static enum tandem_heartbeat_verdict judge(struct tandem_heartbeat_filter *filter,
                                           uint64_t instance, uint64_t echo, uint64_t sequence,
                                           uint8_t link)
{
	static uint64_t echo_sequence;
	return judge_echo(filter, instance, echo, echo == 0 ? 0 : ++echo_sequence, sequence, link);
}

Test(heartbeat_filter, a_sequence_counts_once_on_each_link)
{
	struct tandem_heartbeat_filter filter = {.local_instance = 1};
	cr_expect(judge(&filter, 9, 0, 5, 0) == TANDEM_HEARTBEAT_NEWS);
	cr_expect(judge(&filter, 9, 0, 5, 0) == TANDEM_HEARTBEAT_OLD, "doubled");
	cr_expect(judge(&filter, 9, 0, 4, 0) == TANDEM_HEARTBEAT_OLD, "overtaken");
	cr_expect(judge(&filter, 9, 0, 5, 1) == TANDEM_HEARTBEAT_LIFE, "the other link");
	cr_expect(judge(&filter, 9, 0, 4, 2) == TANDEM_HEARTBEAT_LIFE,
	          "an older statement on a slower link");
	cr_expect(judge(&filter, 9, 0, 6, 1) == TANDEM_HEARTBEAT_NEWS);
}

Test(heartbeat_filter, a_new_controller_must_answer_this_one)
{
	struct tandem_heartbeat_filter filter = {.local_instance = 1};
	cr_expect(judge(&filter, 9, 1, 5, 0) == TANDEM_HEARTBEAT_NEWS);
	cr_expect(judge(&filter, 10, 0, 1, 0) == TANDEM_HEARTBEAT_OLD, "hears nobody");
	cr_expect(judge(&filter, 10, 2, 1, 0) == TANDEM_HEARTBEAT_OLD, "hears another");
	cr_expect(judge(&filter, 10, 1, 2, 0) == TANDEM_HEARTBEAT_NEWS);
}

Test(heartbeat_filter, what_was_said_before_this_life_was_heard_is_not_settled)
{
	struct tandem_heartbeat_filter filter = {.local_instance = 1};
	struct tandem_heartbeat heartbeat = {.instance = 9, .statement = {.is_settled = true}};
	cr_expect(!tandem_heartbeat_filter_hear(&filter, &heartbeat).is_settled);
	heartbeat.echo_instance = 2;
	cr_expect(!tandem_heartbeat_filter_hear(&filter, &heartbeat).is_settled);
	heartbeat.echo_instance = 1;
	cr_expect(tandem_heartbeat_filter_hear(&filter, &heartbeat).is_settled);
}

/* Both controllers have begun a new life, and the first heartbeats that they hear are from the
 * lives before: each would wait for ever to be named by the other. */
Test(heartbeat_filter, what_is_late_at_the_start_keeps_nobody_deaf)
{
	struct tandem_heartbeat_filter filter = {.local_instance = 1};
	cr_expect(judge(&filter, 9, 7, 500, 0) == TANDEM_HEARTBEAT_NEWS, "from before both lives");
	cr_expect(judge(&filter, 10, 7, 1, 0) == TANDEM_HEARTBEAT_NEWS);
	cr_expect(judge(&filter, 9, 7, 501, 0) == TANDEM_HEARTBEAT_NEWS, "again");
	cr_expect(judge(&filter, 10, 1, 2, 0) == TANDEM_HEARTBEAT_NEWS, "it answers");
	cr_expect(judge(&filter, 9, 7, 502, 0) == TANDEM_HEARTBEAT_OLD);
	cr_expect(judge(&filter, 10, 1, 3, 0) == TANDEM_HEARTBEAT_NEWS);
}

Test(heartbeat_filter, a_controller_that_was_replaced_is_not_taken_back)
{
	struct tandem_heartbeat_filter filter = {.local_instance = 1};
	judge_echo(&filter, 9, 1, 20, 5, 0);
	cr_expect(judge_echo(&filter, 10, 1, 20, 1, 0) == TANDEM_HEARTBEAT_OLD, "no later one");
	cr_expect(judge_echo(&filter, 10, 1, 21, 2, 0) == TANDEM_HEARTBEAT_NEWS);
	cr_expect(judge_echo(&filter, 9, 1, 20, 6, 0) == TANDEM_HEARTBEAT_OLD);
	cr_expect(judge_echo(&filter, 9, 1, 21, 7, 0) == TANDEM_HEARTBEAT_OLD);
	cr_expect(judge_echo(&filter, 10, 1, 19, 3, 0) == TANDEM_HEARTBEAT_NEWS, "its own, late");
}

/* The old one answers when the new one has done so already: nobody stays deaf. */
Test(heartbeat_filter, an_answer_that_comes_late_is_no_later_answer)
{
	struct tandem_heartbeat_filter filter = {.local_instance = 1};
	cr_expect(judge_echo(&filter, 9, 0, 0, 500, 0) == TANDEM_HEARTBEAT_NEWS);
	cr_expect(judge_echo(&filter, 10, 1, 21, 1, 0) == TANDEM_HEARTBEAT_NEWS);
	cr_expect(judge_echo(&filter, 9, 1, 20, 501, 1) == TANDEM_HEARTBEAT_OLD);
	cr_expect(judge_echo(&filter, 10, 1, 22, 2, 0) == TANDEM_HEARTBEAT_NEWS);
}
