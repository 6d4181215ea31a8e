#include "backing.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../core/layout.h"

struct mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint64_t inode;
	unsigned device_major;
	unsigned device_minor;
	char rights[5]; /* "rw-s" */
};

static bool next_line(FILE *file, char *line, int line_bytes)
{
	int rest;

	if (fgets(line, line_bytes, file) == NULL)
		return false;
	if (strchr(line, '\n') == NULL)
		while ((rest = fgetc(file)) != '\n' && rest != EOF)
			;
	return true;
}

static bool read_mapping(const char *line, struct mapping *ret_mapping)
{
	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64, /* NOLINT */
	              &ret_mapping->start, &ret_mapping->end, ret_mapping->rights,
	              &ret_mapping->offset, &ret_mapping->device_major, &ret_mapping->device_minor,
	              &ret_mapping->inode) == 7;
}

static bool next_mapping(FILE *maps, struct mapping *ret_mapping)
{
	char line[256];

	return next_line(maps, line, sizeof line) && read_mapping(line, ret_mapping);
}

static enum tandem_backing_kind kind_of(const struct mapping *mapping)
{
	if (mapping->rights[3] == 's')
		return TANDEM_BACKING_SHARED;
	return mapping->inode == 0 ? TANDEM_BACKING_ANONYMOUS : TANDEM_BACKING_OTHER;
}

static bool is_same_file(const struct tandem_backing *backing, const struct mapping *mapping)
{
	return mapping->inode == backing->inode && mapping->device_major == backing->device_major &&
	       mapping->device_minor == backing->device_minor;
}

static void begin(struct tandem_backing *backing, const struct mapping *mapping, uint64_t start)
{
	backing->kind = kind_of(mapping);
	backing->inode = mapping->inode;
	backing->device_major = mapping->device_major;
	backing->device_minor = mapping->device_minor;
	backing->offset = mapping->offset + (start - mapping->start);
	backing->start = mapping->start;
	backing->end = mapping->end;
}

/* A region may lie in several mappings, of one file in order. */
static void join(struct tandem_backing *backing, const struct mapping *mapping, uint64_t start)
{
	bool is_same = kind_of(mapping) == backing->kind;

	if (is_same && backing->kind == TANDEM_BACKING_SHARED)
		is_same = is_same_file(backing, mapping) &&
		          mapping->offset == backing->offset + (mapping->start - start);
	if (!is_same)
		backing->kind = TANDEM_BACKING_OTHER;
}

static void read_region(FILE *maps, uint64_t start, uint64_t end, struct tandem_backing *backing)
{
	struct mapping mapping;
	uint64_t at = start;

	while (at < end && next_mapping(maps, &mapping)) {
		if (mapping.end <= at)
			continue;
		if (mapping.start > at)
			break;
		if (at == start)
			begin(backing, &mapping, start);
		else
			join(backing, &mapping, start);
		at = mapping.end;
	}
	if (at < end)
		backing->kind = TANDEM_BACKING_GONE;
}

static void find_twin(FILE *maps, uint64_t start, uint64_t length, struct tandem_backing *backing)
{
	struct mapping mapping;

	while (backing->twin == 0 && next_mapping(maps, &mapping)) {
		uint64_t bytes = mapping.end - mapping.start;

		if (mapping.rights[3] != 's' || mapping.rights[1] != 'w' ||
		    !is_same_file(backing, &mapping))
			continue;
		/* The region itself, and what of its mapping lies around it. */
		if (mapping.start - mapping.offset == start - backing->offset)
			continue;
		if (mapping.offset < backing->offset + length &&
		    backing->offset < mapping.offset + bytes)
			backing->twin = mapping.start;
	}
}

/* Only a mapping that the kernel counts as a file's can have huge pages of hugetlbfs. */
static uint64_t read_page_bytes(uint64_t start)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	struct mapping mapping;
	bool is_there = false;
	uint64_t page_kib = TANDEM_PAGE_BYTES / 1024;
	char line[256];

	while (smaps != NULL && next_line(smaps, line, sizeof line)) {
		if (read_mapping(line, &mapping))
			is_there = mapping.start <= start && start < mapping.end;
		else if (is_there &&
		         sscanf(line, "KernelPageSize: %" SCNu64, &page_kib) == 1) /* NOLINT */
			break;
	}
	if (smaps != NULL)
		fclose(smaps);
	return page_kib * 1024;
}

int tandem_backing_read(const void *base, size_t length, struct tandem_backing *ret_backing,
                        struct tandem_error *reterr_error)
{
	struct tandem_backing backing = {.page_bytes = TANDEM_PAGE_BYTES};
	FILE *maps = fopen("/proc/self/maps", "re");
	uint64_t start = (uintptr_t)base;

	if (maps == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "/proc/self/maps",
		                        "it cannot be read: is /proc mounted?");
	read_region(maps, start, start + length, &backing);
	if (backing.kind == TANDEM_BACKING_SHARED) {
		rewind(maps);
		find_twin(maps, start, length, &backing);
	}
	fclose(maps);
	if (backing.inode != 0)
		backing.page_bytes = read_page_bytes(start);
	*ret_backing = backing;
	return 0;
}

bool tandem_backing_is_same(const struct tandem_backing *one, const struct tandem_backing *other)
{
	return one->kind == other->kind && one->page_bytes == other->page_bytes &&
	       (one->kind != TANDEM_BACKING_SHARED ||
	        (one->inode == other->inode && one->device_major == other->device_major &&
	         one->device_minor == other->device_minor && one->offset == other->offset));
}

static int open_descriptor(const struct tandem_backing *backing)
{
	DIR *descriptors = opendir("/proc/self/fd");
	struct dirent *entry;
	char path[PATH_MAX];
	struct stat stat_;
	int fd = -1;

	while (descriptors != NULL && fd < 0 && (entry = readdir(descriptors)) != NULL) {
		snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
		if (stat(path, &stat_) == 0 && stat_.st_ino == backing->inode &&
		    major(stat_.st_dev) == backing->device_major &&
		    minor(stat_.st_dev) == backing->device_minor)
			fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	if (descriptors != NULL)
		closedir(descriptors);
	return fd;
}

int tandem_backing_open(const struct tandem_backing *backing)
{
	char path[64];
	int fd;

	if (backing->kind != TANDEM_BACKING_SHARED)
		return -1;
	snprintf(path, sizeof path, "/proc/self/map_files/%" PRIx64 "-%" PRIx64, backing->start,
	         backing->end);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 ? fd : open_descriptor(backing);
}

const char *tandem_backing_name(enum tandem_backing_kind kind)
{
	static const char *const names[] = {
	        [TANDEM_BACKING_OTHER] = "private memory of a file, or several things",
	        [TANDEM_BACKING_ANONYMOUS] = "anonymous memory",
	        [TANDEM_BACKING_SHARED] = "a shared mapping",
	        [TANDEM_BACKING_GONE] = "not mapped",
	};

	return names[kind];
}
