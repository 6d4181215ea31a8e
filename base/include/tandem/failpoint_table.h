#ifndef TANDEM_FAILPOINT_TABLE_H
#define TANDEM_FAILPOINT_TABLE_H

/* X(name, what it obeys besides kill, stop and delay, where it is). The same names stand in
 * docs/testing.md and in the code: a test compares the three. */
#define TANDEM_FAILPOINT_TABLE(X)                                                                  \
	/* a protected program */                                                                  \
	X(connect, NOTHING, "before a session is asked for")                                       \
	X(hello, NOTHING, "HELLO is sent")                                                         \
	X(welcome, NOTHING, "WELCOME is read, nothing follows from it yet")                        \
	X(copy, NOTHING, "every page is to push, none is pushed")                                  \
	X(slice, NOTHING, "a piece is posted beside the running program")                          \
	X(sliced, NOTHING, "that piece is locally complete")                                       \
	X(run, NOTHING, "the program is held for its checkpoint")                                  \
	X(scan, NOTHING, "before the trackers are asked")                                          \
	X(tracker, ERROR, "before a tracker is asked; error: it fails")                            \
	X(rearm, SKIP, "the trackers have told their pages; skip: one is forgotten")               \
	X(scanned, NOTHING, "every tracker is armed again")                                        \
	X(stage, NOTHING, "before what is left is copied to staging memory")                       \
	X(drain, NOTHING, "a piece of what was staged is posted beside the running program")       \
	X(push, NOTHING, "a batch is posted on each channel")                                      \
	X(pushed, NOTHING, "everything is posted")                                                 \
	X(seal_blob, NOTHING, "the state blob is posted")                                          \
	X(seal_list, NOTHING, "a channel's list of runs is posted, its trailer is not")            \
	X(seal, NOTHING, "a channel's trailer is posted")                                          \
	X(sealed, NOTHING, "every trailer is posted")                                              \
	X(settle, SKIP, "before local completion is waited for; skip: it is not")                  \
	X(wait, NOTHING, "every write is locally complete")                                        \
	X(resume, NOTHING, "before the program may go on")                                         \
	X(committed, NOTHING, "COMMITTED is read, or APPLIED that says it, no more is done yet")   \
	X(apply, NOTHING, "APPLIED is read, nothing follows from it yet")                          \
	X(fence_asked, NOTHING, "FENCE of a channel is sent")                                      \
	X(fence_answered, NOTHING, "FENCED is read, nothing follows from it yet")                  \
	X(session_lost, NOTHING, "the session has ended, its maps are not merged")                 \
	X(reply, NOTHING, "before a reply that was released is sent (tandem-kv)")                  \
	/* a standby */                                                                            \
	X(standby_hello, NOTHING, "a good HELLO is read, the old session is not ended")            \
	X(standby_prepare, ERROR, "before memory and files are made; error: there is none")        \
	X(standby_room, ERROR, "before pages of the image get room; error: there is none")         \
	X(standby_prepared, NOTHING, "cache and image are exposed, WELCOME is not sent")           \
	X(standby_welcome, NOTHING, "WELCOME is sent")                                             \
	X(standby_seal, NOTHING, "a trailer has arrived and is not read")                          \
	X(standby_taken, NOTHING, "trailer, list and blob are copied and checked")                 \
	X(standby_commit, NOTHING, "the epoch is complete and not committed")                      \
	X(standby_committed, NOTHING, "it is committed, nothing is said of it")                    \
	X(standby_acknowledged, NOTHING, "COMMITTED is sent, or APPLIED that says it")             \
	X(standby_apply, SKIP, "before a piece is applied; skip: it is not")                       \
	X(standby_applied, NOTHING, "all is applied, APPLIED is not sent")                         \
	X(standby_told, NOTHING, "APPLIED is sent")                                                \
	X(standby_channels, NOTHING, "FENCE of channels is read, none is fenced")                  \
	X(standby_channels_fenced, NOTHING, "they are, what had arrived is not read")              \
	X(standby_drain, NOTHING, "the session is fenced and not drained")                         \
	X(standby_drained, NOTHING, "it is drained and applied, and not forgotten")                \
	X(standby_fence, NOTHING, "before a fence for a take-over")                                \
	X(standby_fenced, NOTHING, "after it, FENCED is not said")                                 \
	X(standby_state, ERROR, "before the state file is written; error: it cannot be")           \
	X(standby_activate, NOTHING, "before the program is started")                              \
	/* a controller */                                                                         \
	X(cas, NOTHING, "before the arbiter is asked to decide")                                   \
	X(cas_asked, NOTHING, "it is asked")                                                       \
	X(cas_won, NOTHING, "it has answered that this node won")                                  \
	X(fence, NOTHING, "before a standby is told to fence")                                     \
	X(fence_sent, NOTHING, "it is told")                                                       \
	X(fenced, NOTHING, "its answer is read")                                                   \
	X(activate, NOTHING, "before a standby is told to start the program")                      \
	X(activate_sent, NOTHING, "it is told")                                                    \
	X(copied, NOTHING, "a program has said that its copy is full")                             \
	X(lead, NOTHING, "before a program is told to lead")                                       \
	X(lead_sent, NOTHING, "it is told")                                                        \
	/* tandem-qemu */                                                                          \
	X(qemu_request, ERROR, "QEMU asks for a checkpoint, nothing is answered; error: cut")      \
	X(qemu_send, ERROR, "QEMU begins to send an epoch; error: cut")                            \
	X(qemu_page, ERROR, "a page of an epoch is read; error: cut")                              \
	X(qemu_size, ERROR, "the size of an epoch's device state is read; error: cut")             \
	X(qemu_state, ERROR, "a piece of an epoch's device state is read; error: cut")             \
	X(qemu_received, ERROR, "before RECEIVED is sent to QEMU; error: cut")                     \
	X(qemu_keep, ERROR, "RECEIVED is sent, the epoch is whole and not kept; error: cut")       \
	X(qemu_loaded, ERROR, "before LOADED is sent to QEMU; error: cut")

#endif
