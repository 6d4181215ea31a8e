#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/log.h>

static const char help[] =
        "usage: tandem-bench COMMAND [options]\n"
        "\n"
        "  checkpoint  the pause of a program, and what it is made of\n"
        "  copy        the first synchronisation, and what free pages cost\n"
        "  transport   goodput, commit latency and CPU of one session\n"
        "  fence       how long it takes until no write of the peer can change memory\n"
        "  yank        how long everything pending takes to end when the peer does not answer\n"
        "  failover    from a fault to the first reply of the other node\n"
        "\n"
        "examples:\n"
        "  tandem-bench checkpoint --size 64M --dirty 1M,5% --bare\n"
        "  tandem-bench transport --pattern random --bytes 256M\n"
        "  tandem-bench transport --help\n";

static const struct {
	const char *name;
	int (*run)(int argument_count, char **arguments);
} commands[] = {
        {"checkpoint", tandem_bench_checkpoint_main},
        {"copy", tandem_bench_copy_main},
        {"transport", tandem_bench_transport_main},
        {"fence", tandem_bench_fence_main},
        {"yank", tandem_bench_yank_main},
        {"failover", tandem_bench_failover_main},
};

int main(int argument_count, char **arguments)
{
	const char *name = argument_count > 1 ? arguments[1] : "";

	tandem_log_open("tandem-bench");
	if (strcmp(name, "--help") == 0) {
		fputs(help, stdout);
		return EXIT_SUCCESS;
	}
	for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argument_count - 1, arguments + 1);
	}
	fputs(help, stderr);
	return 2;
}
