#include "qemu_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tandem/bytes.h>
#include <tandem/memory.h>
#include <tandem/unix_socket.h>
#include <unistd.h>

#include "qemu_words.h"

#define WORDS_MAX          1024
#define STATUS_EXEC        127
#define BACKEND_WORD_BYTES 2048

void tandem_qemu_region_name(unsigned block, char ret_name[TANDEM_QEMU_REGION_BYTES])
{
	snprintf(ret_name, TANDEM_QEMU_REGION_BYTES, "block-%u", block);
}

/* ---- what a guest is restored from ---- */

struct image {
	const struct tandem_recovery *recovery;
	struct tandem_qemu_stream stream;
	const uint8_t *blob;
	size_t blob_bytes;
	const uint8_t *opening;
	size_t opening_bytes;
	uint64_t shared_blocks;
};

/* NULL where it cannot be had. */
static const uint8_t *map_file(const char *path, size_t *ret_bytes)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat about;
	void *bytes = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &about) == 0 && about.st_size > 0)
		bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
	if (bytes == MAP_FAILED)
		return NULL;
	*ret_bytes = (size_t)about.st_size;
	return bytes;
}

static bool decode_opening(struct image *image)
{
	struct tandem_qemu_item item = {.type = TANDEM_QEMU_NOTED};

	tandem_qemu_stream_init(&image->stream);
	for (size_t used = 0; item.type != TANDEM_QEMU_SET_UP; used += item.used_bytes) {
		tandem_qemu_stream_take(&image->stream, image->opening + used,
		                        image->opening_bytes - used, &item);
		if (item.type == TANDEM_QEMU_MORE || item.type == TANDEM_QEMU_FAULT)
			return false;
	}
	return true;
}

static int open_image(struct image *image, struct tandem_error *reterr_error)
{
	struct tandem_reader reader;

	image->blob = map_file(image->recovery->state_file, &image->blob_bytes);
	if (!image->blob)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "restore",
		                              "%.150s cannot be read: it is gone when a guest of "
		                              "it has been about to run",
		                              image->recovery->state_file);
	reader = tandem_reader_over(image->blob, image->blob_bytes);
	image->opening_bytes = tandem_read_u32(&reader);
	image->shared_blocks = tandem_read_u64(&reader);
	image->opening = image->blob + TANDEM_QEMU_BLOB_HEAD_BYTES;
	if (reader.failed || image->opening_bytes > tandem_reader_left(&reader) ||
	    !decode_opening(image))
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "restore",
		                        "%.150s is not the state of a guest",
		                        image->recovery->state_file);
	return 0;
}

static bool is_shared(const struct image *image, unsigned block)
{
	return (image->shared_blocks >> block & 1) != 0;
}

/* Which files of the image QEMU is to have for its own. */
static int name_shared(const struct image *image, struct tandem_qemu_restored *restored,
                       struct tandem_error *reterr_error)
{
	for (unsigned i = 0; i < image->stream.at.block_count; i++) {
		struct tandem_qemu_restored_file *file = &restored->shared[restored->shared_count];
		const char *id = strrchr(image->stream.blocks[i].name, '/');
		char name[TANDEM_QEMU_REGION_BYTES];

		if (!is_shared(image, i))
			continue;
		id = id ? id + 1 : image->stream.blocks[i].name;
		if (restored->shared_count++ == TANDEM_QEMU_BACKENDS_MAX ||
		    strlen(id) >= sizeof(file->id))
			return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "restore",
			                        "the image has more shared RAM than a guest can");
		memcpy(file->id, id, strlen(id) + 1);
		tandem_qemu_region_name(i, name);
		snprintf(file->path, sizeof(file->path), "%s/%s", image->recovery->image_directory,
		         name);
		if (access(file->path, R_OK | W_OK) != 0) /* QEMU would make an empty one */
			return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno,
			                              "restore", "%.150s cannot be used",
			                              file->path);
	}
	return 0;
}

void tandem_qemu_restored_use(const struct tandem_qemu_restored *restored)
{
	(void)unlink(restored->state_file);
	for (unsigned i = 0; i < restored->shared_count; i++)
		(void)unlink(restored->shared[i].path);
}

static bool write_page(struct tandem_qemu_restore *restore, unsigned block, uint64_t offset_bytes,
                       const uint8_t *page, FILE *file)
{
	static const uint8_t zeros[TANDEM_QEMU_PAGE_BYTES];
	uint8_t record[TANDEM_QEMU_RECORD_BYTES];

	if (memcmp(page, zeros, sizeof(zeros)) == 0) {
		const size_t fill_bytes =
		        tandem_qemu_restore_fill(restore, block, offset_bytes, 0, record);
		return fwrite(record, 1, fill_bytes, file) == fill_bytes;
	}
	const size_t record_bytes = tandem_qemu_restore_page(restore, block, offset_bytes, record);
	return fwrite(record, 1, record_bytes, file) == record_bytes &&
	       fwrite(page, 1, TANDEM_QEMU_PAGE_BYTES, file) == TANDEM_QEMU_PAGE_BYTES;
}

