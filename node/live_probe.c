#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <tandem/arbiter_probe.h>
#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/quantity.h>

#include "live.h"

#define ANSWER_MS        300
#define AGENT_TIMEOUT_NS (20 * TANDEM_NS_PER_S)
#define IMAGE_BYTES_MIN  (UINT64_C(64) << 20)

/* ---- heartbeat links ---- */

static socklen_t spell_address(const char *text, uint16_t port, struct sockaddr_storage *address)
{
	struct sockaddr_in *four = (struct sockaddr_in *)address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return sizeof(*four);
	}
	inet_pton(AF_INET6, text, &six->sin6_addr);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return sizeof(*six);
}

/* A port that is taken is taken by the controller that runs. */
static bool can_bind(const struct tandem_controller_link *link, struct tandem_doctor_report *report)
{
	struct sockaddr_storage address;
	socklen_t length = spell_address(link->local_address, link->local_port, &address);
	int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int failure =
	        fd < 0 || bind(fd, (const struct sockaddr *)&address, length) != 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (failure == 0 || failure == EADDRINUSE)
		return true;
	tandem_live_say(report, TANDEM_DOCTOR_FAILURE, "heartbeat",
	                "give the node an address that one of its interfaces has",
	                "%s UDP port %u cannot be bound: %s", link->local_address, link->local_port,
	                strerror(failure));
	return false;
}

/* One datagram from another port, which no controller takes for a heartbeat: only a refusal says
 * something. */
static int knock(const struct tandem_controller_link *link)
{
	struct sockaddr_storage address;
	char byte = 0;
	socklen_t length = spell_address(link->local_address, 0, &address);
	struct pollfd answer = {.fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0),
	                        .events = POLLIN};
	int failure = 0;
	if (answer.fd < 0 || bind(answer.fd, (const struct sockaddr *)&address, length) != 0)
		failure = errno;
	length = spell_address(link->peer_address, link->peer_port, &address);
	if (failure == 0 && (connect(answer.fd, (const struct sockaddr *)&address, length) != 0 ||
	                     send(answer.fd, &byte, 1, 0) < 0))
		failure = errno;
	if (failure == 0 && poll(&answer, 1, ANSWER_MS) > 0 && recv(answer.fd, &byte, 1, 0) < 0)
		failure = errno;
	if (answer.fd >= 0)
		close(answer.fd);
	return failure;
}

static void probe_link(const struct tandem_controller_link *link,
                       struct tandem_doctor_report *report)
{
	if (!can_bind(link, report))
		return;
	int failure = knock(link);
	if (failure == ECONNREFUSED)
		tandem_live_say(report, TANDEM_DOCTOR_WARNING, "heartbeat",
		                "start tandem-failoverd on the other node",
		                "%s is reached, but nobody listens on UDP port %u",
		                link->peer_address, link->peer_port);
	else if (failure != 0)
		tandem_live_say(report, TANDEM_DOCTOR_FAILURE, "heartbeat",
		                "mend the route, or the addresses in the file",
		                "%s UDP port %u is not reached from %s: %s", link->peer_address,
		                link->peer_port, link->local_address, strerror(failure));
	else
		tandem_live_say(report, TANDEM_DOCTOR_OK, "heartbeat", "",
		                "%s UDP port %u refuses nothing; 'tandemctl status' says what is "
		                "heard",
		                link->peer_address, link->peer_port);
}

/* ---- the arbiter ---- */

/* Readable is not enough: whoever cannot write cannot decide. */
static int try_write(const char *directory)
{
	char path[TANDEM_CONTROLLER_PATH_BYTES + 40];
	int failure = 0;
	snprintf(path, sizeof(path), "%s/.check-%ld", directory, (long)getpid());
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno;
	if (write(fd, "\n", 1) != 1 || fsync(fd) != 0)
		failure = errno;
	close(fd);
	return unlink(path) != 0 && failure == 0 ? errno : failure;
}

