#include "qemu_shared.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <tandem/log.h>
#include <unistd.h>

#include "qemu_inject.h"

bool tandem_qemu_way_read(const char *text, enum tandem_qemu_way *ret_way)
{
	static const char *const names[] = {
	        [TANDEM_QEMU_AUTO] = "auto",
	        [TANDEM_QEMU_STREAM] = "stream",
	        [TANDEM_QEMU_SHARED] = "shared",
	};

	for (unsigned way = 0; way < sizeof(names) / sizeof(*names); way++) {
		if (strcmp(text, names[way]) == 0) {
			*ret_way = (enum tandem_qemu_way)way;
			return true;
		}
	}
	return false;
}

/* ---- where QEMU has it ---- */

struct mapping {
	uint64_t start;
	uint64_t end;
	uint64_t inode;
	unsigned device_major;
	unsigned device_minor;
};

static bool is_file(const struct mapping *mapping, const struct stat *file)
{
	return file->st_ino == mapping->inode && major(file->st_dev) == mapping->device_major &&
	       minor(file->st_dev) == mapping->device_minor;
}

/* A whole file that is mapped to be written to by others, too. */
static bool read_mapping(const char *line, struct mapping *ret_mapping, const char **ret_path)
{
	uint64_t offset;
	char rights[5];
	int path_at = 0;

	if (sscanf(line,
	           "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", /* NOLINT */
	           &ret_mapping->start, &ret_mapping->end, rights, &offset,
	           &ret_mapping->device_major, &ret_mapping->device_minor, &ret_mapping->inode,
	           &path_at) != 7)
		return false;
	*ret_path = line + path_at;
	return strcmp(rights, "rw-s") == 0 && offset == 0;
}

/* Its name may be gone: a guest that was restored has used it up. */
static bool is_named(const char *found, const char *path)
{
	const size_t length = strlen(path);

	return strncmp(found, path, length) == 0 && strcmp(found + length, " (deleted)\n") == 0;
}

static bool find_mapping(pid_t process, const struct tandem_qemu_backend *backend,
                         struct mapping *ret_mapping)
{
	char path[64], line[PATH_MAX + 128];
	struct stat file = {.st_ino = 0};
	bool is_found = false;
	const char *name;

	(void)stat(backend->path, &file);
	snprintf(path, sizeof(path), "/proc/%d/maps", process);
	FILE *maps = fopen(path, "re");
	while (maps && !is_found && fgets(line, sizeof(line), maps))
		is_found = read_mapping(line, ret_mapping, &name) &&
		           ret_mapping->end - ret_mapping->start == backend->size_bytes &&
		           (is_file(ret_mapping, &file) || is_named(name, backend->path));
	if (maps)
		fclose(maps);
	return is_found;
}

bool tandem_qemu_shared_is_mapped(pid_t process, const char *path)
{
	struct tandem_qemu_backend backend = {.id = ""};
	struct mapping mapping;
	struct stat file;

	if (stat(path, &file) != 0 || strlen(path) >= sizeof(backend.path))
		return false;
	memcpy(backend.path, path, strlen(path) + 1);
	backend.size_bytes = (uint64_t)file.st_size;
	return find_mapping(process, &backend, &mapping) && is_file(&mapping, &file);
}

/* Through a descriptor of QEMU's: it works without a name. -1: there is none. */
static int open_mapping(pid_t process, const struct mapping *mapping)
{
	char folder[64], path[PATH_MAX];
	struct dirent *entry;
	struct stat file;
	int fd = -1;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", process);
	DIR *descriptors = opendir(folder);
	while (descriptors && fd < 0 && (entry = readdir(descriptors))) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (stat(path, &file) == 0 && is_file(mapping, &file))
			fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (descriptors)
		closedir(descriptors);
	return fd;
}

/* A read with O_DIRECT that is under way when pages are looked at fills its page later, and no page
 * table shows it. `flags` of /proc/PID/fdinfo/FD, in octal. */
static bool has_direct_io(pid_t process)
{
	char folder[64], path[PATH_MAX], line[128];
	bool is_direct = false;
	struct dirent *entry;
	unsigned flags;

	snprintf(folder, sizeof(folder), "/proc/%d/fdinfo", process);
	DIR *descriptors = opendir(folder);
	while (descriptors && !is_direct && (entry = readdir(descriptors))) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");

		while (file && !is_direct && fgets(line, sizeof(line), file))
			is_direct = sscanf(line, "flags: %o", &flags) == 1 && /* NOLINT */
			            (flags & O_DIRECT) != 0;
		if (file)
			fclose(file);
	}
	if (descriptors)
		closedir(descriptors);
	return is_direct;
}

/* ---- opening ---- */

static int refuse(struct tandem_error *reterr_error, const struct tandem_qemu_backend *backend,
                  const char *why)
{
	return tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "share", "%.60s at %.100s %s",
	                        backend->id, backend->path, why);
}

