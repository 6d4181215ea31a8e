#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/random.h>

#include "tracker_bed.h"

/* On real memory: what docs/dirty-tracking.md promises about writers. */

static void write_by_read(unsigned page)
{
	int pipe_fds[2];

	cr_assert_eq(pipe(pipe_fds), 0);
	cr_assert_eq(write(pipe_fds[1], "x", 1), 1);
	cr_assert_eq(read(pipe_fds[0], bed_base + page * BED_PAGE + 9, 1), 1);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* The device itself writes into the page, where the file system lets it. */
static bool write_by_direct_read(unsigned page)
{
	char name[] = "/var/tmp/tandem-tracker-XXXXXX";
	static const char block[BED_PAGE] = {1, 2, 3};
	int written = mkstemp(name), direct = open(name, O_RDONLY | O_DIRECT);
	bool is_good = direct >= 0 && write(written, block, sizeof block) == sizeof block &&
	               fsync(written) == 0 &&
	               read(direct, bed_base + page * BED_PAGE, BED_PAGE) == BED_PAGE;

	unlink(name);
	close(written);
	if (direct >= 0)
		close(direct);
	return is_good;
}

static void write_by_process_vm(unsigned page)
{
	char text[] = "y";
	struct iovec from = {text, 1}, to = {bed_base + page * BED_PAGE + 17, 1};

	cr_assert_eq(process_vm_writev(getpid(), &from, 1, &to, 1, 0), 1);
}

static void write_by_proc_mem(unsigned page)
{
	int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	cr_assert_eq(pwrite(memory, "m", 1, (off_t)(uintptr_t)bed_base + page * BED_PAGE + 21), 1);
	close(memory);
}

static void *store(void *argument)
{
	bed_store((unsigned)(uintptr_t)argument);
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
	cr_assert_eq(pwrite(bed_file, "z", 1, page * BED_PAGE + 41), 1);
}

static void write_by_child(unsigned page)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		bed_store(page);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}

static void catches(enum tandem_tracker kind, enum bed_memory memory)
{
	if (!bed_track(kind, memory))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	bed_scan();
	bed_expect_nothing("nothing is written, nothing is dirty");
	bed_store(5);
	bed_expect_only(5, false, "a store");
	bed_store(5);
	bed_expect_only(5, false, "a store after the scan");
	write_by_thread(299);
	bed_expect_only(299, false, "another thread");
	write_by_read(0);
	bed_expect_only(0, false, "read(2)");
	write_by_process_vm(77);
	bed_expect_only(77, false, "process_vm_writev");
	write_by_proc_mem(78);
	bed_expect_only(78, false, "/proc/self/mem");
	if (write_by_direct_read(79))
		bed_expect_only(79, false, "read(2) with O_DIRECT");
	bed_expect_nothing("each is told once");
	bed_untrack();
}

Test(tracker, pagemap_catches_writers_of_anonymous_memory)
{
	catches(TANDEM_TRACKER_PAGEMAP, BED_ANONYMOUS);
}

Test(tracker, pagemap_catches_writers_of_a_memfd)
{
	catches(TANDEM_TRACKER_PAGEMAP, BED_MEMFD);
}

Test(tracker, pagemap_catches_writers_of_a_shared_memory_file)
{
	catches(TANDEM_TRACKER_PAGEMAP, BED_SHM_FILE);
}

Test(tracker, compare_catches_writers_of_any_memory)
{
	for (unsigned memory = 0; memory < BED_MEMORIES; memory++)
		catches(TANDEM_TRACKER_COMPARE, (enum bed_memory)memory);
}

/* Random stores against a shadow copy: no miss, ever. */
static void misses_nothing(enum tandem_tracker kind, enum bed_memory memory)
{
	static uint8_t shadow[BED_BYTES];
	uint64_t seed = 7;

	if (!bed_track(kind, memory))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	bed_scan();
	memcpy(shadow, bed_base, BED_BYTES);
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned count = 0; count < round * 3; count++) {
			uint64_t random = tandem_random_next(&seed);

			bed_base[random % BED_BYTES] = (uint8_t)(random >> 40);
		}
		bed_scan();
		for (unsigned page = 0; page < BED_PAGES; page++) {
			if (memcmp(shadow + page * BED_PAGE, bed_base + page * BED_PAGE,
			           BED_PAGE) != 0)
				cr_assert(bed_is_dirty(page) && !bed_is_free(page),
				          "round %u page %u", round, page);
		}
		memcpy(shadow, bed_base, BED_BYTES);
	}
	bed_untrack();
}

Test(tracker, pagemap_misses_no_store_to_anonymous_memory)
{
	misses_nothing(TANDEM_TRACKER_PAGEMAP, BED_ANONYMOUS);
}

