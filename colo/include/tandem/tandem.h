#ifndef TANDEM_TANDEM_H
#define TANDEM_TANDEM_H

/* libtandem: keeps the memory of this program alive on a second host. The program names regions, is
 * quiescent while a checkpoint reads them, and lets output leave only when the gate says so. Which
 * pair, where the peer is and how to reach it come from the local controller (tandem-failoverd),
 * which has read the one configuration file.
 *
 * A program opens, adds its regions, recovers them when it was started to take over, starts, and
 * then makes a checkpoint whenever it has something to keep or to say. Output that it produces
 * takes the ticket of the checkpoint after it, and waits for that ticket.
 *
 * Threads: one thread makes the calls, but where a function says "any thread". The library runs
 * threads of its own with all signals blocked and installs no handlers, and no call belongs in one.
 * A thread that is cancelled ends where it waits, but never in tandem_checkpoint(). A forked child
 * must not use it: every call returns TANDEM_E_USAGE, or does and tells nothing where it returns no
 * code.
 *
 * Errors: a call that fails returns a negative TANDEM_E_* and, where it takes a struct tandem_error
 * (NULL is allowed), says in its detail what was seen, what is needed and what to do. What a
 * function gives back in a ret_ argument is set on success only. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error_code.h>

#ifdef __cplusplus
extern "C" {
#endif

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
 * generation), TANDEM_E_TIMEOUT (the controller does not answer), TANDEM_E_USAGE (no name of a
 * pair, or one that is too long). */
TANDEM_API TANDEM_MUST_CHECK int tandem_open(const struct tandem_options *options,
                                             struct tandem **ret_tandem,
                                             struct tandem_error *reterr_error);

/* Adds memory that is to be kept: `length` bytes at `base`, both multiples of the page size (4096),
 * as region `name` (1 to 31 of [a-z0-9_-], unique). Borrowed until tandem_close(), and mapped as it
 * is until then. Nobody writes to it during the call. Before tandem_start() only; at most 64
 * regions. What the pagemap tracker cannot see is in docs/dirty-tracking.md. Errors: TANDEM_E_USAGE
 * (a name, an address or a length as it may not be, or too late), TANDEM_E_UNSUPPORTED (the region
 * cannot be tracked; why, and which tracker can). */
TANDEM_API TANDEM_MUST_CHECK int tandem_region_add(struct tandem *tandem, const char *name,
                                                   void *base, size_t length,
                                                   enum tandem_tracker tracker,
                                                   struct tandem_error *reterr_error);

/* Says how the pages of a region are found: "pagemap", "mark", or "compare" and, where the kernel
 * left no other choice, why. Borrowed until tandem_close(); NULL when there is no such region. */
TANDEM_API const char *tandem_region_tracker(const struct tandem *tandem, const char *name);

/* Tells how much of a region is in use: its first `used_bytes`, rounded up to pages; all of it
 * before the first call. The rest is free: whatever the memory holds there, it is neither looked
 * for nor sent, and the copy holds zeros. What is used again by a later call travels whole with the
 * next checkpoint, so it may have been written before or after. Takes part in the next checkpoint,
 * and not to be called while one is under way. Before or after tandem_start(); never blocks. The
 * program keeps the length itself, for instance in its state. Errors: TANDEM_E_USAGE (no such
 * region, longer than the region, or a checkpoint is under way). */
TANDEM_API TANDEM_MUST_CHECK int tandem_region_use(struct tandem *tandem, const char *name,
                                                   size_t used_bytes,
                                                   struct tandem_error *reterr_error);

/* Fixes the regions, starts the library's threads and waits until the controller lets this program
 * lead. From then on it is protected as soon as the secondary holds a copy. Errors:
 * TANDEM_E_NOT_LEADER (another node leads: the program should end), TANDEM_E_TIMEOUT (no word of
 * the controller within start_timeout_ns), TANDEM_E_MEMLOCK (the memory cannot be locked for RDMA;
 * how much is needed), TANDEM_E_SYSTEM (a call of the system failed), TANDEM_E_MEMORY (no memory
 * for the maps), TANDEM_E_USAGE (no region, or started already). */
