#ifndef TEST_FAILOVER_ETCD_BED_H
#define TEST_FAILOVER_ETCD_BED_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/types.h>

#include <tandem/controller.h>

#include "directory.h"
#include "shell/arbiter.h"

/* Real etcd servers on loopback with data of their own, and arbiters that ask them. */
#define ETCD_NODES_MAX 3

struct etcd_cluster {
	size_t count;
	pid_t processes[ETCD_NODES_MAX]; /* 0: ended */
	uint16_t ports[ETCD_NODES_MAX];
	char urls[ETCD_NODES_MAX][TANDEM_CONTROLLER_URL_BYTES];
};

struct etcd_client {
	struct tandem_arbiter *arbiter;
	char run_directory[DIRECTORY_BYTES];
	unsigned answer_count;
	uint64_t request_last;
	struct tandem_arbiter_answer last;
};

extern struct event_base *etcd_base;
extern char etcd_directory[DIRECTORY_BYTES];

/* For .init and .fini; the servers that were started are killed. */
void etcd_bed_begin(void);
void etcd_bed_end(void);

/* `extra` ends with NULL, or is NULL. `scheme`: "http" or "https". Returns when it answers. */
void etcd_start(struct etcd_cluster *cluster, size_t count, const char *scheme,
                const char *const *extra);
void etcd_kill(struct etcd_cluster *cluster, size_t node);
/* Returns when all its threads have stopped. */
void etcd_stop(const struct etcd_cluster *cluster, size_t node);
/* The one that leads now. */
size_t etcd_leader(const struct etcd_cluster *cluster);
uint64_t etcd_raft_index(const struct etcd_cluster *cluster, size_t node);
/* A request of the test's own, body as text; the answer's is the caller's. */
char *etcd_post(const char *url, const char *path, const char *body);
uint16_t etcd_free_port(void);

struct tandem_controller_pair etcd_pair(void);
void etcd_pair_add(struct tandem_controller_pair *pair, const char *url);
/* A node of its own, `name` is part of its run directory. */
void etcd_client_open(struct etcd_client *client, const char *name,
                      const struct tandem_controller_pair *pair);
void etcd_client_close(struct etcd_client *client);
/* Ask and wait for the answer. */
const struct tandem_arbiter_answer *etcd_read(struct etcd_client *client);
const struct tandem_arbiter_answer *etcd_cas(struct etcd_client *client,
                                             const struct tandem_record *expected,
                                             const struct tandem_record *desired);
/* Only ask, only wait until it has `count` answers in all. */
void etcd_ask_cas(struct etcd_client *client, const struct tandem_record *expected,
                  const struct tandem_record *desired);
void etcd_wait(struct etcd_client *client, unsigned count);
/* Runs the loop until then or 20 s are over. */
void etcd_wait_until(bool (*holds)(void *context), void *context, const char *what);

struct tandem_record etcd_record(uint64_t generation, uint64_t decision);

#endif
