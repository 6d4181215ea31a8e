#include <tandem/mac.h>

#include <string.h>

#include <sodium/crypto_auth_hmacsha256.h>
#include <sodium/utils.h>

_Static_assert(TANDEM_MAC_BYTES == crypto_auth_hmacsha256_BYTES, "HMAC-SHA-256");

_Static_assert(TANDEM_MAC_KEY_BYTES >= sizeof(crypto_auth_hmacsha256_state),
               "the library's state has its place");

/* None of the library's calls can fail; their results are 0. */

void tandem_mac_key_init(struct tandem_mac_key *key, const void *bytes, size_t length)
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, bytes, length);
	memset(key, 0, sizeof(*key));
	memcpy(key->state, &state, sizeof(state));
}

void tandem_mac_keyed(const struct tandem_mac_key *key, const struct tandem_mac_part *parts,
                      unsigned part_count, uint8_t ret_mac[TANDEM_MAC_BYTES])
{
	crypto_auth_hmacsha256_state state;

	memcpy(&state, key->state, sizeof(state));
	for (unsigned i = 0; i < part_count; i++)
		crypto_auth_hmacsha256_update(&state, parts[i].bytes, parts[i].length);
	crypto_auth_hmacsha256_final(&state, ret_mac);
}

void tandem_mac(const void *key, size_t key_bytes, const struct tandem_mac_part *parts,
                unsigned part_count, uint8_t ret_mac[TANDEM_MAC_BYTES])
{
	struct tandem_mac_key once;

	tandem_mac_key_init(&once, key, key_bytes);
	tandem_mac_keyed(&once, parts, part_count, ret_mac);
}

bool tandem_mac_equal(const void *one, const void *other, size_t length)
{
	return sodium_memcmp(one, other, length) == 0;
}

void tandem_key_derive(const struct tandem_key *key, const char *purpose,
                       struct tandem_key *ret_key)
{
	const struct tandem_mac_part part = {.bytes = purpose, .length = strlen(purpose)};
	uint8_t mac[TANDEM_MAC_BYTES];

	tandem_mac(key->bytes, sizeof(key->bytes), &part, 1, mac);
	memcpy(ret_key->bytes, mac, sizeof(ret_key->bytes));
}
