#include "qemu_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/tandem.h>
#include <wordexp.h>

#include "configuration.h"

static const char help[] =
        "tandem-qemu: an unmodified QEMU whose guest Tandem keeps alive on a second host\n"
        "\n"
        "usage: tandem-qemu --config FILE [--node NAME] --pair PAIR\n"
        "                   [--identity | --trial]\n"
        "       tandem-qemu --pair PAIR --gate plug:TAP [options] --qmp PATH\n"
        "       tandem-qemu --pair PAIR --gate user:TAP [options] -- QEMU [ARGUMENT...]\n"
        "\n"
        "  --config FILE     the cluster's configuration: all below is in the pair's group "
        "protect\n"
        "  --node NAME       which node of the file this is (default: the host name)\n"
        "  --pair PAIR       the pair of the configuration file that this guest is\n"
        "  --identity        only says which QEMU and machine protect.command starts on this "
        "node,\n"
        "                    which have to be those of the other one, as a JSON object\n"
        "  --trial           only says whether the QEMU of protect.command starts on this node as "
        "it\n"
        "                    would to take over, as a JSON object: it is started, and ended "
        "again;\n"
        "                    not where a guest of the pair runs\n"
        "  --ahead FD        as tandemd starts it on a node that has a copy: QEMU is started, and "
        "the\n"
        "                    rest is done when that says so, at the other end of the descriptor\n"
        "  --forward FD      as this program starts it for a guest that was let go: it takes the "
        "gates "
        "at\n"
        "                    the descriptor, holds nothing back, and ends with QEMU\n"
        "  --gate user:TAP   what the guest sends leaves by the tap interface TAP, which exists,\n"
        "                    when its epoch is committed; what comes passes at once. QEMU's "
        "netdev\n"
        "                    for it is tandem0, of a second --gate tandem1, and so on to tandem7\n"
        "  --gate plug:TAP   the same by the kernel's queue sch_plug; QEMU has the tap itself\n"
        "  --gate user:/PATH the same by the datagram socket of another program, a frame each\n"
        "  --ungated         what the guest sends leaves at once, so that after a take-over "
        "others\n"
        "                    may know more of the guest than it does itself. The pair needs\n"
        "                    lease_ms or an arbiter that fences, or two guests could run\n"
        "  --qmp PATH        the control socket of a QEMU that runs already, as the same user as\n"
        "                    this program. For a gate it has\n"
        "                    -netdev tap,id=tandem0,ifname=TAP,script=no,downscript=no (plug) or\n"
        "                    -netdev "
        "stream,id=tandem0,server=off,addr.type=unix,reconnect-ms=100,\n"
        "                    addr.path=RUN_DIR/PAIR.card0 (user: a process of this program has "
        "the\n"
        "                    network on, tandem-gate, until QEMU ends, also when the guest is let\n"
        "                    go)\n"
        "  --run-dir DIR     where the controller's socket is (default /run/tandem)\n"
        "  --memory WAY      shared: the guest's RAM is read where QEMU has it, which takes\n"
        "                    -object memory-backend-file,id=ID,size=...,share=on with a mem-path\n"
        "                    on /dev/shm, and -machine memory-backend=ID; stream: QEMU sends it;\n"
        "                    auto (default): shared where that is exact, else stream, and a log\n"
        "                    line says why\n"
        "  --interval MS     from one epoch to the next (default 100)\n"
        "  --pause-limit MS  how long QEMU may hold the guest for an epoch; it then runs on,\n"
        "                    unprotected until it was copied anew (default 10000)\n"
        "  --disks HOW       disks that the guest can write to are not copied. refused (default): "
        "none\n"
        "                    may be there; shared: they are on storage that both nodes reach, and\n"
        "                    fencing keeps one of them off it; replicated: something else copies\n"
        "                    them\n"
        "  --allow-untested  also versions of QEMU that Tandem's tests do not run\n"
        "  --help            this text\n"
        "\n";
static const char help_end[] =
        "A QEMU that runs already is protected as it is. From its first epoch on it ends when "
        "this\n"
        "program does, because another node may then go on with its guest.\n"
        "\n"
        "One that is started here gets a control socket, RUN_DIR/PAIR.qmp, and ends with this\n"
        "program. Started by tandemd to take over, it makes the guest of the last epoch. Both "
        "nodes\n"
        "need the same version of QEMU. state_bytes_max of the pair has to hold the state of the\n"
        "guest's devices: 16 KiB to a few hundred, and 128 KiB more for each IDE disk that is "
        "being\n"
        "read.\n"
        "\n"
        "examples:\n"
        "  tandem-qemu --config /etc/tandem/tandem.conf --pair vm1\n"
        "  tandem-qemu --config /etc/tandem/tandem.conf --pair vm1 --identity\n"
        "  tandem-qemu --config /etc/tandem/tandem.conf --pair vm1 --trial\n"
        "  tandem-qemu --pair vm1 --gate plug:vm1 --qmp /run/vm1.qmp\n"
        "  ip tuntap add vm1 mode tap && ip link set vm1 master br0 up\n"
        "  tandem-qemu --pair vm1 --gate user:vm1 -- qemu-system-x86_64 -accel kvm -m 1G\n"
        "    -nodefaults -display none -device virtio-net-pci,netdev=tandem0 -cdrom live.iso\n"
        "  promote = { command = \"exec $TANDEM_BIN_DIR/tandem-qemu --pair $TANDEM_PAIR\"\n"
        "    \" --run-dir $TANDEM_RUN_DIR --gate user:vm1 -- qemu-system-x86_64 -accel kvm ...\";"
        " };\n"
        "\n"
        "exit status: 0 ended by a signal or by the guest, 1 failed, 2 wrong use, 3 another node\n"
        "leads\n";

