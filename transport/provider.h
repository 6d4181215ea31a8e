#ifndef TANDEM_PROVIDER_H
#define TANDEM_PROVIDER_H

/* What a provider implements. The public functions check arguments and call through these tables; a
 * provider embeds the three heads as the first member of its own structs. */

#include <tandem/transport.h>

struct tandem_session_ops {
	bool lands_in_calls; /* see tandem_session_lands_in_calls() */
	unsigned (*channel_count)(const struct tandem_session *session);
	const char *(*peer_address)(const struct tandem_session *session);
	int (*fd)(const struct tandem_session *session);
	uint64_t (*deadline_ns)(const struct tandem_session *session);
	void (*progress)(struct tandem_session *session);
	bool (*next_event)(struct tandem_session *session, struct tandem_session_event *ret_event);
	int (*expose)(struct tandem_session *session, unsigned memory_id, void *base, size_t length,
	              struct tandem_error *reterr_error);
	int (*register_source)(struct tandem_session *session, const void *base, size_t length,
	                       struct tandem_error *reterr_error);
	uint64_t (*exposed_bytes)(const struct tandem_session *session, unsigned memory_id);
	int (*send)(struct tandem_session *session, const void *message, size_t message_bytes);
	int (*write)(struct tandem_session *session, unsigned channel,
	             const struct tandem_write *writes, unsigned count, unsigned *ret_taken_count);
	int (*notify)(struct tandem_session *session, unsigned channel,
	              const struct tandem_write *write, uint32_t immediate);
	unsigned (*inflight_count)(const struct tandem_session *session, unsigned channel);
	void (*beat)(struct tandem_session *session); /* NULL, and the next: none [T18] */
	int (*read_beat)(struct tandem_session *session, uint64_t timeout_ns);
	void (*yank)(struct tandem_session *session);
	int (*fence)(struct tandem_session *session, uint64_t deadline_ns,
	             struct tandem_error *reterr_error);
	int (*fence_channel)(struct tandem_session *session, unsigned channel, uint64_t deadline_ns,
	                     struct tandem_error *reterr_error);
	int (*restore)(struct tandem_session *session, unsigned channel,
	               struct tandem_error *reterr_error);
	void (*channel_status)(const struct tandem_session *session, unsigned channel,
	                       struct tandem_channel_status *ret_status);
	unsigned (*key_index)(const struct tandem_session *session);
	void (*break_channel)(struct tandem_session *session, unsigned channel);
	void (*describe)(const struct tandem_session *session, char *text, size_t text_bytes);
	void (*free)(struct tandem_session *session);
};

struct tandem_session {
	const struct tandem_session_ops *ops;
};

struct tandem_listener_ops {
	int (*fd)(const struct tandem_listener *listener);
	uint16_t (*port)(const struct tandem_listener *listener);
	uint64_t (*deadline_ns)(const struct tandem_listener *listener);
	int (*accept)(struct tandem_listener *listener, struct tandem_session **ret_session,
	              struct tandem_error *reterr_error);
	void (*free)(struct tandem_listener *listener);
};

struct tandem_listener {
	const struct tandem_listener_ops *ops;
};

struct tandem_transport_ops {
	int (*listen)(struct tandem_transport *transport,
	              const struct tandem_transport_options *options,
	              struct tandem_listener **ret_listener, struct tandem_error *reterr_error);
	int (*connect)(struct tandem_transport *transport,
	               const struct tandem_transport_options *options,
	               struct tandem_session **ret_session, struct tandem_error *reterr_error);
	void (*free)(struct tandem_transport *transport);
};

struct tandem_transport {
	const struct tandem_transport_ops *ops;
	struct tandem_transport_capabilities capabilities;
};

/* Providers, each in its folder. rdma gives TANDEM_E_DEVICE with the reason and the fix where none
 * is usable. */
int tandem_tcp_open(const char *address, struct tandem_transport **ret_transport,
                    struct tandem_error *reterr_error);
int tandem_rdma_open(const char *address, struct tandem_transport **ret_transport,
                     struct tandem_error *reterr_error);

#endif
