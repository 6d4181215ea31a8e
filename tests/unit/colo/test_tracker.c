#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <tandem/random.h>

#include "core/bitmap.h"
#include "shell/tracker.h"

/* On real memory: what docs/dirty-tracking.md promises. */

#define PAGES 300u
#define BYTES (PAGES * 4096u)

enum memory { ANONYMOUS, MEMFD, SHM_FILE, MEMORIES };

static uint8_t *base;
static int file = -1;
static struct tandem_region_tracker *tracker;
static uint64_t dirty[TANDEM_BITMAP_WORDS(PAGES + 16)];

static void map(enum memory memory)
{
	if (memory == MEMFD)
		file = memfd_create("tracker", MFD_CLOEXEC);
	if (memory == SHM_FILE) {
		char name[] = "/dev/shm/tandem-tracker-XXXXXX";

		file = mkstemp(name);
		unlink(name);
	}
	if (file >= 0)
		cr_assert_eq(ftruncate(file, BYTES), 0);
	base = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
	            memory == ANONYMOUS ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, 0);
	cr_assert_neq(base, MAP_FAILED);
}

/* False where the kernel has no PAGEMAP_SCAN: then the test is skipped, which the summary shows. */
static bool track(enum tandem_tracker kind, enum memory memory)
{
	struct tandem_error error;

	map(memory);
	if (tandem_tracker_new(kind, base, BYTES, &tracker, &error) == 0)
		return true;
	cr_assert_eq(error.code, TANDEM_E_UNSUPPORTED);
	cr_assert_not_null(strstr(error.detail, "compare"), "it says which tracker can");
	return false;
}

static void untrack(void)
{
	tracker = tandem_tracker_free(tracker);
	munmap(base, BYTES);
	if (file >= 0)
		close(file);
	file = -1;
}

static void scan(void)
{
	memset(dirty, 0, sizeof dirty);
	cr_assert_eq(tandem_tracker_scan(tracker, dirty, 16, NULL), 0);
	cr_assert_eq(dirty[0] & 0xffff, 0, "bits before first_page are left alone");
}

static bool is_dirty(unsigned page)
{
	return tandem_bitmap_get(dirty, page + 16);
}

static void expect_only(unsigned page, const char *writer)
{
	scan();
	cr_expect(is_dirty(page), "%s", writer);
	cr_expect_eq(tandem_bitmap_population(dirty, PAGES + 16), 1, "%s", writer);
}

static void write_by_read(unsigned page)
{
	int pipe_fds[2];

	cr_assert_eq(pipe(pipe_fds), 0);
	cr_assert_eq(write(pipe_fds[1], "x", 1), 1);
	cr_assert_eq(read(pipe_fds[0], base + page * 4096 + 9, 1), 1);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void write_by_process_vm(unsigned page)
{
	char text[] = "y";
	struct iovec from = {text, 1}, to = {base + page * 4096 + 17, 1};

	cr_assert_eq(process_vm_writev(getpid(), &from, 1, &to, 1, 0), 1);
}

static void *store(void *argument)
{
	base[(uintptr_t)argument * 4096 + 33]++;
	return NULL;
}

static void write_by_thread(unsigned page)
{
	pthread_t thread;

	pthread_create(&thread, NULL, store, (void *)(uintptr_t)page);
	pthread_join(thread, NULL);
}

static void write_through_file(unsigned page)
{
	cr_assert_eq(pwrite(file, "z", 1, page * 4096 + 41), 1);
}

static void catches(enum tandem_tracker kind, enum memory memory)
{
	if (!track(kind, memory))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	scan();
	scan();
	cr_expect(tandem_bitmap_is_empty(dirty, PAGES + 16),
	          "nothing is written, nothing is dirty");
	store((void *)5);
	expect_only(5, "a store");
	store((void *)5);
	expect_only(5, "a store after the scan");
	write_by_thread(299);
	expect_only(299, "another thread");
	write_by_read(0);
	expect_only(0, "read(2)");
	write_by_process_vm(77);
	expect_only(77, "process_vm_writev");
	scan();
	cr_expect(tandem_bitmap_is_empty(dirty, PAGES + 16), "each is told once");
	untrack();
}

Test(tracker, pagemap_catches_writers_of_anonymous_memory)
{
	catches(TANDEM_TRACKER_PAGEMAP, ANONYMOUS);
}

Test(tracker, pagemap_catches_writers_of_a_memfd)
{
	catches(TANDEM_TRACKER_PAGEMAP, MEMFD);
}

Test(tracker, pagemap_catches_writers_of_a_shared_memory_file)
{
	catches(TANDEM_TRACKER_PAGEMAP, SHM_FILE);
}

Test(tracker, compare_catches_writers_of_any_memory)
{
	for (unsigned memory = 0; memory < MEMORIES; memory++)
		catches(TANDEM_TRACKER_COMPARE, (enum memory)memory);
}

/* Random stores against a shadow copy: no miss, ever. */
static void misses_nothing(enum tandem_tracker kind, enum memory memory)
{
	static uint8_t shadow[BYTES];
	uint64_t seed = 7;

	if (!track(kind, memory))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	scan();
	memcpy(shadow, base, BYTES);
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned count = 0; count < round * 3; count++) {
			uint64_t random = tandem_random_next(&seed);

			base[random % BYTES] = (uint8_t)(random >> 40);
		}
		scan();
		for (unsigned page = 0; page < PAGES; page++) {
			if (memcmp(shadow + page * 4096, base + page * 4096, 4096) != 0)
				cr_assert(is_dirty(page), "round %u page %u", round, page);
		}
		memcpy(shadow, base, BYTES);
	}
	untrack();
}

