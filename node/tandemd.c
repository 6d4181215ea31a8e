#include <event2/event.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/config.h>
#include <tandem/failpoint.h>
#include <tandem/log.h>
#include <tandem/memory.h>
#include <tandem/standby.h>

#include "ahead.h"
#include "children.h"
#include "configuration.h"
#include "greeter.h"
#include "qemu_match.h"

_Static_assert(TANDEM_CONFIG_RAILS_MAX + 1 <= TANDEM_RAILS_MAX, "rails of a node");
_Static_assert(TANDEM_CONFIG_PAIRS_MAX <= TANDEM_KEYS_MAX, "keys of a node");

/* The node's data plane: for each pair a standby that holds cache and image and starts the promoted
 * program. */

static const char help[] =
        "usage: tandemd [--config FILE] [--node NAME]\n"
        "\n"
        "Holds the copies of the pairs that this node serves and starts their programs on "
        "promotion.\n"
        "\n"
        "  --config FILE  the cluster's configuration (default " TANDEM_CONFIG_PATH_DEFAULT ")\n"
        "  --node NAME    which node of the file this is (default: the host name)\n"
        "  --help         this text\n"
        "\n"
        "examples:\n"
        "  tandemd                                  on a cluster node, from its unit file\n"
        "  tandemd --config conf/quickstart.conf --node b\n"
        "  tandemctl check FILE                     what this node needs: memory, memory lock, "
        "privileges\n";

/* How often it is looked whether QEMU is another one, and how long one may take to say what it is:
 * tandem-qemu gives up earlier by itself. */
#define LOOK_NS     (2 * TANDEM_NS_PER_S)
#define PATIENCE_NS (180 * TANDEM_NS_PER_S)
/* What a trial lacked may be there any moment, and none takes long. */
#define TRIAL_WAIT_NS_MAX (10 * TANDEM_NS_PER_S)
/* The same for the one that waits, and how long it does so without a word of the primary. */
#define AHEAD_LOOK_NS (500 * TANDEM_NS_PER_MS)
#define QUIET_NS      (60 * TANDEM_NS_PER_S)
/* The memory of a large guest is given back meanwhile. */
#define AHEAD_LINGER_NS (30 * TANDEM_NS_PER_S)

struct place {
	const struct tandem_config_pair *pair;
	struct tandem_key key; /* zeros: none */
	struct tandem_standby *standby;
	struct tandem_qemu_match *match; /* NULL: nothing is compared */
	struct tandem_ahead *ahead;      /* NULL: nothing is started before it has to be */
	uint64_t heard_ns;               /* when there was a session last */
	struct tandemd *daemon;
};

struct tandemd {
	struct tandem_config *config;
	const struct tandem_config_node *node;
	struct event_base *base;
	struct tandem_greeter *greeter;
	struct event *signals[3];
	struct event *timer;
	struct place places[TANDEM_CONFIG_PAIRS_MAX];
	size_t place_count;
	char bin_directory[PATH_MAX];
};

static void say(void *argument, bool is_error, const char *line)
{
	(void)argument;
	tandem_log(is_error ? TANDEM_LOG_ERROR : TANDEM_LOG_INFO, "%s", line);
}

static struct tandem_places places_of(const struct place *place)
{
	const struct tandemd *daemon = place->daemon;

	return (struct tandem_places){
	        .pair = place->pair->name,
	        .config_path = daemon->config->path,
	        .node = daemon->node->name,
	        .run_directory = daemon->node->run_directory,
	        .bin_directory = daemon->bin_directory,
	};
}

/* What has the files and the taps of a guest makes room, or is that guest. */
static pid_t go(void *argument, const struct tandem_environment *environment)
{
	struct place *place = argument;
	const pid_t process = place->ahead ? tandem_ahead_go(place->ahead, environment) : 0;

	if (process != 0)
		tandem_log(TANDEM_LOG_INFO, "pair %s: it has been started ahead",
		           place->pair->name);
	if (place->match)
		tandem_qemu_match_forget_trial(place->match);
	return process;
}

