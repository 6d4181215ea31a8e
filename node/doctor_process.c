#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPABILITY_IPC_LOCK 14 /* capabilities(7) */

static FILE *process_file(uint32_t process_id, const char *name)
{
	char path[64];
	if (process_id == 0)
		snprintf(path, sizeof(path), "/proc/self/%s", name);
	else
		snprintf(path, sizeof(path), "/proc/%" PRIu32 "/%s", process_id, name);
	return fopen(path, "re");
}

static bool read_limit(uint32_t process_id, uint64_t *ret_bytes)
{
	FILE *file = process_file(process_id, "limits");
	char line[256], soft[32];
	bool is_found = false;
	while (file && !is_found && fgets(line, sizeof(line), file))
		is_found = sscanf(line, "Max locked memory %31s", soft) == 1;
	if (file)
		fclose(file);
	if (is_found)
		*ret_bytes = strcmp(soft, "unlimited") == 0 ? UINT64_MAX : strtoull(soft, NULL, 10);
	return is_found;
}

static bool read_ipc_lock(uint32_t process_id)
{
	FILE *file = process_file(process_id, "status");
	uint64_t capabilities = 0;
	char line[256];
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %" SCNx64, &capabilities) == 1)
			break;
	}
	if (file)
		fclose(file);
	return capabilities >> CAPABILITY_IPC_LOCK & 1;
}

/* "7f.. default anon=3 dirty=3 N0=2 N1=1 kernelpagesize_kB=4" */
static void add_mapping(char *line, struct tandem_doctor_process *process)
{
	uint64_t pages[TANDEM_DOCTOR_NODES_MAX] = {0}, page_bytes = 0;
	char *rest = NULL;
	for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
		unsigned node;
		uint64_t count;
		if (sscanf(word, "N%u=%" SCNu64, &node, &count) == 2 &&
		    node < TANDEM_DOCTOR_NODES_MAX)
			pages[node] = count;
		else if (sscanf(word, "kernelpagesize_kB=%" SCNu64, &count) == 1)
			page_bytes = count * 1024;
	}
	for (unsigned i = 0; i < TANDEM_DOCTOR_NODES_MAX; i++)
		process->node_bytes[i] += pages[i] * page_bytes;
}

void tandem_doctor_look_at(uint32_t process_id, struct tandem_doctor_process *ret_process)
{
	struct tandem_doctor_process process = {.process_id = process_id};
	char line[1024];
	process.is_known = read_limit(process_id, &process.memory_lock_bytes);
	process.has_ipc_lock = read_ipc_lock(process_id);
	FILE *file = process_file(process_id, "numa_maps");
	while (file && fgets(line, sizeof(line), file))
		add_mapping(line, &process);
	if (file)
		fclose(file);
	*ret_process = process;
}
