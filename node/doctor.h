#ifndef TANDEM_NODE_DOCTOR_H
#define TANDEM_NODE_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/config.h>
#include <tandem/probe.h>
#include <tandem/survey.h>

/* Whether a pair can run from this node: facts are gathered (doctor_gather.c, doctor_probe.c), then
 * judged (doctor_judge.c, a function of the facts alone). */
#define TANDEM_DOCTOR_NODES_MAX 8 /* NUMA */

enum tandem_doctor_level {
	TANDEM_DOCTOR_OK,
	TANDEM_DOCTOR_NOTE,    /* worth knowing */
	TANDEM_DOCTOR_WARNING, /* it runs, but slower or less safely than it could */
	TANDEM_DOCTOR_UNKNOWN, /* it could not be looked at */
	TANDEM_DOCTOR_FAILURE, /* the pair cannot run like this */
};

/* A data address of this node and the peer's behind it. */
struct tandem_doctor_rail {
	char address[64];
	char peer_address[64];
	char netdev[32]; /* that has the address; "" for none */
	unsigned netdev_mtu;
	/* RDMA, where a device serves the address. */
	bool has_rdma;
	char rdma_reason[256]; /* why not */
	struct tandem_survey_choice choice;
	struct tandem_survey_port port; /* the chosen one */
	bool is_soft;
	int device_node; /* NUMA; -1: not told */
	/* The peer. */
	bool is_probed;
	int probe_code;
	char probe_text[256]; /* what the transport runs on, or why not */
	struct tandem_probe_result probe;
};

/* A process that pins memory. */
struct tandem_doctor_process {
	bool is_known;
	uint32_t process_id;
	uint64_t memory_lock_bytes; /* UINT64_MAX: unlimited */
	bool has_ipc_lock;          /* CAP_IPC_LOCK: no limit holds */
	uint64_t node_bytes[TANDEM_DOCTOR_NODES_MAX];
};

struct tandem_doctor_facts {
	char pair[TANDEM_NAME_BYTES];
	char node[TANDEM_NAME_BYTES];
	char peer[TANDEM_NAME_BYTES];
	char provider[16];
	unsigned channel_count;
	uint64_t poll_ns;
	uint16_t peer_port;
	bool has_key;
	bool is_insecure;
	int key_code; /* of reading the key file */
	char key_text[256];

	char kernel[128];
	unsigned processor_count;
	bool is_netns_known;
	bool is_init_netns;
	bool has_uverbs, has_rdma_ucm, has_rxe;
	bool has_survey;
	char survey_reason[256];
	struct tandem_survey survey;

	struct tandem_doctor_rail rails[TANDEM_RAILS_MAX];
	unsigned rail_count;

	bool has_controller;
	char controller_text[256]; /* its state, or why it does not answer */
	uint64_t region_bytes;     /* 0: the pair has not run here yet */
	struct tandem_doctor_process own;
	struct tandem_doctor_process plane; /* the data plane that is attached */

	uint64_t huge_page_bytes;
	uint64_t huge_page_count;
	uint64_t huge_page_free_count;
	char huge_shared[64]; /* transparent ones for tmpfs: "always within_size advise [never]" */
	unsigned numa_count;  /* 0: not told */
};

struct tandem_doctor_finding {
	enum tandem_doctor_level level;
	const char *topic; /* "memory lock" */
	char text[320];    /* the cause, or what is in order */
	char seen[128];    /* "" where there is nothing to mend */
	char needed[128];
	char fix[320];
};

#define TANDEM_DOCTOR_FINDINGS_MAX 64

struct tandem_doctor_report {
	struct tandem_doctor_finding findings[TANDEM_DOCTOR_FINDINGS_MAX];
	size_t count;
};

/* Pure. */
void tandem_doctor_judge(const struct tandem_doctor_facts *facts,
                         struct tandem_doctor_report *ret_report);
/* The worst of them; UNKNOWN counts less than FAILURE and more than WARNING. */
enum tandem_doctor_level tandem_doctor_verdict(const struct tandem_doctor_report *report);
const char *tandem_doctor_level_text(enum tandem_doctor_level level);

/* doctor_kernel.c, pure: one line about soft-RoCE of this kernel, from `index` 0 on; false after
 * the last. `release` is uname's. */
struct tandem_doctor_kernel_fault {
	enum tandem_doctor_level level;
	const char *text;
	const char *fix;
};
bool tandem_doctor_kernel_fault(const char *release, size_t index,
                                struct tandem_doctor_kernel_fault *ret_fault);

/* doctor_gather.c: what files, limits and devices of this machine say. */
void tandem_doctor_gather(const struct tandem_config *config, const struct tandem_config_node *node,
                          const struct tandem_config_pair *pair,
                          struct tandem_doctor_facts *ret_facts);
/* doctor_process.c: of /proc/PID, 0 for this process. */
void tandem_doctor_look_at(uint32_t process_id, struct tandem_doctor_process *ret_process);
/* doctor_probe.c: asks the peer on each rail; some seconds. */
void tandem_doctor_probe(const struct tandem_config_pair *pair, struct tandem_doctor_facts *facts);

#endif
