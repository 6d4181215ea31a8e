#include "region.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

bool tandem_kv_mapping_parse(const char *line, struct tandem_kv_mapping *ret_mapping)
{
	struct tandem_kv_mapping mapping = {0};
	char rights[5];

	/* proc(5): address perms offset dev inode pathname */
	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNx64 " %x:%x %" SCNu64, &mapping.start,
	           &mapping.end, rights, &mapping.offset, &mapping.device_major,
	           &mapping.device_minor, &mapping.inode) != 7)
		return false;
	if (strlen(rights) != 4 || mapping.start >= mapping.end)
		return false;
	mapping.is_writable = rights[1] == 'w';
	mapping.is_shared = rights[3] == 's';
	*ret_mapping = mapping;
	return true;
}

void tandem_kv_range_add(struct tandem_kv_range *range, const struct tandem_kv_mapping *mapping)
{
	bool is_first = range->end == 0;

	if (!mapping->is_writable || !mapping->is_shared)
		range->is_broken = true;
	if (is_first) {
		range->start = mapping->start;
		range->end = mapping->start;
	}
	/* The kernel may show one mapping in pieces; then address and offset both go on. */
	if (mapping->start != range->end || mapping->offset != range->end - range->start)
		range->is_broken = true;
	range->end = mapping->end;
}

static int region_collect(const struct stat *file, struct tandem_kv_range *range,
                          struct tandem_error *reterr_error)
{
	struct tandem_kv_mapping mapping;
	char line[8192];
	FILE *maps = fopen("/proc/self/maps", "re");

	if (!maps)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open",
		                              "/proc/self/maps");
	while (fgets(line, sizeof(line), maps))
		if (tandem_kv_mapping_parse(line, &mapping) && mapping.inode == file->st_ino &&
		    mapping.device_major == major(file->st_dev) &&
		    mapping.device_minor == minor(file->st_dev))
			tandem_kv_range_add(range, &mapping);
	fclose(maps);
	return 0;
}

int tandem_kv_region_find(int file, size_t size, void **ret_base, struct tandem_error *reterr_error)
{
	struct tandem_kv_range range = {0};
	struct stat status;

	if (fstat(file, &status) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fstat",
		                              "the map file");
	int result = region_collect(&status, &range, reterr_error);
	if (result != 0)
		return result;
	if (range.is_broken || range.end - range.start != size)
		return tandem_error_set(
		        reterr_error, TANDEM_E_UNSUPPORTED, "region",
		        "the map file is not mapped once, whole (%zu bytes), writable and shared; "
		        "put it on tmpfs (/dev/shm)",
		        size);
	*ret_base = (void *)range.start;
	return 0;
}
