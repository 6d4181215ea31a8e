#ifndef TANDEM_GREETER_H
#define TANDEM_GREETER_H

#include <event2/event.h>

#include <tandem/error.h>
#include <tandem/standby.h>
#include <tandem/transport.h>

/* Accepts sessions on the node's address and hands each to the standby of the pair that its HELLO
 * names. */
struct tandem_greeter;

struct tandem_greeter_options {
	const char *address;
	uint16_t port;
	bool uses_rdma; /* a pair may use it */
	bool uses_tcp;
	bool needs_rdma; /* a pair insists on it: its absence is an error */
	/* [S1] Of the pairs, in their order; copied. */
	struct tandem_key keys[TANDEM_KEYS_MAX];
	unsigned key_count;
};

/* The standby of `pair`, or NULL; also when keys[key_index], which the peer holds, is not the
 * pair's. */
typedef struct tandem_standby *tandem_greeter_find(void *argument, const char *pair,
                                                   unsigned key_index);

/* `base` is borrowed. Errors: TANDEM_E_SYSTEM (port taken), TANDEM_E_CONFIG (address not local),
 * TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_greeter_new(struct event_base *base,
                                         const struct tandem_greeter_options *options,
                                         tandem_greeter_find *find, void *argument,
                                         struct tandem_greeter **ret_greeter,
                                         struct tandem_error *reterr_error);
struct tandem_greeter *tandem_greeter_free(struct tandem_greeter *greeter);

#endif