Test(tracker, pagemap_misses_no_store_to_shared_memory)
{
	misses_nothing(TANDEM_TRACKER_PAGEMAP, BED_MEMFD);
}

Test(tracker, compare_misses_no_store)
{
	misses_nothing(TANDEM_TRACKER_COMPARE, BED_ANONYMOUS);
}

/* The documented misses, and the call that covers them. When one of these is seen by itself, the
 * page is better than its documentation. */
static void is_missed_unless_marked(unsigned page, const char *writer)
{
	bed_expect_nothing(writer);
	tandem_tracker_mark(bed_tracker, page * BED_PAGE, 1);
	bed_expect_only(page, false, writer);
}

Test(tracker, pagemap_does_not_see_writes_past_its_page_table)
{
	if (!bed_track(TANDEM_TRACKER_PAGEMAP, BED_MEMFD))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	memset(bed_base, 1, BED_BYTES);
	bed_scan();
	write_through_file(9);
	is_missed_unless_marked(9, "pwrite to the file");
	write_by_child(10);
	is_missed_unless_marked(10, "a store of a forked child");
	uint8_t *other = mmap(NULL, BED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bed_file, 0);
	other[11 * BED_PAGE]++;
	is_missed_unless_marked(11, "a store through a mapping that was made later");
	munmap(other, BED_BYTES);
	bed_untrack();
}

Test(tracker, compare_sees_writes_past_the_page_table)
{
	cr_assert(bed_track(TANDEM_TRACKER_COMPARE, BED_MEMFD));
	memset(bed_base, 1, BED_BYTES);
	bed_scan();
	write_through_file(9);
	bed_expect_only(9, false, "pwrite to the file");
	write_by_child(10);
	bed_expect_only(10, false, "a forked child");
	uint8_t *other = mmap(NULL, BED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bed_file, 0);
	other[11 * BED_PAGE]++;
	bed_expect_only(11, false, "another mapping");
	munmap(other, BED_BYTES);
	bed_untrack();
}

/* ---- the judge ---- */

static void expect_verdict(const char *what)
{
	struct tandem_error error = {.code = 0};

	bed_scan();
	cr_expect_eq(tandem_tracker_verify(bed_tracker, &error),
	             what == NULL ? 0 : TANDEM_E_UNSUPPORTED, "%s", error.detail);
	if (what != NULL)
		cr_expect_not_null(strstr(error.detail, what), "%s", error.detail);
}

Test(tracker, verify_finds_a_page_that_was_not_told)
{
	if (!bed_track(TANDEM_TRACKER_PAGEMAP, BED_MEMFD))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	cr_assert_eq(tandem_tracker_keep_account(bed_tracker, NULL), 0);
	bed_store(9);
	expect_verdict(NULL);
	bed_store(10);
	bed_scan();
	bed_store(11);
	expect_verdict(NULL);
	tandem_tracker_mark_free(bed_tracker, 12 * BED_PAGE, BED_PAGE);
	bed_punch(13, 1);
	expect_verdict(NULL);
	bed_store(12);
	bed_store(13);
	expect_verdict(NULL);
	write_through_file(9);
	bed_scan();
	expect_verdict("page 9 ");
	bed_untrack();
}

Test(tracker, verify_finds_what_was_written_past_the_mapping_into_a_hole)
{
	if (!bed_track(TANDEM_TRACKER_PAGEMAP, BED_MEMFD))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	cr_assert_eq(tandem_tracker_keep_account(bed_tracker, NULL), 0);
	bed_store(9);
	expect_verdict(NULL);
	cr_assert_eq(fallocate(bed_file, 0, 20 * BED_PAGE, BED_PAGE), 0);
	expect_verdict(NULL);
	write_through_file(10);
	expect_verdict("page 10 ");
	bed_untrack();
}

/* io_uring pins a registered buffer and writes to its pages past every page table, as a device
 * does. */