static bool write_block(const struct image *image, struct tandem_qemu_restore *restore,
                        unsigned block, FILE *file)
{
	const uint64_t size_bytes = image->stream.blocks[block].size_bytes;
	char path[PATH_MAX], name[TANDEM_QEMU_REGION_BYTES];
	size_t file_bytes = 0;
	bool is_written = true;

	tandem_qemu_region_name(block, name);
	snprintf(path, sizeof(path), "%s/%s", image->recovery->image_directory, name);
	const uint8_t *bytes = map_file(path, &file_bytes);
	if (!bytes || file_bytes < size_bytes)
		return false;
	for (uint64_t at = 0; is_written && at < size_bytes; at += TANDEM_QEMU_PAGE_BYTES)
		is_written = write_page(restore, block, at, bytes + at, file);
	munmap((void *)(uintptr_t)bytes, file_bytes);
	return is_written;
}

static bool write_record(const uint8_t *record, size_t length, FILE *file)
{
	return fwrite(record, 1, length, file) == length;
}

static bool write_restore(const struct image *image, FILE *file)
{
	const size_t state_at = TANDEM_QEMU_BLOB_HEAD_BYTES + image->opening_bytes;
	uint8_t record[TANDEM_QEMU_RECORD_BYTES];
	struct tandem_qemu_restore restore;
	bool is_written =
	        write_record(image->opening, image->opening_bytes, file) &&
	        write_record(record, tandem_qemu_restore_begin(&restore, &image->stream, record),
	                     file);

	for (unsigned i = 0; is_written && i < image->stream.at.block_count; i++)
		is_written = is_shared(image, i) || write_block(image, &restore, i, file);
	return is_written &&
	       write_record(record, tandem_qemu_restore_end(&restore, record), file) &&
	       write_record(image->blob + state_at, image->blob_bytes - state_at, file) &&
	       write_record(record, tandem_qemu_restore_tail(record), file);
}

/* The child: never returns. */
static void write_all(const struct image *image, int fd)
{
	FILE *file = fdopen(fd, "wb");
	const bool is_written = file && write_restore(image, file) && fclose(file) == 0;

	_exit(is_written ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* What a child does first: it ends when its parent does, whoever ended that. */
static bool belongs_to(pid_t parent)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

static struct image image;

int tandem_qemu_restore_prepare(const struct tandem_recovery *recovery,
                                struct tandem_qemu_restored *ret_restored,
                                struct tandem_error *reterr_error)
{
	int ends[2];

	image.recovery = recovery;
	int status = open_image(&image, reterr_error);
	if (status == 0)
		status = name_shared(&image, ret_restored, reterr_error);
	if (status != 0)
		return status;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "restore",
		                              "no pipe");
	ret_restored->fd = ends[0];
	ret_restored->feed_fd = ends[1];
	return 0;
}

/* QEMU was started for what the image was then. */
static int open_same_image(const struct tandem_recovery *recovery,
                           const struct tandem_qemu_restored *restored,
                           struct tandem_error *reterr_error)
{
	struct tandem_qemu_restored now = {.fd = -1};

	image.recovery = recovery;
	int status = open_image(&image, reterr_error);
	if (status == 0)
		status = name_shared(&image, &now, reterr_error);
	if (status == 0 && (now.shared_count != restored->shared_count ||
	                    memcmp(now.shared, restored->shared, sizeof(now.shared)) != 0))
		status = tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "restore",
		                          "the guest shares other RAM than QEMU was started for");
	return status;
}

int tandem_qemu_restore_feed(const struct tandem_recovery *recovery,
                             struct tandem_qemu_restored *restored,
                             struct tandem_error *reterr_error)
{
	const pid_t parent = getpid();
	const int status = open_same_image(recovery, restored, reterr_error);

	if (status != 0)
		return status;
	const pid_t child = fork();
	if (child == 0) {
		if (restored->fd >= 0)
			close(restored->fd);
		if (!belongs_to(parent))
			_exit(EXIT_FAILURE);
		write_all(&image, restored->feed_fd);
	}
	close(restored->feed_fd);
	restored->feed_fd = -1;
	if (child < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "restore",
		                              "no process");
	restored->state_file = recovery->state_file;
	return 0;
}

/* ---- QEMU ---- */

static const char *const socket_names[TANDEM_QEMU_SOCKETS] = {"tandem-control", "tandem-watch"};

