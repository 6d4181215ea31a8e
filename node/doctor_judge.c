#include "doctor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/quantity.h>

#define PATH_MTU_WANTED 4096
#define SOFT_MTU_NEEDED 4176 /* soft-RoCE adds 80 bytes of headers */
#define HARD_MTU_NEEDED 4200 /* the same with a VLAN's tag, rounded up */
#define PROCESSORS_MIN  3    /* below, a polling thread keeps soft-RoCE's own from running */

typedef struct tandem_doctor_finding finding;

/* One more finding; the last place is kept when there are too many, which is our own mistake. */
static finding *add(struct tandem_doctor_report *report, enum tandem_doctor_level level,
                    const char *topic, const char *format, ...) TANDEM_PRINTF(4, 5);
static finding *add(struct tandem_doctor_report *report, enum tandem_doctor_level level,
                    const char *topic, const char *format, ...)
{
	size_t index = report->count < TANDEM_DOCTOR_FINDINGS_MAX ? report->count++
	                                                          : TANDEM_DOCTOR_FINDINGS_MAX - 1;
	finding *one = &report->findings[index];
	va_list arguments;
	*one = (finding){.level = level, .topic = topic};
	va_start(arguments, format);
	vsnprintf(one->text, sizeof(one->text), format, arguments);
	va_end(arguments);
	return one;
}

#define SAY(field, ...) snprintf(field, sizeof(field), __VA_ARGS__)

static bool is_provider(const struct tandem_doctor_facts *facts, const char *name)
{
	return strcmp(facts->provider, name) == 0;
}

/* What the lack of RDMA means. */
static enum tandem_doctor_level lack(const struct tandem_doctor_facts *facts)
{
	return is_provider(facts, "rdma") ? TANDEM_DOCTOR_FAILURE : TANDEM_DOCTOR_NOTE;
}

static bool uses_rdma(const struct tandem_doctor_facts *facts)
{
	/* The session is opened by the first address. */
	return !is_provider(facts, "tcp") && facts->rails[0].has_rdma;
}

static bool uses_soft(const struct tandem_doctor_facts *facts)
{
	for (unsigned i = 0; i < facts->rail_count; i++) {
		if (facts->rails[i].has_rdma && facts->rails[i].is_soft)
			return true;
	}
	return false;
}

/* ---- configuration ---- */

static void judge_provider(const struct tandem_doctor_facts *facts,
                           struct tandem_doctor_report *report)
{
	if (is_provider(facts, "tcp"))
		add(report, TANDEM_DOCTOR_OK, "provider",
		    "tcp, as configured: no RDMA is needed, nothing of it is looked at");
	else if (uses_rdma(facts))
		add(report, TANDEM_DOCTOR_OK, "provider", "rdma (configured: %s)", facts->provider);
	else if (is_provider(facts, "auto"))
		add(report, TANDEM_DOCTOR_OK, "provider",
		    "tcp (configured: auto): no RDMA device serves %s", facts->rails[0].address);
}

static void judge_key(const struct tandem_doctor_facts *facts, struct tandem_doctor_report *report)
{
	if (facts->key_code != 0)
		add(report, TANDEM_DOCTOR_FAILURE, "key", "%s", facts->key_text);
	else if (facts->has_key)
		add(report, TANDEM_DOCTOR_OK, "key",
		    "sessions and heartbeats are proven with the pair's key");
	else if (facts->is_insecure)
		SAY(add(report, TANDEM_DOCTOR_WARNING, "key",
		        "the pair is insecure: whoever reaches its addresses can pose as a node")
		            ->fix,
		    "tandemctl keygen /etc/tandem/%s.key, copy it to the other node, and key_file "
		    "instead of insecure",
		    facts->pair);
	else
		add(report, TANDEM_DOCTOR_NOTE, "key",
		    "no key; the pair's addresses are loopback, so only this machine could pose as "
		    "a node");
}

static void judge_controller(const struct tandem_doctor_facts *facts,
                             struct tandem_doctor_report *report)
{
	if (facts->has_controller) {
		add(report, TANDEM_DOCTOR_OK, "controller", "tandem-failoverd answers: %s",
		    facts->controller_text);
		return;
	}
	finding *one = add(report, TANDEM_DOCTOR_NOTE, "controller", "%s", facts->controller_text);
	SAY(one->fix, "systemctl start tandem-failoverd tandemd, when this is to be their time");
}

