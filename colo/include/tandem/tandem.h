#ifndef TANDEM_TANDEM_H
#define TANDEM_TANDEM_H

/* libtandem: keeps the memory of this program alive on a second host. The program names regions, is
 * quiescent when it calls tandem_checkpoint(), and lets output leave only when the gate says so.
 * Which pair, where the peer is and how to reach it come from the local controller
 * (tandem-failoverd), which has read the one configuration file.
 *
 * Threads: one thread makes the calls, but where a function says "any thread". The library runs
 * threads of its own with all signals blocked and installs no handlers. A forked child must not use
 * it: every call returns TANDEM_E_USAGE. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>

#define TANDEM_API __attribute__((visibility("default")))

struct tandem;

struct tandem_options {
	const char *pair; /* NULL: the environment's TANDEM_PAIR */
	const char *
	        run_directory; /* where failoverd.sock is; NULL: TANDEM_RUN_DIR, else /run/tandem */
	uint64_t start_timeout_ns; /* how long tandem_open and tandem_start wait for the controller
	                            */
};

#define TANDEM_OPTIONS_DEFAULT ((struct tandem_options){.start_timeout_ns = UINT64_C(10000000000)})

/* How the pages that were written since the last epoch are found. */
enum tandem_tracker {
	TANDEM_TRACKER_AUTO,    /* pagemap where the kernel has it, else compare */
	TANDEM_TRACKER_PAGEMAP, /* userfaultfd write-protect, asynchronous, and PAGEMAP_SCAN:
	                           Linux 6.7 or newer */
	TANDEM_TRACKER_MARK,    /* only what tandem_mark_dirty() names */
	TANDEM_TRACKER_COMPARE, /* 128-bit hash of every page, every epoch */
};

/* Joins the local controller. *ret_tandem is the caller's, freed by tandem_close(). Copies the
 * options. Errors: TANDEM_E_SYSTEM (no controller at run_directory), TANDEM_E_CONFIG (it does not
 * know the pair), TANDEM_E_NOT_LEADER (the other node leads: the detail says which, since which
 * generation), TANDEM_E_TIMEOUT. */
TANDEM_API TANDEM_MUST_CHECK int tandem_open(const struct tandem_options *options,
                                             struct tandem **ret_tandem,
                                             struct tandem_error *reterr_error);

/* Adds `length` bytes at `base`, both multiples of the page size, as region `name` (1 to 31 of
 * [a-z0-9_-], unique). Borrowed until tandem_close(), and mapped as it is until then. Nobody writes
 * to it during the call. Before tandem_start() only; at most 64 regions. What the pagemap tracker
 * cannot see is in docs/dirty-tracking.md. Errors: TANDEM_E_USAGE, TANDEM_E_UNSUPPORTED (the region
 * cannot be tracked; why, and which tracker can).
 */
TANDEM_API TANDEM_MUST_CHECK int tandem_region_add(struct tandem *tandem, const char *name,
                                                   void *base, size_t length,
                                                   enum tandem_tracker tracker,
                                                   struct tandem_error *reterr_error);

/* How the pages of a region are found: "pagemap", "mark", or "compare" and, where the kernel left
 * no other choice, why. Borrowed until tandem_close(); NULL when there is no such region. */
TANDEM_API const char *tandem_region_tracker(const struct tandem *tandem, const char *name);

/* Fixes the regions, starts the library's threads and waits until the controller lets this program
 * lead. From then on it is protected as soon as the secondary holds a copy. Errors:
 * TANDEM_E_NOT_LEADER, TANDEM_E_TIMEOUT, TANDEM_E_MEMLOCK, TANDEM_E_SYSTEM. */
TANDEM_API TANDEM_MUST_CHECK int tandem_start(struct tandem *tandem,
                                              struct tandem_error *reterr_error);

