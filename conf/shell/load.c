#include "shell/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tandem/memory.h>

#include "core/scan.h"

#define FILE_BYTES_MAX (1u << 20)

static int read_whole(int fd, const char *path, char *text, size_t *ret_length,
                      struct tandem_error *reterr_error)
{
	size_t length = 0;
	for (;;) {
		ssize_t count = read(fd, text + length, FILE_BYTES_MAX + 1 - length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "read",
			                              "%s", path);
		if (count == 0)
			break;
		length += (size_t)count;
		if (length > FILE_BYTES_MAX)
			return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "read",
			                        "%s: larger than 1 MiB", path);
	}
	*ret_length = length;
	return 0;
}

/* Not through the library: it ends the program when it meets a directory. */
static int file_read(const char *path, char *text, size_t *ret_length,
                     struct tandem_error *reterr_error)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open", "%s",
		                              path);
	int rc = 0;
	if (fstat(fd, &status) < 0)
		rc = tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "fstat", "%s",
		                            path);
	else if (!S_ISREG(status.st_mode))
		rc = tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "open",
		                      "%s: not a regular file", path);
	else
		rc = read_whole(fd, path, text, ret_length, reterr_error);
	close(fd);
	return rc;
}

static unsigned line_at(const char *text, size_t offset)
{
	unsigned line = 1;
	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

/* What the library would take in ways that surprise: a zero byte ends its input early, an include
 * makes two files of one. */
static bool text_is_plain(const char *text, size_t length, struct tandem_config_mistakes *mistakes)
{
	const char *zero = memchr(text, '\0', length);
	const char *include = tandem_config_scan_include(text);
	if (zero)
		tandem_config_mistake_add(mistakes, line_at(text, (size_t)(zero - text)), "",
		                          "a zero byte seen, plain text needed");
	if (include)
		tandem_config_mistake_add(mistakes, line_at(text, (size_t)(include - text)),
		                          "@include",
		                          "not supported: the configuration is one file, the same "
		                          "on every node");
	return !zero && !include;
}

/* A large number loses its high bits in the library, and may then look right. */
static void find_large_numbers(const char *text, struct tandem_config_mistakes *mistakes)
{
	size_t offset = 0, length;
	while ((length = tandem_config_scan_large(text, offset, &offset)) > 0) {
		tandem_config_mistake_add(mistakes, line_at(text, offset), "",
		                          "%.*s seen, no number here is larger than 2147483647",
		                          (int)(length < 80 ? length : 80), text + offset);
		offset += length;
	}
}

static void syntax_mistake(const config_t *tree, struct tandem_config_mistakes *mistakes)
{
	const char *text = config_error_text(tree);
	bool is_duplicate = text && strstr(text, "duplicate");
	tandem_config_mistake_add(mistakes, (unsigned)config_error_line(tree), "", "%s%s",
	                          text ? text : "syntax error",
	                          is_duplicate ? ": a key stands twice in its group, or a list "
	                                         "holds different types"
	                                       : " on this line or at the end of the one before");
}

/* What is done with one file. */
struct job {
	struct tandem_config_mistakes *mistakes;
	tandem_config_look *look; /* may be NULL */
	void *argument;
};

static void text_read(const char *text, size_t length, struct tandem_config *config,
                      const struct job *job)
{
	struct tandem_config_mistakes *mistakes = job->mistakes;
	config_t tree;
	struct tandem_config_reader reader = {
	        .tree = &tree, .config = config, .mistakes = mistakes};
	if (!text_is_plain(text, length, mistakes))
		return;
	find_large_numbers(text, mistakes);
	config_init(&tree);
	if (config_read_string(&tree, text) == CONFIG_TRUE) {
		tandem_config_read(&reader);
		tandem_config_check(&reader);
		if (job->look && mistakes->count + mistakes->lost_count == 0)
			job->look(&reader, job->argument);
	} else {
		syntax_mistake(&tree, mistakes);
	}
	config_destroy(&tree);
}

static int verdict(const char *path, struct tandem_config_mistakes *mistakes,
                   struct tandem_error *reterr_error)
{
	char first[512];
	size_t count = mistakes->count + mistakes->lost_count;
	if (count == 0)
		return 0;
	if (mistakes->count == 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "config", "%s", path);
	tandem_config_mistakes_sort(mistakes);
	tandem_config_mistake_format(path, &mistakes->list[0], first, sizeof(first));
	if (count == 1)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "config", "%s", first);
	return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "config",
	                        "%zu mistakes, the first: %s", count, first);
}

/* `text` ends with a zero byte behind `length`. */
static int load_terminated(const char *path, const char *text, size_t length, struct job job,
                           struct tandem_config **ret_config, struct tandem_error *reterr_error)
{
	struct tandem_config_mistakes own = TANDEM_CONFIG_MISTAKES_NONE;
	struct tandem_config *config = tandem_memory_alloc(sizeof(*config));
	if (!config)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "config", "%s", path);
	snprintf(config->path, sizeof(config->path), "%s", path);
	if (!job.mistakes)
		job.mistakes = &own;
	text_read(text, length, config, &job);
	int rc = verdict(path, job.mistakes, reterr_error);
	tandem_config_mistakes_clear(&own);
	if (rc < 0) {
		tandem_config_free(config);
		return rc;
	}
	*ret_config = config;
	return 0;
}

int tandem_config_load_text(const char *path, const char *text, size_t length,
                            struct tandem_config **ret_config,
                            struct tandem_config_mistakes *mistakes,
                            struct tandem_error *reterr_error)
{
	if (mistakes)
		tandem_config_mistakes_clear(mistakes);
	if (length > FILE_BYTES_MAX)
		return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "read",
		                        "%s: larger than 1 MiB", path);
	char *copy = tandem_memory_alloc(length + 1);
	if (!copy)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "config", "%s", path);
	memcpy(copy, text, length);
	struct job job = {.mistakes = mistakes};
	int rc = load_terminated(path, copy, length, job, ret_config, reterr_error);
	tandem_memory_free(copy);
	return rc;
}

int tandem_config_load_and_look(const char *path, struct tandem_config **ret_config,
                                struct tandem_config_mistakes *mistakes, tandem_config_look *look,
                                void *argument, struct tandem_error *reterr_error)
{
	struct job job = {.mistakes = mistakes, .look = look, .argument = argument};
	size_t length = 0;
	if (mistakes)
		tandem_config_mistakes_clear(mistakes);
	char *text = tandem_memory_alloc(FILE_BYTES_MAX + 2);
	if (!text)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "config", "%s", path);
	int rc = file_read(path, text, &length, reterr_error);
	if (rc == 0)
		rc = load_terminated(path, text, length, job, ret_config, reterr_error);
	tandem_memory_free(text);
	return rc;
}

int tandem_config_load(const char *path, struct tandem_config **ret_config,
                       struct tandem_config_mistakes *mistakes, struct tandem_error *reterr_error)
{
	return tandem_config_load_and_look(path, ret_config, mistakes, NULL, NULL, reterr_error);
}

struct tandem_config *tandem_config_free(struct tandem_config *config)
{
	tandem_memory_free(config);
	return NULL;
}
