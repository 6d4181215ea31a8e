#ifndef TANDEM_FAILOVER_SERVICE_H
#define TANDEM_FAILOVER_SERVICE_H

#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <tandem/controller.h>
#include <tandem/rate.h>

#include "core/heartbeat.h"
#include "core/machine.h"
#include "shell/arbiter.h"
#include "shell/history.h"

/* The parts of the service of one node. One loop thread owns all of it; heartbeats run on the loop
 * too, on purpose: a controller whose loop hangs is not alive and must not say so. */

#define TANDEM_WATCHES_MAX     8 /* processes of one pair whose end is awaited */
#define TANDEM_CONNECTIONS_MAX (4 * TANDEM_CONTROLLER_PAIRS_MAX)
#define TANDEM_ADMINS_MAX      16

/* A heartbeat socket; pairs with the same local address and port share it. */
struct tandem_link_socket {
	struct tandem_controller *controller;
	int fd;
	struct event *event;
	char address[64];
	uint16_t port;
};

struct tandem_link_path {
	struct tandem_link_socket *socket;
	struct sockaddr_storage peer;
	socklen_t peer_length;
};

/* The end of a process is noticed by its pidfd, also after its connection closed. */
struct tandem_watch {
	struct tandem_pair *pair; /* NULL: free */
	enum tandem_control_kind kind;
	uint64_t incarnation;
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
	struct tandem_heartbeat_filter filter;
	struct tandem_link_path paths[TANDEM_CONTROLLER_LINKS_MAX];
	struct tandem_watch watches[TANDEM_WATCHES_MAX];
	struct event *timer;
	uint64_t beat_next_ns;
	uint64_t beat_sequence;
	uint64_t refused_count; /* heartbeats */
	char arbiter_detail[200];
	char plane_detail[200]; /* what a data plane gave as its reason, for the note of the step */
	bool was_refused;       /* the last event's connection */
	int reply_status;
	const char *reply_text;
	struct tandem_rate session_lines;
};

struct tandem_controller {
	struct event_base *base;
	struct tandem_controller_options options;
	uint64_t instance;
	uint64_t connection_last;
	int lock_fd;
	struct tandem_pair *pairs;
	size_t pair_count;
	struct tandem_link_socket *links;
	size_t link_count;
	struct tandem_connection connections[TANDEM_CONNECTIONS_MAX];
	struct evconnlistener *plane_listener;
	struct evconnlistener *admin_listener;
	size_t admin_count;
	struct tandem_admin *admins; /* a list */
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

/* links.c */
TANDEM_MUST_CHECK int tandem_links_open(struct tandem_controller *controller,
                                        struct tandem_error *reterr_error);
void tandem_links_close(struct tandem_controller *controller);
void tandem_links_beat(struct tandem_pair *pair);

/* planes.c: data planes. */
TANDEM_MUST_CHECK int tandem_planes_open(struct tandem_controller *controller,
                                         struct tandem_error *reterr_error);
void tandem_planes_close(struct tandem_controller *controller);
void tandem_planes_send(struct tandem_pair *pair, uint64_t connection,
                        const struct tandem_control_message *message);
void tandem_planes_drop(struct tandem_controller *controller, uint64_t connection);

/* watch.c: process ends. */
void tandem_watch_add(struct tandem_pair *pair, enum tandem_control_kind kind, uint64_t incarnation,
                      int pidfd);
void tandem_watch_close(struct tandem_pair *pair);

/* admin.c: the operator's socket. */
TANDEM_MUST_CHECK int tandem_admin_open(struct tandem_controller *controller,
                                        struct tandem_error *reterr_error);
void tandem_admin_close(struct tandem_controller *controller);

/* unix_socket.c: a bound and listening local socket, mode 0600, in the run directory. */
TANDEM_MUST_CHECK int tandem_unix_listen(struct tandem_controller *controller, const char *name,
                                         int type, int *ret_fd, struct tandem_error *reterr_error);

/* One line to the program's log, at most one each second. */
void tandem_service_complain(struct tandem_controller *controller, const char *line);

#endif