/* ---- RDMA of this machine ---- */

static void judge_module(const struct tandem_doctor_facts *facts,
                         struct tandem_doctor_report *report, bool is_loaded, const char *name,
                         const char *purpose)
{
	if (is_loaded) {
		add(report, TANDEM_DOCTOR_OK, "module", "%s is there", name);
		return;
	}
	finding *one = add(report, lack(facts), "module", "%s is not loaded: %s", name, purpose);
	SAY(one->seen, "no /sys/module/%s", name);
	SAY(one->needed, "%s", name);
	SAY(one->fix, "modprobe %s (and %s in /etc/modules-load.d/tandem.conf)", name, name);
}

static void judge_modules(const struct tandem_doctor_facts *facts,
                          struct tandem_doctor_report *report)
{
	judge_module(facts, report, facts->has_uverbs, "ib_uverbs",
	             "programs cannot reach RDMA devices");
	judge_module(facts, report, facts->has_rdma_ucm, "rdma_ucm",
	             "programs cannot set RDMA connections up");
	if (facts->has_rxe)
		add(report, TANDEM_DOCTOR_OK, "module", "rdma_rxe (soft-RoCE) is there");
}

static void judge_port(const struct tandem_survey_device *device,
                       const struct tandem_survey_port *port, struct tandem_doctor_report *report)
{
	finding *one =
	        add(report, port->is_active ? TANDEM_DOCTOR_OK : TANDEM_DOCTOR_NOTE, "device",
	            "%s port %u: %s, %s, path MTU %u of %u, %u GIDs%s", device->name, port->number,
	            port->state, port->link_layer, port->active_mtu, port->max_mtu, port->gid_count,
	            device->is_soft ? ", soft-RoCE" : "");
	if (!port->is_active)
		SAY(one->fix, "set its network device up (ip link set DEV up), check the cable");
}

static void judge_devices(const struct tandem_doctor_facts *facts,
                          struct tandem_doctor_report *report)
{
	if (!facts->has_survey) {
		add(report, lack(facts), "device", "%s", facts->survey_reason);
		return;
	}
	for (unsigned i = 0; i < facts->survey.device_count; i++) {
		const struct tandem_survey_device *device = &facts->survey.devices[i];
		for (unsigned j = 0; j < device->port_count; j++)
			judge_port(device, &device->ports[j], report);
	}
	if (facts->survey.device_count > 0)
		return;
	finding *one = add(report, lack(facts), "device", "this machine has no RDMA device");
	SAY(one->fix, "for soft-RoCE: modprobe rdma_rxe && rdma link add rxe0 type rxe netdev DEV, "
	              "DEV having the node's address");
}

static void judge_kernel(const struct tandem_doctor_facts *facts,
                         struct tandem_doctor_report *report)
{
	struct tandem_doctor_kernel_fault fault;
	add(report, TANDEM_DOCTOR_OK, "kernel", "Linux %s", facts->kernel);
	if (!uses_soft(facts))
		return;
	for (size_t i = 0; tandem_doctor_kernel_fault(facts->kernel, i, &fault); i++)
		SAY(add(report, fault.level, "kernel", "%s", fault.text)->fix, "%s", fault.fix);
	if (facts->is_netns_known && !facts->is_init_netns)
		SAY(add(report, TANDEM_DOCTOR_FAILURE, "kernel",
		        "this is a network namespace of its own: soft-RoCE lists its GIDs in it, "
		        "but no packet passes")
		            ->fix,
		    "run in the host's network namespace (docker: --network host)");
	if (facts->processor_count >= PROCESSORS_MIN || facts->poll_ns == 0)
		return;
	finding *one = add(report, TANDEM_DOCTOR_WARNING, "kernel",
	                   "soft-RoCE works on the processors that polling threads keep busy");
	SAY(one->seen, "%u processors", facts->processor_count);
	SAY(one->needed, "%d processors, or no polling", PROCESSORS_MIN);
	SAY(one->fix, "poll_us = 0 in the pair");
}

