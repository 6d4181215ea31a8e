#include "shell/register.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_PREFIX "gen-"
#define NAME_DIGITS 20
#define NAME_LENGTH (sizeof(NAME_PREFIX) - 1 + NAME_DIGITS)
#define READ_TRIES  8

struct spelled {
	char path[PATH_MAX];
};

static int fail(struct tandem_error *reterr_error, const char *operation, const char *path)
{
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, operation, "%.160s",
	                              path);
}

static struct spelled spell(const char *directory, uint64_t generation)
{
	struct spelled spelled;
	snprintf(spelled.path, sizeof(spelled.path), "%.3000s/" NAME_PREFIX "%020" PRIu64,
	         directory, generation);
	return spelled;
}

/* 0 for other names. */
static uint64_t generation_of(const char *name)
{
	if (strlen(name) != NAME_LENGTH || strncmp(name, NAME_PREFIX, 4) != 0)
		return 0;
	uint64_t generation = 0;
	for (const char *at = name + 4; *at != 0; at++) {
		unsigned digit = (unsigned)(*at - '0');
		if (digit > 9 || generation > (UINT64_MAX - digit) / 10)
			return 0;
		generation = generation * 10 + digit;
	}
	return generation;
}

int tandem_register_prepare(const char *directory, struct tandem_error *reterr_error)
{
	struct spelled part;
	snprintf(part.path, sizeof(part.path), "%.3000s/", directory);
	for (char *at = part.path + 1; *at != 0; at++) {
		if (*at != '/')
			continue;
		*at = 0;
		if (mkdir(part.path, 0700) != 0 && errno != EEXIST)
			return fail(reterr_error, "mkdir", part.path);
		*at = '/';
	}
	return 0;
}

static int find_highest(const char *directory, uint64_t *ret_generation,
                        struct tandem_error *reterr_error)
{
	DIR *folder = opendir(directory);
	if (!folder)
		return fail(reterr_error, "opendir", directory);
	uint64_t highest = 0;
	errno = 0;
	for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
		uint64_t generation = generation_of(entry->d_name);
		highest = generation > highest ? generation : highest;
	}
	int status = errno != 0 ? fail(reterr_error, "readdir", directory) : 0;
	closedir(folder);
	if (status == 0)
		*ret_generation = highest;
	return status;
}

static int refuse_file(struct tandem_error *reterr_error, const char *path, const char *why)
{
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "read", "%.160s: %s", path, why);
}

static int read_bytes(const char *path, uint8_t bytes[TANDEM_RECORD_BYTES + 1], size_t *ret_length,
                      struct tandem_error *reterr_error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return TANDEM_E_AGAIN;
	if (fd < 0)
		return fail(reterr_error, "open", path);
	ssize_t length = read(fd, bytes, TANDEM_RECORD_BYTES + 1);
	int status = length < 0 ? fail(reterr_error, "read", path) : 0;
	close(fd);
	if (status == 0)
		*ret_length = (size_t)length;
	return status;
}

static int read_generation(const char *directory, const char *pair, uint64_t generation,
                           struct tandem_record *ret_record, struct tandem_error *reterr_error)
{
	struct spelled name = spell(directory, generation);
	uint8_t bytes[TANDEM_RECORD_BYTES + 1];
	size_t length = 0;
	struct tandem_record record;
	int status = read_bytes(name.path, bytes, &length, reterr_error);
	if (status != 0)
		return status;
	if (tandem_record_decode(bytes, length, &record) != 0)
		return refuse_file(reterr_error, name.path, "is not a record of this version");
	if (record.generation != generation || strcmp(record.pair, pair) != 0)
		return refuse_file(reterr_error, name.path,
		                   "holds a record of another pair or generation");
	*ret_record = record;
	return 0;
}

int tandem_register_read(const char *directory, const char *pair, struct tandem_record *ret_record,
                         struct tandem_error *reterr_error)
{
	/* The highest may be pruned between the two calls while others win; then look again. */
	for (unsigned i = 0; i < READ_TRIES; i++) {
		uint64_t generation = 0;
		int status = find_highest(directory, &generation, reterr_error);
		if (status != 0)
			return status;
		if (generation == 0) {
			*ret_record = (struct tandem_record){.generation = 0};
			return 0;
		}
		status = read_generation(directory, pair, generation, ret_record, reterr_error);
		if (status != TANDEM_E_AGAIN)
			return status;
	}
	return tandem_error_set(reterr_error, TANDEM_E_AGAIN, "read",
	                        "%.160s changes faster than it can be read", directory);
}

/* Asked again, a record has its draft's name again: one that could not be removed does not stay
 * behind a second time. */
static struct spelled spell_draft(const char *directory, const struct tandem_record *record)
{
	struct spelled spelled;
	snprintf(spelled.path, sizeof(spelled.path), "%.3000s/draft-%016" PRIx64, directory,
	         record->decision);
	return spelled;
}

