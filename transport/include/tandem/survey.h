#ifndef TANDEM_SURVEY_H
#define TANDEM_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/error.h>

/* What RDMA this machine has, as plain facts for people. No session is needed; nothing is changed.
 * Any thread; blocks for as long as the devices take to answer. */
#define TANDEM_SURVEY_DEVICES_MAX 8
#define TANDEM_SURVEY_PORTS_MAX   4
#define TANDEM_SURVEY_GIDS_MAX    32

struct tandem_survey_gid {
	unsigned index;
	uint8_t raw[16];
	char type[16]; /* "RoCE v2", "RoCE v1", "InfiniBand" */
	char text[64]; /* "10.0.0.1" where it maps an IPv4 address, else as IPv6 */
	/* The network device behind it; "" where there is none, or none that this network namespace
	 * sees. */
	char netdev[32];
};

struct tandem_survey_port {
	unsigned number;
	bool is_active;
	char state[32];      /* "PORT_ACTIVE" */
	char link_layer[16]; /* "Ethernet", "InfiniBand" */
	unsigned active_mtu; /* path MTU in bytes */
	unsigned max_mtu;
	unsigned gid_count; /* of those below */
	struct tandem_survey_gid gids[TANDEM_SURVEY_GIDS_MAX];
};

struct tandem_survey_device {
	char name[64];
	bool is_soft; /* soft-RoCE */
	unsigned port_count;
	struct tandem_survey_port ports[TANDEM_SURVEY_PORTS_MAX];
};

struct tandem_survey {
	unsigned device_count;
	struct tandem_survey_device devices[TANDEM_SURVEY_DEVICES_MAX];
};

/* Errors: TANDEM_E_DEVICE: this kernel or machine has no RDMA at all, with the fix; a device that
 * does not answer is left out. */
TANDEM_MUST_CHECK int tandem_survey_run(struct tandem_survey *ret_survey,
                                        struct tandem_error *reterr_error);

/* Which device, port and GID a session of the local `address` would use. */
struct tandem_survey_choice {
	char device[64];
	unsigned port;
	int gid_index; /* -1: the port does not list it */
	struct tandem_survey_gid gid;
};

/* Errors: TANDEM_E_DEVICE: none serves the address, or its port is not active; TANDEM_E_CONFIG: no
 * address. */
TANDEM_MUST_CHECK int tandem_survey_choose(const struct tandem_survey *survey, const char *address,
                                           struct tandem_survey_choice *ret_choice,
                                           struct tandem_error *reterr_error);

#endif
