#ifndef TANDEM_TCP_DOOR_H
#define TANDEM_TCP_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/error.h>

#include "core/handshake.h"
#include "core/hello.h"
#include "tcp/address.h"

/* Where the listener leaves data connections for a session [T3]: one waits for each channel, a
 * newer attempt takes the place of an older. The listener and the session hold a reference each and
 * may be on different threads; either may let go first. Every call: any thread; the lock is held
 * for moments only and never across anything that waits. */
struct tandem_tcp_door;

/* A data connection whose hello is sound. */
struct tandem_tcp_knock {
	int fd;
	unsigned rail; /* of the listener */
	struct tandem_tcp_address peer;
	struct tandem_hello hello;
};

/* With one reference; `secrets` are copied. Errors: TANDEM_E_MEMORY, TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_tcp_door_new(uint64_t session_id, const struct tandem_secrets *secrets,
                                          struct tandem_tcp_door **ret_door,
                                          struct tandem_error *reterr_error);
struct tandem_tcp_door *tandem_tcp_door_ref(struct tandem_tcp_door *door);
/* NULL is allowed; gives NULL. */
struct tandem_tcp_door *tandem_tcp_door_unref(struct tandem_tcp_door *door);

uint64_t tandem_tcp_door_session_id(const struct tandem_tcp_door *door);
/* Readable from a knock until it is quieted. */
int tandem_tcp_door_fd(const struct tandem_tcp_door *door);
void tandem_tcp_door_quiet(struct tandem_tcp_door *door);

/* TANDEM_VERDICT_JOINED: it waits for the session, and the descriptor is taken. Else it stays the
 * caller's: the session has gone, or it shows no token, or its attempt is no newer than who waits
 * [S4]. */
enum tandem_verdict tandem_tcp_door_knock(struct tandem_tcp_door *door,
                                          const struct tandem_tcp_knock *knock);
/* Gives who waits for a channel, with its descriptor; false when nobody does. */
bool tandem_tcp_door_take(struct tandem_tcp_door *door, unsigned channel,
                          struct tandem_tcp_knock *ret_knock);
/* The session goes: closes who waits and who comes. */
void tandem_tcp_door_shut(struct tandem_tcp_door *door);
bool tandem_tcp_door_is_shut(struct tandem_tcp_door *door);

#endif