/* ---- a rail ---- */

static void judge_address(const struct tandem_doctor_rail *rail,
                          struct tandem_doctor_report *report)
{
	if (rail->netdev[0] != '\0') {
		add(report, TANDEM_DOCTOR_OK, "address", "%s is on %s, MTU %u", rail->address,
		    rail->netdev, rail->netdev_mtu);
		return;
	}
	finding *one = add(report, TANDEM_DOCTOR_FAILURE, "address",
	                   "no network device here has the address %s", rail->address);
	SAY(one->fix,
	    "ip address add %s dev DEV, or another address in the file; in a container: "
	    "the host's network",
	    rail->address);
}

static void judge_gid(const struct tandem_doctor_facts *facts,
                      const struct tandem_doctor_rail *rail, struct tandem_doctor_report *report)
{
	const struct tandem_survey_choice *choice = &rail->choice;
	if (!facts->has_survey)
		return; /* told with the devices */
	if (!rail->has_rdma) {
		add(report, lack(facts), "GID", "%s", rail->rdma_reason);
		return;
	}
	if (choice->gid_index < 0) {
		SAY(add(report, TANDEM_DOCTOR_FAILURE, "GID",
		        "%s port %u does not list the GID of %s any more", choice->device,
		        choice->port, rail->address)
		            ->fix,
		    "set the address again, or make the RDMA device anew (rdma link)");
		return;
	}
	add(report, TANDEM_DOCTOR_OK, "GID",
	    "%s uses %s port %u, GID %d (%s, %s): it is that address's", rail->address,
	    choice->device, choice->port, choice->gid_index, choice->gid.type, choice->gid.text);
	if (strcmp(choice->gid.type, "RoCE v1") == 0)
		SAY(add(report, TANDEM_DOCTOR_WARNING, "GID",
		        "RoCE v1 does not pass routers, and has no priority by IP")
		            ->fix,
		    "cma_roce_mode -d %s -p %u -m 2", choice->device, choice->port);
	if (strcmp(rail->port.link_layer, "Ethernet") == 0 && choice->gid.netdev[0] == '\0')
		SAY(add(report, TANDEM_DOCTOR_WARNING, "GID",
		        "the network device of the GID is not in this network namespace")
		            ->fix,
		    "run in the host's network namespace (docker: --network host)");
}

static void judge_mtu(const struct tandem_doctor_rail *rail, struct tandem_doctor_report *report)
{
	unsigned needed = rail->is_soft ? SOFT_MTU_NEEDED : HARD_MTU_NEEDED;
	unsigned wanted =
	        rail->port.max_mtu < PATH_MTU_WANTED ? rail->port.max_mtu : PATH_MTU_WANTED;
	if (!rail->has_rdma || rail->port.active_mtu >= wanted)
		return;
	finding *one = add(report, TANDEM_DOCTOR_WARNING, "MTU",
	                   "pages of 4096 bytes travel in pieces: the path MTU of %s port %u is %u",
	                   rail->choice.device, rail->choice.port, rail->port.active_mtu);
	SAY(one->seen, "MTU %u of %s", rail->netdev_mtu, rail->netdev);
	SAY(one->needed, "%u", needed);
	SAY(one->fix, "ip link set %s mtu %u, on both nodes and on the switches between",
	    rail->netdev, needed);
}

/* The node that holds most of the data plane's memory; -1 where that is not known. */
static int memory_node(const struct tandem_doctor_process *plane)
{
	int node = -1;
	uint64_t most = 0;
	for (int i = 0; plane->is_known && i < TANDEM_DOCTOR_NODES_MAX; i++) {
		if (plane->node_bytes[i] > most) {
			most = plane->node_bytes[i];
			node = i;
		}
	}
	return node;
}