static int write_draft(const char *path, const struct tandem_record *record,
                       struct tandem_error *reterr_error)
{
	uint8_t bytes[TANDEM_RECORD_BYTES];
	tandem_record_encode(record, bytes);
	/* Never written over: it may be the register's by another name. */
	if (unlink(path) != 0 && errno != ENOENT)
		return fail(reterr_error, "unlink", path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(reterr_error, "open", path);
	int status = 0;
	if (write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes) || fsync(fd) != 0)
		status = fail(reterr_error, "write", path);
	if (close(fd) != 0 && status == 0)
		status = fail(reterr_error, "close", path);
	if (status != 0)
		unlink(path);
	return status;
}

static int sync_directory(const char *directory, struct tandem_error *reterr_error)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(reterr_error, "open", directory);
	int status = fsync(fd) != 0 ? fail(reterr_error, "fsync", directory) : 0;
	close(fd);
	return status;
}

void tandem_register_prune(const char *directory, uint64_t highest)
{
	DIR *folder = opendir(directory);
	if (!folder)
		return;
	for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
		uint64_t generation = generation_of(entry->d_name);
		/* Housekeeping: what stays behind harms nobody. */
		if (generation != 0 && generation + TANDEM_REGISTER_KEPT <= highest)
			unlinkat(dirfd(folder), entry->d_name, 0);
	}
	closedir(folder);
}

/* Looking after the link settles two things: an EEXIST or error of our own link that a network file
 * system repeated, and a caller that slept so long before its link that the generation was won,
 * passed and pruned meanwhile. The highest record says who counts. */
static enum tandem_register_outcome judge(const char *directory,
                                          const struct tandem_record *desired,
                                          struct tandem_record *ret_current,
                                          struct tandem_error *reterr_error)
{
	struct tandem_record current;
	if (tandem_register_read(directory, desired->pair, &current, reterr_error) != 0)
		return TANDEM_REGISTER_DOUBT;
	if (tandem_record_is_same(&current, desired))
		return sync_directory(directory, reterr_error) == 0 ? TANDEM_REGISTER_WON
		                                                    : TANDEM_REGISTER_DOUBT;
	/* A listing that is older than the link it follows proves nothing. */
	if (current.generation < desired->generation) {
		tandem_error_set(reterr_error, TANDEM_E_AGAIN, "read",
		                 "%.160s does not show yet what was written", directory);
		return TANDEM_REGISTER_DOUBT;
	}
	*ret_current = current;
	return TANDEM_REGISTER_LOST;
}

static enum tandem_register_outcome link_draft(const char *directory, const char *draft,
                                               const struct tandem_record *desired,
                                               struct tandem_record *ret_current,
                                               struct tandem_error *reterr_error)
{
	struct spelled name = spell(directory, desired->generation);
	if (link(draft, name.path) == 0 || errno == EEXIST)
		return judge(directory, desired, ret_current, reterr_error);
	bool is_certain = errno == EPERM || errno == EACCES || errno == ENOSPC || errno == EROFS ||
	                  errno == ENOENT || errno == EOPNOTSUPP || errno == EMLINK;
	fail(reterr_error, "link", name.path);
	return is_certain ? TANDEM_REGISTER_FAILED : TANDEM_REGISTER_DOUBT;
}

enum tandem_register_outcome tandem_register_cas(const char *directory,
                                                 const struct tandem_record *expected,
                                                 const struct tandem_record *desired,
                                                 struct tandem_record *ret_current,
                                                 struct tandem_error *reterr_error)
{
	struct tandem_record current;
	if (tandem_register_read(directory, desired->pair, &current, reterr_error) != 0)
		return TANDEM_REGISTER_FAILED;
	if (tandem_record_is_same(&current, desired))
		return judge(directory, desired, ret_current, reterr_error);
	if (!tandem_record_is_same(&current, expected)) {
		*ret_current = current;
		return TANDEM_REGISTER_LOST;
	}
	struct spelled draft = spell_draft(directory, desired);
	if (write_draft(draft.path, desired, reterr_error) != 0)
		return TANDEM_REGISTER_FAILED;
	enum tandem_register_outcome outcome =
	        link_draft(directory, draft.path, desired, ret_current, reterr_error);
	unlink(draft.path);
	return outcome;
}

int tandem_register_adopt(const char *directory, const struct tandem_record *record,
                          struct tandem_error *reterr_error)
{
	struct tandem_record current;
	int status = tandem_register_read(directory, record->pair, &current, reterr_error);
	if (status != 0)
		return status;
	if (!tandem_record_is_newer(record, &current))
		return 0;
	struct spelled draft = spell_draft(directory, record);
	struct spelled name = spell(directory, record->generation);
	status = write_draft(draft.path, record, reterr_error);
	if (status != 0)
		return status;
	if (rename(draft.path, name.path) != 0) {
		status = fail(reterr_error, "rename", name.path);
		unlink(draft.path);
		return status;
	}
	return sync_directory(directory, reterr_error);
}
