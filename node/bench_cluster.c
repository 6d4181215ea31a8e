#include "bench_cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/random.h>

#define IMAGE_PARENT      "/dev/shm"
#define PORT_DATA         7400
#define PORT_HEARTBEAT    7401
#define PORT_SERVER       6379
#define LOOK_INTERVAL_MS  2
#define ARGUMENTS_MAX     12
#define DIRECTORIES_DEPTH 16

static volatile sig_atomic_t is_ending;

static void on_signal(int number)
{
	(void)number;
	is_ending = 1;
}

void tandem_bench_catch_signals(void)
{
	const struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool tandem_bench_is_ending(void)
{
	return is_ending;
}

static int check_time(uint64_t deadline_ns, const char *what, const char *detail,
                      struct tandem_error *reterr_error)
{
	if (is_ending)
		return tandem_error_set(reterr_error, TANDEM_E_AGAIN, what, "ended by a signal");
	if (tandem_clock_now_ns() >= deadline_ns)
		return tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, what,
		                        "not within %" PRIu64 " s: %s",
		                        TANDEM_BENCH_PAIR_NS / TANDEM_NS_PER_S, detail);
	return 0;
}

/* ---- files ---- */

static int make_directory(char *path, size_t path_bytes, const char *parent,
                          struct tandem_error *reterr_error)
{
	snprintf(path, path_bytes, "%s/tandem-bench-XXXXXX", parent);
	if (mkdtemp(path) != NULL)
		return 0;
	path[0] = '\0';
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "mkdtemp", "in %s",
	                              parent);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void remove_directory(const char *path)
{
	if (path[0] != '\0')
		nftw(path, remove_entry, DIRECTORIES_DEPTH, FTW_DEPTH | FTW_PHYS);
}

static FILE *create(const struct tandem_bench_cluster *cluster, const char *name,
                    struct tandem_error *reterr_error)
{
	char path[96];
	FILE *file;
	int fd;

	snprintf(path, sizeof path, "%s/%s", cluster->directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (file == NULL)
		tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open", "%s", path);
	return file;
}

static int finish(FILE *file, const char *name, struct tandem_error *reterr_error)
{
	const bool has_failed = ferror(file) != 0;

	if (fclose(file) == 0 && !has_failed)
		return 0;
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "write", "%s", name);
}

static int write_key(const struct tandem_bench_cluster *cluster, struct tandem_error *reterr_error)
{
	FILE *file = create(cluster, "kv.key", reterr_error);

	if (file == NULL)
		return TANDEM_E_SYSTEM;
	fprintf(file, "%016" PRIx64 "%016" PRIx64 "\n", tandem_random_unique(),
	        tandem_random_unique());
	return finish(file, "kv.key", reterr_error);
}

static void write_node(FILE *file, const struct tandem_bench_cluster *cluster, unsigned index)
{
	const struct tandem_bench_node *node = &cluster->nodes[index];

	fprintf(file,
	        "  { name = \"%s\"; address = \"%s\"; port = %u;\n"
	        "    heartbeat = ( { address = \"%s\"; port = %u; } );\n"
	        "    run_directory = \"%s\"; image_directory = \"%s/images-%s\"; }%s\n",
	        node->name, node->address, PORT_DATA, node->address, PORT_HEARTBEAT,
	        node->run_directory, cluster->image_directory, node->name,
	        index + 1 < TANDEM_BENCH_NODES ? "," : "");
}

/* What is not a default: the window of the damper is as short as a take-over may be, because each
 * round is one and the pair must be ready for the next; and a broken session is tried again soon,
 * so that a round does not wait for its next pair. */