struct command_line {
	char *words[WORDS_MAX + 4 * TANDEM_QEMU_SOCKETS + 5 + 2 * TANDEM_QEMU_GATES_MAX];
	size_t count;
	char chardevs[TANDEM_QEMU_SOCKETS][80];
	char monitors[TANDEM_QEMU_SOCKETS][80];
	char backends[TANDEM_QEMU_BACKENDS_MAX][BACKEND_WORD_BYTES];
};

static void add(struct command_line *line, const char *word)
{
	line->words[line->count++] = (char *)(uintptr_t)word;
}

static int replace_paths(struct command_line *line, const struct tandem_qemu_restored *restored,
                         struct tandem_error *reterr_error)
{
	for (unsigned i = 0; i < restored->shared_count; i++) {
		const struct tandem_qemu_restored_file *file = &restored->shared[i];
		size_t at = 0;

		while (at < line->count && !tandem_qemu_word_is_backend(line->words[at], file->id))
			at++;
		if (at == line->count ||
		    !tandem_qemu_word_give_image(line->words[at], file->path, line->backends[i],
		                                 sizeof(line->backends[i])))
			return tandem_error_set(
			        reterr_error, TANDEM_E_CONFIG, "QEMU",
			        "the guest's RAM was shared with its QEMU: the command line needs "
			        "-object memory-backend-file,id=%s,mem-path=...,share=on in this "
			        "form",
			        file->id);
		line->words[at] = line->backends[i];
	}
	return 0;
}

static void add_socket(struct command_line *line, unsigned number, int fd)
{
	const char *name = socket_names[number];

	snprintf(line->chardevs[number], sizeof(line->chardevs[number]),
	         "socket,id=%s,fd=%d,server=on,wait=off", name, fd);
	snprintf(line->monitors[number], sizeof(line->monitors[number]), "chardev=%s,mode=control",
	         name);
	add(line, "-chardev");
	add(line, line->chardevs[number]);
	add(line, "-mon");
	add(line, line->monitors[number]);
}

static bool make_line(struct command_line *line, const struct tandem_qemu_process *process)
{
	const struct tandem_qemu_restored *restored = process->restored;

	line->count = 0;
	for (char *const *words = process->words; *words; words++) {
		if (line->count == WORDS_MAX)
			return false;
		add(line, *words);
	}
	for (unsigned i = 0; i < TANDEM_QEMU_SOCKETS; i++)
		add_socket(line, i, process->qmp_fds[i]);
	for (unsigned i = 0; i < process->gates->count; i++) {
		add(line, "-netdev");
		add(line, process->gates->cards[i].netdev);
	}
	if (restored->fd >= 0) {
		add(line, "-S");
		add(line, "-incoming");
		add(line, "defer");
	}
	line->words[line->count] = NULL;
	return true;
}

static struct command_line command_line;

int tandem_qemu_process_prepare(struct tandem_qemu_process *process,
                                const char *const qmp_paths[TANDEM_QEMU_SOCKETS],
                                struct tandem_error *reterr_error)
{
	int code = 0;

	for (unsigned i = 0; i < TANDEM_QEMU_SOCKETS; i++)
		process->qmp_fds[i] = -1;
	for (unsigned i = 0; i < TANDEM_QEMU_SOCKETS && code == 0; i++)
		code = tandem_unix_listen(qmp_paths[i], SOCK_STREAM, 1, &process->qmp_fds[i],
		                          reterr_error);
	if (code == 0 && !make_line(&command_line, process))
		code = tandem_error_set(reterr_error, TANDEM_E_USAGE, "QEMU",
		                        "its command line has more than %d words", WORDS_MAX);
	return code == 0 ? replace_paths(&command_line, process->restored, reterr_error) : code;
}

/* Listening again makes this process the one that whoever connects sees there (unix(7),
 * SO_PEERCRED). */
static bool keep_socket(int fd)
{
	return listen(fd, 1) == 0 && fcntl(fd, F_SETFD, 0) == 0;
}

void tandem_qemu_process_run(const void *argument)
{
	const struct tandem_qemu_process *process = argument;
	const int restore_fd = process->restored->fd;
	bool is_ready = restore_fd < 0 || fcntl(restore_fd, F_SETFD, 0) == 0;

	for (unsigned i = 0; i < TANDEM_QEMU_SOCKETS; i++)
		is_ready = is_ready && keep_socket(process->qmp_fds[i]);
	if (!is_ready)
		_exit(STATUS_EXEC);
	signal(SIGPIPE, SIG_DFL);
	execvp(command_line.words[0], command_line.words);
	_exit(STATUS_EXEC);
}

void tandem_qemu_process_forget(struct tandem_qemu_process *process)
{
	for (unsigned i = 0; i < TANDEM_QEMU_SOCKETS; i++) {
		if (process->qmp_fds[i] >= 0)
			close(process->qmp_fds[i]);
	}
	if (process->restored->fd >= 0)
		close(process->restored->fd);
}
