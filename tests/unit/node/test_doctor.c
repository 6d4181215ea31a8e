#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>

#include "doctor.h"

#define GIB (UINT64_C(1) << 30)

/* A pair over a hardware device with nothing to find fault with. */
static void make_healthy(struct tandem_doctor_facts *facts)
{
	struct tandem_doctor_rail *rail = &facts->rails[0];
	struct tandem_survey_port port = {.number = 1,
	                                  .is_active = true,
	                                  .state = "PORT_ACTIVE",
	                                  .link_layer = "Ethernet",
	                                  .active_mtu = 4096,
	                                  .max_mtu = 4096,
	                                  .gid_count = 1};
	memset(facts, 0, sizeof(*facts));
	port.gids[0] = (struct tandem_survey_gid){
	        .index = 3, .type = "RoCE v2", .text = "10.0.0.1", .netdev = "eth1"};
	*facts = (struct tandem_doctor_facts){.pair = "kv",
	                                      .node = "a",
	                                      .peer = "b",
	                                      .provider = "rdma",
	                                      .channel_count = 4,
	                                      .poll_ns = 20000,
	                                      .peer_port = 7400,
	                                      .has_key = true,
	                                      .kernel = "6.12.95",
	                                      .processor_count = 16,
	                                      .is_netns_known = true,
	                                      .is_init_netns = true,
	                                      .has_uverbs = true,
	                                      .has_rdma_ucm = true,
	                                      .has_survey = true,
	                                      .rail_count = 1,
	                                      .has_controller = true,
	                                      .controller_text = "PROTECTED",
	                                      .region_bytes = GIB,
	                                      .numa_count = 2,
	                                      .huge_page_bytes = 2 << 20,
	                                      .huge_shared = "always [advise] never"};
	facts->survey.device_count = 1;
	facts->survey.devices[0] = (struct tandem_survey_device){.name = "mlx5_0", .port_count = 1};
	facts->survey.devices[0].ports[0] = port;
	facts->plane = (struct tandem_doctor_process){
	        .is_known = true, .memory_lock_bytes = UINT64_MAX, .node_bytes = {10, 90}};
	facts->own.is_known = true;
	*rail = (struct tandem_doctor_rail){.address = "10.0.0.1",
	                                    .peer_address = "10.0.0.2",
	                                    .netdev = "eth1",
	                                    .netdev_mtu = 9000,
	                                    .has_rdma = true,
	                                    .port = port,
	                                    .device_node = 1,
	                                    .is_probed = true,
	                                    .probe_text = "rdma (mlx5_0)"};
	rail->choice = (struct tandem_survey_choice){
	        .device = "mlx5_0", .port = 1, .gid_index = 3, .gid = port.gids[0]};
	rail->probe = (struct tandem_probe_result){.channel_count = 4,
	                                           .echo_min_ns = 8000,
	                                           .echo_median_ns = 9500,
	                                           .sample_bytes = 12500000000,
	                                           .sample_ns = TANDEM_NS_PER_S};
}

static void none(struct tandem_doctor_facts *facts)
{
	(void)facts;
}

static void tcp(struct tandem_doctor_facts *facts)
{
	strcpy(facts->provider, "tcp");
	facts->has_survey = facts->has_uverbs = facts->has_rdma_ucm = false;
	facts->rails[0].has_rdma = false;
}

static void automatic_without(struct tandem_doctor_facts *facts)
{
	tcp(facts);
	strcpy(facts->provider, "auto");
	strcpy(facts->survey_reason, "no RDMA on this machine");
}

static void no_uverbs(struct tandem_doctor_facts *facts)
{
	facts->has_uverbs = false;
}

static void no_rdma_ucm(struct tandem_doctor_facts *facts)
{
	facts->has_rdma_ucm = false;
}

static void no_survey(struct tandem_doctor_facts *facts)
{
	facts->has_survey = facts->rails[0].has_rdma = false;
	strcpy(facts->survey_reason, "no RDMA on this machine");
}

static void no_device(struct tandem_doctor_facts *facts)
{
	facts->survey.device_count = 0;
	facts->rails[0].has_rdma = false;
	strcpy(facts->rails[0].rdma_reason, "no RDMA device serves 10.0.0.1");
}

static void port_down(struct tandem_doctor_facts *facts)
{
	facts->survey.devices[0].ports[0].is_active = false;
	strcpy(facts->survey.devices[0].ports[0].state, "PORT_DOWN");
}

static void no_address(struct tandem_doctor_facts *facts)
{
	facts->rails[0].netdev[0] = '\0';
}

static void gid_gone(struct tandem_doctor_facts *facts)
{
	facts->rails[0].choice.gid_index = -1;
}

