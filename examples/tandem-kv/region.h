#ifndef TANDEM_KV_REGION_H
#define TANDEM_KV_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <tandem/error.h>

/* Where a file is mapped in this process. LMDB does not tell (its me_mapaddr is NULL), so the
 * kernel is asked. */

/* What /proc/PID/maps says about one mapping. */
struct tandem_kv_mapping {
	uintptr_t start;
	uintptr_t end;
	uint64_t offset;
	unsigned device_major;
	unsigned device_minor;
	uint64_t inode;
	bool is_writable;
	bool is_shared;
};

/* False when the line is not one of /proc/PID/maps. Pure. */
bool tandem_kv_mapping_parse(const char *line, struct tandem_kv_mapping *ret_mapping);

/* Joins the mappings of one file into one range. All zero is the state before the first. Pure. */
struct tandem_kv_range {
	uintptr_t start;
	uintptr_t end;
	bool is_broken; /* elsewhere too, with a gap, or not writable and shared */
};
void tandem_kv_range_add(struct tandem_kv_range *range, const struct tandem_kv_mapping *mapping);

/* Finds where `file` is mapped and checks that exactly its first `size` bytes are, writable,
 * shared, at one address, and nowhere else: a store through a second mapping would never be
 * tracked. Errors: TANDEM_E_SYSTEM, TANDEM_E_UNSUPPORTED. */
TANDEM_MUST_CHECK int tandem_kv_region_find(int file, size_t size, void **ret_base,
                                            struct tandem_error *reterr_error);

#endif
