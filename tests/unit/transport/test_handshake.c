#include <criterion/criterion.h>

#include <string.h>

#include "core/handshake.h"

static const struct tandem_transcript sample = {.version = 2,
                                                .channel_count = 4,
                                                .session_id = UINT64_C(0x1122334455667788),
                                                .connecting_nonce = {1},
                                                .listening_nonce = {2}};
static const struct tandem_key key = {{7}};

static struct tandem_secrets secrets_of(const struct tandem_key *of,
                                        const struct tandem_transcript *transcript)
{
	struct tandem_secrets secrets;
	tandem_secrets_derive(of, transcript, &secrets);
	return secrets;
}

Test(handshake, both_sides_derive_the_same)
{
	const struct tandem_secrets one = secrets_of(&key, &sample);
	const struct tandem_secrets other = secrets_of(&key, &sample);
	cr_assert_eq(memcmp(&one, &other, sizeof(one)), 0);
	cr_assert_neq(memcmp(one.connecting_proof, one.listening_proof, TANDEM_PROOF_BYTES), 0);
	cr_assert_neq(memcmp(&one.connecting_key, &one.listening_key, sizeof(one.connecting_key)),
	              0);
}

/* Every field of the transcript, and the key. */
Test(handshake, anything_else_gives_other_proofs)
{
	const struct tandem_secrets right = secrets_of(&key, &sample);
	struct tandem_transcript others[5] = {sample, sample, sample, sample, sample};
	others[0].version++;
	others[1].channel_count++;
	others[2].session_id++;
	others[3].connecting_nonce[TANDEM_NONCE_BYTES - 1]++;
	others[4].listening_nonce[TANDEM_NONCE_BYTES - 1]++;
	for (unsigned i = 0; i < 5; i++) {
		const struct tandem_secrets wrong = secrets_of(&key, &others[i]);
		cr_expect_neq(memcmp(right.connecting_proof, wrong.connecting_proof, 16), 0, "%u",
		              i);
		cr_expect_neq(memcmp(right.listening_proof, wrong.listening_proof, 16), 0, "%u", i);
		cr_expect_neq(memcmp(right.channel_key, wrong.channel_key, 32), 0, "%u", i);
	}
	const struct tandem_key stranger = {{8}};
	const struct tandem_secrets wrong = secrets_of(&stranger, &sample);
	cr_expect_neq(memcmp(right.connecting_proof, wrong.connecting_proof, 16), 0);
}

Test(handshake, tokens_are_of_one_channel_attempt_and_direction)
{
	const struct tandem_secrets secrets = secrets_of(&key, &sample);
	uint8_t right[TANDEM_TOKEN_BYTES], wrong[TANDEM_TOKEN_BYTES];
	tandem_channel_token(&secrets, 1, 1, false, right);
	tandem_channel_token(&secrets, 2, 1, false, wrong);
	cr_expect_arr_neq(right, wrong, sizeof(right));
	tandem_channel_token(&secrets, 1, 2, false, wrong);
	cr_expect_arr_neq(right, wrong, sizeof(right));
	tandem_channel_token(&secrets, 1, 1, true, wrong);
	cr_expect_arr_neq(right, wrong, sizeof(right));
}

Test(handshake, tags_are_of_one_direction_number_and_content)
{
	const struct tandem_secrets secrets = secrets_of(&key, &sample);
	uint8_t right[TANDEM_TAG_BYTES], wrong[TANDEM_TAG_BYTES];
	tandem_message_tag(&secrets, false, 5, "head", 4, "body", 4, right);
	tandem_message_tag(&secrets, true, 5, "head", 4, "body", 4, wrong);
	cr_expect_arr_neq(right, wrong, sizeof(right));
	tandem_message_tag(&secrets, false, 6, "head", 4, "body", 4, wrong);
	cr_expect_arr_neq(right, wrong, sizeof(right));
	tandem_message_tag(&secrets, false, 5, "heaD", 4, "body", 4, wrong);
	cr_expect_arr_neq(right, wrong, sizeof(right));
	tandem_message_tag(&secrets, false, 5, "head", 4, "bodY", 4, wrong);
	cr_expect_arr_neq(right, wrong, sizeof(right));
}

Test(handshake, keys_are_found_by_their_id)
{
	const struct tandem_key keys[] = {{{1}}, {{7}}, {{9}}};
	struct tandem_key found;
	uint8_t id[TANDEM_KEY_ID_BYTES];
	tandem_key_id(&key, id);
	cr_expect_eq(tandem_keys_find(keys, 3, id, &found), 1);
	cr_expect_arr_eq(found.bytes, key.bytes, TANDEM_KEY_BYTES);
	cr_expect_eq(tandem_keys_find(keys, 1, id, &found), -1);
	cr_expect_eq(tandem_keys_find(NULL, 0, id, &found), -1);
	const struct tandem_key zeros = {{0}};
	tandem_key_id(&zeros, id);
	cr_expect_eq(tandem_keys_find(NULL, 0, id, &found), 0);
	cr_expect_eq(tandem_keys_find(keys, 3, id, &found), -1);
}
