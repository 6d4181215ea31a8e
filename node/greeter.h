#ifndef TANDEM_GREETER_H
#define TANDEM_GREETER_H

#include <event2/event.h>

#include <tandem/error.h>
#include <tandem/standby.h>
#include <tandem/transport.h>

/* Accepts sessions on the node's addresses and hands each to the standby of the pair that its HELLO
 * names, where it was proven with that pair's key. Answers probes. */
struct tandem_greeter;

struct tandem_greeter_options {
	/* Data addresses, `port` on each. */
	struct tandem_rail rails[TANDEM_RAILS_MAX];
	unsigned rail_count;
	uint16_t port;
	/* Of the pairs; zeros for one that has none. Copied. */
	struct tandem_key keys[TANDEM_KEYS_MAX];
	unsigned key_count;
	bool uses_rdma; /* a pair may use it */
	bool uses_tcp;
	bool needs_rdma; /* a pair insists on it: its absence is an error */
};

/* The standby of `pair` and the pair's key, or NULL. */
typedef struct tandem_standby *tandem_greeter_find(void *argument, const char *pair,
                                                   struct tandem_key *ret_key);

/* `base` is borrowed. Errors: TANDEM_E_SYSTEM (port taken), TANDEM_E_CONFIG (address not local),
 * TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_greeter_new(struct event_base *base,
                                         const struct tandem_greeter_options *options,
                                         tandem_greeter_find *find, void *argument,
                                         struct tandem_greeter **ret_greeter,
                                         struct tandem_error *reterr_error);
struct tandem_greeter *tandem_greeter_free(struct tandem_greeter *greeter);

#endif
