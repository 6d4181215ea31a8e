#include "bench_memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#define BLOCK_BYTES UINT64_C(512) /* stat(2) */

static uint64_t take_line(const char *line)
{
	uint64_t kib;

	if (sscanf(line, "Pss_Anon: %" SCNu64 " kB", &kib) == 1 ||
	    sscanf(line, "Pss_File: %" SCNu64 " kB", &kib) == 1)
		return kib << 10;
	return 0;
}

int tandem_bench_memory_of(pid_t process, uint64_t *ret_bytes, struct tandem_error *reterr_error)
{
	char path[64], line[256];
	uint64_t bytes = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)process);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		bytes += take_line(line);
	if (file != NULL)
		fclose(file);
	if (bytes == 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "memory",
		                              "%s tells nothing of Pss_Anon", path);
	*ret_bytes = bytes;
	return 0;
}

uint64_t tandem_bench_memory_of_files(const char *directory)
{
	DIR *files = opendir(directory);
	uint64_t bytes = 0;
	struct stat found;

	if (files == NULL)
		return 0;
	for (struct dirent *entry = readdir(files); entry != NULL; entry = readdir(files)) {
		if (fstatat(dirfd(files), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(found.st_mode))
			bytes += (uint64_t)found.st_blocks * BLOCK_BYTES;
	}
	closedir(files);
	return bytes;
}
