#include <signal.h>
#include <stdio.h>

#include <tandem/failpoint.h>
#include <tandem/log.h>

#include "gate.h"
#include "mapfile.h"
#include "options.h"
#include "region.h"
#include "server.h"
#include "store.h"

/* Everything that is open, to be closed in the reverse order. */
struct program {
	struct tandem_kv_options options;
	struct tandem_kv_mapfile mapfile;
	struct tandem_kv_store *store;
	struct tandem_kv_gate gate;
	struct tandem_kv_server *server;
};

static int program_open(struct program *program, struct tandem_error *reterr_error)
{
	void *map = NULL;
	int result = tandem_kv_mapfile_open(&program->options, &program->mapfile, reterr_error);

	if (result == 0)
		result = tandem_kv_store_open(program->mapfile.path, program->mapfile.bytes,
		                              &program->store, reterr_error);
	if (result == 0)
		result = tandem_kv_region_find(program->mapfile.file, program->mapfile.bytes, &map,
		                               reterr_error);
	if (result == 0)
		result = tandem_kv_mapfile_settle(&program->mapfile, reterr_error);
	if (result == 0)
		result = tandem_kv_gate_open(&program->options, map, program->mapfile.bytes,
		                             tandem_kv_store_used_bytes(program->store),
		                             &program->gate, reterr_error);
	if (result == 0)
		result = tandem_kv_server_open(&program->options, program->store,
		                               program->mapfile.bytes, &program->gate,
		                               &program->server, reterr_error);
	return result;
}

static void program_close(struct program *program)
{
	program->server = tandem_kv_server_close(program->server);
	tandem_kv_gate_close(&program->gate);
	program->store = tandem_kv_store_close(program->store);
	tandem_kv_mapfile_close(&program->mapfile);
}

static void program_say_serving(struct program *program)
{
	struct tandem_news news;

	tandem_kv_gate_poll(&program->gate, &news);
	printf("tandem-kv: serving pair %s on %s (generation %llu, epoch %llu, map %zu MiB, "
	       "tracker %s)\n",
	       program->options.pair, tandem_kv_server_address(program->server),
	       (unsigned long long)news.generation, (unsigned long long)news.epoch_committed,
	       program->mapfile.bytes >> 20, tandem_kv_gate_tracker(&program->gate));
	fflush(stdout);
}

int main(int argument_count, char **arguments)
{
	struct program program = {.mapfile = TANDEM_KV_MAPFILE_NONE};
	struct tandem_error error = {0};
	enum tandem_kv_server_exit exit = TANDEM_KV_EXIT_FAILED;

	tandem_log_open("tandem-kv");
	tandem_failpoint_load();
	signal(SIGPIPE, SIG_IGN);
	switch (tandem_kv_options_read(argument_count, arguments, &program.options, &error)) {
	case TANDEM_KV_OPTIONS_HELP:
		return TANDEM_KV_EXIT_OK;
	case TANDEM_KV_OPTIONS_WRONG:
		tandem_log(TANDEM_LOG_ERROR, "%s (see --help)", error.detail);
		return TANDEM_KV_EXIT_WRONG;
	case TANDEM_KV_OPTIONS_RUN:
		break;
	}
	int result = program_open(&program, &error);
	if (result == 0) {
		program_say_serving(&program);
		exit = tandem_kv_server_run(program.server);
	} else {
		tandem_log(TANDEM_LOG_ERROR, "%s: %s", error.operation, error.detail);
		if (result == TANDEM_E_NOT_LEADER)
			exit = TANDEM_KV_EXIT_HALTED;
	}
	program_close(&program);
	return exit;
}
