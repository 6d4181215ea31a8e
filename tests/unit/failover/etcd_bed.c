#include "etcd_bed.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tandem/clock.h>
#include <unistd.h>

#define WAIT_NS      (30 * TANDEM_NS_PER_S)
#define CLUSTERS_MAX 4
#define BODY_BYTES   16384

struct event_base *etcd_base;
char etcd_directory[DIRECTORY_BYTES];
static struct etcd_cluster *clusters[CLUSTERS_MAX];
static size_t cluster_count;

void etcd_bed_begin(void)
{
	signal(SIGPIPE, SIG_IGN);
	directory_make(etcd_directory);
	etcd_base = event_base_new();
	cr_assert(etcd_base != NULL);
}

void etcd_kill(struct etcd_cluster *cluster, size_t node)
{
	if (cluster->processes[node] == 0)
		return;
	kill(cluster->processes[node], SIGKILL);
	waitpid(cluster->processes[node], NULL, 0);
	cluster->processes[node] = 0;
}

void etcd_stop(const struct etcd_cluster *cluster, size_t node)
{
	int status = 0;
	kill(cluster->processes[node], SIGSTOP);
	cr_assert(waitpid(cluster->processes[node], &status, WUNTRACED) ==
	          cluster->processes[node]);
	cr_assert(WIFSTOPPED(status));
}

void etcd_bed_end(void)
{
	for (size_t i = 0; i < cluster_count; i++) {
		for (size_t j = 0; j < clusters[i]->count; j++)
			etcd_kill(clusters[i], j);
	}
	event_base_free(etcd_base);
	directory_remove(etcd_directory);
}

uint16_t etcd_free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(bind(fd, (struct sockaddr *)&address, length) == 0);
	cr_assert(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void run_server(const struct etcd_cluster *cluster, size_t node, const char *peers,
                       const char *peer, const char *const *extra)
{
	char name[16], data[DIRECTORY_BYTES + 32], log[DIRECTORY_BYTES + 32];
	const char *arguments[40] = {
	        "etcd", "--name", name, "--data-dir", data, "--listen-client-urls",
	        cluster->urls[node], "--advertise-client-urls", cluster->urls[node],
	        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
	        "--initial-cluster", peers, "--log-level", "error",
	        /* tests compete for the disk and the processors */
	        "--heartbeat-interval", "50", "--election-timeout", "500", "--unsafe-no-fsync"};
	size_t count = 22;
	for (; extra && *extra; extra++)
		arguments[count++] = *extra;
	snprintf(name, sizeof(name), "n%zu", node);
	snprintf(data, sizeof(data), "%s/etcd-%u", etcd_directory, cluster->ports[node]);
	snprintf(log, sizeof(log), "%s/etcd-%u.log", etcd_directory, cluster->ports[node]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!freopen(log, "w", stderr) || !freopen("/dev/null", "w", stdout))
		_exit(126);
	execvp("etcd", (char *const *)arguments);
	_exit(127);
}

struct server {
	struct etcd_cluster *cluster;
	size_t node;
};

/* What the server said last, which is why it ended or does not come up. */
static void tell_log(const struct server *server)
{
	char path[DIRECTORY_BYTES + 32], line[1000];
	snprintf(path, sizeof(path), "%s/etcd-%u.log", etcd_directory,
	         server->cluster->ports[server->node]);
	FILE *log = fopen(path, "r");
	while (log && fgets(line, sizeof(line), log))
		cr_log_warn("etcd %zu: %s", server->node, line);
	if (log)
		fclose(log);
}

static bool is_up(void *context)
{
	const struct server *server = context;
	char *answer =
	        etcd_post(server->cluster->urls[server->node], "/v3/maintenance/status", "{}");
	bool has_leader = answer && strstr(answer, "\"leader\":\"") != NULL;
	free(answer);
	pid_t *process = &server->cluster->processes[server->node];
	if (!has_leader && waitpid(*process, NULL, WNOHANG) == *process) {
		*process = 0;
		tell_log(server);
		cr_assert_fail("etcd has ended (is the package etcd-server there?)");
	}
	return has_leader;
}

void etcd_start(struct etcd_cluster *cluster, size_t count, const char *scheme,
                const char *const *extra)
{
	char peers[256] = "", peer[ETCD_NODES_MAX][64];
	cluster->count = count;
	cr_assert(cluster_count < CLUSTERS_MAX);
	clusters[cluster_count++] = cluster;
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(peers);
		cluster->ports[i] = etcd_free_port();
		snprintf(cluster->urls[i], sizeof(cluster->urls[i]), "%s://127.0.0.1:%u", scheme,
		         cluster->ports[i]);
		snprintf(peer[i], sizeof(peer[i]), "http://127.0.0.1:%u", etcd_free_port());
		snprintf(peers + length, sizeof(peers) - length, "%sn%zu=%s", i > 0 ? "," : "", i,
		         peer[i]);
	}
	for (size_t i = 0; i < count; i++) {
		cluster->processes[i] = fork();
		cr_assert(cluster->processes[i] >= 0);
		if (cluster->processes[i] == 0)
			run_server(cluster, i, peers, peer[i], extra);
	}
	for (size_t i = 0; i < count && strcmp(scheme, "http") == 0; i++)
		etcd_wait_until(is_up, &(struct server){cluster, i}, "etcd does not come up");
}

static size_t keep_body(char *bytes, size_t size, size_t count, void *context)
{
	char *body = context;
	size_t length = strlen(body);
	if (size * count >= BODY_BYTES - length)
		return 0;
	memcpy(body + length, bytes, size * count);
	return size * count;
}

