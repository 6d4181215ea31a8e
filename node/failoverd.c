#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/controller.h>
#include <tandem/failpoint.h>
#include <tandem/log.h>

#include "configuration.h"
#include "failoverd_options.h"
#include "notify.h"
#include "privileges.h"

/* The failover controller: a process of its own, so that a hung data plane cannot stop it. */

static const char help[] =
        "usage: tandem-failoverd [--config FILE] [--node NAME] [--check]\n"
        "\n"
        "Watches both sides of every pair that this node serves, asks the arbiter and decides who "
        "leads.\n"
        "\n"
        "  --config FILE  the cluster's configuration (default " TANDEM_CONFIG_PATH_DEFAULT ")\n"
        "  --node NAME    which node of the file this is (default: the host name)\n"
        "  --check        load and check everything, start nothing\n"
        "  --help         this text\n"
        "\n"
        "examples:\n"
        "  tandem-failoverd                         on a cluster node, from its unit file\n"
        "  tandem-failoverd --config conf/quickstart.conf --node a\n"
        "  tandemctl --config conf/quickstart.conf --node a status\n"
        "\n"
        "exit status: 0 ended by a signal, 1 failed (the log says why), 2 wrong use\n";

struct arguments {
	const char *path;
	const char *node;
	bool is_check;
};

struct failoverd {
	struct tandem_config *config;
	const struct tandem_config_node *node;
	struct tandem_controller_pair pairs[TANDEM_CONTROLLER_PAIRS_MAX];
	struct tandem_controller_options options;
	struct event_base *base;
	struct event *signals[2];
	struct tandem_controller *controller;
};

static void on_decision(void *context, bool is_alarm, const char *line)
{
	(void)context;
	tandem_log(is_alarm ? TANDEM_LOG_WARNING : TANDEM_LOG_INFO, "%s", line);
}

static void on_end(evutil_socket_t signal_number, short what, void *context)
{
	struct failoverd *daemon = context;
	(void)what;
	tandem_log(TANDEM_LOG_INFO, "ending on signal %d", (int)signal_number);
	event_base_loopbreak(daemon->base);
}

static int catch_signals(struct failoverd *daemon)
{
	daemon->signals[0] = evsignal_new(daemon->base, SIGTERM, on_end, daemon);
	daemon->signals[1] = evsignal_new(daemon->base, SIGINT, on_end, daemon);
	for (size_t i = 0; i < 2; i++) {
		if (!daemon->signals[i] || event_add(daemon->signals[i], NULL) < 0)
			return TANDEM_E_MEMORY;
	}
	return 0;
}

static int load(struct failoverd *daemon, const struct arguments *arguments)
{
	struct tandem_error error = {.code = 0};
	int rc = tandem_node_configure(arguments->path, arguments->node, &daemon->config,
	                               &daemon->node);
	if (rc < 0)
		return rc;
	rc = tandem_failoverd_options(daemon->config, daemon->node, daemon->pairs, &daemon->options,
	                              &error);
	if (rc < 0)
		tandem_log(TANDEM_LOG_ERROR, "%s", error.detail);
	return rc;
}

_Static_assert(sizeof(((struct tandem_privileges *)0)->lock_refusal) ==
                       TANDEM_CONTROLLER_REFUSAL_BYTES,
               "one size of a refusal");

