#ifndef TANDEM_QEMU_GUEST_H
#define TANDEM_QEMU_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/error.h>

#include <tandem/qemu_stream.h>
#include <tandem/qemu_version.h>

struct event_base;

/* One running guest whose epochs are taken out of its unmodified QEMU, which believes to run COLO
 * with a secondary. However it ends, the guest is let go: it runs on as if nothing had been. One
 * thread: the loop's. The program ignores SIGPIPE. */
struct tandem_qemu_guest;

struct tandem_qemu_guest_options {
	const char *qmp_path;      /* QEMU's control socket, for commands out of band too */
	const char *stream_path;   /* a socket that is made for QEMU to connect to; removed again */
	uint64_t interval_ns;      /* from one epoch to the next */
	uint64_t pause_timeout_ns; /* how long the guest may stand still */
	uint64_t command_timeout_ns;      /* how long QEMU may take to answer; never 0 */
	size_t state_bytes_max;           /* device state that an epoch can keep */
	enum tandem_qemu_verdict accepts; /* of QEMU's version, at worst */
};

/* Calls of the loop, in the order of the stream. None may close the guest. */
struct tandem_qemu_guest_handler {
	/* All RAM blocks are known, and pages follow. `opening` begins a stream to restore from.
	 * Both are borrowed until the guest is closed. Not 0: it ends, because of the error. */
	int (*on_blocks)(void *context, const struct tandem_qemu_stream *stream,
	                 const uint8_t *opening, size_t opening_bytes,
	                 struct tandem_error *reterr_error);
	void (*on_page)(void *context, unsigned block, uint64_t offset_bytes, const uint8_t *bytes);
	void (*on_fill)(void *context, unsigned block, uint64_t offset_bytes, uint8_t value);
	/* The pages since the one before and this device state are an epoch. The guest stands still
	 * until tandem_qemu_guest_kept(), which may be called from within. */
	void (*on_epoch)(void *context, uint64_t epoch, const uint8_t *state, size_t state_bytes);
	/* The pages since the last epoch are none, and there will be no further one. */
	void (*on_torn)(void *context, uint64_t epoch);
	/* It is over: why, and whether the guest is known to run. The last call. */
	void (*on_end)(void *context, bool is_running, const struct tandem_error *error);
	void *context;
};

/* Begins; a guest that is still being restored is waited for. Copies options and handler. Errors:
 * what tandem_qmp_connect() has, TANDEM_E_SYSTEM (the socket cannot be made), TANDEM_E_MEMORY. */
int tandem_qemu_guest_open(struct event_base *base, const struct tandem_qemu_guest_options *options,
                           const struct tandem_qemu_guest_handler *handler,
                           struct tandem_qemu_guest **ret_guest, struct tandem_error *reterr_error);

/* Epoch `epoch` is where it has to be: the guest may run, and pages may come again. */
void tandem_qemu_guest_kept(struct tandem_qemu_guest *guest, uint64_t epoch);
/* An epoch soon, before the interval is over. */
void tandem_qemu_guest_hurry(struct tandem_qemu_guest *guest);
/* Ends the protection; on_end follows. */
void tandem_qemu_guest_stop(struct tandem_qemu_guest *guest);
/* Frees it. Closed before on_end was called, the guest may stand still. NULL is allowed. */
void tandem_qemu_guest_close(struct tandem_qemu_guest *guest);

#endif
