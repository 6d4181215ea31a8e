#include <criterion/criterion.h>
#include <string.h>
#include <tandem/error.h>

#include "core/record.h"

static struct tandem_record make_record(void)
{
	return (struct tandem_record){.generation = 7,
	                              .owner_incarnation = 0x1122334455667788,
	                              .copy_incarnation = 0x99,
	                              .decision = 5,
	                              .is_pair = true,
	                              .pair = "kv",
	                              .owner = "a"};
}

Test(record, comes_back_as_it_was)
{
	struct tandem_record record = make_record(), back;
	uint8_t bytes[TANDEM_RECORD_BYTES];
	tandem_record_encode(&record, bytes);
	cr_assert(tandem_record_decode(bytes, sizeof(bytes), &back) == 0);
	cr_assert(back.generation == 7);
	cr_assert(back.owner_incarnation == 0x1122334455667788);
	cr_assert(back.copy_incarnation == 0x99);
	cr_assert(back.decision == 5);
	cr_assert(back.is_pair);
	cr_assert(strcmp(back.pair, "kv") == 0);
	cr_assert(strcmp(back.owner, "a") == 0);
}

Test(record, every_changed_bit_is_refused)
{
	struct tandem_record record = make_record(), back;
	uint8_t bytes[TANDEM_RECORD_BYTES];
	tandem_record_encode(&record, bytes);
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_expect(tandem_record_decode(bytes, sizeof(bytes), &back) < 0, "bit %zu", bit);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

Test(record, every_other_length_is_refused)
{
	struct tandem_record record = make_record(), back;
	uint8_t bytes[TANDEM_RECORD_BYTES + 1] = {0};
	tandem_record_encode(&record, bytes);
	for (size_t length = 0; length <= sizeof(bytes); length++) {
		if (length != TANDEM_RECORD_BYTES)
			cr_expect(tandem_record_decode(bytes, length, &back) < 0);
	}
}

Test(record, contradictions_are_refused_even_with_a_right_checksum)
{
	struct tandem_record records[6], back;
	uint8_t bytes[TANDEM_RECORD_BYTES];
	for (size_t i = 0; i < 6; i++)
		records[i] = make_record();
	records[0].is_pair = false;
	records[1].copy_incarnation = 0;
	records[2].owner_incarnation = 0;
	records[3].decision = 0;
	records[4].owner[0] = 0;
	records[5].pair[0] = 0;
	for (size_t i = 0; i < 6; i++) {
		tandem_record_encode(&records[i], bytes);
		cr_expect(tandem_record_decode(bytes, sizeof(bytes), &back) == TANDEM_E_PROTOCOL,
		          "record %zu", i);
	}
}

Test(record, sameness_is_the_write_not_the_place)
{
	struct tandem_record one = make_record(), other = make_record();
	other.decision++;
	cr_assert(tandem_record_is_same(&one, &one));
	cr_assert(!(tandem_record_is_same(&one, &other)));
	other = one;
	other.generation++;
	cr_assert(!(tandem_record_is_same(&one, &other)));
}

/* By a record that says LEFT nobody leads: it loses to one by which somebody may. */
Test(record, of_two_nodes_the_newer_one_is_kept)
{
	struct tandem_record one = make_record(), other = make_record();
	other.decision++;
	cr_expect(tandem_record_is_newer(&other, &one));
	cr_expect(!tandem_record_is_newer(&one, &other));
	cr_expect(!tandem_record_is_newer(&one, &one));
	other.is_left = true;
	cr_expect(!tandem_record_is_newer(&other, &one));
	cr_expect(tandem_record_is_newer(&one, &other));
	other.generation++;
	cr_expect(tandem_record_is_newer(&other, &one));
	cr_expect(!tandem_record_is_newer(&one, &other));
}
