#ifndef TANDEM_ERROR_CODE_H
#define TANDEM_ERROR_CODE_H

/* What a call of Tandem gives back when it fails. This header is installed; what fills a struct
 * tandem_error is in tandem/error.h. */

#define TANDEM_API        __attribute__((visibility("default")))
#define TANDEM_MUST_CHECK __attribute__((warn_unused_result))

/* Every fallible function returns 0 or one of these, negative. The class drives decisions; the text
 * is for people. */
#define TANDEM_ERROR_TABLE(X)                                                                      \
	X(AGAIN, AGAIN, "not now, try again")                                                      \
	X(TIMEOUT, PEER, "deadline passed")                                                        \
	X(PEER_LOST, PEER, "peer or path lost")                                                    \
	X(CHANNEL_LOST, PEER, "data channel lost")                                                 \
	X(YANKED, PEER, "yanked")                                                                  \
	X(REFUSED, PEER, "refused by the peer")                                                    \
	X(NOT_LEADER, PEER, "this node may not lead")                                              \
	X(DEVICE, DEVICE, "local device failed")                                                   \
	X(SYSTEM, DEVICE, "system call failed")                                                    \
	X(MEMORY, DEVICE, "out of memory")                                                         \
	X(MEMLOCK, DEVICE, "memory lock limit too small")                                          \
	X(FENCE, DEVICE, "fence could not be proven")                                              \
	X(PROTOCOL, PROTOCOL, "peer broke the protocol")                                           \
	X(VERSION, PROTOCOL, "protocol version differs")                                           \
	X(CONFIG, CONFIG, "configuration is wrong")                                                \
	X(USAGE, USAGE, "wrong use of the interface")                                              \
	X(UNSUPPORTED, USAGE, "not supported here")

enum tandem_error_class {
	TANDEM_CLASS_NONE,
	TANDEM_CLASS_AGAIN,
	TANDEM_CLASS_PEER,
	TANDEM_CLASS_DEVICE,
	TANDEM_CLASS_PROTOCOL,
	TANDEM_CLASS_CONFIG,
	TANDEM_CLASS_USAGE,
};

enum tandem_error_number {
	TANDEM_ERROR_NUMBER_NONE,
#define X(name, class, text) TANDEM_ERROR_NUMBER_##name,
	TANDEM_ERROR_TABLE(X)
#undef X
	        TANDEM_ERROR_NUMBER_END,
};

enum tandem_error_code {
#define X(name, class, text) TANDEM_E_##name = -TANDEM_ERROR_NUMBER_##name,
	TANDEM_ERROR_TABLE(X)
#undef X
};

/* The cause of a failure; plain memory, no ownership, no allocation. Filled only when a call fails.
 */
struct tandem_error {
	int code;              /* TANDEM_E_* */
	int os_errno;          /* 0 where no system call failed */
	int wc_status;         /* ibv_wc_status of the first failed completion, 0 where none */
	unsigned vendor_error; /* as the device gave it */
	char operation[32];    /* the call that failed: "connect", "ibv_reg_mr" */
	char detail[256];      /* cause, value seen, value needed, fix; wrapped on the way up */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Says what a code means, in a few words: "deadline passed". Of an unknown code it says "unknown
 * error"; never NULL. The text is constant. Any thread. */
TANDEM_API const char *tandem_error_text(int code);

/* Names a code as the source does, without TANDEM_E_: "TIMEOUT". 0 is "OK", an unknown code
 * "UNKNOWN"; never NULL. The text is constant. Any thread. */
TANDEM_API const char *tandem_error_name(int code);

/* Tells of which kind a code is, and so what to do: TANDEM_CLASS_AGAIN later, TANDEM_CLASS_PEER the
 * other node or the path, TANDEM_CLASS_DEVICE this node, TANDEM_CLASS_PROTOCOL nodes of different
 * versions, TANDEM_CLASS_CONFIG the configuration, TANDEM_CLASS_USAGE the program.
 * TANDEM_CLASS_NONE of 0 and of an unknown code. Any thread. */
TANDEM_API enum tandem_error_class tandem_error_class(int code);

#ifdef __cplusplus
}
#endif

#endif