static int map_part(struct tandem_qemu_part *part, pid_t process,
                    const struct tandem_qemu_backend *backend, struct tandem_error *reterr_error)
{
	struct mapping mapping;
	struct statfs system;

	if (!find_mapping(process, backend, &mapping))
		return refuse(reterr_error, backend,
		              "is not what QEMU has mapped: its mem-path must name a file, from /");
	const int fd = open_mapping(process, &mapping);
	if (fd < 0 || fstatfs(fd, &system) != 0 || system.f_type != TMPFS_MAGIC) {
		if (fd >= 0)
			close(fd);
		return refuse(reterr_error, backend,
		              fd < 0 ? "cannot be opened"
		                     : "is not on a tmpfs, as /dev/shm is one");
	}
	part->base = mmap(NULL, backend->size_bytes, PROT_READ, MAP_SHARED, fd, 0);
	const int failure = errno;
	close(fd);
	if (part->base == MAP_FAILED) {
		part->base = NULL;
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure, "mmap",
		                              "%.60s cannot be mapped", backend->id);
	}
	memcpy(part->id, backend->id, sizeof(part->id));
	part->size_bytes = backend->size_bytes;
	part->writer.address = mapping.start;
	return 0;
}

static int watch_part(struct tandem_qemu_part *part, pid_t process,
                      struct tandem_error *reterr_error)
{
	char path[64];
	int code;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", process);
	part->writer.pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (part->writer.pagemap_fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "share", "%s",
		                              path);
	code = tandem_qemu_userfault_open(process, &part->writer.userfault_fd, reterr_error);
	if (code != 0) {
		close(part->writer.pagemap_fd);
		part->writer.pagemap_fd = -1;
	}
	return code;
}

static int open_part(struct tandem_qemu_shared *shared, pid_t process,
                     const struct tandem_qemu_backend *backend, enum tandem_qemu_way way,
                     struct tandem_error *reterr_error)
{
	struct tandem_qemu_part *part = &shared->parts[shared->count++];
	int code;

	part->writer = (struct tandem_foreign){.userfault_fd = -1, .pagemap_fd = -1};
	code = map_part(part, process, backend, reterr_error);
	part->writer.is_exact_at_rest_only = shared->is_at_rest_only;
	if (code == 0)
		code = watch_part(part, process, reterr_error);
	if (code == 0 || !part->base || way != TANDEM_QEMU_SHARED)
		return code;
	/* Every page is compared in every pause then: a user may want that, nobody gets it so. */
	tandem_log(TANDEM_LOG_WARNING, "pages are compared, because %s failed: %s",
	           reterr_error->operation, reterr_error->detail);
	shared->is_at_rest_only = true;
	return 0;
}

int tandem_qemu_shared_open(struct tandem_qemu_shared *shared, pid_t process,
                            const struct tandem_qemu_memory *memory, enum tandem_qemu_way way,
                            struct tandem_error *reterr_error)
{
	int code = 0;

	*shared = (struct tandem_qemu_shared){.is_at_rest_only = has_direct_io(process)};
	if (shared->is_at_rest_only && way == TANDEM_QEMU_AUTO)
		return tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "share",
		                        "QEMU reads disks with O_DIRECT (cache=none), which is not "
		                        "seen while the guest runs");
	for (unsigned i = 0; code == 0 && i < memory->backend_count; i++)
		code = open_part(shared, process, &memory->backends[i], way, reterr_error);
	if (code != 0)
		tandem_qemu_shared_close(shared);
	return code;
}

void tandem_qemu_shared_close(struct tandem_qemu_shared *shared)
{
	for (unsigned i = 0; i < shared->count; i++) {
		struct tandem_qemu_part *part = &shared->parts[i];

		if (part->base)
			munmap(part->base, part->size_bytes);
		if (part->writer.userfault_fd >= 0)
			close(part->writer.userfault_fd);
		if (part->writer.pagemap_fd >= 0)
			close(part->writer.pagemap_fd);
	}
	shared->count = 0;
}

/* ---- regions ---- */

/* A block is named by its backend's place in QEMU's tree of objects, by old machine types by its id
 * alone. */
unsigned tandem_qemu_shared_find(const struct tandem_qemu_shared *shared,
                                 const struct tandem_qemu_block *block)
{
	const char *name = strrchr(block->name, '/');
	unsigned part = 0;

	name = name ? name + 1 : block->name;
	while (part < shared->count && (strcmp(shared->parts[part].id, name) != 0 ||
	                                shared->parts[part].size_bytes != block->size_bytes))
		part++;
	return part;
}

int tandem_qemu_shared_add(struct tandem_qemu_shared *shared, unsigned part, struct tandem *tandem,
                           const char *name, struct tandem_error *reterr_error)
{
	struct tandem_qemu_part *added = &shared->parts[part];
	const struct tandem_foreign writer = added->writer;

	if (writer.userfault_fd < 0)
		return tandem_region_add(tandem, name, added->base, added->size_bytes,
		                         TANDEM_TRACKER_COMPARE, reterr_error);
	added->writer.userfault_fd = -1;
	added->writer.pagemap_fd = -1;
	return tandem_region_add_foreign(tandem, name, added->base, added->size_bytes, &writer,
	                                 reterr_error);
}

int tandem_qemu_shared_check(const struct tandem_qemu_shared *shared, pid_t process,
                             struct tandem_error *reterr_error)
{
	if (shared->count == 0 || shared->is_at_rest_only || !has_direct_io(process))
		return 0;
	return tandem_error_set(
	        reterr_error, TANDEM_E_UNSUPPORTED, "share",
	        "QEMU has begun to read a disk with O_DIRECT (cache=none), which is "
	        "not seen while the guest runs: start the protection anew");
}
