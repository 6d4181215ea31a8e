#include "directory.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

void directory_make(char ret_path[DIRECTORY_BYTES])
{
	snprintf(ret_path, DIRECTORY_BYTES, "/tmp/tandem-failover-XXXXXX");
	cr_assert(mkdtemp(ret_path) != NULL);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

void directory_remove(const char *path)
{
	cr_assert(nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS) == 0);
}
