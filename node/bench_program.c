#include "bench_program.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#define LINE_BYTES    64u
#define PACED_AT_ONCE (UINT64_C(1) << 20) /* so that a program that is late still looks up */

/* ---- life ---- */

void tandem_bench_program_fill(struct tandem_bench_program *program, uint64_t first_page,
                               uint64_t count)
{
	for (uint64_t page = first_page; page < first_page + count; page++)
		memset(program->region + page * TANDEM_BENCH_PAGE_BYTES, (int)(page % 255) + 1,
		       TANDEM_BENCH_PAGE_BYTES);
}

static int make_region(struct tandem_bench_program *program, bool is_filled,
                       struct tandem_error *reterr_error)
{
	const size_t size = program->options->size_bytes;

	program->region = tandem_memory_map(size);
	if (program->region == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "bench",
		                        "%zu MiB for the region are not there", size >> 20);
	/* Pages of one size, so that what is dirty is what was asked for. */
	madvise(program->region, size, MADV_NOHUGEPAGE);
	if (is_filled)
		tandem_bench_program_fill(program, 0, size / TANDEM_BENCH_PAGE_BYTES);
	return 0;
}

int tandem_bench_program_open(const struct tandem_bench_checkpoint_options *options, bool is_filled,
                              struct tandem_bench_program *ret_program,
                              struct tandem_error *reterr_error)
{
	int code = 0;

	*ret_program = (struct tandem_bench_program){.options = options,
	                                             .upload = {.fd = -1, .client = -1}};
	if (options->writes == TANDEM_BENCH_WRITES_UPLOAD)
		code = tandem_bench_upload_open(options->rate_bytes_s, &ret_program->upload,
		                                reterr_error);
	if (code == 0)
		code = tandem_bench_pages_make(options->writes,
		                               options->size_bytes / TANDEM_BENCH_PAGE_BYTES,
		                               &ret_program->pages, reterr_error);
	if (code == 0)
		code = make_region(ret_program, is_filled, reterr_error);
	if (code == 0)
		ret_program->cache =
		        tandem_bench_cache_in(ret_program->region, options->size_bytes);
	return code;
}

void tandem_bench_program_close(struct tandem_bench_program *program)
{
	tandem_bench_upload_close(&program->upload);
	tandem_bench_pages_clear(&program->pages);
	if (program->region != NULL)
		tandem_memory_unmap(program->region, program->options->size_bytes);
	program->region = NULL;
}

/* ---- writing ---- */

static void note(const struct tandem_bench_program *program, const uint8_t *start, size_t length)
{
	if (program->tandem != NULL)
		tandem_mark_dirty(program->tandem, start, length);
}

void tandem_bench_program_write(struct tandem_bench_program *program, uint64_t bytes)
{
	program->stamp++;
	for (uint64_t done = 0; done < bytes; done += TANDEM_BENCH_PAGE_BYTES) {
		uint8_t *line = program->region +
		                tandem_bench_pages_next(&program->pages) * TANDEM_BENCH_PAGE_BYTES +
		                program->stamp * LINE_BYTES % TANDEM_BENCH_PAGE_BYTES;

		memcpy(line, &program->stamp, sizeof program->stamp);
		note(program, line, sizeof program->stamp);
	}
}

/* False when nothing has arrived. */
static bool take_upload(struct tandem_bench_program *program)
{
	const uint64_t filled_count = program->cache.filled_count;
	size_t room;
	uint8_t *place = tandem_bench_cache_place(&program->cache, &room);
	const ssize_t got = recv(program->upload.fd, place, room, MSG_DONTWAIT);

	if (got <= 0)
		return false;
	note(program, place, (size_t)got);
	tandem_bench_cache_fill(&program->cache, (size_t)got);
	if (program->cache.filled_count != filled_count)
		note(program,
		     program->cache.table + filled_count % program->cache.buffer_count * LINE_BYTES,
		     LINE_BYTES);
	return true;
}

static void wait_briefly(const struct tandem_bench_program *program, uint64_t now_ns,
                         uint64_t until_ns)
{
	struct pollfd descriptor = {.fd = program->upload.fd, .events = POLLIN};
	uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 100 * TANDEM_NS_PER_US;
	struct timespec pause;

	if (wait_ns > TANDEM_NS_PER_MS)
		wait_ns = TANDEM_NS_PER_MS;
	pause = (struct timespec){.tv_nsec = (long)wait_ns};
	ppoll(&descriptor, 1, &pause, NULL);
}

uint64_t tandem_bench_program_pace(struct tandem_bench_program *program)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	uint64_t bytes;
	double due;

	if (program->paced_since_ns == 0)
		program->paced_since_ns = now_ns;
	due = (double)program->options->rate_bytes_s * (double)(now_ns - program->paced_since_ns) /
	              1e9 -
	      (double)program->paced_bytes;
	if (due < TANDEM_BENCH_PAGE_BYTES)
		return 0;
	if (due > (double)PACED_AT_ONCE)
		due = (double)PACED_AT_ONCE;
	bytes = (uint64_t)due / TANDEM_BENCH_PAGE_BYTES * TANDEM_BENCH_PAGE_BYTES;
	tandem_bench_program_write(program, bytes);
	program->paced_bytes += bytes;
	program->written_bytes += bytes;
	return bytes;
}

/* What the program could not write while it was held it does not make up for. */
void tandem_bench_program_run(struct tandem_bench_program *program, struct tandem *tandem,
                              uint64_t until_ns)
{
	const bool is_upload = program->upload.fd >= 0;
	struct tandem_news news = {.can_checkpoint = false};
	uint64_t now_ns;

	program->paced_since_ns = 0;
	program->paced_bytes = 0;
	while ((now_ns = tandem_clock_now_ns()) < until_ns || !news.can_checkpoint) {
		const bool has_moved =
		        is_upload ? take_upload(program) : tandem_bench_program_pace(program) > 0;

		if (now_ns >= until_ns)
			tandem_poll(tandem, &news);
		if (news.is_halted)
			return;
		if (!has_moved && (now_ns < until_ns || !news.can_checkpoint))
			wait_briefly(program, now_ns, until_ns);
	}
}