Test(tracker, pagemap_misses_no_store_to_anonymous_memory)
{
	misses_nothing(TANDEM_TRACKER_PAGEMAP, ANONYMOUS);
}

Test(tracker, pagemap_misses_no_store_to_shared_memory)
{
	misses_nothing(TANDEM_TRACKER_PAGEMAP, MEMFD);
}

Test(tracker, compare_misses_no_store)
{
	misses_nothing(TANDEM_TRACKER_COMPARE, ANONYMOUS);
}

/* The documented misses. When one of these fails, the page is better than its documentation. */
Test(tracker, pagemap_does_not_see_writes_past_its_page_table)
{
	if (!track(TANDEM_TRACKER_PAGEMAP, MEMFD))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	memset(base, 1, BYTES);
	scan();
	write_through_file(9);
	scan();
	cr_expect(!is_dirty(9), "pwrite to the file");
	uint8_t *other = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	other[11 * 4096]++;
	scan();
	cr_expect(!is_dirty(11), "a store through another mapping");
	munmap(other, BYTES);
	cr_assert_eq(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 13 * 4096, 4096),
	             0);
	scan();
	cr_expect(!is_dirty(13), "a hole punched into the file");
	untrack();
}

Test(tracker, compare_sees_writes_past_the_page_table)
{
	cr_assert(track(TANDEM_TRACKER_COMPARE, MEMFD));
	memset(base, 1, BYTES);
	scan();
	write_through_file(9);
	expect_only(9, "pwrite to the file");
	cr_assert_eq(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 13 * 4096, 4096),
	             0);
	expect_only(13, "a hole");
	untrack();
}

/* And what to do about them: the program says so. */
Test(tracker, marks_are_united_with_what_the_tracker_finds)
{
	static const enum tandem_tracker kinds[] = {TANDEM_TRACKER_MARK, TANDEM_TRACKER_COMPARE,
	                                            TANDEM_TRACKER_PAGEMAP};

	for (unsigned index = 0; index < 3; index++) {
		if (!track(kinds[index], MEMFD))
			continue;
		scan();
		tandem_tracker_mark(tracker, 3 * 4096 + 4095, 2);
		tandem_tracker_mark(tracker, 10 * 4096, 0);
		tandem_tracker_mark(tracker, BYTES - 1, 1);
		scan();
		cr_expect(is_dirty(3) && is_dirty(4) && is_dirty(299));
		cr_expect_eq(tandem_bitmap_population(dirty, PAGES + 16), 3);
		scan();
		cr_expect(tandem_bitmap_is_empty(dirty, PAGES + 16));
		untrack();
	}
}

static void *mark_all(void *argument)
{
	for (unsigned page = (unsigned)(uintptr_t)argument; page < PAGES; page += 2)
		tandem_tracker_mark(tracker, page * 4096, 1);
	return NULL;
}

Test(tracker, marks_of_several_threads_are_all_there)
{
	pthread_t threads[2];

	cr_assert(track(TANDEM_TRACKER_MARK, ANONYMOUS));
	for (unsigned thread = 0; thread < 2; thread++)
		pthread_create(&threads[thread], NULL, mark_all, (void *)(uintptr_t)thread);
	for (unsigned thread = 0; thread < 2; thread++)
		pthread_join(threads[thread], NULL);
	scan();
	cr_expect_eq(tandem_bitmap_population(dirty, PAGES + 16), PAGES);
	untrack();
}

/* A region that was remapped is no longer tracked: an error, never silence. */
Test(tracker, a_remapped_region_is_an_error)
{
	struct tandem_error error;

	if (!track(TANDEM_TRACKER_PAGEMAP, ANONYMOUS))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	cr_assert_eq(mmap(base + 8 * 4096, 4096, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
	             base + 8 * 4096);
	memset(dirty, 0, sizeof dirty);
	cr_expect_eq(tandem_tracker_scan(tracker, dirty, 16, &error), TANDEM_E_UNSUPPORTED);
	untrack();
}

Test(tracker, private_file_memory_is_refused_with_the_tracker_that_can)
{
	struct tandem_error error = {.code = 0};
	FILE *temporary = tmpfile();

	cr_assert_eq(ftruncate(fileno(temporary), BYTES), 0);
	base = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(temporary), 0);
	int code = tandem_tracker_new(TANDEM_TRACKER_PAGEMAP, base, BYTES, &tracker, &error);
	if (code == 0) { /* the temporary directory is shared memory */
		tandem_tracker_free(tracker);
		cr_skip("no file system of the right kind");
	}
	cr_expect_eq(code, TANDEM_E_UNSUPPORTED);
	cr_expect_not_null(strstr(error.detail, "compare"));
	cr_assert_eq(tandem_tracker_new(TANDEM_TRACKER_AUTO, base, BYTES, &tracker, &error), 0);
	cr_expect_eq(tandem_tracker_kind(tracker), TANDEM_TRACKER_COMPARE);
	tandem_tracker_free(tracker);
	fclose(temporary);
}

Test(tracker, names_are_read_and_written)
{
	enum tandem_tracker kind;

	for (unsigned index = 0; index <= TANDEM_TRACKER_COMPARE; index++) {
		cr_expect_eq(tandem_tracker_parse(tandem_tracker_name((enum tandem_tracker)index),
		                                  &kind),
		             0);
		cr_expect_eq(kind, (enum tandem_tracker)index);
	}
	cr_expect_eq(tandem_tracker_parse("Pagemap", &kind), TANDEM_E_CONFIG);
}
