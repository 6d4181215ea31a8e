#include "core/handshake.h"

#include <string.h>

#include <tandem/bytes.h>

#define TRANSCRIPT_BYTES (4 + 4 + 8 + 2 * TANDEM_NONCE_BYTES)

/* HMAC of a purpose and some bytes; the purpose keeps its ending zero, so that none is the
 * beginning of another. */
static void derive(const void *key, size_t key_bytes, const char *purpose, const void *bytes,
                   size_t length, uint8_t *ret_value, size_t value_bytes)
{
	const struct tandem_mac_part parts[] = {{purpose, strlen(purpose) + 1}, {bytes, length}};
	uint8_t mac[TANDEM_MAC_BYTES];

	tandem_mac(key, key_bytes, parts, 2, mac);
	memcpy(ret_value, mac, value_bytes);
}

static void derive_key(const uint8_t root[TANDEM_MAC_BYTES], const char *purpose,
                       struct tandem_mac_key *ret_key)
{
	uint8_t bytes[TANDEM_MAC_BYTES];

	derive(root, TANDEM_MAC_BYTES, purpose, NULL, 0, bytes, sizeof(bytes));
	tandem_mac_key_init(ret_key, bytes, sizeof(bytes));
}

static void write_transcript(const struct tandem_transcript *transcript,
                             uint8_t ret_bytes[TRANSCRIPT_BYTES])
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes, TRANSCRIPT_BYTES);

	tandem_write_u32(&writer, transcript->version);
	tandem_write_u32(&writer, transcript->channel_count);
	tandem_write_u64(&writer, transcript->session_id);
	tandem_write_bytes(&writer, transcript->connecting_nonce, TANDEM_NONCE_BYTES);
	tandem_write_bytes(&writer, transcript->listening_nonce, TANDEM_NONCE_BYTES);
}

void tandem_secrets_derive(const struct tandem_key *key, const struct tandem_transcript *transcript,
                           struct tandem_secrets *ret_secrets)
{
	uint8_t bytes[TRANSCRIPT_BYTES];
	uint8_t root[TANDEM_MAC_BYTES];

	write_transcript(transcript, bytes);
	derive(key->bytes, sizeof(key->bytes), "tandem session", bytes, sizeof(bytes), root,
	       sizeof(root));
#define DERIVE(field, purpose)                                                                     \
	derive(root, sizeof(root), purpose, NULL, 0, ret_secrets->field, sizeof(ret_secrets->field))
	DERIVE(connecting_proof, "proof of the connecting side");
	DERIVE(listening_proof, "proof of the listening side");
	DERIVE(channel_key, "data channels");
#undef DERIVE
	derive_key(root, "messages of the connecting side", &ret_secrets->connecting_key);
	derive_key(root, "messages of the listening side", &ret_secrets->listening_key);
}

void tandem_key_id(const struct tandem_key *key, uint8_t ret_id[TANDEM_KEY_ID_BYTES])
{
	derive(key->bytes, sizeof(key->bytes), "tandem key id", NULL, 0, ret_id,
	       TANDEM_KEY_ID_BYTES);
}

int tandem_keys_find(const struct tandem_key *keys, unsigned key_count,
                     const uint8_t id[TANDEM_KEY_ID_BYTES], struct tandem_key *ret_key)
{
	static const struct tandem_key zeros;
	uint8_t candidate[TANDEM_KEY_ID_BYTES];

	if (key_count == 0) {
		keys = &zeros;
		key_count = 1;
	}
	for (unsigned i = 0; i < key_count; i++) {
		tandem_key_id(&keys[i], candidate);
		if (!tandem_mac_equal(candidate, id, sizeof(candidate)))
			continue;
		*ret_key = keys[i];
		return (int)i;
	}
	return -1;
}

void tandem_channel_token(const struct tandem_secrets *secrets, unsigned channel, uint32_t attempt,
                          bool is_answer, uint8_t ret_token[TANDEM_TOKEN_BYTES])
{
	uint8_t bytes[8];
	struct tandem_writer writer = tandem_writer_over(bytes, sizeof(bytes));

	tandem_write_u32(&writer, channel);
	tandem_write_u32(&writer, attempt);
	derive(secrets->channel_key, sizeof(secrets->channel_key), is_answer ? "answer" : "join",
	       bytes, sizeof(bytes), ret_token, TANDEM_TOKEN_BYTES);
}

void tandem_message_tag(const struct tandem_secrets *secrets, bool is_from_listening_side,
                        uint64_t sequence, const void *header, size_t header_bytes,
                        const void *payload, size_t payload_bytes,
                        uint8_t ret_tag[TANDEM_TAG_BYTES])
{
	const struct tandem_mac_key *key =
	        is_from_listening_side ? &secrets->listening_key : &secrets->connecting_key;
	uint8_t number[8];
	struct tandem_writer writer = tandem_writer_over(number, sizeof(number));
	const struct tandem_mac_part parts[] = {
	        {number, sizeof(number)}, {header, header_bytes}, {payload, payload_bytes}};
	uint8_t mac[TANDEM_MAC_BYTES];

	tandem_write_u64(&writer, sequence);
	tandem_mac_keyed(key, parts, 3, mac);
	memcpy(ret_tag, mac, TANDEM_TAG_BYTES);
}