/* Ends an epoch: the caller is quiescent (nobody writes to a region) until this returns. `state`
 * (opaque, may be NULL) becomes the epoch's state blob, copied, at most the configured
 * state_bytes_max. Output produced since the last call may leave once *ret_ticket is released.
 * Returns when the program may go on: pages are pushed, or there is no session. Waits for the epoch
 * before it to be decided; tandem_news.can_checkpoint says whether it would. Errors:
 * TANDEM_E_NOT_LEADER (halted: nothing may leave any more), TANDEM_E_USAGE. */
TANDEM_API TANDEM_MUST_CHECK int tandem_checkpoint(struct tandem *tandem, const void *state,
                                                   size_t state_bytes, uint64_t *ret_ticket,
                                                   struct tandem_error *reterr_error);

/* For output that only read: its ticket is released by an acknowledgement that was asked for after
 * this call, in the current generation, so that a superseded node never answers from old memory.
 * Cheaper than an epoch. */
TANDEM_API TANDEM_MUST_CHECK int tandem_confirm(struct tandem *tandem, uint64_t *ret_ticket,
                                                struct tandem_error *reterr_error);

struct tandem_news {
	uint64_t released_ticket; /* tickets up to this one may leave */
	uint64_t generation;
	uint64_t epoch_committed;
	bool is_pair;   /* protected: the secondary holds the last committed epoch */
	bool is_halted; /* another node leads: nothing may leave any more, the program should end */
	bool can_checkpoint;   /* tandem_checkpoint() would not wait for the epoch before */
	bool wants_checkpoint; /* a new copy, or an aborted epoch: please call tandem_checkpoint()
	                          soon */
};

/* Never blocks. Any thread. */
TANDEM_API void tandem_poll(struct tandem *tandem, struct tandem_news *ret_news);
/* An eventfd that becomes readable when tandem_poll() has something new; tandem_poll() clears it.
 */
TANDEM_API int tandem_event_fd(const struct tandem *tandem);
/* Waits until `ticket` is released. Errors: TANDEM_E_TIMEOUT, TANDEM_E_NOT_LEADER. Any thread. */
TANDEM_API TANDEM_MUST_CHECK int tandem_wait_released(struct tandem *tandem, uint64_t ticket,
                                                      uint64_t timeout_ns);

/* Says that a range was written; call it after the store and before the next tandem_checkpoint().
 * Needed for the mark tracker and for writes that no page table shows. Any thread; lock-free.
 * Ranges outside regions are ignored. */
TANDEM_API void tandem_mark_dirty(struct tandem *tandem, const void *start, size_t length);

/* Says that what a range holds is of no interest any more: the copy has zeros there, which cost a
 * record and no transfer. Whole pages of the range only. Call it before the next store to the
 * range; nobody writes there during the call. What is written afterwards is seen as ever, with the
 * mark tracker when it is marked. Until then the range may read as before or as zeros, here and in
 * a program that takes over. Any thread, also while a checkpoint is made elsewhere; a call into the
 * kernel with the pagemap tracker, so free large ranges at once. Ranges outside regions are
 * ignored. */
TANDEM_API void tandem_mark_free(struct tandem *tandem, void *start, size_t length);

/* The program tells when it starts and has ended sending released output; shows in status and in
 * reports. */
TANDEM_API void tandem_note_reply(struct tandem *tandem, bool is_sending);

/* Why and how this process was started: true when tandemd started it to take over. All texts are
 * borrowed from the environment. */
struct tandem_recovery {
	const char *pair;
	const char *image_directory; /* holds one file a region, named as the region */
	const char *state_file;      /* the state blob of the last committed epoch; may be empty */
	uint64_t generation;
	uint64_t epoch;
};
TANDEM_API bool tandem_recovery_read(struct tandem_recovery *ret_recovery);

/* Leaves the pair without a word to the peer, ends the threads, frees. NULL is allowed. */
TANDEM_API struct tandem *tandem_close(struct tandem *tandem);

#endif