static void probe_directory(const struct tandem_controller_pair *pair,
                            struct tandem_doctor_report *report)
{
	int failure = try_write(pair->arbiter_path);
	if (failure != 0)
		tandem_live_say(report, TANDEM_DOCTOR_FAILURE, "arbiter",
		                "mount it writable, and let the user of tandem-failoverd write",
		                "pair %s: %s cannot be written: %s", pair->name, pair->arbiter_path,
		                strerror(failure));
}

/* A register that is read has its directory made; one that was not there goes again, if empty. */
static int ask_arbiter(const struct tandem_controller_pair *pair, uint64_t *ret_generation,
                       struct tandem_error *reterr_error)
{
	char path[TANDEM_CONTROLLER_PATH_BYTES + TANDEM_NAME_BYTES + 2];
	struct stat directory;
	snprintf(path, sizeof(path), "%s/%s", pair->arbiter_path, pair->name);
	bool is_new = stat(path, &directory) != 0;
	int status = tandem_arbiter_probe(pair, ret_generation, reterr_error);
	if (is_new && pair->arbiter_type != TANDEM_ARBITER_ETCD)
		rmdir(path);
	return status;
}

static void probe_arbiter(const struct tandem_controller_pair *pair,
                          struct tandem_doctor_report *report)
{
	struct tandem_error error = {.code = 0};
	struct stat directory;
	uint64_t generation = 0;
	bool is_directory = pair->arbiter_type != TANDEM_ARBITER_ETCD;
	if (is_directory && stat(pair->arbiter_path, &directory) != 0) {
		bool is_shared = pair->arbiter_type == TANDEM_ARBITER_FILE;
		tandem_live_say(report, is_shared ? TANDEM_DOCTOR_WARNING : TANDEM_DOCTOR_NOTE,
		                "arbiter",
		                is_shared ? "mount its storage, or make it if it is a new one" : "",
		                "pair %s: %s: %s; tandem-failoverd makes it", pair->name,
		                pair->arbiter_path, strerror(errno));
		return;
	}
	if (ask_arbiter(pair, &generation, &error) != 0)
		tandem_live_say(report, TANDEM_DOCTOR_FAILURE, "arbiter",
		                "without it nothing is decided: mend what it says", "pair %s: %s",
		                pair->name, error.detail);
	else
		tandem_live_say(report, TANDEM_DOCTOR_OK, "arbiter", "",
		                "pair %s: it answers, generation %" PRIu64, pair->name, generation);
	if (is_directory && error.code == 0)
		probe_directory(pair, report);
}

static void probe_agents(const struct tandem_controller_pair *pair,
                         struct tandem_doctor_report *report)
{
	for (size_t i = 0; i < pair->fence_agent_count; i++) {
		const struct tandem_controller_fence_agent *agent = &pair->fence_agents[i];
		struct tandem_error error;
		if (tandem_fence_agent_probe(agent, AGENT_TIMEOUT_NS, &error) == 0)
			tandem_live_say(report, TANDEM_DOCTOR_OK, "fence", "",
			                "pair %s: %s reaches its device for node %s", pair->name,
			                agent->agent, pair->peer_node);
		else
			tandem_live_say(report, TANDEM_DOCTOR_FAILURE, "fence",
			                "run the agent by hand with action=monitor and these "
			                "parameters",
			                "pair %s: node %s could not be switched off: %s",
			                pair->name, pair->peer_node, error.detail);
	}
}

/* ---- commands, images, the data's addresses ---- */

static void probe_command(const char *pair, const char *key, const char *command,
                          struct tandem_doctor_report *report)
{
	char word[512];
	if (command && command[0] && !tandem_live_finds_command(command, word, sizeof(word)))
		tandem_live_say(report, TANDEM_DOCTOR_FAILURE, "command",
		                "install it, or give its whole path, and make it executable",
		                "pair %s: %s: the shell finds no program '%s'", pair, key, word);
}