/* As given. */
struct given {
	const char *config_path;
	const char *node;
	const char *qmp_path;
	const char *run_directory;
	bool is_ungated;
	bool has_options; /* that are in the configuration, too */
};

static int refuse(const char *why)
{
	fprintf(stderr, "tandem-qemu: %s\n\n%s%s", why, help, help_end);
	return 2;
}

static bool read_ms(const char *text, uint64_t *ret_ns)
{
	char *end;

	errno = 0;
	const unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != 0 || *text == '-' || value == 0 || value > 3600000)
		return false;
	*ret_ns = value * TANDEM_NS_PER_MS;
	return true;
}

static int read_descriptor(const char *text)
{
	char *end;
	const long value = strtol(text, &end, 10);

	return *end == 0 && end != text && value > 2 && value <= INT_MAX ? (int)value : -1;
}

static const struct option names[] = {
        {"config", required_argument, NULL, 'c'},   {"node", required_argument, NULL, 'n'},
        {"pair", required_argument, NULL, 'p'},     {"qmp", required_argument, NULL, 'q'},
        {"run-dir", required_argument, NULL, 'r'},  {"ungated", no_argument, NULL, 'u'},
        {"gate", required_argument, NULL, 'g'},     {"memory", required_argument, NULL, 'm'},
        {"interval", required_argument, NULL, 'i'}, {"pause-limit", required_argument, NULL, 'l'},
        {"allow-untested", no_argument, NULL, 'a'}, {"disks", required_argument, NULL, 'd'},
        {"identity", no_argument, NULL, 'I'},       {"trial", no_argument, NULL, 'T'},
        {"ahead", required_argument, NULL, 'A'},    {"forward", required_argument, NULL, 'F'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};

/* False: not an option, or a value that it does not take. */
static bool take(int option, struct tandem_qemu_options *options, struct given *given)
{
	given->has_options = given->has_options || strchr("qruiladgm", option);
	switch (option) {
	case 'c':
		given->config_path = optarg;
		return true;
	case 'n':
		given->node = optarg;
		return true;
	case 'p':
		options->pair = optarg;
		return true;
	case 'q':
		given->qmp_path = optarg;
		return true;
	case 'r':
		given->run_directory = optarg;
		return true;
	case 'u':
		given->is_ungated = true;
		return true;
	case 'g':
		return tandem_qemu_gates_add(&options->gates, optarg);
	case 'm':
		return tandem_qemu_way_read(optarg, &options->way);
	case 'a':
		options->guest.accepts = TANDEM_QEMU_UNTESTED;
		return true;
	case 'd':
		options->guest.accepts_disks =
		        strcmp(optarg, "shared") == 0 || strcmp(optarg, "replicated") == 0;
		return options->guest.accepts_disks || strcmp(optarg, "refused") == 0;
	case 'I':
		options->asks_identity = true;
		return true;
	case 'A':
		options->ahead_fd = read_descriptor(optarg);
		return options->ahead_fd >= 0;
	case 'F':
		options->forward_fd = read_descriptor(optarg);
		return options->forward_fd >= 0;
	case 'T':
		options->is_on_trial = true;
		return true;
	case 'i':
		return read_ms(optarg, &options->guest.interval_ns);
	case 'l':
		return read_ms(optarg, &options->guest.pause_timeout_ns);
	default:
		return false;
	}
}

/* The command of the file as the shell would have its words; they stay. NULL: it has none. */
static char *const *split(const char *command)
{
	static wordexp_t words;

	return wordexp(command, &words, WRDE_NOCMD) == 0 && words.we_wordc > 0 ? words.we_wordv
	                                                                       : NULL;
}

static bool read_network(const char *network, struct tandem_qemu_options *options)
{
	static char words[TANDEM_CONFIG_NETWORK_BYTES];
	char *rest = NULL;

	if (strcmp(network, "ungated") == 0)
		return true;
	snprintf(words, sizeof(words), "%s", network);
	for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (!tandem_qemu_gates_add(&options->gates, word))
			return false;
	}
	return options->gates.count > 0;
}

/* What the words may have of it, where tandemd has not started this program to take over. */
static void tell_places(const struct tandem_config_node *node,
                        const struct tandem_config_pair *pair, const struct given *given)
{
	char bin_directory[PATH_MAX];

	tandem_node_find_programs(bin_directory);
	(void)setenv("TANDEM_BIN_DIR", bin_directory, 0);
	(void)setenv("TANDEM_PAIR", pair->name, 0);
	(void)setenv("TANDEM_NODE", node->name, 0);
	(void)setenv("TANDEM_RUN_DIR", node->run_directory, 0);
	(void)setenv("TANDEM_CONFIG", given->config_path, 0);
}

