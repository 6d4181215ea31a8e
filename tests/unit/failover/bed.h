#ifndef TEST_FAILOVER_BED_H
#define TEST_FAILOVER_BED_H

#include <event2/event.h>
#include <json-c/json.h>
#include <stdbool.h>

#include <tandem/controller.h>

#include "directory.h"

/* Two real controllers on one loop, with real sockets and a register in a directory; the data
 * planes are played by the test. */
#define BED_MESSAGES_MAX 64

struct bed_plane {
	int fd; /* -1: not connected */
	struct tandem_control_message attach;
	struct tandem_control_message report; /* sent again and again */
	size_t count;
	struct tandem_control_message got[BED_MESSAGES_MAX];
	bool is_closed; /* by the controller */
};

struct bed {
	char directory[DIRECTORY_BYTES];
	struct event_base *base;
	struct event *beat; /* reports of the planes, and the end of a wait */
	struct tandem_controller_pair pairs[2];
	struct tandem_controller_options options[2];
	struct tandem_controller *controllers[2];
	struct bed_plane planes[4];
	unsigned complaint_count;
	char complaint[800];   /* the last alarm or complaint */
	char complaints[8192]; /* all of them, a line each, as far as there is room */
};

extern struct bed bed;

/* For .init and .fini: both controllers run. */
void bed_begin(void);
void bed_end(void);
void bed_end_controller(unsigned node);
int bed_start_controller(unsigned node, struct tandem_error *reterr_error);

/* Attaches and goes on reporting. */
struct bed_plane *bed_attach(unsigned node, enum tandem_control_kind kind, uint64_t incarnation);
void bed_say(struct bed_plane *plane, struct tandem_control_message message);
void bed_hang_up(struct bed_plane *plane);
/* Runs the loop until the plane got a message of that type; the newest. */
const struct tandem_control_message *bed_wait(struct bed_plane *plane,
                                              enum tandem_control_type type);
/* Runs the loop until the node's controller says that state. */
void bed_wait_state(unsigned node, const char *state);
void bed_wait_until(bool (*holds)(void), const char *what);
/* One line to the operator's socket of a node and its answer, owned by the caller. */
struct json_object *bed_ask(unsigned node, const char *line);
int bed_connect(unsigned node, const char *name, int type);

#endif