static bool write_by_ring(unsigned page)
{
	static const char text[] = "ring";
	struct iovec buffer = {bed_base + page * BED_PAGE, BED_PAGE};
	struct io_uring_params params = {.flags = 0};
	int source = memfd_create("source", MFD_CLOEXEC);
	int ring = (int)syscall(SYS_io_uring_setup, 2, &params);
	struct io_uring_sqe *entries;
	uint8_t *queue;

	if (ring < 0 ||
	    syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) < 0)
		return false;
	cr_assert_eq(write(source, text, sizeof text), sizeof text);
	bed_scan(); /* pinned, and protected again */
	queue = mmap(NULL, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE,
	             MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE,
	               MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	memset(entries, 0, sizeof *entries);
	entries->opcode = IORING_OP_READ_FIXED;
	entries->fd = source;
	entries->addr = (uintptr_t)buffer.iov_base;
	entries->len = sizeof text;
	((uint32_t *)(void *)(queue + params.sq_off.array))[0] = 0;
	__atomic_store_n((uint32_t *)(void *)(queue + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	cr_assert_eq(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
	close(ring);
	close(source);
	return memcmp(buffer.iov_base, text, sizeof text) == 0;
}

Test(tracker, pagemap_does_not_see_a_device_that_writes_to_pinned_memory)
{
	if (!bed_track(TANDEM_TRACKER_PAGEMAP, BED_MEMFD))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	memset(bed_base, 1, BED_BYTES);
	bed_scan();
	if (!write_by_ring(9))
		cr_skip("no io_uring here");
	is_missed_unless_marked(9, "a pinned buffer");
	bed_untrack();
}

Test(tracker, compare_sees_a_device_that_writes_to_pinned_memory)
{
	cr_assert(bed_track(TANDEM_TRACKER_COMPARE, BED_MEMFD));
	memset(bed_base, 1, BED_BYTES);
	bed_scan();
	if (!write_by_ring(9))
		cr_skip("no io_uring here");
	bed_expect_only(9, false, "a pinned buffer");
	bed_untrack();
}

Test(tracker, verify_finds_a_page_that_was_not_marked)
{
	cr_assert(bed_track(TANDEM_TRACKER_MARK, BED_ANONYMOUS));
	cr_assert_eq(tandem_tracker_keep_account(bed_tracker, NULL), 0);
	expect_verdict(NULL);
	bed_store(298);
	tandem_tracker_mark(bed_tracker, 298 * BED_PAGE, 1);
	bed_store(299);
	expect_verdict("mark tracker");
	bed_untrack();
}

Test(tracker, compare_needs_no_judge)
{
	cr_assert(bed_track(TANDEM_TRACKER_COMPARE, BED_MEMFD));
	cr_assert_eq(tandem_tracker_keep_account(bed_tracker, NULL), 0);
	write_through_file(9);
	expect_verdict(NULL);
	bed_untrack();
}

Test(tracker, marks_are_united_with_what_the_tracker_finds)
{
	static const enum tandem_tracker kinds[] = {TANDEM_TRACKER_MARK, TANDEM_TRACKER_COMPARE,
	                                            TANDEM_TRACKER_PAGEMAP};

	for (unsigned index = 0; index < 3; index++) {
		if (!bed_track(kinds[index], BED_MEMFD))
			continue;
		bed_scan();
		tandem_tracker_mark(bed_tracker, 3 * BED_PAGE + 4095, 2);
		tandem_tracker_mark(bed_tracker, 10 * BED_PAGE, 0);
		tandem_tracker_mark(bed_tracker, BED_BYTES - 1, 1);
		bed_scan();
		cr_expect(bed_is_dirty(3) && bed_is_dirty(4) && bed_is_dirty(299));
		cr_expect_eq(bed_dirty_count(), 3);
		bed_expect_nothing("marks are taken once");
		bed_untrack();
	}
}

static void *mark_all(void *argument)
{
	for (unsigned page = (unsigned)(uintptr_t)argument; page < BED_PAGES; page += 2)
		tandem_tracker_mark(bed_tracker, page * BED_PAGE, 1);
	return NULL;
}

Test(tracker, marks_of_several_threads_are_all_there)
{
	pthread_t threads[2];

	cr_assert(bed_track(TANDEM_TRACKER_MARK, BED_ANONYMOUS));
	bed_scan();
	for (unsigned thread = 0; thread < 2; thread++)
		pthread_create(&threads[thread], NULL, mark_all, (void *)(uintptr_t)thread);
	for (unsigned thread = 0; thread < 2; thread++)
		pthread_join(threads[thread], NULL);
	bed_scan();
	cr_expect_eq(bed_dirty_count(), BED_PAGES);
	bed_untrack();
}

/* Of a large region a scan looks only where something was marked: at 16 MiB for each mark. */
Test(tracker, marks_far_apart_are_found_and_nothing_else_is)
{
	enum { PAGES = 3 * 4096 + 1000, ROUNDS = 40 };
	static uint64_t expected[TANDEM_BITMAP_WORDS(PAGES)], found[TANDEM_BITMAP_WORDS(PAGES)];
	const size_t bytes = (size_t)PAGES * BED_PAGE;
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct tandem_region_tracker *tracker;
	struct tandem_error error;
	uint64_t seed = 11;

	cr_assert_neq(base, MAP_FAILED);
	cr_assert_eq(tandem_tracker_new(TANDEM_TRACKER_MARK, base, bytes, &tracker, &error), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		memset(expected, 0, sizeof expected);
		memset(found, 0, sizeof found);
		for (unsigned mark = 0; mark < round % 4; mark++) {
			uint64_t page = tandem_random_next(&seed) % PAGES;
			uint64_t count = 1 + tandem_random_next(&seed) % (PAGES - page);

			count = mark == 0 ? 1 : count;
			tandem_tracker_mark(tracker, page * BED_PAGE, count * BED_PAGE);
			tandem_bitmap_set_range(expected, page, count);
		}
		cr_assert_eq(bed_scan_words(tracker, found, &error), 0);
		cr_expect_eq(memcmp(found, expected, sizeof found), 0, "round %u", round);
	}
	memset(found, 0, sizeof found);
	tandem_tracker_mark_free(tracker, 9000 * BED_PAGE, 10 * BED_PAGE);
	cr_assert_eq(bed_scan_words(tracker, found, &error), 0);
	cr_expect_eq(tandem_bitmap_population(found, PAGES), 10);
	cr_expect(tandem_bitmap_get(tandem_tracker_free_pages(tracker), 9009));
	tandem_tracker_free(tracker);
	munmap(base, bytes);
}

Test(tracker, private_file_memory_is_refused_with_the_tracker_that_can)
{
	struct tandem_error error = {.code = 0};
	FILE *temporary = tmpfile();

	cr_assert_eq(ftruncate(fileno(temporary), BED_BYTES), 0);
	bed_base = mmap(NULL, BED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(temporary), 0);
	int code = tandem_tracker_new(TANDEM_TRACKER_PAGEMAP, bed_base, BED_BYTES, &bed_tracker,
	                              &error);
	if (code == 0) { /* the temporary directory is shared memory */
		tandem_tracker_free(bed_tracker);
		cr_skip("no file system of the right kind");
	}
	cr_expect_eq(code, TANDEM_E_UNSUPPORTED);
	cr_expect_not_null(strstr(error.detail, "compare"));
	cr_assert_eq(
	        tandem_tracker_new(TANDEM_TRACKER_AUTO, bed_base, BED_BYTES, &bed_tracker, &error),
	        0);
	cr_expect_eq(tandem_tracker_kind(bed_tracker), TANDEM_TRACKER_COMPARE);
	tandem_tracker_free(bed_tracker);
	fclose(temporary);
}

/* ---- the part that is in use ---- */

static void looks_at_what_is_used(enum tandem_tracker kind, enum bed_memory memory)
{
	if (!bed_track(kind, memory))
		cr_skip("no PAGEMAP_SCAN in this kernel");
	cr_assert_eq(tandem_tracker_keep_account(bed_tracker, NULL), 0);
	bed_scan();
	cr_assert_eq(tandem_tracker_verify(bed_tracker, NULL), 0);
	tandem_tracker_use(bed_tracker, 100);
	bed_store(99);
	bed_store(100);
	bed_store(250);
	bed_expect_only(99, false, "a store behind what is used is not looked for");
	cr_expect_eq(tandem_tracker_verify(bed_tracker, NULL), 0, "nor missed");

	tandem_tracker_use(bed_tracker, 200);
	tandem_tracker_mark(bed_tracker, (size_t)100 * BED_PAGE, (size_t)100 * BED_PAGE);
	bed_scan();
	cr_expect(bed_dirty_count() == 100 && bed_is_dirty(100) && bed_is_dirty(199));
	cr_expect_eq(tandem_tracker_verify(bed_tracker, NULL), 0);
	bed_store(150);
	bed_expect_only(150, false, "it is protected from there on");
	cr_expect_eq(tandem_tracker_verify(bed_tracker, NULL), 0);
	tandem_tracker_use(bed_tracker, 0);
	bed_store(5);
	bed_expect_nothing("nothing is in use");
	bed_untrack();
}

Test(tracker, pagemap_looks_at_the_used_part_of_anonymous_memory)
{
	looks_at_what_is_used(TANDEM_TRACKER_PAGEMAP, BED_ANONYMOUS);
}

Test(tracker, pagemap_looks_at_the_used_part_of_shared_memory)
{
	looks_at_what_is_used(TANDEM_TRACKER_PAGEMAP, BED_SHM_FILE);
}

Test(tracker, compare_looks_at_the_used_part)
{
	looks_at_what_is_used(TANDEM_TRACKER_COMPARE, BED_ANONYMOUS);
}

Test(tracker, verify_finds_what_was_not_told_in_the_used_part)
{
	struct tandem_error error = {.code = 0};

	cr_assert(bed_track(TANDEM_TRACKER_MARK, BED_ANONYMOUS));
	cr_assert_eq(tandem_tracker_keep_account(bed_tracker, NULL), 0);
	bed_scan();
	cr_assert_eq(tandem_tracker_verify(bed_tracker, NULL), 0);
	tandem_tracker_use(bed_tracker, 100);
	bed_store(99);
	bed_scan();
	cr_expect_eq(tandem_tracker_verify(bed_tracker, &error), TANDEM_E_UNSUPPORTED);
	bed_untrack();
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