static void gid_old(struct tandem_doctor_facts *facts)
{
	strcpy(facts->rails[0].choice.gid.type, "RoCE v1");
}

static void gid_elsewhere(struct tandem_doctor_facts *facts)
{
	facts->rails[0].choice.gid.netdev[0] = '\0';
}

static void small_mtu(struct tandem_doctor_facts *facts)
{
	facts->rails[0].port.active_mtu = 1024;
	facts->rails[0].netdev_mtu = 1500;
}

static void soft(struct tandem_doctor_facts *facts)
{
	facts->rails[0].is_soft = true;
}

static void soft_small_mtu(struct tandem_doctor_facts *facts)
{
	soft(facts);
	small_mtu(facts);
}

static void soft_6_1(struct tandem_doctor_facts *facts)
{
	soft(facts);
	strcpy(facts->kernel, "6.1.176 (6.1.0-50-amd64)");
}

static void soft_large_registrations(struct tandem_doctor_facts *facts)
{
	soft(facts);
	strcpy(facts->kernel, "6.12.117");
}

static void soft_in_a_namespace(struct tandem_doctor_facts *facts)
{
	soft(facts);
	facts->is_init_netns = false;
}

static void soft_on_few_processors(struct tandem_doctor_facts *facts)
{
	soft(facts);
	facts->processor_count = 2;
}

static void locked_out(struct tandem_doctor_facts *facts)
{
	facts->plane.memory_lock_bytes = 4 * GIB - 1;
}

static void just_locked(struct tandem_doctor_facts *facts)
{
	facts->plane.memory_lock_bytes = 4 * GIB;
}

static void lock_of_this_shell(struct tandem_doctor_facts *facts)
{
	facts->plane.is_known = false;
	facts->own.memory_lock_bytes = 8 << 20;
}

static void privileged(struct tandem_doctor_facts *facts)
{
	facts->plane.memory_lock_bytes = 0;
	facts->plane.has_ipc_lock = true;
}

static void size_unknown(struct tandem_doctor_facts *facts)
{
	facts->plane.memory_lock_bytes = 4 * GIB;
	facts->region_bytes = 0;
}

static void far_memory(struct tandem_doctor_facts *facts)
{
	facts->rails[0].device_node = 0;
}

static void insecure(struct tandem_doctor_facts *facts)
{
	facts->has_key = false;
	facts->is_insecure = true;
}

static void bad_key_file(struct tandem_doctor_facts *facts)
{
	facts->key_code = TANDEM_E_CONFIG;
	strcpy(facts->key_text, "/k: mode 0644 seen, 0600 needed: chmod 600 /k");
}

static void no_controller(struct tandem_doctor_facts *facts)
{
	facts->has_controller = false;
	strcpy(facts->controller_text, "no controller answers");
}

static void peer_off(struct tandem_doctor_facts *facts)
{
	facts->rails[0].probe_code = TANDEM_E_PEER_LOST;
	strcpy(facts->rails[0].probe_text, "Connection refused");
}

static void peer_busy(struct tandem_doctor_facts *facts)
{
	facts->rails[0].probe_code = TANDEM_E_AGAIN;
	strcpy(facts->rails[0].probe_text, "another probe is under way on this node");
}

static void peer_refuses(struct tandem_doctor_facts *facts)
{
	facts->rails[0].probe_code = TANDEM_E_REFUSED;
	strcpy(facts->rails[0].probe_text, "no such key");
}

static void few_channels(struct tandem_doctor_facts *facts)
{
	facts->rails[0].probe.channel_count = 3;
}

static void no_huge_pages(struct tandem_doctor_facts *facts)
{
	strcpy(facts->huge_shared, "always advise [never]");
}