TANDEM_API TANDEM_MUST_CHECK int tandem_start(struct tandem *tandem,
                                              struct tandem_error *reterr_error);

/* Ends an epoch: the caller is quiescent (nobody writes to a region) until this returns. `state`
 * (opaque, may be NULL) becomes the epoch's state blob, copied, at most the configured
 * state_bytes_max. Output produced since the last call may leave once *ret_ticket is released.
 * Returns when the program may go on: pages are pushed, by the calling thread if nobody else is at
 * it, or there is no session. Waits for the epoch before it to be decided;
 * tandem_news.can_checkpoint says whether it would. Whether the secondary holds the epoch is told
 * by tandem_wait_released() and tandem_poll(). Errors: TANDEM_E_NOT_LEADER
 * (halted: nothing may leave any more), TANDEM_E_USAGE (the blob is too large, not started, or
 * another checkpoint is under way). */
TANDEM_API TANDEM_MUST_CHECK int tandem_checkpoint(struct tandem *tandem, const void *state,
                                                   size_t state_bytes, uint64_t *ret_ticket,
                                                   struct tandem_error *reterr_error);

/* Begins a checkpoint and returns at once, for a program that has something else to do while its
 * memory is read. It is tandem_checkpoint() in two halves: from this call until
 * tandem_checkpoint_test() or tandem_checkpoint_wait() returns 0 or tandem_checkpoint_abort()
 * returns true, nobody writes to a region, and `state` is borrowed. The regions may be read. One
 * checkpoint at a time. Errors: TANDEM_E_NOT_LEADER (halted: nothing may leave any more),
 * TANDEM_E_USAGE (the blob is too large, not started, or another checkpoint is under way). */
TANDEM_API TANDEM_MUST_CHECK int tandem_checkpoint_begin(struct tandem *tandem, const void *state,
                                                         size_t state_bytes, uint64_t *ret_ticket,
                                                         struct tandem_error *reterr_error);

/* Says whether the program may write to its regions again. 0: yes, the checkpoint has read what it
 * needs, or none is under way. Never blocks; tandem_event_fd() becomes readable when the answer
 * changes. Any thread. Errors: TANDEM_E_AGAIN (not yet), TANDEM_E_NOT_LEADER (halted). */
TANDEM_API TANDEM_MUST_CHECK int tandem_checkpoint_test(struct tandem *tandem);

/* Waits, at most `timeout_ns`, until the program may write to its regions again. 0: as
 * tandem_checkpoint_test(). After a timeout the checkpoint goes on: wait again, or abort it. Any
 * thread. Errors: TANDEM_E_TIMEOUT (not yet), TANDEM_E_NOT_LEADER (halted). */
TANDEM_API TANDEM_MUST_CHECK int tandem_checkpoint_wait(struct tandem *tandem, uint64_t timeout_ns);

/* Takes back a checkpoint that was begun. True: it was not sealed yet and never will be; the
 * program may write again, what it wrote before belongs to the next epoch, and output with the
 * ticket waits for a later checkpoint. False: too late, or none is under way. An epoch that is
 * sealed is decided by the secondary alone: it may be committed, so go on as if this had not been
 * called and wait with tandem_checkpoint_wait(). Blocks until the engine has answered, which is at
 * most until the pages that it has begun to send are sent. */
TANDEM_API TANDEM_MUST_CHECK bool tandem_checkpoint_abort(struct tandem *tandem);

/* Gives a ticket to output that only read: it is released by an acknowledgement that was asked for
 * after this call, in the current generation, so that a superseded node never answers from old
 * memory. Cheaper than an epoch. Errors: TANDEM_E_NOT_LEADER (halted: nothing may leave any more),
 * TANDEM_E_USAGE (not started). */
