#include "doctor.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* ---- the kernel ---- */

/* Debian's release says no third number that counts; the one of the sources stands behind. */
static void read_kernel(struct tandem_doctor_facts *facts)
{
	struct utsname kernel;
	char sources[32] = "";
	if (uname(&kernel) < 0)
		return;
	const char *behind = strstr(kernel.version, "Debian ");
	if (behind && sscanf(behind, "Debian %31[0-9.]", sources) == 1)
		snprintf(facts->kernel, sizeof(facts->kernel), "%s (%.64s)", sources,
		         kernel.release);
	else
		snprintf(facts->kernel, sizeof(facts->kernel), "%.64s", kernel.release);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* A driver that is built in has no module, but its class is there. */
static void read_modules(struct tandem_doctor_facts *facts)
{
	facts->has_uverbs =
	        exists("/sys/module/ib_uverbs") || exists("/sys/class/infiniband_verbs");
	facts->has_rdma_ucm = exists("/sys/module/rdma_ucm") || exists("/sys/class/misc/rdma_cm");
	facts->has_rxe = exists("/sys/module/rdma_rxe");
}

static void read_namespace(struct tandem_doctor_facts *facts)
{
	struct stat own, first;
	facts->is_netns_known =
	        stat("/proc/self/ns/net", &own) == 0 && stat("/proc/1/ns/net", &first) == 0;
	facts->is_init_netns = facts->is_netns_known && own.st_ino == first.st_ino;
}

/* The first line of a small file; "" when there is none. */
static void read_line(const char *path, char *text, size_t text_bytes)
{
	FILE *file = fopen(path, "re");
	text[0] = '\0';
	if (!file)
		return;
	if (!fgets(text, (int)text_bytes, file))
		text[0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	fclose(file);
}

static void read_memory(struct tandem_doctor_facts *facts)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[256];
	uint64_t value;
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "HugePages_Total: %" SCNu64, &value) == 1)
			facts->huge_page_count = value;
		else if (sscanf(line, "HugePages_Free: %" SCNu64, &value) == 1)
			facts->huge_page_free_count = value;
		else if (sscanf(line, "Hugepagesize: %" SCNu64, &value) == 1)
			facts->huge_page_bytes = value * 1024;
	}
	if (file)
		fclose(file);
	read_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", facts->huge_shared,
	          sizeof(facts->huge_shared));
}

static void count_numa(struct tandem_doctor_facts *facts)
{
	DIR *directory = opendir("/sys/devices/system/node");
	const struct dirent *entry;
	unsigned number;
	char rest;
	while (directory && (entry = readdir(directory)))
		facts->numa_count += sscanf(entry->d_name, "node%u%c", &number, &rest) == 1;
	if (directory)
		closedir(directory);
}

/* ---- a rail ---- */

static bool has_address(const struct ifaddrs *entry, const char *address)
{
	const struct sockaddr *held = entry->ifa_addr;
	char text[INET6_ADDRSTRLEN] = "";
	if (!held)
		return false;
	if (held->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)held)->sin_addr,
		          text, sizeof(text));
	else if (held->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)held)->sin6_addr,
		          text, sizeof(text));
	return strcmp(text, address) == 0;
}

static void find_netdev(struct tandem_doctor_rail *rail)
{
	struct ifaddrs *list = NULL;
	char path[80], text[32];
	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
		if (!has_address(entry, rail->address))
			continue;
		snprintf(rail->netdev, sizeof(rail->netdev), "%s", entry->ifa_name);
		snprintf(path, sizeof(path), "/sys/class/net/%s/mtu", rail->netdev);
		read_line(path, text, sizeof(text));
		sscanf(text, "%u", &rail->netdev_mtu);
		break;
	}
	freeifaddrs(list);
	/* All of 127/8 is on lo, whatever it lists. */
	if (rail->netdev[0] == '\0' && strncmp(rail->address, "127.", 4) == 0) {
		snprintf(rail->netdev, sizeof(rail->netdev), "lo");
		read_line("/sys/class/net/lo/mtu", text, sizeof(text));
		sscanf(text, "%u", &rail->netdev_mtu);
	}
}

/* Soft-RoCE has no bus of its own; its network device may have. */
static int numa_node_of(const char *device, const char *netdev)
{
	char path[160], text[32];
	int node = -1;
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/device/numa_node", device);
	read_line(path, text, sizeof(text));
	if (text[0] == '\0') {
		snprintf(path, sizeof(path), "/sys/class/net/%s/device/numa_node", netdev);
		read_line(path, text, sizeof(text));
	}
	sscanf(text, "%d", &node);
	return node;
}