/* What is changed, what the worst finding is then, and which finding says it with which words. */
static const struct row {
	void (*change)(struct tandem_doctor_facts *facts);
	enum tandem_doctor_level verdict;
	enum tandem_doctor_level level;
	const char *topic;
	const char *text;
	const char *seen;
	const char *needed;
	const char *fix;
} rows[] = {
        {none, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_OK, "GID",
         "10.0.0.1 uses mlx5_0 port 1, GID 3 (RoCE v2, 10.0.0.1)", "", "", ""},
        {none, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_OK, "goodput",
         "100.000 Gb/s to 10.0.0.2 over 4 channels, a sample of 1.0 s", "", "", ""},
        {none, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_OK, "peer",
         "round trip 8 us at least, median 9.5 us", "", "", ""},
        {none, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_OK, "memory lock", "no limit", "", "", ""},
        {none, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_OK, "NUMA", "are on node 1", "", "", ""},
        {none, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_OK, "device",
         "mlx5_0 port 1: PORT_ACTIVE, Ethernet, path MTU 4096 of 4096", "", "", ""},
        {tcp, TANDEM_DOCTOR_OK, TANDEM_DOCTOR_OK, "provider", "no RDMA is needed", "", "", ""},
        {automatic_without, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_OK, "provider",
         "tcp (configured: auto): no RDMA device serves 10.0.0.1", "", "", ""},
        {automatic_without, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_NOTE, "module",
         "ib_uverbs is not loaded", "/sys/module/ib_uverbs", "ib_uverbs", "modprobe ib_uverbs"},
        {no_uverbs, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "module",
         "ib_uverbs is not loaded", "", "ib_uverbs", "modprobe ib_uverbs"},
        {no_rdma_ucm, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "module",
         "rdma_ucm is not loaded", "", "rdma_ucm", "modprobe rdma_ucm"},
        {no_survey, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "device",
         "no RDMA on this machine", "", "", ""},
        {no_device, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "device",
         "this machine has no RDMA device", "", "", "rdma link add rxe0 type rxe"},
        {no_device, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "GID",
         "no RDMA device serves 10.0.0.1", "", "", ""},
        {port_down, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_NOTE, "device", "PORT_DOWN", "", "",
         "ip link set DEV up"},
        {no_address, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "address",
         "no network device here has the address 10.0.0.1", "", "", "ip address add 10.0.0.1"},
        {gid_gone, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "GID", "does not list the GID", "",
         "", "set the address again"},
        {gid_old, TANDEM_DOCTOR_WARNING, TANDEM_DOCTOR_WARNING, "GID", "RoCE v1", "", "",
         "cma_roce_mode -d mlx5_0 -p 1 -m 2"},
        {gid_elsewhere, TANDEM_DOCTOR_WARNING, TANDEM_DOCTOR_WARNING, "GID",
         "not in this network namespace", "", "", "--network host"},
        {small_mtu, TANDEM_DOCTOR_WARNING, TANDEM_DOCTOR_WARNING, "MTU",
         "the path MTU of mlx5_0 port 1 is 1024", "MTU 1500 of eth1", "4200",
         "ip link set eth1 mtu 4200"},
        {soft_small_mtu, TANDEM_DOCTOR_WARNING, TANDEM_DOCTOR_WARNING, "MTU", "is 1024",
         "MTU 1500 of eth1", "4176", "ip link set eth1 mtu 4176"},
        {soft, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_NOTE, "kernel", "full completion queue", "", "",
         ""},
        {soft_6_1, TANDEM_DOCTOR_WARNING, TANDEM_DOCTOR_WARNING, "kernel", "rxe_net.c:394", "", "",
         "run Linux 6.12"},
        {soft_large_registrations, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_NOTE, "kernel",
         "more than 1 GiB at once", "", "", ""},
        {soft_in_a_namespace, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "kernel",
         "network namespace of its own", "", "", "--network host"},
        {soft_on_few_processors, TANDEM_DOCTOR_WARNING, TANDEM_DOCTOR_WARNING, "kernel",
         "polling threads", "2 processors", "3 processors", "poll_us = 0"},
        {locked_out, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "memory lock",
         "RDMA pins the regions, 1 GiB, once for each of 4 channels", "of the attached data plane",
         "4 GiB", "LimitMEMLOCK=infinity"},
        {locked_out, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "memory lock", "", "", "",
         "docker: --ulimit memlock=-1; shell: ulimit -l unlimited"},
        {just_locked, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_OK, "memory lock", "4 GiB needed", "", "",
         ""},
        {lock_of_this_shell, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "memory lock", "",
         "8 MiB (of this shell)", "4 GiB", "ulimit -l unlimited"},
        {privileged, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_OK, "memory lock", "CAP_IPC_LOCK", "", "",
         ""},
        {size_unknown, TANDEM_DOCTOR_WARNING, TANDEM_DOCTOR_WARNING, "memory lock",
         "its size is not known", "4 GiB", "bytes of all regions x 4", "LimitMEMLOCK=infinity"},
        {far_memory, TANDEM_DOCTOR_WARNING, TANDEM_DOCTOR_WARNING, "NUMA", "crosses",
         "mlx5_0 on node 0, most memory on node 1", "both on node 0", "numactl --cpunodebind=0"},
        {insecure, TANDEM_DOCTOR_WARNING, TANDEM_DOCTOR_WARNING, "key", "insecure", "", "",
         "tandemctl keygen /etc/tandem/kv.key"},
        {bad_key_file, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "key", "chmod 600 /k", "", "",
         ""},
        {no_controller, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_NOTE, "controller",
         "no controller answers", "", "", "systemctl start"},
        {peer_off, TANDEM_DOCTOR_UNKNOWN, TANDEM_DOCTOR_UNKNOWN, "peer",
         "node b at 10.0.0.2: Connection refused", "", "", "let port 7400 through"},
        {peer_busy, TANDEM_DOCTOR_UNKNOWN, TANDEM_DOCTOR_UNKNOWN, "peer", "another probe", "", "",
         ""},
        {peer_refuses, TANDEM_DOCTOR_FAILURE, TANDEM_DOCTOR_FAILURE, "peer", "no such key", "", "",
         "the same key_file on both nodes"},
        {few_channels, TANDEM_DOCTOR_WARNING, TANDEM_DOCTOR_WARNING, "peer",
         "only 3 of 4 channels could join", "", "", ""},
        {no_huge_pages, TANDEM_DOCTOR_NOTE, TANDEM_DOCTOR_NOTE, "huge pages", "[never]", "", "",
         "shmem_enabled"},
};

