#ifndef TANDEM_BACKING_H
#define TANDEM_BACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>

/* What memory of this process a region lies in, as /proc/self tells it (proc(5)). */
enum tandem_backing_kind {
	TANDEM_BACKING_OTHER,     /* private memory of a file, or several things */
	TANDEM_BACKING_ANONYMOUS, /* private, of no file */
	TANDEM_BACKING_SHARED,    /* one shared mapping of one file */
	TANDEM_BACKING_GONE,      /* a part of it is not mapped */
};

struct tandem_backing {
	enum tandem_backing_kind kind;
	uint64_t page_bytes; /* more than 4 KiB: huge pages of hugetlbfs */
	/* SHARED only */
	unsigned device_major;
	unsigned device_minor;
	uint64_t inode;
	uint64_t offset; /* in the file, of the region's first byte */
	uint64_t twin;   /* where else this process can write to the same bytes; 0: nowhere */
	/* of the first mapping */
	uint64_t start;
	uint64_t end;
};

/* Errors: TANDEM_E_SYSTEM (no /proc). */
TANDEM_MUST_CHECK int tandem_backing_read(const void *base, size_t length,
                                          struct tandem_backing *ret_backing,
                                          struct tandem_error *reterr_error);
/* The same file at the same place, or no file both times. */
bool tandem_backing_is_same(const struct tandem_backing *one, const struct tandem_backing *other);
/* The file of a shared mapping, opened anew for reading: /proc/self/map_files, which needs
 * CAP_CHECKPOINT_RESTORE, else a descriptor of it that this process holds. -1: neither. */
int tandem_backing_open(const struct tandem_backing *backing);
const char *tandem_backing_name(enum tandem_backing_kind kind);

#endif