static void judge_numa(const struct tandem_doctor_facts *facts,
                       const struct tandem_doctor_rail *rail, struct tandem_doctor_report *report)
{
	int node = memory_node(&facts->plane);
	if (facts->numa_count <= 1 || !rail->has_rdma)
		return;
	if (rail->device_node < 0 || node < 0) {
		add(report, TANDEM_DOCTOR_NOTE, "NUMA",
		    "%u nodes; that of %s: %s; that of the pair's memory: %s", facts->numa_count,
		    rail->choice.device, rail->device_node < 0 ? "not told" : "known",
		    node < 0 ? "not known until a data plane runs here" : "known");
		return;
	}
	if (rail->device_node == node) {
		add(report, TANDEM_DOCTOR_OK, "NUMA", "%s and the pair's memory are on node %d",
		    rail->choice.device, node);
		return;
	}
	finding *one = add(report, TANDEM_DOCTOR_WARNING, "NUMA",
	                   "every page crosses between processors: device and memory are apart");
	SAY(one->seen, "%s on node %d, most memory on node %d", rail->choice.device,
	    rail->device_node, node);
	SAY(one->needed, "both on node %d", rail->device_node);
	SAY(one->fix, "numactl --cpunodebind=%d --membind=%d before the program and tandemd",
	    rail->device_node, rail->device_node);
}

static void judge_peer(const struct tandem_doctor_facts *facts,
                       const struct tandem_doctor_rail *rail, struct tandem_doctor_report *report)
{
	const struct tandem_probe_result *probe = &rail->probe;
	char least[TANDEM_QUANTITY_BYTES], median[TANDEM_QUANTITY_BYTES];
	if (!rail->is_probed)
		return;
	if (rail->probe_code != 0) {
		bool is_silent = tandem_error_class(rail->probe_code) == TANDEM_CLASS_AGAIN ||
		                 rail->probe_code == TANDEM_E_TIMEOUT ||
		                 rail->probe_code == TANDEM_E_PEER_LOST ||
		                 rail->probe_code == TANDEM_E_SYSTEM;
		finding *one = add(
		        report, is_silent ? TANDEM_DOCTOR_UNKNOWN : TANDEM_DOCTOR_FAILURE, "peer",
		        "node %s at %s: %s", facts->peer, rail->peer_address, rail->probe_text);
		SAY(one->fix,
		    is_silent ? "start tandemd there (systemctl start tandemd) and let port "
		                "%u through"
		              : "the same key_file on both nodes, and the same version; the "
		                "log of its tandemd says more (port %u)",
		    facts->peer_port);
		return;
	}
	tandem_quantity_span(probe->echo_min_ns, least);
	tandem_quantity_span(probe->echo_median_ns, median);
	add(report, TANDEM_DOCTOR_OK, "peer",
	    "node %s answers at %s by %s; round trip %s at least, median %s", facts->peer,
	    rail->peer_address, rail->probe_text, least, median);
	if (probe->sample_ns > 0)
		add(report, TANDEM_DOCTOR_OK, "goodput",
		    "%.3f Gb/s to %s over %u channels, a sample of %.1f s",
		    (double)probe->sample_bytes * 8 / (double)probe->sample_ns, rail->peer_address,
		    probe->channel_count, (double)probe->sample_ns / 1e9);
	if (probe->channel_count < facts->channel_count)
		add(report, TANDEM_DOCTOR_WARNING, "peer", "only %u of %u channels could join",
		    probe->channel_count, facts->channel_count);
}

/* ---- memory ---- */

static void spell_lock(const struct tandem_doctor_facts *facts, uint64_t limit, finding *one)
{
	const char *who = facts->plane.is_known ? "the attached data plane" : "this shell";
	char size[TANDEM_QUANTITY_BYTES];
	tandem_quantity_bytes(limit, size);
	SAY(one->seen, "%s (of %s)", size, who);
	SAY(one->fix,
	    "systemd: LimitMEMLOCK=infinity for tandemd and the program (systemctl edit "
	    "tandemd); docker: --ulimit memlock=-1; shell: ulimit -l unlimited (hard limit "
	    "in /etc/security/limits.conf)");
}

