#include <criterion/criterion.h>
#include <string.h>

#include "core/etcd.h"

static struct tandem_record make_record(uint64_t generation, uint64_t decision)
{
	return (struct tandem_record){.generation = generation,
	                              .owner_incarnation = 1,
	                              .decision = decision,
	                              .pair = "kv",
	                              .owner = "a"};
}

static struct tandem_etcd_answer holding(const struct tandem_record *record, uint64_t cluster_id)
{
	struct tandem_etcd_answer answer = {
	        .cluster_id = 7, .has_value = true, .value_length = TANDEM_ETCD_VALUE_BYTES};
	tandem_etcd_value_encode(record, cluster_id, answer.value);
	return answer;
}

Test(etcd_meaning, a_key_that_is_not_there_is_an_empty_register)
{
	struct tandem_etcd_answer answer = {.cluster_id = 7};
	struct tandem_record record = make_record(9, 9);
	cr_expect(tandem_etcd_find(&answer, "kv", &record) == TANDEM_ETCD_RECORD);
	cr_expect(record.generation == 0);
}

Test(etcd_meaning, a_record_is_found_as_it_was_written)
{
	struct tandem_record record = make_record(3, 30), found;
	struct tandem_etcd_answer answer = holding(&record, 7);
	cr_expect(tandem_etcd_find(&answer, "kv", &found) == TANDEM_ETCD_RECORD);
	cr_expect(tandem_record_is_same(&found, &record));
}

Test(etcd_meaning, what_is_not_this_pairs_record_in_this_cluster_is_told_apart)
{
	struct tandem_record record = make_record(3, 30), found;
	struct tandem_etcd_answer answer = holding(&record, 8);
	cr_expect(tandem_etcd_find(&answer, "kv", &found) == TANDEM_ETCD_OTHER_CLUSTER);
	answer = holding(&record, 7);
	cr_expect(tandem_etcd_find(&answer, "vm", &found) == TANDEM_ETCD_OTHER_PAIR);
	answer.value[20] ^= 1;
	cr_expect(tandem_etcd_find(&answer, "kv", &found) == TANDEM_ETCD_NO_RECORD);
	answer = holding(&record, 7);
	answer.value_length = 0;
	cr_expect(tandem_etcd_find(&answer, "kv", &found) == TANDEM_ETCD_NO_RECORD);
}

Test(etcd_meaning, a_cas_that_held_is_won_and_one_that_was_applied_before_too)
{
	struct tandem_record desired = make_record(3, 30), found;
	struct tandem_etcd_answer answer = {.cluster_id = 7, .has_succeeded = true};
	cr_expect(tandem_etcd_judge(&answer, &desired, &found) == TANDEM_ETCD_WON);
	answer = holding(&desired, 7);
	cr_expect(tandem_etcd_judge(&answer, &desired, &found) == TANDEM_ETCD_WON);
}

Test(etcd_meaning, a_cas_that_did_not_hold_is_lost_to_what_is_there)
{
	struct tandem_record desired = make_record(3, 30), there = make_record(3, 31), found;
	struct tandem_etcd_answer answer = holding(&there, 7);
	cr_expect(tandem_etcd_judge(&answer, &desired, &found) == TANDEM_ETCD_RECORD);
	cr_expect(tandem_record_is_same(&found, &there));
	answer = holding(&there, 8);
	cr_expect(tandem_etcd_judge(&answer, &desired, &found) == TANDEM_ETCD_OTHER_CLUSTER);
}