TANDEM_API TANDEM_MUST_CHECK int tandem_confirm(struct tandem *tandem, uint64_t *ret_ticket,
                                                struct tandem_error *reterr_error);

/* Gives the ticket of the next checkpoint, before it is made, to output that it has to keep: in a
 * pair that output is behind from now on, which status tells and at last an alarm, and
 * tandem_news.wants_checkpoint asks for one. For a program that has left off making checkpoints.
 * Errors: TANDEM_E_NOT_LEADER (halted: nothing may leave any more), TANDEM_E_USAGE (not started).
 */
TANDEM_API TANDEM_MUST_CHECK int tandem_ticket(struct tandem *tandem, uint64_t *ret_ticket,
                                               struct tandem_error *reterr_error);

struct tandem_news {
	uint64_t released_ticket; /* tickets up to this one may leave */
	uint64_t generation;
	uint64_t epoch_committed;
	bool is_pair;   /* protected: the secondary holds the last committed epoch */
	bool is_halted; /* another node leads: nothing may leave any more, the program should end */
	bool can_checkpoint;   /* tandem_checkpoint() would not wait for the epoch before, and is
	                          likely to keep pause_budget_us; call it at once */
	bool wants_checkpoint; /* a new copy, or an aborted epoch: please call tandem_checkpoint()
	                          soon */
};

/* Tells how things are now; before tandem_start(), which nothing rings for, is_halted alone. Does
 * not block, except with pause_budget_us and on_overload = "slow": while more is written than can
 * be pushed it holds the caller, less than that budget at a time. Any thread, but not beside
 * tandem_start(). */
TANDEM_API void tandem_poll(struct tandem *tandem, struct tandem_news *ret_news);

/* Gives an eventfd that becomes readable when tandem_poll() has something new; tandem_poll() clears
 * it. The library's until tandem_close(). Any thread. */
TANDEM_API int tandem_event_fd(struct tandem *tandem);

/* Waits until `ticket` is released, at most `timeout_ns` and what it does of the engine's work
 * meanwhile. Then the output may leave; while tandem_news.is_pair holds it also means that the
 * secondary holds the epoch of that ticket: there is no other call to wait for a commit. Any
 * thread. Errors: TANDEM_E_TIMEOUT (not yet), TANDEM_E_NOT_LEADER (halted: it never will be),
 * TANDEM_E_USAGE (not started, or a forked child). */
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

/* Notes when the program starts and has ended sending released output; shows in status and in
 * reports. Any thread. */
TANDEM_API void tandem_note_reply(struct tandem *tandem, bool is_sending);

/* ---- leaving ---- */

enum tandem_leaving {
	TANDEM_STAYS,
	TANDEM_ASKED_TO_LEAVE, /* by the operator, tandemctl unprotect: tandem_leave() is the answer
	                        */
	TANDEM_LEAVES,         /* it is asked for */
	TANDEM_LEFT,           /* nobody else will ever go on with this memory */
};

/* Begins to leave the pair in order: the program goes on without protection, and no other node goes
 * on from an epoch of it. Until that is certain, TANDEM_LEFT, everything stays as it is:
 * checkpoints go on being made, and another node may take over until the register says that the
 * program leaves. If the program dies between that and TANDEM_LEFT, some heartbeats at most while
 * the other node is heard, its copy waits there for the operator (tandemctl force-primary). When
 * it is certain, output may leave at
 * once, and what is left to do is tandem_close(). Cannot be taken back. Never blocks. Any thread.
 * Errors: TANDEM_E_USAGE (not started), TANDEM_E_NOT_LEADER (halted: another node leads). */
TANDEM_API TANDEM_MUST_CHECK int tandem_leave(struct tandem *tandem,
                                              struct tandem_error *reterr_error);

/* How far that is; tandem_event_fd() becomes readable when it changes. Any thread. */
TANDEM_API enum tandem_leaving tandem_leaving(const struct tandem *tandem);

/* ---- started to take over ---- */

