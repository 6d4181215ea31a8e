#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "library_internal.h"
#include "zero.h"

/* A take-over as the program sees it: tandemd says in the environment where the image is. */

uint64_t tandem_library_environment_number(const char *name)
{
	const char *text = getenv(name);

	return text == NULL ? 0 : strtoull(text, NULL, 10);
}

bool tandem_recovery_read(struct tandem_recovery *ret_recovery)
{
	struct tandem_recovery recovery = {
	        .pair = getenv("TANDEM_PAIR"),
	        .image_directory = getenv("TANDEM_IMAGE_DIR"),
	        .state_file = getenv("TANDEM_STATE_FILE"),
	        .generation = tandem_library_environment_number("TANDEM_GENERATION"),
	        .epoch = tandem_library_environment_number("TANDEM_EPOCH"),
	};

	if (recovery.pair == NULL || recovery.image_directory == NULL ||
	    recovery.state_file == NULL || recovery.generation == 0)
		return false;
	*ret_recovery = recovery;
	return true;
}

static int read_recovery(const char *operation, struct tandem_recovery *ret_recovery,
                         struct tandem_error *reterr_error)
{
	if (tandem_recovery_read(ret_recovery))
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
	                        "this program was not started to take over: TANDEM_IMAGE_DIR and "
	                        "its like are not set (ask tandem_recovery_read() first)");
}

/* A regular file that is there to be read; *ret_file is the caller's. */
static int open_file(const char *operation, const char *path, int *ret_file, size_t *ret_bytes,
                     struct tandem_error *reterr_error)
{
	struct stat status;
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0 && errno == ENOENT)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "the image has no %s", path);
	if (file < 0 || fstat(file, &status) != 0) {
		int code = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, operation,
		                                  "%s", path);

		if (file >= 0)
			close(file);
		return code;
	}
	*ret_file = file;
	*ret_bytes = (size_t)status.st_size;
	return 0;
}

static int open_region(const char *operation, const char *name, int *ret_file, size_t *ret_bytes,
                       struct tandem_error *reterr_error)
{
	struct tandem_recovery recovery;
	char path[512];
	int code = read_recovery(operation, &recovery, reterr_error);

	if (code < 0)
		return code;
	if (strchr(name, '/') != NULL || strchr(name, '.') != NULL ||
	    snprintf(path, sizeof path, "%s/%s", recovery.image_directory, name) >=
	            (int)sizeof path)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "'%s' cannot be the name of a region", name);
	return open_file(operation, path, ret_file, ret_bytes, reterr_error);
}

int tandem_region_size(const char *name, size_t *ret_bytes, struct tandem_error *reterr_error)
{
	int file, code = open_region("tandem_region_size", name, &file, ret_bytes, reterr_error);

	if (code == 0)
		close(file);
	return code;
}

static int read_range(int file, uint8_t *memory, size_t from, size_t to)
{
	while (from < to) {
		ssize_t count = pread(file, memory + from, to - from, (off_t)from);

		if (count < 0 && errno != EINTR)
			return -1;
		if (count == 0) {
			errno = ENODATA; /* it became shorter meanwhile */
			return -1;
		}
		from += count > 0 ? (size_t)count : 0;
	}
	return 0;
}

/* Memory that was never touched is not touched now. */
static void clear_range(uint8_t *memory, size_t from, size_t to)
{
	for (; from < to; from += TANDEM_PAGE_BYTES) {
		if (!tandem_is_zero(memory + from, TANDEM_PAGE_BYTES))
			memset(memory + from, 0, TANDEM_PAGE_BYTES);
	}
}

/* Holes of the image cost neither reading nor memory. */
static int load(int file, uint8_t *memory, size_t bytes)
{
	size_t hole = 0;

	while (hole < bytes) {
		off_t data = lseek(file, (off_t)hole, SEEK_DATA), end;

		if (data < 0 && errno != ENXIO)
			return -1;
		if (data < 0) {
			clear_range(memory, hole, bytes);
			return 0;
		}
		clear_range(memory, hole, (size_t)data);
		end = lseek(file, data, SEEK_HOLE);
		if (end < 0 || read_range(file, memory, (size_t)data, (size_t)end) < 0)
			return -1;
		hole = (size_t)end;
	}
	return 0;
}

static int recover(struct tandem *tandem, unsigned region, struct tandem_error *reterr_error)
{
	const char *operation = "tandem_region_recover";
	const struct tandem_region_entry *entry = &tandem->regions.entries[region];
	size_t length = entry->page_count * TANDEM_PAGE_BYTES, bytes;
	int file, code = open_region(operation, entry->name, &file, &bytes, reterr_error);

	if (code < 0)
		return code;
	if (bytes != length)
		code = tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "region %s has %zu bytes here and %zu in the image; ask "
		                        "tandem_region_size() before it is added",
		                        entry->name, length, bytes);
	else if (load(file, tandem->engine.push.bases[region], length) < 0)
		code = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, operation,
		                              "the image of region %s", entry->name);
	close(file);
	return code;
}

static int check_recover(const struct tandem *tandem, const char *name,
                         struct tandem_error *reterr_error)
{
	const char *operation = "tandem_region_recover";
	struct tandem_recovery recovery;
	int code = tandem_library_check(tandem, reterr_error);

	if (code == 0)
		code = read_recovery(operation, &recovery, reterr_error);
	if (code < 0)
		return code;
	if (tandem->is_started)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "only before tandem_start(): the regions live now");
	if (strcmp(recovery.pair, tandem->pair) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "the image is of pair %s, and this is pair %s",
		                        recovery.pair, tandem->pair);
	if (name != NULL && tandem_library_region(tandem, name) == tandem->regions.count)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "no region '%s' was added", name);
	return 0;
}

int tandem_region_recover(struct tandem *tandem, const char *name,
                          struct tandem_error *reterr_error)
{
	int code = check_recover(tandem, name, reterr_error);

	if (code < 0)
		return code;
	if (name != NULL)
		return recover(tandem, tandem_library_region(tandem, name), reterr_error);
	for (unsigned region = 0; code == 0 && region < tandem->regions.count; region++)
		code = recover(tandem, region, reterr_error);
	return code;
}

int tandem_state_recover(void *state, size_t state_bytes_max, size_t *ret_state_bytes,
                         struct tandem_error *reterr_error)
{
	const char *operation = "tandem_state_recover";
	struct tandem_recovery recovery;
	size_t bytes;
	int file, code = read_recovery(operation, &recovery, reterr_error);

	if (code == 0)
		code = open_file(operation, recovery.state_file, &file, &bytes, reterr_error);
	if (code < 0)
		return code;
	if (bytes > state_bytes_max)
		code = tandem_error_set(reterr_error, TANDEM_E_USAGE, operation,
		                        "the state blob has %zu bytes, and there is room for %zu",
		                        bytes, state_bytes_max);
	else if (read_range(file, state, 0, bytes) < 0)
		code = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, operation, "%s",
		                              recovery.state_file);
	else
		*ret_state_bytes = bytes;
	close(file);
	return code;
}
