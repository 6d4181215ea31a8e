#ifndef TANDEM_PROBE_H
#define TANDEM_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/transport.h>

/* A look at the path to a peer that runs: a session of its own that touches no pair's memory.
 * docs/protocol.md, section P. */
#define TANDEM_PROBE_MEMORY_BYTES (UINT64_C(4) << 20)
#define TANDEM_PROBE_LIFE_NS      (UINT64_C(5) * 1000000000)

/* ---- who is asked: the listening side ---- */

/* The pair that a session's first message names when it is a probe's, else NULL. `text` has room
 * for 32 bytes. */
const char *tandem_probe_pair(const void *message, size_t message_bytes, char *text);

struct tandem_probe_host;

/* Takes `session` whose first message was a probe's: exposes scratch memory and answers. Errors
 * (the session has ended then): TANDEM_E_MEMORY, TANDEM_E_MEMLOCK, TANDEM_E_DEVICE. */
TANDEM_MUST_CHECK int tandem_probe_host_new(struct tandem_session *session,
                                            struct tandem_probe_host **ret_host,
                                            struct tandem_error *reterr_error);
/* Call when the session's descriptor is readable, and once in a while. False: it is over, free it;
 * that is TANDEM_PROBE_LIFE_NS after its beginning at the latest. Never blocks. */
bool tandem_probe_host_progress(struct tandem_probe_host *host);
struct tandem_probe_host *tandem_probe_host_free(struct tandem_probe_host *host);

/* Says why not, and whether that is only for now; the session is still the caller's, who ends it
 * when the peer has left or after a moment. */
void tandem_probe_refuse(struct tandem_session *session, bool is_busy, const char *reason);

/* ---- who asks: the connecting side ---- */

struct tandem_probe_options {
	const char *pair;
	struct tandem_transport_options transport; /* one rail and the pair's key */
	unsigned echo_count;  /* messages there and back, one after the other */
	uint64_t sample_ns;   /* of writes as fast as they go */
	uint32_t write_bytes; /* each; 1 to TANDEM_WRITE_BYTES_MAX */
};

struct tandem_probe_result {
	unsigned channel_count; /* data channels that joined */
	uint64_t join_ns;       /* from connect until the session was up */
	unsigned echo_count;
	uint64_t echo_min_ns;
	uint64_t echo_median_ns;
	uint64_t echo_max_ns;
	uint64_t sample_bytes; /* arrived; 0 where the sample did not come to its end */
	uint64_t sample_ns;    /* until the last of them had */
};

#define TANDEM_PROBE_ECHOES_MAX 256

/* Blocks for some seconds at the most. Errors: as of connect; TANDEM_E_REFUSED with the peer's
 * reason; TANDEM_E_AGAIN: it is busy; TANDEM_E_TIMEOUT, TANDEM_E_PEER_LOST. */
TANDEM_MUST_CHECK int tandem_probe_run(struct tandem_transport *transport,
                                       const struct tandem_probe_options *options,
                                       struct tandem_probe_result *ret_result,
                                       struct tandem_error *reterr_error);

#endif