static void take_choice(const struct tandem_survey *survey, struct tandem_doctor_rail *rail)
{
	const struct tandem_survey_choice *choice = &rail->choice;
	rail->device_node = numa_node_of(choice->device, rail->netdev);
	for (unsigned i = 0; i < survey->device_count; i++) {
		const struct tandem_survey_device *device = &survey->devices[i];
		for (unsigned j = 0; j < device->port_count; j++) {
			if (strcmp(device->name, choice->device) != 0 ||
			    device->ports[j].number != choice->port)
				continue;
			rail->is_soft = device->is_soft;
			rail->port = device->ports[j];
		}
	}
}

static void gather_rail(const struct tandem_doctor_facts *facts, struct tandem_doctor_rail *rail)
{
	struct tandem_error error = {.code = 0};
	find_netdev(rail);
	rail->device_node = -1;
	if (!facts->has_survey) {
		snprintf(rail->rdma_reason, sizeof(rail->rdma_reason), "%s", facts->survey_reason);
		return;
	}
	rail->has_rdma =
	        tandem_survey_choose(&facts->survey, rail->address, &rail->choice, &error) == 0;
	if (rail->has_rdma)
		take_choice(&facts->survey, rail);
	else
		snprintf(rail->rdma_reason, sizeof(rail->rdma_reason), "%s", error.detail);
}

static void gather_rails(const struct tandem_config_node *node,
                         const struct tandem_config_node *peer, struct tandem_doctor_facts *facts)
{
	facts->rail_count = (unsigned)tandem_config_rail_count(node);
	for (unsigned i = 0; i < facts->rail_count; i++) {
		struct tandem_doctor_rail *rail = &facts->rails[i];
		snprintf(rail->address, sizeof(rail->address), "%s", tandem_config_rail(node, i));
		snprintf(rail->peer_address, sizeof(rail->peer_address), "%s",
		         tandem_config_rail(peer, i));
		gather_rail(facts, rail);
	}
}

/* ---- the pair ---- */

/* Copies of its regions, where this node has been the standby. */
static void measure_images(const struct tandem_config_node *node, struct tandem_doctor_facts *facts)
{
	char path[256];
	struct stat status;
	const struct dirent *entry;
	snprintf(path, sizeof(path), "%s/%s", node->image_directory, facts->pair);
	DIR *directory = opendir(path);
	while (directory && (entry = readdir(directory))) {
		if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(status.st_mode))
			facts->region_bytes += (uint64_t)status.st_size;
	}
	if (directory)
		closedir(directory);
}

static void gather_pair(const struct tandem_config_node *peer,
                        const struct tandem_config_pair *pair, struct tandem_doctor_facts *facts)
{
	struct tandem_error error = {.code = 0};
	struct tandem_key key;
	snprintf(facts->pair, sizeof(facts->pair), "%s", pair->name);
	snprintf(facts->peer, sizeof(facts->peer), "%s", peer->name);
	snprintf(facts->provider, sizeof(facts->provider), "%s", pair->provider);
	facts->channel_count = pair->channel_count;
	facts->poll_ns = pair->poll_ns;
	facts->peer_port = peer->port;
	facts->has_key = tandem_config_has_key(pair);
	facts->is_insecure = pair->is_insecure;
	facts->key_code = tandem_config_key(pair, &key, &error);
	snprintf(facts->key_text, sizeof(facts->key_text), "%s", error.detail);
}

void tandem_doctor_gather(const struct tandem_config *config, const struct tandem_config_node *node,
                          const struct tandem_config_pair *pair,
                          struct tandem_doctor_facts *ret_facts)
{
	struct tandem_doctor_facts *facts = ret_facts;
	const struct tandem_config_node *peer = tandem_config_peer(config, node, pair);
	struct tandem_error error = {.code = 0};
	long processor_count = sysconf(_SC_NPROCESSORS_ONLN);
	memset(facts, 0, sizeof(*facts));
	snprintf(facts->node, sizeof(facts->node), "%s", node->name);
	gather_pair(peer, pair, facts);
	read_kernel(facts);
	read_modules(facts);
	read_namespace(facts);
	read_memory(facts);
	count_numa(facts);
	facts->processor_count = processor_count > 0 ? (unsigned)processor_count : 1;
	/* A pair that says tcp is not to touch devices. */
	if (strcmp(pair->provider, "tcp") != 0)
		facts->has_survey = tandem_survey_run(&facts->survey, &error) == 0;
	snprintf(facts->survey_reason, sizeof(facts->survey_reason), "%s", error.detail);
	gather_rails(node, peer, facts);
	measure_images(node, facts);
	tandem_doctor_look_at(0, &facts->own);
}