/* 0, or the exit status and one more. */
static int read_configuration(const struct given *given, struct tandem_qemu_options *options)
{
	const struct tandem_config_node *node;
	const struct tandem_config_pair *pair;
	struct tandem_recovery recovery;
	struct tandem_config *config;
	struct tandem_error error;

	if (given->has_options)
		return 1 + refuse("with --config everything else is in the pair's group protect");
	if (tandem_node_configure(given->config_path, given->node, &config, &node) != 0)
		return 1 + EXIT_FAILURE;
	pair = tandem_config_pair(config, options->pair);
	if (!pair || !tandem_config_serves(node, pair) || pair->protect.type[0] == 0)
		return 1 + refuse("the file has no such pair of this node with a group protect");
	if (tandem_config_qmp(node, pair, options->qmp_path, sizeof(options->qmp_path), &error) !=
	    0)
		return 1 + refuse(error.detail);
	options->run_directory = node->run_directory; /* the file stays as long as this process */
	options->guest.interval_ns = pair->protect.interval_ns;
	options->guest.pause_timeout_ns = pair->protect.pause_limit_ns;
	options->guest.accepts =
	        pair->protect.is_untested_allowed ? TANDEM_QEMU_UNTESTED : TANDEM_QEMU_USABLE;
	options->guest.accepts_disks = strcmp(pair->protect.disks, "refused") != 0;
	if (!read_network(pair->protect.network, options))
		return 1 + refuse("network of the group protect: at most 8 gates, user:TAP, "
		                  "user:/PATH or plug:TAP with blanks between, or ungated");
	tell_places(node, pair, given);
	(void)tandem_qemu_way_read(pair->protect.memory, &options->way); /* it was checked */
	options->other_words = split(pair->protect.command);
	if (!options->other_words)
		return 1 + refuse("protect.command has no words");
	if (tandem_recovery_read(&recovery) || options->ahead_fd >= 0)
		options->words = options->other_words;
	return 0;
}

/* A network that QEMU has on its own passes no gate. */
static bool has_network(char *const *words)
{
	static const char *const options[] = {"netdev", "nic", "net"};

	for (; *words && words[1]; words++) {
		const char *name = *words + strspn(*words, "-");

		for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]) && **words == '-';
		     i++) {
			if (strcmp(name, options[i]) == 0 && strcmp(words[1], "none") != 0)
				return true;
		}
	}
	return false;
}

static int check(const struct given *given, struct tandem_qemu_options *options)
{
	const bool is_running = given->qmp_path != NULL;

	if (given->config_path)
		return read_configuration(given, options);
	if (options->asks_identity || options->is_on_trial || options->ahead_fd >= 0)
		return 1 + refuse("--identity, --trial and --ahead go with --config");
	if (options->forward_fd < 0 && is_running == (options->words != NULL))
		return 1 + refuse("--qmp, or QEMU's command line behind --, is needed");
	if (given->is_ungated == (options->gates.count > 0))
		return 1 + refuse("say what the guest's network is: --gate for each of its cards, "
		                  "or --ungated if what it sends may leave at once");
	if (options->words && !given->is_ungated && has_network(options->words))
		return 1 + refuse("with --gate QEMU's own -netdev, -nic and -net are refused: what "
		                  "they send passes no gate. A card is -device ...,netdev=tandem0");
	options->run_directory = given->run_directory ? given->run_directory : "/run/tandem";
	if (is_running)
		snprintf(options->qmp_path, sizeof(options->qmp_path), "%s", given->qmp_path);
	else
		snprintf(options->qmp_path, sizeof(options->qmp_path), "%s/%s.qmp",
		         options->run_directory, options->pair);
	return 0;
}

int tandem_qemu_options_read(int argument_count, char **arguments,
                             struct tandem_qemu_options *options)
{
	struct given given = {.config_path = NULL};
	int option;

	*options =
	        (struct tandem_qemu_options){.ahead_fd = -1,
	                                     .forward_fd = -1,
	                                     .guest = {.interval_ns = 100 * TANDEM_NS_PER_MS,
	                                               .pause_timeout_ns = 10 * TANDEM_NS_PER_S}};
	while ((option = getopt_long(argument_count, arguments, "+", names, NULL)) != -1) {
		if (option == 'h') {
			printf("%s%s", help, help_end);
			return 1;
		}
		if (!take(option, options, &given))
			return 1 + refuse("there is no such option, or no such value of one");
	}
	if (optind < argument_count)
		options->words = arguments + optind;
	if (!options->pair)
		return 1 + refuse("--pair is needed");
	const int refused = check(&given, options);
	if (refused != 0)
		return refused;
	snprintf(options->watch_path, sizeof(options->watch_path), "%s/%s.watch",
	         options->run_directory, options->pair);
	snprintf(options->stream_path, sizeof(options->stream_path), "%s/%s.stream",
	         options->run_directory, options->pair);
	return 0;
}