/* Windows end between two milliseconds. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	if (!config)
		return NULL;
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	struct event_base *base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static int start(struct failoverd *daemon, struct tandem_error *reterr_error)
{
	daemon->options.on_decision = on_decision;
	daemon->options.context = daemon;
	daemon->base = new_base();
	if (!daemon->base || catch_signals(daemon) < 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "event_base_new",
		                        "no memory");
	return tandem_controller_new(daemon->base, &daemon->options, &daemon->controller,
	                             reterr_error);
}

static bool is_authenticated(const struct failoverd *daemon)
{
	static const uint8_t zero[TANDEM_CONTROLLER_KEY_BYTES];
	for (size_t i = 0; i < daemon->options.pair_count; i++) {
		if (memcmp(daemon->pairs[i].key, zero, sizeof(zero)) == 0)
			return false;
	}
	return true;
}

static void say_started(const struct failoverd *daemon, const struct tandem_privileges *privileges)
{
	char state[256];
	struct tandem_error error;
	size_t count = daemon->options.pair_count;
	const char *refusal = tandem_controller_real_time_refusal(daemon->controller);
	tandem_log(TANDEM_LOG_INFO,
	           "node %s of cluster %s: %zu pair%s, %zu heartbeat link%s; real-time: %s%s; "
	           "memory locked: %s%s; heartbeats authenticated: %s",
	           daemon->node->name, daemon->config->cluster, count, count == 1 ? "" : "s",
	           daemon->node->heartbeat_count, daemon->node->heartbeat_count == 1 ? "" : "s",
	           refusal[0] == 0 ? "yes" : "no, ", refusal,
	           privileges->is_locked ? "yes" : "no, ", privileges->lock_refusal,
	           is_authenticated(daemon) ? "yes" : "no (key_file)");
	snprintf(state, sizeof(state), "READY=1\nSTATUS=node %s watches %zu pair%s",
	         daemon->node->name, count, count == 1 ? "" : "s");
	if (tandem_notify(state, &error) < 0)
		tandem_log(TANDEM_LOG_WARNING, "%s: %s", error.operation, error.detail);
}

static void end(struct failoverd *daemon)
{
	tandem_controller_free(daemon->controller);
	for (size_t i = 0; i < 2; i++) {
		if (daemon->signals[i])
			event_free(daemon->signals[i]);
	}
	if (daemon->base)
		event_base_free(daemon->base);
	tandem_config_free(daemon->config);
}

static int run(struct failoverd *daemon)
{
	struct tandem_error error = {.code = 0};
	struct tandem_privileges privileges;
	tandem_privileges_take(&privileges);
	daemon->options.is_memory_locked = privileges.is_locked;
	memcpy(daemon->options.memory_lock_refusal, privileges.lock_refusal,
	       sizeof(daemon->options.memory_lock_refusal));
	if (start(daemon, &error) < 0) {
		tandem_log(TANDEM_LOG_ERROR, "%s: %s", error.operation, error.detail);
		return EXIT_FAILURE;
	}
	say_started(daemon, &privileges);
	event_base_dispatch(daemon->base);
	tandem_notify("STOPPING=1", NULL);
	return EXIT_SUCCESS;
}

/* 0 to go on, else the exit status and one more than it. */
static int read_arguments(int argument_count, char **words, struct arguments *ret_arguments)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
	                                        {"node", required_argument, NULL, 'n'},
	                                        {"check", no_argument, NULL, 'k'},
	                                        {"help", no_argument, NULL, 'h'},
	                                        {NULL, 0, NULL, 0}};
	int option;
	while ((option = getopt_long(argument_count, words, "", options, NULL)) != -1) {
		if (option == 'c') {
			ret_arguments->path = optarg;
		} else if (option == 'n') {
			ret_arguments->node = optarg;
		} else if (option == 'k') {
			ret_arguments->is_check = true;
		} else {
			fputs(help, option == 'h' ? stdout : stderr);
			return option == 'h' ? 1 : 3;
		}
	}
	if (optind == argument_count)
		return 0;
	fprintf(stderr, "tandem-failoverd: unexpected argument '%s'; --help has examples\n",
	        words[optind]);
	return 3;
}

int main(int argument_count, char **words)
{
	static struct failoverd daemon;
	struct arguments arguments = {.path = TANDEM_CONFIG_PATH_DEFAULT};
	int status = read_arguments(argument_count, words, &arguments);
	if (status > 0)
		return status - 1;
	signal(SIGPIPE, SIG_IGN);
	tandem_log_open("tandem-failoverd");
	tandem_failpoint_load();
	status = EXIT_FAILURE;
	if (load(&daemon, &arguments) == 0) {
		if (arguments.is_check)
			printf("%s: node %s: ok\n", arguments.path, daemon.node->name);
		status = arguments.is_check ? EXIT_SUCCESS : run(&daemon);
	}
	end(&daemon);
	return status;
}
