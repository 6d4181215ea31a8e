#ifndef TANDEM_QEMU_GUEST_H
#define TANDEM_QEMU_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/error.h>

#include <tandem/qemu_network.h>
#include <tandem/qemu_stream.h>
#include <tandem/qemu_version.h>

struct event_base;

/* One running guest whose epochs are taken out of its unmodified QEMU, which believes to run COLO
 * with a secondary. However it ends, the guest is let go: it runs on as if nothing had been. One
 * thread: the loop's. The program ignores SIGPIPE. */
struct tandem_qemu_guest;

#define TANDEM_QEMU_BACKENDS_MAX  8u
#define TANDEM_QEMU_ID_BYTES      64u
#define TANDEM_QEMU_BACKEND_BYTES 512u /* of a path */

/* RAM of a guest that QEMU leaves out of its stream: `-object memory-backend-file,share=on`. */
struct tandem_qemu_backend {
	char id[TANDEM_QEMU_ID_BYTES];
	char path[TANDEM_QEMU_BACKEND_BYTES]; /* as QEMU was told */
	uint64_t size_bytes;
};

/* What of a guest's RAM can be shared with QEMU instead of being sent. */
struct tandem_qemu_memory {
	unsigned backend_count;
	struct tandem_qemu_backend backends[TANDEM_QEMU_BACKENDS_MAX];
	char refusal[192]; /* why none of it can; empty: it can */
};

struct tandem_qemu_guest_options {
	const char *qmp_path;      /* QEMU's control socket, for commands out of band too */
	const char *stream_path;   /* a socket that is made for QEMU to connect to; removed again */
	uint64_t interval_ns;      /* from one epoch to the next */
	uint64_t pause_timeout_ns; /* how long the guest may stand still */
	/* How long QEMU may take to greet, to answer while its guest is awaited, and to run one
	 * that is restored; never 0. */
	uint64_t start_timeout_ns;
	uint64_t command_timeout_ns;      /* how long it may take to answer else; never 0 */
	size_t state_bytes_max;           /* device state that an epoch can keep */
	enum tandem_qemu_verdict accepts; /* of QEMU's version, at worst */
	bool accepts_disks;               /* that the guest can write to: they are not copied */
	/* What the guest's network may be, borrowed until it is closed; 0: anything. */
	const struct tandem_qemu_network_end *network_ends;
	unsigned network_end_count;
	bool awaits_guest;    /* one that somebody has stopped; else it cannot be protected */
	bool looks_at_memory; /* on_memory() decides; else all of it is sent */
	/* Where QEMU, started with `-S -incoming defer`, restores its guest from: on_loaded() is
	 * asked before that runs. NULL: it has its guest. */
	const char *incoming_uri;
	bool is_incoming_shared; /* shared RAM is left out there */
};

/* Calls of the loop, in the order of the stream. None may close the guest. */
struct tandem_qemu_guest_handler {
	/* Once each that it begins: something of the guest that is not protected, in words. */
	void (*on_gap)(void *context, const char *text);
	/* Whether `memory` is left out of the stream: whoever says so reads it where QEMU has it,
	 * between on_epoch() and tandem_qemu_guest_kept(). Not 0: it ends, because of the error. */
	int (*on_memory)(void *context, const struct tandem_qemu_memory *memory,
	                 bool *ret_is_shared, struct tandem_error *reterr_error);
	/* Before incoming_uri is used: QEMU has its RAM. Not 0: it ends, because of the error. */
	int (*on_restore)(void *context, struct tandem_error *reterr_error);
	/* The guest is restored, and runs as soon as this returns 0. TANDEM_E_AGAIN: it is called
	 * again soon. Not 0 else: it ends, because of the error, and the guest has not run. */
	int (*on_loaded)(void *context, struct tandem_error *reterr_error);
	/* After that: QEMU refuses to run it, says the error, which is another one than before, and
	 * is told to again and again without an end: somebody else may have its disks yet. May be
	 * NULL. */
	void (*on_unstarted)(void *context, const struct tandem_error *error);
	/* All RAM blocks are known, and pages follow. `opening` begins a stream to restore from.
	 * Both are borrowed until the guest is closed. Not 0: it ends, because of the error. */
	int (*on_blocks)(void *context, const struct tandem_qemu_stream *stream,
	                 const uint8_t *opening, size_t opening_bytes,
	                 struct tandem_error *reterr_error);
	void (*on_page)(void *context, unsigned block, uint64_t offset_bytes, const uint8_t *bytes);
	void (*on_fill)(void *context, unsigned block, uint64_t offset_bytes, uint8_t value);
	/* The pages since the one before and this device state are an epoch. The guest stands still
	 * until tandem_qemu_guest_captured(), and no pages come until tandem_qemu_guest_kept();
	 * both may be called from within. */
	void (*on_epoch)(void *context, uint64_t epoch, const uint8_t *state, size_t state_bytes);
	/* The pages since the last epoch are none, and there will be no further one. */
	void (*on_torn)(void *context, uint64_t epoch);
	/* With shared memory: the guest runs as soon as this returns, whatever became of its epoch.
	 */
	void (*on_release)(void *context);
	/* It stood still for a checkpoint. May be NULL. */
	void (*on_stood)(void *context, uint64_t stood_ns);
	/* It is over: why, and whether the guest is known to run. The last call. */
	void (*on_end)(void *context, bool is_running, const struct tandem_error *error);
	void *context;
};

/* Begins; a guest that is still being restored is waited for. Copies options and handler. Errors:
 * what tandem_qmp_connect() has, TANDEM_E_SYSTEM (the socket cannot be made), TANDEM_E_MEMORY. */
int tandem_qemu_guest_open(struct event_base *base, const struct tandem_qemu_guest_options *options,
                           const struct tandem_qemu_guest_handler *handler,
                           struct tandem_qemu_guest **ret_guest, struct tandem_error *reterr_error);

/* Of its QEMU, from on_blocks() on. */
const struct tandem_qemu_numbers *tandem_qemu_guest_version(const struct tandem_qemu_guest *guest);
/* Whether the guest still stands for the epoch that on_epoch() has told. False: somebody else has
 * let it go, such as an operator. */
bool tandem_qemu_guest_is_held(const struct tandem_qemu_guest *guest);
/* Nothing of epoch `epoch` is read from the guest any more, and what it sends from now on is known
 * to come after it: the guest may run. */
void tandem_qemu_guest_captured(struct tandem_qemu_guest *guest, uint64_t epoch);
/* The pages of epoch `epoch` are not needed any more where they came: the guest may run if it does
 * not yet, and pages may come again. A checkpoint that is due before waits while the guest runs. */
void tandem_qemu_guest_kept(struct tandem_qemu_guest *guest, uint64_t epoch);
/* An epoch soon, before the interval is over. */
void tandem_qemu_guest_hurry(struct tandem_qemu_guest *guest);
/* Ends the protection; on_end follows. */
void tandem_qemu_guest_stop(struct tandem_qemu_guest *guest);
/* The same because of the error, which on_end is told; from within on_epoch(), too. */
void tandem_qemu_guest_fail(struct tandem_qemu_guest *guest, const struct tandem_error *error);
/* Frees it. Closed before on_end was called, the guest may stand still. NULL is allowed. */
void tandem_qemu_guest_close(struct tandem_qemu_guest *guest);

#endif
