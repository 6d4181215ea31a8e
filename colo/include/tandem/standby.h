#ifndef TANDEM_STANDBY_H
#define TANDEM_STANDBY_H

/* The secondary's data plane of one pair: cache, image, and the thread that serves the primary's
 * session. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/transport.h>

struct tandem_standby;

/* What a promoted program needs to know; valid during the call only. */
struct tandem_activation {
	const char *pair;
	uint64_t generation;
	uint64_t epoch;
	uint64_t incarnation; /* the one the take-over named: the program must attach with it */
	const char *image_directory;
	const char *state_file;
};

struct tandem_standby_options {
	const char *pair;
	const char *run_directory;   /* of the local controller */
	const char *image_directory; /* images are IMAGE_DIRECTORY/PAIR/REGION */
	bool keeps_images; /* of a copy, for the next life, which copies only what differs */
	/* Starts the promoted program; on the standby's thread. 0 or an error. */
	int (*activate)(void *argument, const struct tandem_activation *activation,
	                struct tandem_error *reterr_error);
	/* Starts the program that protects what runs on this node already; on the link's thread. */
	int (*protect)(void *argument, struct tandem_error *reterr_error);
	/* Whether this node has what the copy needs to go on [C35]; on the standby's threads, which
	 * it does not block. TANDEM_E_UNSUPPORTED: it has not; TANDEM_E_AGAIN: that is not known
	 * yet. NULL: it has. */
	int (*judge)(void *argument, const char *needs, char *ret_reason, size_t reason_bytes);
	/* The first epoch of a copy was committed: its files are in `image_directory`, and change
	 * as long as it is one. `state` is the epoch's blob. NULL: nobody wants to know. */
	void (*take_copy)(void *argument, const char *image_directory, const void *state,
	                  size_t state_bytes);
	/* The files of that copy are about to be given up. On the standby's thread, both. */
	void (*drop_copy)(void *argument);
	/* Something an operator should know; a complete line. On the standby's threads. */
	void (*say)(void *argument, bool is_error, const char *line);
	void *argument;
};

/* Attaches to the controller and starts. Copies the options. Errors: as of the controller's socket,
 * TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_standby_new(const struct tandem_standby_options *options,
                                         struct tandem_standby **ret_standby,
                                         struct tandem_error *reterr_error);

/* The pair that a session's first message names, or NULL when the message is no HELLO. `text` has
 * room for 32 bytes. */
const char *tandem_standby_hello_pair(const void *message, size_t message_bytes, char *text);

/* Takes a session whose first message is `hello`; the standby answers, refuses or ends it. Any
 * thread. */
void tandem_standby_offer(struct tandem_standby *standby, struct tandem_session *session,
                          const void *hello, size_t hello_bytes);

/* Tells a session that belongs to nobody here why it is refused. Its owner ends it when the peer
 * has left, or after a moment that lets the reason arrive. */
void tandem_standby_tell_stranger(struct tandem_session *session, const char *reason);
/* The same for who may wait that moment, 50 ms; ends the session. */
void tandem_standby_refuse(struct tandem_session *session, const char *reason);

/* The program that was activated has ended: the memory it ran on is no copy any more. The standby
 * attaches again under a new incarnation and holds nothing. Any thread. */
void tandem_standby_renew(struct tandem_standby *standby);

/* Whether the primary speaks to it. Any thread. */
bool tandem_standby_has_session(const struct tandem_standby *standby);

/* What this node has is something else now, or known again: the session that is up is judged again,
 * or the take-over that waits for it. Any thread. */
void tandem_standby_review(struct tandem_standby *standby);

/* Ends the threads and unmaps. Images stay for a program that runs on them, or with keeps_images;
 * others are unlinked. NULL is allowed. */
struct tandem_standby *tandem_standby_free(struct tandem_standby *standby);

#endif