static int start_program(struct place *place, const struct tandem_activation *activation,
                         struct tandem_error *reterr_error)
{
	const struct tandem_child_options options = {
	        .places = places_of(place),
	        .command = place->pair->promote.command,
	        .retry_ns = place->pair->promote.timeout_ns,
	        .go = go,
	        .argument = place,
	};

	return tandem_children_start(&options, activation, place->standby, reterr_error);
}

static int protect(void *argument, struct tandem_error *reterr_error)
{
	struct place *place = argument;

	if (place->pair->protect.type[0] == '\0')
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "protect",
		                        "the pair has no group protect: its program is to be "
		                        "started, and protects itself");
	if (place->ahead)
		tandem_ahead_drop_copy(place->ahead);
	if (place->match)
		tandem_qemu_match_forget_trial(place->match);
	tandem_log(TANDEM_LOG_INFO, "pair %s: to be protected as it runs; starting: %s",
	           place->pair->name, place->pair->promote.command);
	return start_program(place, NULL, reterr_error);
}

static int activate(void *argument, const struct tandem_activation *activation,
                    struct tandem_error *reterr_error)
{
	struct place *place = argument;

	tandem_log(TANDEM_LOG_INFO,
	           "pair %s: promoted at epoch %llu, generation %llu; starting: %s",
	           activation->pair, (unsigned long long)activation->epoch,
	           (unsigned long long)activation->generation, place->pair->promote.command);
	return start_program(place, activation, reterr_error);
}

/* A disk may be there for the node only that leads. */
static bool is_tried(const struct tandem_config_pair *pair)
{
	return strcmp(pair->protect.disks, "refused") == 0;
}

/* A tap of the kernel's gate would hold frames for a QEMU that waits, and keep the oldest. */
static bool is_started_ahead(const struct tandem_config_pair *pair)
{
	return is_tried(pair) && strstr(pair->protect.network, "plug:") == NULL;
}

static int judge(void *argument, const char *needs, char *ret_reason, size_t reason_bytes)
{
	const struct place *place = argument;

	return place->match ? tandem_qemu_match_judge(place->match, needs, ret_reason, reason_bytes)
	                    : 0;
}

static void on_other_qemu(void *argument)
{
	const struct place *place = argument;

	if (place->ahead)
		tandem_ahead_look(place->ahead);
	if (place->standby)
		tandem_standby_review(place->standby);
}

static void take_copy(void *argument, const char *image_directory, const void *state,
                      size_t state_bytes)
{
	const struct place *place = argument;

	if (place->ahead)
		tandem_ahead_take_copy(place->ahead, image_directory, state, state_bytes);
}

static void drop_copy(void *argument)
{
	const struct place *place = argument;

	if (place->ahead)
		tandem_ahead_drop_copy(place->ahead);
}

/* While the guest is protected, and in a take-over, which comes soon after the last word. */
static bool is_ahead_wanted(void *argument)
{
	struct place *place = argument;
	const uint64_t now_ns = tandem_clock_now_ns();

	if (place->standby && tandem_standby_has_session(place->standby))
		place->heard_ns = now_ns;
	return place->heard_ns != 0 && now_ns < place->heard_ns + QUIET_NS &&
	       tandem_qemu_match_is_well(place->match);
}

static void on_ahead_failure(void *argument)
{
	const struct place *place = argument;

	tandem_qemu_match_doubt(place->match);
}

static int start_ahead(struct place *place, struct tandem_error *reterr_error)
{
	const struct tandem_ahead_options options = {
	        .places = places_of(place),
	        .look_ns = AHEAD_LOOK_NS,
	        .linger_ns = AHEAD_LINGER_NS,
	        .is_wanted = is_ahead_wanted,
	        .on_failure = on_ahead_failure,
	        .argument = place,
	};

	return place->match && is_started_ahead(place->pair)
	               ? tandem_ahead_new(place->daemon->base, &options, &place->ahead,
	                                  reterr_error)
	               : 0;
}

/* What promote.command starts for a pair without the group `protect` is not known here. */
static int compare_qemu(struct place *place, struct tandem_error *reterr_error)
{
	const struct tandem_qemu_match_options options = {
	        .places = places_of(place),
	        .tries = is_tried(place->pair),
	        .look_ns = LOOK_NS,
	        .patience_ns = PATIENCE_NS,
	        .trial_wait_ns_max = TRIAL_WAIT_NS_MAX,
	        .on_change = on_other_qemu,
	        .argument = place,
	};

	return place->pair->protect.type[0] == '\0'
	               ? 0
	               : tandem_qemu_match_new(place->daemon->base, &options, &place->match,
	                                       reterr_error);
}