char *etcd_post(const char *url, const char *path, const char *body)
{
	char place[200];
	char *answer = calloc(1, BODY_BYTES);
	CURL *easy = curl_easy_init();
	snprintf(place, sizeof(place), "%s%s", url, path);
	curl_easy_setopt(easy, CURLOPT_URL, place);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 1000L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
	bool is_done = curl_easy_perform(easy) == CURLE_OK;
	curl_easy_cleanup(easy);
	if (is_done)
		return answer;
	free(answer);
	return NULL;
}

static uint64_t status_number(const char *url, const char *key)
{
	char *answer = etcd_post(url, "/v3/maintenance/status", "{}");
	char mark[40];
	snprintf(mark, sizeof(mark), "\"%s\":\"", key);
	const char *at = answer ? strstr(answer, mark) : NULL;
	uint64_t number = at ? strtoull(at + strlen(mark), NULL, 10) : 0;
	free(answer);
	return number;
}

size_t etcd_leader(const struct etcd_cluster *cluster)
{
	for (size_t i = 0; i < cluster->count; i++) {
		const char *url = cluster->urls[i];
		uint64_t leader = status_number(url, "leader");
		if (leader != 0 && leader == status_number(url, "member_id"))
			return i;
	}
	cr_assert_fail("no etcd leads");
	return 0;
}

uint64_t etcd_raft_index(const struct etcd_cluster *cluster, size_t node)
{
	return status_number(cluster->urls[node], "raftIndex");
}

struct tandem_controller_pair etcd_pair(void)
{
	struct tandem_controller_pair pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
	snprintf(pair.name, sizeof(pair.name), "kv");
	pair.arbiter_type = TANDEM_ARBITER_ETCD;
	snprintf(pair.etcd.prefix, sizeof(pair.etcd.prefix), "tandem/test");
	/* Longer than it may be configured: these tests run beside others. */
	pair.etcd.request_timeout_ns = 20 * TANDEM_NS_PER_S;
	return pair;
}

void etcd_pair_add(struct tandem_controller_pair *pair, const char *url)
{
	cr_assert(pair->etcd.endpoint_count < TANDEM_CONTROLLER_ENDPOINTS_MAX);
	snprintf(pair->etcd.endpoints[pair->etcd.endpoint_count++], TANDEM_CONTROLLER_URL_BYTES,
	         "%s", url);
}

static void on_answer(void *context, const struct tandem_arbiter_answer *answer)
{
	struct etcd_client *client = context;
	client->last = *answer;
	client->answer_count++;
	event_base_loopbreak(etcd_base);
}

void etcd_client_open(struct etcd_client *client, const char *name,
                      const struct tandem_controller_pair *pair)
{
	struct tandem_error error = {0};
	*client = (struct etcd_client){.request_last = 0};
	memcpy(client->run_directory, etcd_directory, sizeof(etcd_directory));
	size_t length = strlen(client->run_directory);
	snprintf(client->run_directory + length, sizeof(client->run_directory) - length, "/%s",
	         name);
	int status = tandem_arbiter_new(etcd_base, pair, client->run_directory, on_answer, client,
	                                &client->arbiter, &error);
	cr_assert(status == 0, "%s", error.detail);
	cr_assert(mkdir(client->run_directory, 0700) == 0 || errno == EEXIST);
}

void etcd_client_close(struct etcd_client *client)
{
	tandem_arbiter_free(client->arbiter);
	client->arbiter = NULL;
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(context);
}

void etcd_wait_until(bool (*holds)(void *context), void *context, const char *what)
{
	uint64_t end_ns = tandem_clock_now_ns() + WAIT_NS;
	struct timeval tick = {.tv_usec = 10000};
	struct event *timer = event_new(etcd_base, -1, EV_PERSIST, on_tick, etcd_base);
	event_add(timer, &tick);
	while (!holds(context)) {
		cr_assert(tandem_clock_now_ns() < end_ns, "%s", what);
		event_base_dispatch(etcd_base);
	}
	event_free(timer);
}

struct wanted {
	struct etcd_client *client;
	unsigned count;
};

static bool has_answers(void *context)
{
	const struct wanted *wanted = context;
	return wanted->client->answer_count >= wanted->count;
}

void etcd_wait(struct etcd_client *client, unsigned count)
{
	struct wanted wanted = {client, count};
	etcd_wait_until(has_answers, &wanted, "the arbiter did not answer");
}

const struct tandem_arbiter_answer *etcd_read(struct etcd_client *client)
{
	unsigned count = client->answer_count + 1;
	tandem_arbiter_read(client->arbiter, ++client->request_last);
	etcd_wait(client, count);
	cr_assert(client->last.request == client->request_last);
	return &client->last;
}

void etcd_ask_cas(struct etcd_client *client, const struct tandem_record *expected,
                  const struct tandem_record *desired)
{
	tandem_arbiter_cas(client->arbiter, ++client->request_last, expected, desired, false);
}

const struct tandem_arbiter_answer *etcd_cas(struct etcd_client *client,
                                             const struct tandem_record *expected,
                                             const struct tandem_record *desired)
{
	unsigned count = client->answer_count + 1;
	etcd_ask_cas(client, expected, desired);
	etcd_wait(client, count);
	cr_assert(client->last.request == client->request_last);
	return &client->last;
}

struct tandem_record etcd_record(uint64_t generation, uint64_t decision)
{
	return (struct tandem_record){.generation = generation,
	                              .owner_incarnation = 1,
	                              .decision = decision,
	                              .pair = "kv",
	                              .owner = "a"};
}