static void probe_commands(const struct tandem_config_pair *pair,
                           struct tandem_doctor_report *report)
{
	probe_command(pair->name, "promote.command", pair->promote.command, report);
	probe_command(pair->name, "protect.command", pair->protect.command, report);
	probe_command(pair->name, "hooks.on_lead", pair->hooks.on_lead, report);
	probe_command(pair->name, "hooks.on_stop", pair->hooks.on_stop, report);
	probe_command(pair->name, "hooks.on_state", pair->hooks.on_state, report);
	probe_command(pair->name, "hooks.on_alarm", pair->hooks.on_alarm, report);
}

/* Of the directory, or of what it will be made in. */
static bool find_room(const char *directory, uint64_t *ret_bytes)
{
	char path[TANDEM_CONFIG_PATH_BYTES];
	struct statvfs room;
	snprintf(path, sizeof(path), "%s", directory);
	while (statvfs(path, &room) != 0) {
		char *end = strrchr(path, '/');
		if (!end || end == path)
			return false;
		*end = '\0';
	}
	*ret_bytes = (uint64_t)room.f_bavail * room.f_frsize;
	return true;
}

static void probe_room(const struct tandem_config_node *node,
                       const struct tandem_doctor_facts *facts, struct tandem_doctor_report *report)
{
	char room[TANDEM_QUANTITY_BYTES], need[TANDEM_QUANTITY_BYTES];
	uint64_t room_bytes = 0;
	if (!find_room(node->image_directory, &room_bytes))
		return;
	/* What was copied here once is there already, and is replaced. */
	tandem_quantity_bytes(room_bytes, room);
	tandem_quantity_bytes(facts->region_bytes, need);
	if (room_bytes + facts->region_bytes < IMAGE_BYTES_MIN)
		tandem_live_say(report, TANDEM_DOCTOR_WARNING, "images",
		                "mount -o remount,size=SIZE /dev/shm, or another image_directory",
		                "%s has room for %s only", node->image_directory, room);
	else
		tandem_live_say(report, TANDEM_DOCTOR_OK, "images", "",
		                "%s has room for %s, beside the %s of pair %s",
		                node->image_directory, room, need, facts->pair);
}

/* Of the doctor's findings those that are none are not repeated. */
static void probe_data(const struct tandem_config *config, const struct tandem_config_node *node,
                       const struct tandem_config_pair *pair, struct tandem_doctor_report *report)
{
	struct tandem_doctor_facts *facts = tandem_memory_alloc(sizeof(*facts));
	struct tandem_doctor_report *found = tandem_memory_alloc(sizeof(*found));
	if (facts && found) {
		tandem_doctor_gather(config, node, pair, facts);
		tandem_doctor_probe(pair, facts);
		facts->has_controller = true; /* it need not run yet */
		tandem_doctor_judge(facts, found);
		for (size_t i = 0; i < found->count; i++) {
			const struct tandem_doctor_finding *one = &found->findings[i];
			if (one->level >= TANDEM_DOCTOR_WARNING &&
			    report->count < TANDEM_DOCTOR_FINDINGS_MAX)
				report->findings[report->count++] = *one;
		}
		probe_room(node, facts, report);
	}
	tandem_memory_free(facts);
	tandem_memory_free(found);
}

void tandem_live_probe(const struct tandem_config *config, const struct tandem_config_node *node,
                       const struct tandem_controller_pair *pairs, size_t pair_count,
                       struct tandem_doctor_report *report)
{
	for (size_t i = 0; i < pair_count; i++) {
		const struct tandem_config_pair *pair = tandem_config_pair(config, pairs[i].name);
		for (size_t j = 0; j < pairs[i].link_count; j++)
			probe_link(&pairs[i].links[j], report);
		probe_arbiter(&pairs[i], report);
		probe_agents(&pairs[i], report);
		probe_commands(pair, report);
		probe_data(config, node, pair, report);
	}
}