static bool is_meant(const struct tandem_doctor_finding *finding, const struct row *row)
{
	return finding->level == row->level && strcmp(finding->topic, row->topic) == 0 &&
	       strstr(finding->text, row->text) && strstr(finding->seen, row->seen) &&
	       strstr(finding->needed, row->needed) && strstr(finding->fix, row->fix);
}

static void show(const struct tandem_doctor_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct tandem_doctor_finding *finding = &report->findings[i];
		cr_log_warn("%s %s: %s (seen %s, needed %s) fix: %s",
		            tandem_doctor_level_text(finding->level), finding->topic, finding->text,
		            finding->seen, finding->needed, finding->fix);
	}
}

Test(doctor, one_fact_one_finding)
{
	static struct tandem_doctor_facts facts;
	static struct tandem_doctor_report report;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is_found = false;
		make_healthy(&facts);
		rows[i].change(&facts);
		tandem_doctor_judge(&facts, &report);
		for (size_t j = 0; j < report.count; j++)
			is_found = is_found || is_meant(&report.findings[j], &rows[i]);
		if (!is_found || tandem_doctor_verdict(&report) != rows[i].verdict)
			show(&report);
		cr_assert(is_found, "row %zu: %s: %s", i, rows[i].topic, rows[i].text);
		cr_assert_eq(tandem_doctor_verdict(&report), rows[i].verdict, "row %zu: %s", i,
		             rows[i].text);
	}
}

Test(doctor, a_tcp_pair_hears_nothing_of_rdma)
{
	static struct tandem_doctor_facts facts;
	static struct tandem_doctor_report report;
	static const char *const topics[] = {"module", "device",      "GID",       "MTU",
	                                     "NUMA",   "memory lock", "huge pages"};
	make_healthy(&facts);
	tcp(&facts);
	tandem_doctor_judge(&facts, &report);
	for (size_t i = 0; i < report.count; i++) {
		for (size_t j = 0; j < sizeof(topics) / sizeof(topics[0]); j++)
			cr_assert_str_neq(report.findings[i].topic, topics[j]);
	}
}

Test(doctor, more_findings_than_there_is_room)
{
	static struct tandem_doctor_facts facts;
	static struct tandem_doctor_report report;
	make_healthy(&facts);
	facts.rail_count = TANDEM_RAILS_MAX;
	facts.survey.device_count = TANDEM_SURVEY_DEVICES_MAX;
	for (unsigned i = 0; i < TANDEM_SURVEY_DEVICES_MAX; i++)
		facts.survey.devices[i].port_count = TANDEM_SURVEY_PORTS_MAX;
	for (unsigned i = 1; i < facts.rail_count; i++)
		facts.rails[i] = facts.rails[0];
	tandem_doctor_judge(&facts, &report);
	cr_assert_leq(report.count, TANDEM_DOCTOR_FINDINGS_MAX);
}

Test(doctor, kernels)
{
	static const struct {
		const char *release;
		size_t count;
	} kernels[] = {
	        {"6.1.0-50-amd64", 1}, {"6.1.176", 1},  {"6.2.0", 0}, {"6.12.95", 1},
	        {"6.12.114", 1},       {"6.12.115", 2}, {"6.13", 0},  {"6.12.117+deb13-amd64", 2},
	        {"nonsense", 0},       {"", 0},
	};
	struct tandem_doctor_kernel_fault fault;
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		size_t count = 0;
		while (tandem_doctor_kernel_fault(kernels[i].release, count, &fault))
			count++;
		cr_assert_eq(count, kernels[i].count, "%s: %zu", kernels[i].release, count);
	}
}

Test(doctor, this_process)
{
	struct tandem_doctor_process process;
	tandem_doctor_look_at(0, &process);
	cr_assert(process.is_known);
	tandem_doctor_look_at(UINT32_MAX, &process);
	cr_assert_not(process.is_known);
	cr_assert_not(process.has_ipc_lock);
}
