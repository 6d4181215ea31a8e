#ifndef TANDEM_ERROR_H
#define TANDEM_ERROR_H

#include <stddef.h>

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

#define TANDEM_MUST_CHECK                  __attribute__((warn_unused_result))
#define TANDEM_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

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

/* Fills `error` (NULL is allowed) and returns `code`. Keeps os_errno 0. Any thread. */
int tandem_error_set(struct tandem_error *error, int code, const char *operation,
                     const char *format, ...) TANDEM_PRINTF(4, 5);

/* The same with a system error number; its text is appended to the detail. */
int tandem_error_set_errno(struct tandem_error *error, int code, int os_errno,
                           const char *operation, const char *format, ...) TANDEM_PRINTF(5, 6);

/* Puts "format: " before the detail; NULL is allowed. Returns error->code, or `code` if error is
 * NULL. */
int tandem_error_wrap(struct tandem_error *error, int code, const char *format, ...)
        TANDEM_PRINTF(3, 4);

/* Never NULL; an unknown code gives "unknown error". */
const char *tandem_error_text(int code);
const char *tandem_error_name(int code);
enum tandem_error_class tandem_error_class(int code);

#endif
