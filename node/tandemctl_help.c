#include <string.h>

#include "tandemctl.h"

static const struct {
	const char *name;
	const char *text;
} examples[] = {
        {"status", "tandemctl status\n"
                   "tandemctl status --pair kv --watch\n"
                   "tandemctl status --watch | logger      # a line a change\n"
                   "tandemctl status --exit-code > /dev/null && echo protected\n"
                   "tandemctl --config conf/quickstart.conf --node b status --json\n"},
        {"events", "tandemctl events\n"
                   "tandemctl events --follow               # and what comes, until Ctrl-C\n"
                   "tandemctl events --pair kv --json\n"},
        {"yank", "tandemctl yank kv\n"},
        {"promote", "tandemctl promote kv --generation 7     # the generation that status shows\n"},
        {"switchover", "tandemctl switchover kv                 # on the node that leads\n"
                       "tandemctl switchover kv --timeout 5     # seconds; 0: does not wait\n"},
        {"resync", "tandemctl resync kv                     # where status asks for it\n"
                   "tandemctl resync kv --timeout 0 --json\n"},
        {"protect", "tandemctl protect vm1                   # its QEMU runs on this node\n"
                    "tandemctl protect vm1 --timeout 0 --json\n"},
        {"unprotect", "tandemctl unprotect vm1                 # on the node that leads\n"},
        {"qemu-args",
         "tandemctl qemu-args /run/tandem/vm1.qmp # its control socket\n"
         "tandemctl qemu-args vm1                # and whether the file has the same\n"},
        {"fence-ack", "tandemctl fence-ack kv                  # the other node is off, you saw "
                      "it\n"},
        {"force-primary", "tandemctl force-primary kv --i-accept-data-loss\n"},
        {"maintenance", "tandemctl maintenance on kv\n"
                        "tandemctl maintenance off kv\n"},
        {"check",
         "tandemctl check                         # /etc/tandem/tandem.conf\n"
         "tandemctl check conf/quickstart.conf\n"
         "tandemctl check my.conf --node a --json # with what node a itself needs\n"
         "tandemctl check --live                  # and whether it is there and answers\n"},
        {"doctor", "tandemctl doctor                        # best while the peer runs\n"
                   "tandemctl doctor --pair kv --json\n"},
        {"keygen",
         "tandemctl keygen /etc/tandem/kv.key\n"
         "scp -p /etc/tandem/kv.key other-host:/etc/tandem/   # tandemctl keygen made it\n"},
        {"config", "tandemctl config                        # /etc/tandem/tandem.conf\n"
                   "tandemctl config my.conf --json\n"
                   "tandemctl config --example > tandem.conf\n"
                   "tandemctl config --reference\n"},
};

static const char common[] =
        "\n"
        "with every command:\n"
        "  --config FILE  the cluster's configuration (default " TANDEM_CONFIG_PATH_DEFAULT ")\n"
        "  --node NAME    which node of the file this is (default: the host name)\n"
        "  --run-dir DIR  the controller's directory, instead of the file's\n"
        "  --help         this text, or the command's\n";

static const char exits[] =
        "\n"
        "exit status: 0 done, 1 failed or refused, 2 wrong use\n"
        "  status --exit-code: 0 every pair is protected, 1 one is not, 2 that cannot be told\n"
        "  check:  0 nothing wrong, 1 warnings, 2 mistakes, or something is not there\n"
        "  doctor: 0 the pairs can run, 1 they cannot, 3 nothing wrong here but a peer did not "
        "answer\n";

static void examples_write(const char *name, FILE *stream)
{
	fputs("\nexamples:\n", stream);
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		const char *line = examples[i].text;
		if (name && strcmp(examples[i].name, name) != 0)
			continue;
		while (*line) {
			int length = (int)strcspn(line, "\n");
			fprintf(stream, "  %.*s\n", length, line);
			line += length + 1;
		}
	}
}

/* "pair json" as " [--pair NAME] [--json]" */
static void options_write(const char *list, FILE *stream)
{
	while (*list) {
		int length = (int)strcspn(list, " ");
		const char *value = "";
		if (strncmp(list, "pair", (size_t)length) == 0)
			value = " NAME";
		else if (strncmp(list, "generation", (size_t)length) == 0)
			value = " NUMBER";
		else if (strncmp(list, "timeout", (size_t)length) == 0)
			value = " SECONDS";
		fprintf(stream, " [--%.*s%s]", length, list, value);
		list += length;
		list += *list == ' ';
	}
}

static void command_write(const char *name, FILE *stream)
{
#define X(function, command, follows, options, purpose)                                            \
	if (strcmp(command, name) == 0) {                                                          \
		fprintf(stream, "usage: tandemctl %s%s%s", command, follows[0] ? " " : "",         \
		        follows);                                                                  \
		options_write(options, stream);                                                    \
		fprintf(stream, "\n\n%s\n", purpose);                                              \
	}
	TANDEMCTL_COMMAND_TABLE(X)
#undef X
}

static void summary_write(FILE *stream)
{
	fputs("usage: tandemctl COMMAND [options]\n"
	      "\n"
	      "Talks to the controller of this node.\n"
	      "\n",
	      stream);
#define X(function, command, follows, options, purpose)                                            \
	fprintf(stream, "  %-14s%-13s%s\n", command, follows, purpose);
	TANDEMCTL_COMMAND_TABLE(X)
#undef X
}

void tandemctl_help(const char *name, FILE *stream)
{
	if (name)
		command_write(name, stream);
	else
		summary_write(stream);
	fputs(common, stream);
	examples_write(name, stream);
	fputs(exits, stream);
}
