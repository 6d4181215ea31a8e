#ifndef TANDEM_TRANSPORT_HANDSHAKE_H
#define TANDEM_TRANSPORT_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/mac.h>

/* [S1], [S2], [S3], [S4]: how the two sides of a session prove to each other that they hold the
 * pair's key, and what binds data channels and control messages to that proof. Pure; how the values
 * travel is each provider's own. */
#define TANDEM_NONCE_BYTES  16
#define TANDEM_PROOF_BYTES  16
#define TANDEM_TOKEN_BYTES  16
#define TANDEM_TAG_BYTES    16
#define TANDEM_KEY_ID_BYTES 8

/* What the hello of a control channel and its answer say, as both sides know it. */
struct tandem_transcript {
	unsigned version;
	unsigned channel_count;
	uint64_t session_id; /* drawn by the listening side */
	uint8_t connecting_nonce[TANDEM_NONCE_BYTES];
	uint8_t listening_nonce[TANDEM_NONCE_BYTES];
};

/* Of one session; never sent, but for the two proofs. */
struct tandem_secrets {
	uint8_t connecting_proof[TANDEM_PROOF_BYTES];
	uint8_t listening_proof[TANDEM_PROOF_BYTES];
	struct tandem_mac_key connecting_key; /* of its control messages */
	struct tandem_mac_key listening_key;
	uint8_t channel_key[TANDEM_MAC_BYTES];
};

void tandem_secrets_derive(const struct tandem_key *key, const struct tandem_transcript *transcript,
                           struct tandem_secrets *ret_secrets);

/* Names a key without telling it. */
void tandem_key_id(const struct tandem_key *key, uint8_t ret_id[TANDEM_KEY_ID_BYTES]);
/* The index of the key of that name, or -1. Without keys there is one, of zeros, at index 0. */
int tandem_keys_find(const struct tandem_key *keys, unsigned key_count,
                     const uint8_t id[TANDEM_KEY_ID_BYTES], struct tandem_key *ret_key);

/* Shows that the sender of a data channel's hello, or of the answer to it, is the session's. Each
 * `attempt` of a channel is accepted once, and only if it is above the ones before. */
void tandem_channel_token(const struct tandem_secrets *secrets, unsigned channel, uint32_t attempt,
                          bool is_answer, uint8_t ret_token[TANDEM_TOKEN_BYTES]);

/* Of a control message: its header, which holds its sequence number, and its payload. */
void tandem_message_tag(const struct tandem_secrets *secrets, bool is_from_listening_side,
                        uint64_t sequence, const void *header, size_t header_bytes,
                        const void *payload, size_t payload_bytes,
                        uint8_t ret_tag[TANDEM_TAG_BYTES]);

#endif