/* Each channel has registrations of its own, and each counts against the limit. */
static void judge_memory_lock(const struct tandem_doctor_facts *facts,
                              struct tandem_doctor_report *report)
{
	const struct tandem_doctor_process *process =
	        facts->plane.is_known ? &facts->plane : &facts->own;
	uint64_t limit = process->memory_lock_bytes;
	uint64_t need = facts->region_bytes * facts->channel_count;
	char size[TANDEM_QUANTITY_BYTES], all[TANDEM_QUANTITY_BYTES];
	if (!uses_rdma(facts))
		return;
	tandem_quantity_bytes(facts->region_bytes, size);
	tandem_quantity_bytes(need, all);
	if (limit == UINT64_MAX || process->has_ipc_lock) {
		add(report, TANDEM_DOCTOR_OK, "memory lock", "no limit%s",
		    process->has_ipc_lock ? " (CAP_IPC_LOCK)" : "");
		return;
	}
	if (facts->region_bytes == 0) {
		finding *one =
		        add(report, TANDEM_DOCTOR_WARNING, "memory lock",
		            "the pair has not run here, so its size is not known: RDMA pins its "
		            "regions once for each of its %u channels",
		            facts->channel_count);
		SAY(one->needed, "bytes of all regions x %u", facts->channel_count);
		spell_lock(facts, limit, one);
	} else if (need > limit) {
		finding *one = add(report, TANDEM_DOCTOR_FAILURE, "memory lock",
		                   "RDMA pins the regions, %s, once for each of %u channels", size,
		                   facts->channel_count);
		SAY(one->needed, "%s", all);
		spell_lock(facts, limit, one);
	} else {
		add(report, TANDEM_DOCTOR_OK, "memory lock", "%s needed (%s x %u channels)", all,
		    size, facts->channel_count);
	}
}

static void judge_huge_pages(const struct tandem_doctor_facts *facts,
                             struct tandem_doctor_report *report)
{
	char size[TANDEM_QUANTITY_BYTES];
	if (!uses_rdma(facts))
		return;
	tandem_quantity_bytes(facts->huge_page_bytes, size);
	finding *one = add(report, TANDEM_DOCTOR_NOTE, "huge pages",
	                   "%" PRIu64 " of %s, %" PRIu64 " free; for regions in tmpfs: %s",
	                   facts->huge_page_count, size, facts->huge_page_free_count,
	                   facts->huge_shared[0] != '\0' ? facts->huge_shared : "not told");
	if (strstr(facts->huge_shared, "[never]") || strstr(facts->huge_shared, "[deny]"))
		SAY(one->fix, "for shorter registering and fencing: echo advise > "
		              "/sys/kernel/mm/transparent_hugepage/shmem_enabled");
}

void tandem_doctor_judge(const struct tandem_doctor_facts *facts,
                         struct tandem_doctor_report *ret_report)
{
	struct tandem_doctor_report *report = ret_report;
	bool wants_rdma = !is_provider(facts, "tcp");
	report->count = 0;
	judge_provider(facts, report);
	judge_key(facts, report);
	judge_controller(facts, report);
	judge_kernel(facts, report);
	if (wants_rdma) {
		judge_modules(facts, report);
		judge_devices(facts, report);
	}
	for (unsigned i = 0; i < facts->rail_count; i++) {
		judge_address(&facts->rails[i], report);
		if (wants_rdma) {
			judge_gid(facts, &facts->rails[i], report);
			judge_mtu(&facts->rails[i], report);
			judge_numa(facts, &facts->rails[i], report);
		}
		judge_peer(facts, &facts->rails[i], report);
	}
	judge_memory_lock(facts, report);
	judge_huge_pages(facts, report);
}

enum tandem_doctor_level tandem_doctor_verdict(const struct tandem_doctor_report *report)
{
	enum tandem_doctor_level worst = TANDEM_DOCTOR_OK;
	for (size_t i = 0; i < report->count; i++) {
		if (report->findings[i].level > worst)
			worst = report->findings[i].level;
	}
	return worst;
}

const char *tandem_doctor_level_text(enum tandem_doctor_level level)
{
	switch (level) {
	case TANDEM_DOCTOR_OK:
		return "ok";
	case TANDEM_DOCTOR_NOTE:
		return "note";
	case TANDEM_DOCTOR_WARNING:
		return "warning";
	case TANDEM_DOCTOR_UNKNOWN:
		return "unknown";
	case TANDEM_DOCTOR_FAILURE:
		return "FAILURE";
	}
	return "";
}