/* Why and how this process was started. All texts are borrowed from the environment. */
struct tandem_recovery {
	const char *pair;
	const char *image_directory; /* holds one file a region, named as the region */
	const char *state_file;      /* the state blob of the last committed epoch; may be empty */
	uint64_t generation;
	uint64_t epoch;
};

/* Tests whether tandemd started this program to take over: then its memory is the image of the last
 * committed epoch, and it goes on from there. False on an ordinary start. Any thread. */
TANDEM_API bool tandem_recovery_read(struct tandem_recovery *ret_recovery);

/* Gives the length in bytes of region `name` in the image that this program was started to take
 * over with. Any thread. Errors: TANDEM_E_USAGE (not started to take over, or no such region in the
 * image), TANDEM_E_SYSTEM (its file cannot be read). */
TANDEM_API TANDEM_MUST_CHECK int tandem_region_size(const char *name, size_t *ret_bytes,
                                                    struct tandem_error *reterr_error);

/* Copies region `name` of the image into the memory that was added under that name, or with NULL
 * every region that was added; what was there is overwritten. Between tandem_region_add() and
 * tandem_start(). A program that wants no copy maps the files of tandem_recovery.image_directory
 * instead and adds that memory. Errors: TANDEM_E_USAGE (not started to take over, no such region,
 * another length than in the image, or too late), TANDEM_E_SYSTEM (the image cannot be read). */
TANDEM_API TANDEM_MUST_CHECK int tandem_region_recover(struct tandem *tandem, const char *name,
                                                       struct tandem_error *reterr_error);

/* Reads the state blob of the epoch that this program was started to take over at: at most
 * `state_bytes_max` bytes into `state`; *ret_state_bytes is its length. Any thread. Errors:
 * TANDEM_E_USAGE (not started to take over, or the blob is larger than state_bytes_max),
 * TANDEM_E_SYSTEM (it cannot be read). */
TANDEM_API TANDEM_MUST_CHECK int tandem_state_recover(void *state, size_t state_bytes_max,
                                                      size_t *ret_state_bytes,
                                                      struct tandem_error *reterr_error);

/* ---- figures ---- */

/* How long something took, each time. Percentiles are exact to about 3 %. */
struct tandem_durations {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t median_ns;
	uint64_t p99_ns;
	uint64_t max_ns;
};

/* Since tandem_start(). New members come at the end only. */
struct tandem_statistics {
	uint64_t generation;
	uint64_t epoch_committed; /* number of the last one */
	uint64_t epochs_committed_count;
	uint64_t epochs_aborted_count;
	uint64_t pushed_bytes;     /* page data */
	uint64_t zero_bytes;       /* of pages that held only zeros and cost no data */
	uint64_t copy_done_bytes;  /* of the last first synchronisation or resync ... */
	uint64_t copy_total_bytes; /* ... and how many it has; may grow while the program writes */
	uint64_t commit_age_ns;    /* since the last commit; 0: there was none */
	uint64_t held_age_ns;      /* of the oldest output that waits; 0: none does */
	uint64_t behind_age_ns;    /* of the oldest output that waits for a commit; 0: none does */
	struct tandem_durations pause;  /* the program was held by a checkpoint */
	struct tandem_durations scan;   /* written pages were looked for */
	struct tandem_durations push;   /* they were handed to the channels */
	struct tandem_durations commit; /* sealed to committed */
};

/* Reads the figures of this program. `statistics_bytes` is sizeof *ret_statistics: a library that
 * is newer than the program fills what the program knows, an older one leaves the rest zero. All
 * zero before tandem_start(). Any thread; never blocks. */
TANDEM_API void tandem_statistics_read(const struct tandem *tandem,
                                       struct tandem_statistics *ret_statistics,
                                       size_t statistics_bytes);

/* Leaves the pair without a word to the peer, ends the threads, frees. Returns NULL; NULL is
 * allowed. */
TANDEM_API struct tandem *tandem_close(struct tandem *tandem);

#ifdef __cplusplus
}
#endif

#endif