static void write_pair(FILE *file, const struct tandem_bench_cluster *cluster)
{
	fprintf(file,
	        "pairs = ( {\n"
	        "  name = \"" TANDEM_BENCH_PAIR "\"; nodes = [ \"%s\", \"%s\" ];\n"
	        "  arbiter = { type = \"file\"; path = \"%s/arbiter\"; };\n"
	        "  promote = { command = \"case $TANDEM_NODE in %s) at=%s ;; *) at=%s ;; esac; "
	        "exec \\\"$TANDEM_BIN_DIR/tandem-kv\\\" --pair \\\"$TANDEM_PAIR\\\" "
	        "--run-dir \\\"$TANDEM_RUN_DIR\\\" --listen $at:%u\"; timeout_ms = 2000; };\n"
	        "  provider = \"tcp\";\n"
	        "  heartbeat_profile = \"%s\";\n"
	        "  reconnect_interval_ms = 10; reconnect_interval_max_ms = 20;\n"
	        "  take_overs_max = 16; take_over_window_ms = 2000; fence_timeout_ms = 2000;\n"
	        "  key_file = \"%s/kv.key\";\n"
	        "} );\n",
	        cluster->nodes[0].name, cluster->nodes[1].name, cluster->directory,
	        cluster->nodes[0].name, cluster->nodes[0].address, cluster->nodes[1].address,
	        PORT_SERVER, cluster->options->profile, cluster->directory);
}

static int write_configuration(const struct tandem_bench_cluster *cluster,
                               struct tandem_error *reterr_error)
{
	FILE *file = create(cluster, "tandem.conf", reterr_error);

	if (file == NULL)
		return TANDEM_E_SYSTEM;
	fprintf(file, "cluster = \"bench\";\nnodes = (\n");
	for (unsigned i = 0; i < TANDEM_BENCH_NODES; i++)
		write_node(file, cluster, i);
	fprintf(file, ");\n");
	write_pair(file, cluster);
	return finish(file, "tandem.conf", reterr_error);
}

/* A network of its own within the loopback's, so that no port of another program is met. */
static void choose_addresses(struct tandem_bench_cluster *cluster)
{
	static const char *const names[TANDEM_BENCH_NODES] = {"a", "b"};
	const uint64_t random = tandem_random_unique();

	for (unsigned i = 0; i < TANDEM_BENCH_NODES; i++) {
		struct tandem_bench_node *node = &cluster->nodes[i];

		node->name = names[i];
		node->program_fd = -1;
		snprintf(node->address, sizeof node->address, "127.%u.%u.%u",
		         1 + (unsigned)(random % 254), 1 + (unsigned)(random / 256 % 254), i + 1);
		/* As /run is: on a file system in memory. */
		snprintf(node->run_directory, sizeof node->run_directory, "%.48s/run-%s",
		         cluster->image_directory, node->name);
		node->server.sin_family = AF_INET;
		node->server.sin_port = htons(PORT_SERVER);
		inet_pton(AF_INET, node->address, &node->server.sin_addr);
	}
}

static int find_programs(struct tandem_bench_cluster *cluster, struct tandem_error *reterr_error)
{
	char path[PATH_MAX];
	const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

	if (length <= 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "readlink",
		                              "/proc/self/exe");
	path[length] = '\0';
	snprintf(cluster->programs, sizeof cluster->programs, "%s", dirname(path));
	return 0;
}

static int make_files(struct tandem_bench_cluster *cluster, struct tandem_error *reterr_error)
{
	int code = make_directory(cluster->directory, sizeof cluster->directory,
	                          cluster->options->directory, reterr_error);

	if (code == 0)
		code = make_directory(cluster->image_directory, sizeof cluster->image_directory,
		                      IMAGE_PARENT, reterr_error);
	choose_addresses(cluster);
	if (code == 0)
		code = find_programs(cluster, reterr_error);
	if (code == 0)
		code = write_key(cluster, reterr_error);
	return code < 0 ? code : write_configuration(cluster, reterr_error);
}

/* ---- processes ---- */

static int spawn(const struct tandem_bench_cluster *cluster, const struct tandem_bench_node *node,
                 const char *const *words, pid_t *ret_pid, struct tandem_error *reterr_error)
{
	char program[PATH_MAX + 32], log[96];
	char *arguments[ARGUMENTS_MAX] = {program};

	snprintf(program, sizeof program, "%s/%s", cluster->programs, words[0]);
	snprintf(log, sizeof log, "%s/%s.log", cluster->directory, node->name);
	for (unsigned i = 1; i < ARGUMENTS_MAX - 1 && words[i] != NULL; i++)
		arguments[i] = (char *)(uintptr_t)words[i];
	return tandem_bench_keeper_spawn(&cluster->keeper, arguments, log, ret_pid, reterr_error);
}

