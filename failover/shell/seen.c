#include "shell/seen.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIGITS 20

void tandem_seen_open(struct tandem_seen *seen, const char *run_directory, const char *pair)
{
	char text[DIGITS + 1] = "";

	*seen = (struct tandem_seen){.generation = 0};
	snprintf(seen->path, sizeof(seen->path), "%s/%s.register", run_directory, pair);
	int fd = open(seen->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (read(fd, text, DIGITS) == DIGITS)
		seen->generation = strtoull(text, NULL, 10);
	close(fd);
}

/* Of one length and never synced: it need not survive more than this node's processes, because
 * what a node leads dies with it. */
static int keep(const struct tandem_seen *seen, struct tandem_error *reterr_error)
{
	char text[DIGITS + 1];
	int fd = open(seen->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open",
		                              "%.160s", seen->path);
	snprintf(text, sizeof(text), "%020" PRIu64, seen->generation);
	ssize_t written = pwrite(fd, text, DIGITS, 0);
	int failure = written == DIGITS ? 0 : errno;
	close(fd);
	return failure == 0 ? 0
	                    : tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure,
	                                             "write", "%.160s", seen->path);
}

int tandem_seen_prove(const struct tandem_seen *seen, const struct tandem_record *expected,
                      const struct tandem_record *desired, struct tandem_error *reterr_error)
{
	bool is_change = expected->generation != 0 &&
	                 memcmp(expected->owner, desired->owner, sizeof(expected->owner)) != 0;
	return is_change ? keep(seen, reterr_error) : 0;
}

int tandem_seen_check(struct tandem_seen *seen, uint64_t generation, const char *directory,
                      struct tandem_error *reterr_error)
{
	if (generation < seen->generation)
		return tandem_error_set(
		        reterr_error, TANDEM_E_SYSTEM, "read",
		        "%.60s shows generation %" PRIu64 ", but this node has seen %" PRIu64
		        ": not mounted, or restored? (a pair that is to begin anew: "
		        "remove %.60s, too)",
		        directory, generation, seen->generation, seen->path);
	if (generation == seen->generation)
		return 0;
	seen->generation = generation;
	/* A memory that cannot be written protects no later life. */
	int status = keep(seen, NULL);
	(void)status;
	return 0;
}
