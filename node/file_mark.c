#include "file_mark.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void tandem_file_mark(const char *path, char ret_mark[TANDEM_FILE_MARK_BYTES])
{
	struct stat file;

	ret_mark[0] = 0;
	if (stat(path, &file) == 0)
		snprintf(ret_mark, TANDEM_FILE_MARK_BYTES, "%llx-%llx-%llx-%llx.%lx",
		         (unsigned long long)file.st_dev, (unsigned long long)file.st_ino,
		         (unsigned long long)file.st_size, (unsigned long long)file.st_mtim.tv_sec,
		         (unsigned long)file.st_mtim.tv_nsec);
}

bool tandem_file_has_mark(const char *path, const char *mark)
{
	char now[TANDEM_FILE_MARK_BYTES];

	tandem_file_mark(path, now);
	return strcmp(now, mark) == 0;
}