static int spawn_daemon(const struct tandem_bench_cluster *cluster,
                        const struct tandem_bench_node *node, const char *name, pid_t *ret_pid,
                        struct tandem_error *reterr_error)
{
	char configuration[96];
	const char *const words[] = {name, "--config", configuration, "--node", node->name, NULL};

	snprintf(configuration, sizeof configuration, "%s/tandem.conf", cluster->directory);
	return spawn(cluster, node, words, ret_pid, reterr_error);
}

static int spawn_program(const struct tandem_bench_cluster *cluster,
                         const struct tandem_bench_node *node, struct tandem_error *reterr_error)
{
	char listen[INET_ADDRSTRLEN + 8], size[24];
	const char *const words[] = {
	        "tandem-kv", "--pair", TANDEM_BENCH_PAIR, "--run-dir", node->run_directory,
	        "--listen",  listen,   "--map-size",      size,        NULL};
	pid_t pid;

	snprintf(listen, sizeof listen, "%s:%u", node->address, PORT_SERVER);
	snprintf(size, sizeof size, "%" PRIu64, cluster->options->size_bytes >> 20);
	return spawn(cluster, node, words, &pid, reterr_error);
}

static int await_controller(const struct tandem_bench_node *node, struct tandem_error *reterr_error)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_BENCH_PAIR_NS;
	struct tandem_bench_status status;
	struct tandem_error error;
	int code = 0;

	while (code == 0 && tandem_bench_status_ask(node->run_directory, TANDEM_BENCH_PAIR, &status,
	                                            &error) < 0) {
		code = waitpid(node->controller, NULL, WNOHANG) == 0
		               ? check_time(deadline_ns, "controller", error.detail, reterr_error)
		               : tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "controller",
		                                  "tandem-failoverd of node %s has ended; its log "
		                                  "says why",
		                                  node->name);
		poll(NULL, 0, LOOK_INTERVAL_MS);
	}
	return code;
}

/* A data plane asks its controller at once, and then only now and again. */
static int start_node(const struct tandem_bench_cluster *cluster, struct tandem_bench_node *node,
                      struct tandem_error *reterr_error)
{
	int code = spawn_daemon(cluster, node, "tandem-failoverd", &node->controller, reterr_error);

	if (code == 0)
		code = await_controller(node, reterr_error);
	return code < 0 ? code
	                : spawn_daemon(cluster, node, "tandemd", &node->data_plane, reterr_error);
}

int tandem_bench_cluster_start(struct tandem_bench_cluster *cluster,
                               const struct tandem_bench_failover_options *options,
                               struct tandem_error *reterr_error)
{
	int code;

	*cluster = (struct tandem_bench_cluster){.options = options};
	code = make_files(cluster, reterr_error);
	if (code == 0)
		code = tandem_bench_keeper_start(&cluster->keeper, reterr_error);
	for (unsigned i = 0; code == 0 && i < TANDEM_BENCH_NODES; i++)
		code = start_node(cluster, &cluster->nodes[i], reterr_error);
	return code < 0 ? code : spawn_program(cluster, &cluster->nodes[0], reterr_error);
}

static void let_program_go(struct tandem_bench_node *node)
{
	if (node->program_fd >= 0)
		close(node->program_fd);
	node->program_fd = -1;
}

void tandem_bench_cluster_end(struct tandem_bench_cluster *cluster, bool keeps_files)
{
	for (unsigned i = 0; i < TANDEM_BENCH_NODES; i++)
		let_program_go(&cluster->nodes[i]);
	tandem_bench_keeper_end(&cluster->keeper);
	remove_directory(cluster->image_directory);
	if (!keeps_files)
		remove_directory(cluster->directory);
}

/* ---- the pair ---- */

static bool leads_pair(const struct tandem_bench_status *statuses, unsigned index)
{
	const struct tandem_bench_status *one = &statuses[index], *other = &statuses[1 - index];

	return one->is_primary_pair && other->is_secondary && one->generation == other->generation;
}

static int ask_all(const struct tandem_bench_cluster *cluster,
                   struct tandem_bench_status statuses[TANDEM_BENCH_NODES],
                   struct tandem_error *reterr_error)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < TANDEM_BENCH_NODES; i++)
		code = tandem_bench_status_ask(cluster->nodes[i].run_directory, TANDEM_BENCH_PAIR,
		                               &statuses[i], reterr_error);
	return code;
}

