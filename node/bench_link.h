#ifndef TANDEM_BENCH_LINK_H
#define TANDEM_BENCH_LINK_H

#include <tandem/transport.h>

#include "bench_message.h"

/* One side of the bench: a session, on the listening side with its listener, and how it waits.
 * Every call that waits gives TANDEM_E_TIMEOUT after TANDEM_BENCH_WAIT_NS, and the cause where a
 * channel or the session is lost: a figure of a session that broke is none. One thread. */
#define TANDEM_BENCH_WAIT_NS UINT64_C(120000000000)

struct tandem_bench_link {
	struct tandem_transport *transport;
	struct tandem_listener *listener;
	struct tandem_session *session;
	struct tandem_session *next_session; /* came while there was one */
	struct tandem_session_event event;   /* the last one taken */
};

/* What both sides choose. */
struct tandem_bench_link_options {
	const char *provider;
	const char *address; /* listen: local, connect: the peer's */
	uint16_t port;
	unsigned channel_count;
	unsigned write_depth;
	uint64_t poll_ns;
};

#define TANDEM_BENCH_LINK_OPTIONS_DEFAULT                                                          \
	((struct tandem_bench_link_options){.provider = "auto",                                    \
	                                    .address = "127.0.0.1",                                \
	                                    .channel_count = TANDEM_CHANNELS_DEFAULT,              \
	                                    .write_depth =                                         \
	                                            TANDEM_TRANSPORT_OPTIONS_DEFAULT.write_depth,  \
	                                    .poll_ns = TANDEM_TRANSPORT_OPTIONS_DEFAULT.poll_ns})

/* An option of the command line, by its letter; false where it is none of the link's, or `value` is
 * wrong and that was said. `value` is borrowed. */
bool tandem_bench_link_option(int option, const char *value,
                              struct tandem_bench_link_options *options);

TANDEM_MUST_CHECK int tandem_bench_link_listen(struct tandem_bench_link *link,
                                               const struct tandem_bench_link_options *options,
                                               struct tandem_error *reterr_error);
/* The next session that comes, with its control channel. */
TANDEM_MUST_CHECK int tandem_bench_link_accept(struct tandem_bench_link *link,
                                               struct tandem_error *reterr_error);
/* Up; a data channel that could not join refuses the first write. */
TANDEM_MUST_CHECK int tandem_bench_link_connect(struct tandem_bench_link *link,
                                                const struct tandem_bench_link_options *options,
                                                struct tandem_error *reterr_error);

/* The next event is in link->event. CHANNEL_LOST and LOST are given as errors. */
TANDEM_MUST_CHECK int tandem_bench_link_next(struct tandem_bench_link *link,
                                             struct tandem_error *reterr_error);
/* Until the peer has exposed memory `memory_id`; other events are dropped. */
TANDEM_MUST_CHECK int tandem_bench_link_await_exposure(struct tandem_bench_link *link,
                                                       unsigned memory_id,
                                                       struct tandem_error *reterr_error);
/* One wait for the descriptor, and progress; false where it was not ready in time. */
bool tandem_bench_link_wait(struct tandem_bench_link *link);
TANDEM_MUST_CHECK int tandem_bench_link_send(struct tandem_bench_link *link,
                                             const struct tandem_bench_message *message,
                                             struct tandem_error *reterr_error);
/* Waits for a message of `kind`; another one is an error, and REFUSED the peer's. */
TANDEM_MUST_CHECK int tandem_bench_link_expect(struct tandem_bench_link *link,
                                               enum tandem_bench_message_kind kind,
                                               struct tandem_bench_message *ret_message,
                                               struct tandem_error *reterr_error);
/* Ends what is there. */
void tandem_bench_link_close(struct tandem_bench_link *link);

#endif
