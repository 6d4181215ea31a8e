#ifndef TANDEM_MAC_H
#define TANDEM_MAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Message authentication: HMAC-SHA-256 (RFC 2104, FIPS 180-4), computed by libsodium. Any thread;
 * allocates nothing. */
#define TANDEM_KEY_BYTES 16 /* a pre-shared key: 128 bits */
#define TANDEM_MAC_BYTES 32

struct tandem_key {
	uint8_t bytes[TANDEM_KEY_BYTES];
};

/* A piece of what is authenticated; borrowed for the call. */
struct tandem_mac_part {
	const void *bytes;
	size_t length;
};

/* A key for many messages: what is made of it alone is made once. A copy is as good. */
#define TANDEM_MAC_KEY_BYTES 208
struct tandem_mac_key {
	_Alignas(16) uint8_t state[TANDEM_MAC_KEY_BYTES];
};

/* 1 byte or more. */
void tandem_mac_key_init(struct tandem_mac_key *key, const void *bytes, size_t length);
/* As tandem_mac() with the bytes that the key was made of. */
void tandem_mac_keyed(const struct tandem_mac_key *key, const struct tandem_mac_part *parts,
                      unsigned part_count, uint8_t ret_mac[TANDEM_MAC_BYTES]);

/* Of all parts, one after the other: say lengths in them where two splits must differ. A key is 1
 * byte or more. */
void tandem_mac(const void *key, size_t key_bytes, const struct tandem_mac_part *parts,
                unsigned part_count, uint8_t ret_mac[TANDEM_MAC_BYTES]);

/* Takes the same time wherever they differ. */
bool tandem_mac_equal(const void *one, const void *other, size_t length);

/* A key for one purpose out of a key for several. `purpose` is a literal. */
void tandem_key_derive(const struct tandem_key *key, const char *purpose,
                       struct tandem_key *ret_key);

#endif