/* The number names the process that leads: it is alive, for its controller says so now. */
static int hold_program(struct tandem_bench_node *node, uint32_t process_id,
                        struct tandem_error *reterr_error)
{
	let_program_go(node);
	node->program = (pid_t)process_id;
	node->program_fd = (int)syscall(SYS_pidfd_open, (pid_t)process_id, 0);
	if (node->program_fd >= 0)
		return 0;
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "pidfd_open",
	                              "process %" PRIu32 " of node %s", process_id, node->name);
}

int tandem_bench_cluster_await_pair(struct tandem_bench_cluster *cluster, unsigned *ret_leader,
                                    struct tandem_bench_status *ret_status,
                                    struct tandem_error *reterr_error)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_BENCH_PAIR_NS;
	struct tandem_bench_status statuses[TANDEM_BENCH_NODES];

	for (;;) {
		int code = ask_all(cluster, statuses, reterr_error);

		for (unsigned i = 0; code == 0 && i < TANDEM_BENCH_NODES; i++) {
			if (!leads_pair(statuses, i))
				continue;
			*ret_leader = i;
			*ret_status = statuses[i];
			return hold_program(&cluster->nodes[i], statuses[i].program, reterr_error);
		}
		if (code == 0)
			code = check_time(deadline_ns, "pair", statuses[0].headline, reterr_error);
		if (code < 0)
			return code;
		poll(NULL, 0, LOOK_INTERVAL_MS);
	}
}

int tandem_bench_cluster_check_pair(const struct tandem_bench_cluster *cluster, unsigned leader,
                                    const struct tandem_bench_status *before,
                                    struct tandem_error *reterr_error)
{
	struct tandem_bench_status statuses[TANDEM_BENCH_NODES];
	const int code = ask_all(cluster, statuses, reterr_error);

	if (code < 0 ||
	    (leads_pair(statuses, leader) && statuses[leader].generation == before->generation))
		return code;
	return tandem_error_set(reterr_error, TANDEM_E_PEER_LOST, "pair", "%s",
	                        statuses[leader].headline);
}

/* ---- fault and repair ---- */

static int signal_program(const struct tandem_bench_node *node, int number)
{
	return (int)syscall(SYS_pidfd_send_signal, node->program_fd, number, NULL, 0);
}

int tandem_bench_cluster_strike(struct tandem_bench_cluster *cluster, unsigned index,
                                uint64_t *ret_at_ns, struct tandem_error *reterr_error)
{
	const struct tandem_bench_node *node = &cluster->nodes[index];
	const bool is_stop = cluster->options->fault == TANDEM_BENCH_FAULT_STOP;
	int status;

	*ret_at_ns = tandem_clock_now_ns();
	status = signal_program(node, is_stop ? SIGSTOP : SIGKILL);
	if (is_stop && status == 0)
		status = kill(node->controller, SIGSTOP);
	if (is_stop && status == 0)
		status = kill(node->data_plane, SIGSTOP);
	if (status == 0)
		return 0;
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "kill",
	                              "a process of node %s", node->name);
}

static void end_daemon(pid_t *pid)
{
	kill(*pid, SIGKILL);
	while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
}

/* It is the bench's own child if the bench has started it, or if its parent has ended. */
static void reap_program(const struct tandem_bench_node *node)
{
	while (waitpid(node->program, NULL, 0) < 0 && errno == EINTR)
		;
}

int tandem_bench_cluster_repair(struct tandem_bench_cluster *cluster, unsigned index,
                                struct tandem_error *reterr_error)
{
	struct tandem_bench_node *node = &cluster->nodes[index];
	const bool is_stop = cluster->options->fault == TANDEM_BENCH_FAULT_STOP;
	int code = 0;

	if (is_stop) {
		signal_program(node, SIGKILL);
		end_daemon(&node->controller);
		end_daemon(&node->data_plane);
	}
	reap_program(node);
	let_program_go(node);
	if (is_stop)
		code = start_node(cluster, node, reterr_error);
	return code;
}
