#ifndef TANDEM_NODE_QEMU_KEEPER_H
#define TANDEM_NODE_QEMU_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <tandem/error.h>
#include <tandem/qemu_guest.h>
#include <tandem/tandem.h>

#include "qemu_note.h"
#include "qemu_shared.h"

struct event_base;
struct event;
struct tandem_qemu_watch;
struct tandem_qemu_gates;

/* A guest that Tandem keeps: its epochs are the pair's. */
struct tandem_qemu_keeper {
	struct event_base *base;
	struct tandem *tandem; /* NULL: the guest is not restored yet */
	struct tandem_qemu_guest *guest;
	struct tandem_qemu_gates *gates; /* of the guest's network */
	struct tandem_qemu_watch *watch; /* of the guest */
	struct event *news;              /* of Tandem */
	struct event *again;             /* a timer: the protection may begin anew */
	struct event *renewal;           /* a timer: the note is written again, and Tandem asked */
	const struct tandem_qemu_stream *stream;
	const uint8_t *opening;
	size_t opening_bytes;
	uint8_t *blocks[TANDEM_QEMU_BLOCKS_MAX];
	uint64_t shared_blocks; /* one bit a block: it is QEMU's own memory, and is not sent */
	uint64_t sent_blocks;   /* one bit a block: pages of it came */
	enum tandem_qemu_way way;
	pid_t process; /* of QEMU */
	struct tandem_qemu_shared shared;
	struct tandem_error unseen; /* why stores to it may not have been; code 0: they were */
	struct tandem_qemu_note note;
	uint64_t sizes_bytes[TANDEM_QEMU_BLOCKS_MAX];
	uint8_t *blob;
	uint64_t epoch;       /* that is not kept yet; 0: none */
	bool is_captured;     /* ... and does not hold the guest */
	uint64_t lead_ticket; /* released when the program leads; 0: it has not started */
	uint64_t ticket;      /* of the last checkpoint; 0: there was none */
	bool has_kept;        /* one epoch at least */
	bool is_started;      /* the regions are what they are */
	bool is_stopping;     /* as was asked */
	bool begins_anew;     /* as soon as no checkpoint reads the regions any more */
	int wait_s;           /* for that: next time, if no epoch is kept before */
	bool is_over;         /* the guest is let go, or it is not known whether it is */
	bool awaits_copy;     /* a QEMU that ran already, of which no node has had a copy yet */
	bool has_network;     /* its guest had one before, by gates that were taken over */
	bool has_left;        /* the guest goes on unprotected, and nobody else goes on with it */
	struct tandem_qemu_guest_options options;
	/* May be NULL; see struct tandem_qemu_guest_handler. */
	int (*on_restore)(void *argument, struct tandem_error *reterr_error);
	/* Called when a guest is restored, before it runs, and soon again where it says
	 * TANDEM_E_AGAIN: sets `tandem`. NULL: that is set. */
	int (*attach)(void *argument, struct tandem_error *reterr_error);
	/* Called before the first epoch is handed over: from then on another node may go on from
	 * it, and QEMU must end when this program does. NULL: it does. */
	int (*hold)(void *argument, struct tandem_error *reterr_error);
	/* Called as soon as it has left, or when no first epoch came of it: QEMU need not end with
	 * this program any more. */
	void (*on_left)(void *argument);
	void *hold_argument; /* of both */
	void *argument;
	int code; /* how it ended: 0 as was asked, else TANDEM_E_* */
};

/* Begins on a QEMU that runs; `base`, `tandem` or `attach`, `gates`, `watch`, `way`, `process`,
 * `note` and `hold` are set, `tandem` is taken. A protection that ends while the guest runs on
 * begins anew, but for a first one whose guest nobody else has: its error is told. The loop is left
 * when it has ended for good. */
int tandem_qemu_keeper_open(struct tandem_qemu_keeper *keeper,
                            const struct tandem_qemu_guest_options *options,
                            struct tandem_error *reterr_error);
/* Leaves in order: the guest is protected until no other node can go on with it, then it is let go
 * and the loop is left. */
void tandem_qemu_keeper_leave(struct tandem_qemu_keeper *keeper);
/* Whether the guest goes on with its network and without protection: it has left, or had a network
 * before and no node has had an epoch of it since. Then its gates are not shut at the end, and are
 * the caller's. */
bool tandem_qemu_keeper_lets_go(const struct tandem_qemu_keeper *keeper);
/* Ends the protection; the guest runs on. */
void tandem_qemu_keeper_stop(struct tandem_qemu_keeper *keeper);
void tandem_qemu_keeper_close(struct tandem_qemu_keeper *keeper);

#endif