static struct tandem_standby *find(void *argument, const char *pair, struct tandem_key *ret_key)
{
	struct tandemd *daemon = argument;

	for (size_t index = 0; index < daemon->place_count; index++) {
		if (strcmp(daemon->places[index].pair->name, pair) != 0)
			continue;
		*ret_key = daemon->places[index].key;
		return daemon->places[index].standby;
	}
	return NULL;
}

static void on_child(evutil_socket_t signal_number, short what, void *argument)
{
	struct tandem_child_end end;

	(void)signal_number;
	(void)what;
	(void)argument;
	while (tandem_children_reap(&end)) {
		const char *next =
		        end.is_retried ? "starting it again" : "its memory is no copy any more";

		tandem_log(TANDEM_LOG_WARNING, "a program that was %s ended, %s %d; %s",
		           end.was_promoted ? "promoted" : "started to protect",
		           WIFSIGNALED(end.status) ? "by signal" : "with status",
		           WIFSIGNALED(end.status) ? WTERMSIG(end.status) : WEXITSTATUS(end.status),
		           end.was_promoted ? next : "tandemctl protect starts another");
		if (end.was_promoted && !end.is_retried)
			tandem_standby_renew(end.standby);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	tandem_children_retry();
	on_child(fd, what, argument);
}

static void on_end(evutil_socket_t signal_number, short what, void *argument)
{
	struct tandemd *daemon = argument;

	(void)what;
	tandem_log(TANDEM_LOG_INFO, "ending on signal %d", (int)signal_number);
	event_base_loopbreak(daemon->base);
}

static int catch_events(struct tandemd *daemon)
{
	struct timeval interval = {.tv_usec = 100000};

	daemon->signals[0] = evsignal_new(daemon->base, SIGCHLD, on_child, daemon);
	daemon->signals[1] = evsignal_new(daemon->base, SIGTERM, on_end, daemon);
	daemon->signals[2] = evsignal_new(daemon->base, SIGINT, on_end, daemon);
	for (size_t index = 0; index < 3; index++) {
		if (daemon->signals[index] == NULL || event_add(daemon->signals[index], NULL) != 0)
			return TANDEM_E_MEMORY;
	}
	daemon->timer = event_new(daemon->base, -1, EV_PERSIST, on_timer, daemon);
	return daemon->timer == NULL || event_add(daemon->timer, &interval) != 0 ? TANDEM_E_MEMORY
	                                                                         : 0;
}

static bool is_provider(const struct tandem_config_pair *pair, const char *name)
{
	return strcmp(pair->provider, name) == 0;
}

static int start_standbys(struct tandemd *daemon, struct tandem_greeter_options *greeter_options,
                          struct tandem_error *reterr_error)
{
	for (size_t index = 0; index < daemon->config->pair_count; index++) {
		const struct tandem_config_pair *pair = &daemon->config->pairs[index];
		struct place *place = &daemon->places[daemon->place_count];
		struct tandem_standby_options options = {
		        .pair = pair->name,
		        .run_directory = daemon->node->run_directory,
		        .image_directory = daemon->node->image_directory,
		        .keeps_images = true,
		        .activate = activate,
		        .protect = protect,
		        .judge = judge,
		        .take_copy = take_copy,
		        .drop_copy = drop_copy,
		        .say = say,
		        .argument = place,
		};
		int code;

		if (!tandem_config_serves(daemon->node, pair))
			continue;
		*place = (struct place){.pair = pair, .daemon = daemon};
		code = compare_qemu(place, reterr_error);
		if (code == 0)
			code = start_ahead(place, reterr_error);
		if (code == 0)
			code = tandem_config_key(pair, &place->key, reterr_error);
		if (code < 0)
			return tandem_error_wrap(reterr_error, code, "pair %s", pair->name);
		code = tandem_standby_new(&options, &place->standby, reterr_error);
		if (code < 0)
			return tandem_error_wrap(reterr_error, code, "pair %s", pair->name);
		daemon->place_count++;
		greeter_options->keys[greeter_options->key_count++] = place->key;
		greeter_options->uses_rdma |= !is_provider(pair, "tcp");
		greeter_options->uses_tcp |= !is_provider(pair, "rdma");
		greeter_options->needs_rdma |= is_provider(pair, "rdma");
	}
	return 0;
}

static void list_rails(const struct tandem_config_node *node,
                       struct tandem_greeter_options *options)
{
	options->rail_count = (unsigned)tandem_config_rail_count(node);
	for (unsigned index = 0; index < options->rail_count; index++)
		snprintf(options->rails[index].address, sizeof options->rails[index].address, "%s",
		         tandem_config_rail(node, index));
}

static int start(struct tandemd *daemon, struct tandem_error *reterr_error)
{
	struct tandem_greeter_options options = {.port = daemon->node->port};
	int code;

	list_rails(daemon->node, &options);

	daemon->base = event_base_new();
	if (daemon->base == NULL || catch_events(daemon) < 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "event_base_new",
		                        "no memory");
	code = start_standbys(daemon, &options, reterr_error);
	if (code == 0 && daemon->place_count == 0)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "tandemd",
		                        "node %s serves no pair", daemon->node->name);
	return code < 0 ? code
	                : tandem_greeter_new(daemon->base, &options, find, daemon, &daemon->greeter,
	                                     reterr_error);
}

