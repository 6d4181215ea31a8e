#include <tandem/process.h>

#include <stdio.h>
#include <string.h>

void tandem_process_name(pid_t process, char ret_name[TANDEM_PROCESS_NAME_BYTES])
{
	char path[32];

	ret_name[0] = 0;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)process);
	FILE *file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(ret_name, TANDEM_PROCESS_NAME_BYTES, file))
		ret_name[0] = 0;
	ret_name[strcspn(ret_name, "\n")] = 0;
	fclose(file);
}
