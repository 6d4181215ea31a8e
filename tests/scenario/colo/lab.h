#ifndef TANDEM_TEST_LAB_H
#define TANDEM_TEST_LAB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/standby.h>
#include <tandem/stats_page.h>
#include <tandem/tandem.h>
#include <tandem/transport.h>

#include "controller.h"

#define LAB_PAIR        "story"
#define LAB_STATE_BYTES 4096u
#define LAB_PAGE        4096u

/* A whole pair in one process: the library on one side, the standby on the other, tcp on loopback
 * between them, and a controller that the test plays on each side. */
struct lab {
	char directory[64];
	char run_primary[96], run_standby[96], images[96];
	struct tandem_control_settings settings;
	struct controller *primary_control, *standby_control;

	struct tandem_transport *transport;
	struct tandem_listener *listener;
	pthread_t greeter;
	int greeter_wake;
	_Atomic bool is_ending;
	pthread_mutex_t lock; /* standby, activation, last_line */
	struct tandem_standby *standby;
	bool is_activated;
	unsigned activation_count;
	struct tandem_activation activation;
	char activation_state_file[192];
	char last_error_line[512];
	_Atomic unsigned error_line_count;
	const char *needs; /* of the program, before it is started; NULL: nothing */
	/* Of a copy, to who would take over with it: told of, and of its end. */
	_Atomic unsigned taken_count, dropped_count;
	_Atomic int misfit; /* what the standby's node has: 0 that, or the judge's error */

	struct tandem *program;
	uint64_t generation; /* of the last LEAD */
	uint8_t *regions[2]; /* "heap": shared memory; "notes": anonymous */
	size_t region_bytes[2];
	size_t mapped_bytes[2];
	const struct tandem_stats *stats;
};

struct lab *lab_new(const char *tracker, size_t heap_pages, size_t notes_pages);
struct lab *lab_free(struct lab *lab);

/* The last error that the standby has told has this text, or will have it in time. */
bool lab_wait_line(struct lab *lab, const char *text);
/* ACTIVATE or the like, of generation 3, to the standby. */
void lab_order(struct lab *lab, enum tandem_control_type type, uint64_t epoch);
/* The standby has started its program, or does in time. */
bool lab_wait_activated(struct lab *lab);

/* Each returns false when something did not come about in time. */
bool lab_start_program(struct lab *lab); /* led SOLO in the next generation, at first in 1 */
void lab_close_program(struct lab *lab);
bool lab_start_standby(struct lab *lab);
void lab_kill_standby(struct lab *lab);
/* From SOLO: stand-by, session, copy, COPIED. The gate is held then. */
bool lab_copy(struct lab *lab);
/* PAIR in the next generation, told to both sides. */
bool lab_pair(struct lab *lab);
/* A pair from nothing. */
bool lab_protect(struct lab *lab);

/* A checkpoint with `state` whose ticket is waited for. */
bool lab_commit(struct lab *lab, const char *state);
void lab_scribble(struct lab *lab, uint64_t seed, unsigned stores);
/* The image files hold what the regions hold; waits for an apply under way. */
bool lab_images_equal(struct lab *lab);
bool lab_wait_news(struct lab *lab, bool (*is_good)(const struct tandem_news *news, uint64_t value),
                   uint64_t value);
/* The state file of the activation holds exactly this text. */
bool lab_state_is(struct lab *lab, const char *text);

/* ---- a stranger: a session of our own making to the standby's door ---- */
struct tandem_wire_message;
struct tandem_session *stranger_connect(struct lab *lab, unsigned channel_count);
struct tandem_wire_message *stranger_hello(struct lab *lab, struct tandem_wire_message *message);
bool stranger_say(struct tandem_session *session, const struct tandem_wire_message *message);
/* The next message, or false when the session was lost first. */
bool stranger_hear(struct tandem_session *session, struct tandem_wire_message *ret_message);
bool stranger_is_lost(struct tandem_session *session);

#endif