static void end(struct tandemd *daemon)
{
	tandem_greeter_free(daemon->greeter);
	for (size_t index = 0; index < daemon->place_count; index++)
		tandem_standby_free(daemon->places[index].standby);
	for (size_t index = 0; index < TANDEM_CONFIG_PAIRS_MAX; index++) {
		tandem_ahead_free(daemon->places[index].ahead);
		tandem_qemu_match_free(daemon->places[index].match);
	}
	for (size_t index = 0; index < 3; index++) {
		if (daemon->signals[index] != NULL)
			event_free(daemon->signals[index]);
	}
	if (daemon->timer != NULL)
		event_free(daemon->timer);
	if (daemon->base != NULL)
		event_base_free(daemon->base);
	tandem_config_free(daemon->config);
}

/* Registered memory counts against the limit; root may raise it. */
static void raise_memory_lock(void)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 && getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
		tandem_log(TANDEM_LOG_INFO,
		           "memory lock limit is %llu KiB; RDMA needs more than the regions",
		           (unsigned long long)limit.rlim_cur >> 10);
}

static int run(const char *path, const char *node)
{
	static struct tandemd daemon;
	struct tandem_error error = {.code = 0};
	int status = EXIT_FAILURE;

	if (tandem_node_configure(path, node, &daemon.config, &daemon.node) == 0) {
		tandem_node_find_programs(daemon.bin_directory);
		raise_memory_lock();
		if (start(&daemon, &error) == 0) {
			tandem_log(TANDEM_LOG_INFO, "node %s of cluster %s: %zu pair%s",
			           daemon.node->name, daemon.config->cluster, daemon.place_count,
			           daemon.place_count == 1 ? "" : "s");
			event_base_dispatch(daemon.base);
			status = EXIT_SUCCESS;
		} else {
			tandem_log(TANDEM_LOG_ERROR, "%s: %s", error.operation, error.detail);
		}
	}
	end(&daemon);
	return status;
}

int main(int argument_count, char **arguments)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
	                                        {"node", required_argument, NULL, 'n'},
	                                        {"help", no_argument, NULL, 'h'},
	                                        {NULL, 0, NULL, 0}};
	const char *path = TANDEM_CONFIG_PATH_DEFAULT, *node = NULL;
	int option;

	while ((option = getopt_long(argument_count, arguments, "", options, NULL)) != -1) {
		if (option == 'c') {
			path = optarg;
		} else if (option == 'n') {
			node = optarg;
		} else {
			fputs(help, option == 'h' ? stdout : stderr);
			return option == 'h' ? EXIT_SUCCESS : 2;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	tandem_log_open("tandemd");
	tandem_failpoint_load();
	return run(path, node);
}
