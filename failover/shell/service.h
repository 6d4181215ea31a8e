#ifndef TANDEM_FAILOVER_SERVICE_H
#define TANDEM_FAILOVER_SERVICE_H

#include <event2/event.h>
#include <sys/types.h>

#include <tandem/controller.h>
#include <tandem/histogram.h>
#include <tandem/rate.h>

#include "core/heartbeat.h"
#include "core/machine.h"
#include "shell/arbiter.h"
#include "shell/history.h"
#include "shell/watchdog.h"
#include "shell/vigil.h"
#include "shell/hooks.h"
#include "shell/tally.h"

/* The parts of the service of one node. One loop thread owns all of it but the heartbeat sockets,
 * which the detector's thread has (pulse.h): the loop tells it what to say. */

#define TANDEM_WATCHES_MAX     8 /* processes of one pair whose end is awaited */
#define TANDEM_CONNECTIONS_MAX (4 * TANDEM_CONTROLLER_PAIRS_MAX)
#define TANDEM_ADMINS_MAX      16

/* The end of a process is noticed by its pidfd, also after its connection closed. */
struct tandem_watch {
	struct tandem_pair *pair; /* NULL: free */
	enum tandem_control_kind kind;
	uint64_t incarnation;
	uint32_t process_id;
	int pidfd;
	struct event *event;
};

/* One data plane's connection. */
struct tandem_connection {
	struct tandem_controller *controller;
	struct tandem_pair *pair; /* NULL until it attached */
	uint64_t id;
	uint32_t process_id; /* as the kernel says */
	int fd;              /* -1: free */
	struct event *event;
	struct event *deadline; /* to attach */
};

struct tandem_pair {
	struct tandem_controller *controller;
	struct tandem_machine machine;
	struct tandem_arbiter *arbiter;
	struct tandem_watch watches[TANDEM_WATCHES_MAX];
	struct event *timer;
	uint64_t timer_due_ns;
	uint64_t refused_told_count; /* heartbeats that were refused, as last complained about */
	char arbiter_detail[200];
	char session_detail[200]; /* why the program has no session, "": it has, or there is none */
	char fit_detail[200];     /* why it is not known that this node could go on, "": it could */
	char plane_detail[200]; /* what a data plane gave as its reason, for the note of the step */
	bool was_refused;       /* the last event's connection */
	int reply_status;
	const char *reply_text;
	struct tandem_rate session_lines;
	struct tandem_hooks hooks;
	struct tandem_tally tally;
};

struct tandem_controller {
	struct event_base *base;
	struct tandem_controller_options options;
	uint64_t instance;
	uint64_t connection_last;
	int lock_fd;
	struct tandem_pair *pairs;
	size_t pair_count;
	struct tandem_watchdog *watchdog; /* NULL: none is configured */
	struct tandem_pulse *pulse;
	struct tandem_vigil *vigil;
	struct event *news; /* of the pulse */
	char real_time_refusal[TANDEM_CONTROLLER_REFUSAL_BYTES];
	uint64_t stray_told_count;
	struct tandem_histogram late_ns; /* of the loop, with timers and with what was heard */
	struct tandem_connection connections[TANDEM_CONNECTIONS_MAX];
	struct evconnlistener *plane_listener;
	struct evconnlistener *admin_listener;
	size_t admin_count;
	struct tandem_admin *admins; /* a list */
	struct evhttp *metrics;      /* NULL: not asked for */
	struct evconnlistener *metrics_listener;
	struct event *metrics_pause;
	struct tandem_history history;
	struct tandem_actions actions; /* of the step that runs */
	uint64_t complained_ns; /* about bytes from outside; not more often than each second */
};

/* pair.c: the shell of one machine. The destructor takes half-built pairs. */
TANDEM_MUST_CHECK int tandem_pair_open(struct tandem_pair *pair,
                                       struct tandem_controller *controller,
                                       const struct tandem_controller_pair *options,
                                       struct tandem_error *reterr_error);
void tandem_pair_close(struct tandem_pair *pair);
/* Fills in the time, steps the machine, carries out what it says. */
void tandem_pair_feed(struct tandem_pair *pair, struct tandem_event *event);
struct tandem_pair *tandem_pair_find(struct tandem_controller *controller, const char *name);

/* Steps the machine for what its peer said meanwhile. */
void tandem_pair_listen(struct tandem_pair *pair);

/* alarm.c: what an alarm is about in this pair, "" when its text says all. */
void tandem_pair_spell_alarm(const struct tandem_pair *pair, enum tandem_alarm alarm,
                             char *ret_detail, size_t size);

/* links.c: heartbeats, which the pulse sends and receives. */
struct tandem_links_events {
	uint64_t since_ns; /* when the first of them came */
	uint64_t deaf_ns;  /* for how long at most nobody listened */
	size_t count;
	struct tandem_event list[TANDEM_CONTROLLER_LINKS_MAX];
};

TANDEM_MUST_CHECK int tandem_links_open(struct tandem_controller *controller,
                                        const struct tandem_controller_options *options,
                                        struct tandem_error *reterr_error);
void tandem_links_close(struct tandem_controller *controller);
/* What was heard since the last call. */
void tandem_links_take(struct tandem_pair *pair, struct tandem_links_events *ret_events);
/* What heartbeats say from now on; is_urgent: and at once. */
void tandem_links_publish(struct tandem_pair *pair, bool is_urgent);
/* Tells the operator of heartbeats that were refused. */
void tandem_links_complain(struct tandem_pair *pair);
uint64_t tandem_links_refused_count(const struct tandem_pair *pair);
/* Nanoseconds between the heartbeats that arrived on a link of the pair. */
void tandem_links_gaps(const struct tandem_pair *pair, size_t link,
                       struct tandem_histogram *ret_gaps_ns);

/* planes.c: data planes. */
TANDEM_MUST_CHECK int tandem_planes_open(struct tandem_controller *controller,
                                         struct tandem_error *reterr_error);
void tandem_planes_close(struct tandem_controller *controller);
void tandem_planes_send(struct tandem_pair *pair, uint64_t connection,
                        const struct tandem_control_message *message);
void tandem_planes_drop(struct tandem_controller *controller, uint64_t connection);

/* watch.c: process ends. */
/* A process that attaches under another incarnation has left its last one. Takes the pidfd. */
void tandem_watch_add(struct tandem_pair *pair, enum tandem_control_kind kind, uint64_t incarnation,
                      uint32_t process_id, int pidfd);
void tandem_watch_close(struct tandem_pair *pair);
/* Programs whose end is noticed before their processes are gone. */
TANDEM_MUST_CHECK int tandem_watch_open_vigil(struct tandem_controller *controller,
                                              struct tandem_error *reterr_error);
/* The pair's program is ready: its stats page is there. */
void tandem_watch_ready(struct tandem_pair *pair, uint64_t incarnation);

/* admin.c: the operator's socket. */
TANDEM_MUST_CHECK int tandem_admin_open(struct tandem_controller *controller,
                                        struct tandem_error *reterr_error);
void tandem_admin_close(struct tandem_controller *controller);

/* run_socket.c: a listening local socket of this name in the run directory. */
TANDEM_MUST_CHECK int tandem_run_socket_listen(struct tandem_controller *controller,
                                               const char *name, int type, int *ret_fd,
                                               struct tandem_error *reterr_error);

/* One line to the program's log, at most one each second. */
void tandem_service_complain(struct tandem_controller *controller, const char *line);

#endif
