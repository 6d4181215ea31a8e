#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>

#include "lab.h"

/* What <tandem/tandem.h> promises a program, beyond a pair that copies and commits. */

#define PATIENCE_NS (20 * TANDEM_NS_PER_S)

static bool wait_test(struct lab *lab)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;
	struct tandem_news news;
	int code;

	while ((code = tandem_checkpoint_test(lab->program)) == TANDEM_E_AGAIN) {
		struct pollfd descriptor = {.fd = tandem_event_fd(lab->program), .events = POLLIN};

		if (tandem_clock_now_ns() > deadline_ns)
			return false;
		poll(&descriptor, 1, 1000);
		tandem_poll(lab->program, &news);
	}
	return code == 0;
}

/* ---- a budget ---- */

static bool rings_for_a_checkpoint(struct lab *lab)
{
	struct pollfd descriptor = {.fd = tandem_event_fd(lab->program), .events = POLLIN};
	struct tandem_news news;

	do {
		if (poll(&descriptor, 1, (int)(PATIENCE_NS / TANDEM_NS_PER_MS)) <= 0)
			return false;
		tandem_poll(lab->program, &news);
	} while (!news.can_checkpoint);
	return true;
}

/* Neither the next push nor an end of its patience says yes in time: only APPLIED does. */
Test(program, who_asks_with_a_budget_is_told_when_the_epoch_before_is_applied, .timeout = 120)
{
	struct lab *lab = lab_new("mark", 8192, 16);
	struct tandem_news news;
	unsigned told_no_count = 0;

	lab->settings.pause_budget_ns = TANDEM_NS_PER_S;
	lab->settings.push_interval_ns = 10 * PATIENCE_NS;
	lab->settings.overload_wait_ns = 10 * PATIENCE_NS;
	controller_configure(lab->primary_control, &lab->settings);
	cr_assert(lab_protect(lab));
	for (unsigned epoch = 1; epoch < 200 && told_no_count < 3; epoch++) {
		memset(lab->regions[0], (int)epoch, lab->region_bytes[0]);
		tandem_mark_dirty(lab->program, lab->regions[0], lab->region_bytes[0]);
		cr_assert(lab_commit(lab, NULL));
		tandem_poll(lab->program, &news);
		if (news.can_checkpoint)
			continue;
		told_no_count++;
		cr_assert(rings_for_a_checkpoint(lab));
	}
	cr_expect_eq(told_no_count, 3);
	lab_free(lab);
}

/* ---- begin, test, wait, abort ---- */

Test(program, a_checkpoint_that_was_begun_is_an_epoch_like_any_other)
{
	struct lab *lab = lab_new("auto", 300, 16);
	struct tandem_news before, after;
	uint64_t ticket;

	cr_assert(lab_protect(lab) && lab_commit(lab, NULL));
	cr_expect_eq(tandem_checkpoint_test(lab->program), 0, "none is under way");
	cr_expect_eq(tandem_checkpoint_wait(lab->program, 0), 0);
	for (unsigned epoch = 0; epoch < 20; epoch++) {
		tandem_poll(lab->program, &before);
		lab_scribble(lab, epoch + 1, 100);
		cr_assert_eq(tandem_checkpoint_begin(lab->program, "begun", 5, &ticket, NULL), 0);
		if (epoch % 2 == 0)
			cr_assert(wait_test(lab), "its event comes");
		cr_assert_eq(tandem_checkpoint_wait(lab->program, PATIENCE_NS), 0);
		cr_assert_eq(tandem_wait_released(lab->program, ticket, UINT64_MAX), 0);
		tandem_poll(lab->program, &after);
		cr_expect_gt(after.epoch_committed, before.epoch_committed);
		cr_assert(lab_images_equal(lab));
	}
	lab_free(lab);
}

static void *commit_often(void *argument)
{
	struct lab *lab = argument;

	for (unsigned epoch = 0; epoch < 20; epoch++) {
		lab_scribble(lab, epoch + 1, 100);
		if (!lab_commit(lab, NULL))
			return NULL;
	}
	return lab;
}

/* The thread that takes a checkpoint does the engine's work. */
Test(program, a_thread_with_a_small_stack_can_take_checkpoints)
{
	struct lab *lab = lab_new("auto", 300, 16);
	pthread_attr_t attributes;
	pthread_t thread;
	void *result = NULL;

	cr_assert(lab_protect(lab));
	pthread_attr_init(&attributes);
	cr_assert_eq(pthread_attr_setstacksize(&attributes, 192 << 10), 0);
	cr_assert_eq(pthread_create(&thread, &attributes, commit_often, lab), 0);
	cr_assert_eq(pthread_join(thread, &result), 0);
	cr_expect_eq(result, lab);
	cr_expect(lab_images_equal(lab));
	pthread_attr_destroy(&attributes);
	lab_free(lab);
}

/* Behind a large epoch, whose pages have to be applied first. */
Test(program, one_checkpoint_at_a_time_and_what_waits_can_be_taken_back)
{
	struct lab *lab = lab_new("mark", 20000, 16);
	uint64_t first, second, third;
	unsigned withdrawn_count = 0;

	cr_assert(lab_protect(lab));
	for (unsigned round = 0; round < 10; round++) {
		memset(lab->regions[0], (int)round + 1, lab->region_bytes[0]);
		tandem_mark_dirty(lab->program, lab->regions[0], lab->region_bytes[0]);
		cr_assert_eq(tandem_checkpoint(lab->program, NULL, 0, &first, NULL), 0);
		lab_scribble(lab, round + 1, 50);
		cr_assert_eq(tandem_checkpoint_begin(lab->program, NULL, 0, &second, NULL), 0);
		if (tandem_checkpoint_test(lab->program) == TANDEM_E_AGAIN) {
			int other = tandem_checkpoint_begin(lab->program, NULL, 0, &third, NULL);
			int code = tandem_checkpoint(lab->program, NULL, 0, &third, NULL);

			/* It may have ended by itself in between. */
			cr_expect(other == TANDEM_E_USAGE || other == 0);
			cr_expect(code == TANDEM_E_USAGE || code == 0);
		}
		withdrawn_count += tandem_checkpoint_abort(lab->program);
		cr_assert_eq(tandem_checkpoint_wait(lab->program, PATIENCE_NS), 0);
		cr_expect(!tandem_checkpoint_abort(lab->program), "none is under way");
		lab_scribble(lab, round + 100, 50);
		cr_assert(lab_commit(lab, "x"));
		cr_expect_eq(tandem_wait_released(lab->program, second, 0), 0,
		             "what was taken back leaves with a later epoch");
		cr_assert(lab_images_equal(lab), "round %u", round);
	}
	cr_expect_gt(withdrawn_count, 0);
	lab_free(lab);
}

/* A ticket of a checkpoint that came to nothing is released by no acknowledgement that is under
 * way.
 */
Test(program, what_was_taken_back_is_not_committed)
{
	struct lab *lab = lab_new("mark", 64, 16);
	struct tandem_news before, after;
	uint64_t ticket;
	bool is_withdrawn = false;

	cr_assert(lab_protect(lab) && lab_commit(lab, NULL));
	for (unsigned attempt = 0; attempt < 1000 && !is_withdrawn; attempt++) {
		tandem_poll(lab->program, &before);
		lab_scribble(lab, attempt + 1, 20);
		cr_assert_eq(tandem_checkpoint_begin(lab->program, NULL, 0, &ticket, NULL), 0);
		is_withdrawn = tandem_checkpoint_abort(lab->program);
		cr_assert_eq(tandem_checkpoint_wait(lab->program, PATIENCE_NS), 0);
		if (!is_withdrawn)
			cr_assert_eq(tandem_wait_released(lab->program, ticket, PATIENCE_NS), 0);
	}
	cr_assert(is_withdrawn);
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 50 * TANDEM_NS_PER_MS),
	             TANDEM_E_TIMEOUT);
	tandem_poll(lab->program, &after);
	cr_expect_eq(after.epoch_committed, before.epoch_committed);
	cr_expect(after.wants_checkpoint, "somebody waits for the ticket");
	cr_assert(lab_commit(lab, NULL));
	cr_expect_eq(tandem_wait_released(lab->program, ticket, 0), 0);
	cr_expect(lab_images_equal(lab));
	lab_free(lab);
}

Test(program, a_halted_or_forked_program_begins_nothing)
{
	struct lab *lab = lab_new("auto", 16, 16);
	struct tandem_control_message halt = {.type = TANDEM_CONTROL_HALT,
	                                      .kind = TANDEM_CONTROL_KIND_PROGRAM,
	                                      .text = "the other node leads"};
	uint64_t ticket, held;
	int status;

	cr_assert(lab_start_program(lab) && lab_start_standby(lab) && lab_copy(lab));
	pid_t child = fork();
	if (child == 0) {
		struct tandem_news news;
		bool is_refused =
		        tandem_checkpoint_begin(lab->program, NULL, 0, &ticket, NULL) ==
		                TANDEM_E_USAGE &&
		        tandem_wait_released(lab->program, 1, 0) == TANDEM_E_USAGE &&
		        tandem_checkpoint_test(lab->program) == TANDEM_E_USAGE &&
		        !tandem_checkpoint_abort(lab->program) &&
		        tandem_region_use(lab->program, "heap", 0, NULL) == TANDEM_E_USAGE;

		tandem_note_reply(lab->program, true);
		tandem_poll(lab->program, &news);
		_exit(is_refused && news.generation == 0 ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	cr_expect_neq(atomic_load(&lab->stats->phase), TANDEM_PHASE_REPLY, "a child's word");
	cr_assert_eq(tandem_confirm(lab->program, &held, NULL), 0);
	controller_send(lab->primary_control, &halt);
	cr_assert_eq(tandem_wait_released(lab->program, held, PATIENCE_NS), TANDEM_E_NOT_LEADER);
	cr_expect_eq(tandem_checkpoint_begin(lab->program, NULL, 0, &ticket, NULL),
	             TANDEM_E_NOT_LEADER);
	cr_expect_eq(tandem_checkpoint_test(lab->program), TANDEM_E_NOT_LEADER);
	lab_free(lab);
}

/* ---- memory that is named ---- */

Test(program, a_range_that_ends_behind_all_memory_is_marked_to_the_end)
{
	struct lab *lab = lab_new("mark", 16, 16);
	uint8_t *page = lab->regions[0] + 5 * LAB_PAGE;

	cr_assert(lab_protect(lab) && lab_commit(lab, NULL));
	page[0] = 9;
	tandem_mark_dirty(lab->program, page - 1, SIZE_MAX);
	cr_assert(lab_commit(lab, NULL) && lab_images_equal(lab));
	page[1] = 9;
	tandem_mark_dirty(lab->program, page + LAB_PAGE, SIZE_MAX);
	tandem_mark_dirty(lab->program, NULL, SIZE_MAX);
	cr_assert(lab_commit(lab, NULL) && lab_images_equal(lab));
	lab_free(lab);
}

static bool is_halted(const struct tandem_news *news, uint64_t value)
{
	(void)value;
	return news->is_halted;
}

/* What it was promoted with may wait long before it can start. */
Test(program, one_that_has_not_started_learns_that_it_is_halted)
{
	struct lab *lab = lab_new("auto", 16, 16);
	struct tandem_options options = {.pair = LAB_PAIR,
	                                 .run_directory = lab->run_primary,
	                                 .start_timeout_ns = PATIENCE_NS};
	struct tandem_control_message halt = {.type = TANDEM_CONTROL_HALT,
	                                      .kind = TANDEM_CONTROL_KIND_PROGRAM,
	                                      .text = "the other node leads"};
	struct tandem_news news;

	cr_assert_eq(tandem_open(&options, &lab->program, NULL), 0);
	tandem_poll(lab->program, &news);
	cr_expect_not(news.is_halted);
	controller_send(lab->primary_control, &halt);
	cr_expect(lab_wait_news(lab, is_halted, 0));
	lab_free(lab);
}

/* It would end the program at its first checkpoint. */
Test(program, memory_that_is_not_there_is_no_region)
{
	static const enum tandem_tracker kinds[] = {TANDEM_TRACKER_AUTO, TANDEM_TRACKER_MARK,
	                                            TANDEM_TRACKER_COMPARE, TANDEM_TRACKER_PAGEMAP};
	struct lab *lab = lab_new("auto", 16, 16);
	struct tandem_options options = {.pair = LAB_PAIR,
	                                 .run_directory = lab->run_primary,
	                                 .start_timeout_ns = PATIENCE_NS};
	/* Far from where the kernel puts what is mapped meanwhile. */
	void *place = (void *)(uintptr_t)0x20000000;
	uint8_t *memory = mmap(place, 8 * LAB_PAGE, PROT_READ | PROT_WRITE,
	                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct tandem_error error = {0};
	struct tandem *tandem;

	cr_assert_eq(memory, place);
	cr_assert_eq(tandem_open(&options, &tandem, NULL), 0);
	for (unsigned kind = 0; kind < 4; kind++) {
		cr_expect_eq(tandem_region_add(tandem, "half", memory, 16 * LAB_PAGE, kinds[kind],
		                               &error),
		             TANDEM_E_UNSUPPORTED, "tracker %u", kinds[kind]);
		cr_expect(strstr(error.detail, "not mapped") != NULL, "%s", error.detail);
	}
	cr_expect_eq(
	        tandem_region_add(tandem, "whole", memory, 8 * LAB_PAGE, TANDEM_TRACKER_AUTO, NULL),
	        0);
	tandem_close(tandem);
	munmap(memory, 8 * LAB_PAGE);
	lab_free(lab);
}

/* ---- the used length ---- */

static uint64_t pushed_bytes(struct lab *lab)
{
	struct tandem_statistics statistics;

	tandem_statistics_read(lab->program, &statistics, sizeof statistics);
	return statistics.pushed_bytes;
}

static int open_image(struct lab *lab, const char *region)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s/%s", lab->images, LAB_PAIR, region);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The image holds what the region "heap" holds up to `used_pages`, and zeros beyond; an apply that
 * is under way is waited for. */
static bool holds_used(struct lab *lab, size_t used_pages)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;
	size_t bytes = lab->region_bytes[0], used_bytes = used_pages * LAB_PAGE;
	uint8_t *wanted = tandem_memory_map(bytes), *found = tandem_memory_map(bytes);
	int file = open_image(lab, "heap");
	bool is_equal;

	memcpy(wanted, lab->regions[0], used_bytes);
	do {
		ssize_t length = pread(file, found, bytes, 0);

		is_equal = length == (ssize_t)bytes && memcmp(found, wanted, bytes) == 0;
	} while (!is_equal && tandem_clock_now_ns() < deadline_ns);
	close(file);
	tandem_memory_unmap(wanted, bytes);
	tandem_memory_unmap(found, bytes);
	return is_equal;
}

static void fill(struct lab *lab, size_t from_page, size_t to_page, int value)
{
	memset(lab->regions[0] + from_page * LAB_PAGE, value, (to_page - from_page) * LAB_PAGE);
	tandem_mark_dirty(lab->program, lab->regions[0] + from_page * LAB_PAGE,
	                  (to_page - from_page) * LAB_PAGE);
}

static void shrinks_and_grows(const char *tracker)
{
	struct lab *lab = lab_new(tracker, 100, 16);
	uint64_t before;

	cr_assert(lab_protect(lab));
	fill(lab, 0, 100, 1);
	cr_assert(lab_commit(lab, NULL) && holds_used(lab, 100));

	before = pushed_bytes(lab);
	cr_assert_eq(tandem_region_use(lab->program, "heap", 30 * LAB_PAGE - 5, NULL), 0);
	cr_assert(lab_commit(lab, NULL) && holds_used(lab, 30), "%s: the rest is zeros", tracker);
	fill(lab, 20, 100, 2);
	cr_assert(lab_commit(lab, NULL) && holds_used(lab, 30));
	cr_expect_eq(pushed_bytes(lab) - before, 10 * LAB_PAGE, "%s: only what is used", tracker);

	cr_assert_eq(tandem_region_use(lab->program, "heap", 60 * LAB_PAGE, NULL), 0);
	cr_assert(lab_commit(lab, NULL) && holds_used(lab, 60),
	          "%s: what was written while it was free arrives", tracker);
	cr_assert_eq(tandem_region_use(lab->program, "heap", 0, NULL), 0);
	cr_assert_eq(tandem_region_use(lab->program, "heap", 100 * LAB_PAGE, NULL), 0);
	cr_assert(lab_commit(lab, NULL) && holds_used(lab, 100));
	lab_free(lab);
}

Test(program, the_used_length_is_exact_with_the_default_tracker)
{
	shrinks_and_grows("auto");
}

Test(program, the_used_length_is_exact_with_compare)
{
	shrinks_and_grows("compare");
}

Test(program, the_used_length_is_exact_with_marks_only)
{
	shrinks_and_grows("mark");
}

Test(program, a_first_copy_leaves_out_what_is_not_used)
{
	struct lab *lab = lab_new("auto", 200, 16);
	struct tandem_error error = {0};

	memset(lab->regions[0], 7, lab->region_bytes[0]);
	cr_assert(lab_start_program(lab));
	cr_assert_eq(tandem_region_use(lab->program, "heap", 10 * LAB_PAGE, NULL), 0);
	cr_expect_eq(tandem_region_use(lab->program, "heap", 201 * LAB_PAGE, &error),
	             TANDEM_E_USAGE);
	cr_expect_eq(tandem_region_use(lab->program, "none", 0, &error), TANDEM_E_USAGE);
	cr_assert(lab_start_standby(lab) && lab_copy(lab) && lab_pair(lab));
	cr_expect(holds_used(lab, 10));
	cr_expect_eq(pushed_bytes(lab), 10 * LAB_PAGE);
	lab_free(lab);
}

/* ---- figures ---- */

/* They are counted a moment after the program was told. */
static struct tandem_statistics read_statistics(struct lab *lab, uint64_t epoch)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;
	struct tandem_statistics statistics;

	do
		tandem_statistics_read(lab->program, &statistics, sizeof statistics);
	while (statistics.epoch_committed < epoch && tandem_clock_now_ns() < deadline_ns);
	return statistics;
}

Test(program, statistics_fill_what_the_caller_knows)
{
	struct lab *lab = lab_new("auto", 64, 16);
	struct tandem_statistics all;
	struct tandem_news news;
	struct {
		uint64_t generation, epoch_committed;
		uint64_t canary;
	} old = {.canary = 42};
	struct {
		struct tandem_statistics known;
		uint64_t newer;
	} later = {.newer = 42};

	cr_assert(lab_protect(lab));
	for (unsigned epoch = 0; epoch < 5; epoch++) {
		lab_scribble(lab, epoch + 1, 20);
		cr_assert(lab_commit(lab, NULL));
	}
	tandem_poll(lab->program, &news);
	all = read_statistics(lab, news.epoch_committed);
	cr_expect_eq(all.generation, lab->generation);
	cr_expect_geq(all.epochs_committed_count, 6, "five and the copy");
	cr_expect_eq(all.epoch_committed, all.epochs_committed_count);
	cr_expect_eq(all.epochs_aborted_count, 0);
	cr_expect_gt(all.pushed_bytes, 0);
	cr_expect_eq(all.pushed_bytes % LAB_PAGE, 0);
	cr_expect_eq(all.commit.count, all.epochs_committed_count);
	cr_expect_gt(all.pause.median_ns, 0);
	cr_expect_leq(all.pause.median_ns, all.pause.p99_ns);
	cr_expect_leq(all.pause.p99_ns, all.pause.max_ns);
	tandem_statistics_read(lab->program, (void *)&old, offsetof(__typeof__(old), canary));
	cr_expect_eq(old.generation, all.generation);
	cr_expect_eq(old.epoch_committed, all.epoch_committed);
	cr_expect_eq(old.canary, 42, "an older program");
	tandem_statistics_read(lab->program, (void *)&later, sizeof later);
	cr_expect_eq(later.known.generation, all.generation);
	cr_expect_eq(later.newer, 0, "a newer program");
	lab_free(lab);
}

/* ---- started to take over ---- */

static void pretend_take_over(struct lab *lab, const char *pair)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", lab->images, LAB_PAIR);
	setenv("TANDEM_PAIR", pair, 1);
	setenv("TANDEM_GENERATION", "3", 1);
	setenv("TANDEM_EPOCH", "7", 1);
	setenv("TANDEM_IMAGE_DIR", path, 1);
	strncat(path, "/state.blob", sizeof path - strlen(path) - 1);
	setenv("TANDEM_STATE_FILE", path, 1);
}

/* The image of a pair that runs, met as a promoted program would meet it. */
static struct tandem *open_again(struct lab *lab, uint8_t *heap, size_t heap_bytes, uint8_t *notes)
{
	struct tandem_options options = {.pair = LAB_PAIR,
	                                 .run_directory = lab->run_primary,
	                                 .start_timeout_ns = PATIENCE_NS};
	struct tandem *tandem;

	cr_assert_eq(tandem_open(&options, &tandem, NULL), 0);
	cr_assert_eq(tandem_region_add(tandem, "heap", heap, heap_bytes, TANDEM_TRACKER_AUTO, NULL),
	             0);
	cr_assert_eq(tandem_region_add(tandem, "notes", notes, lab->region_bytes[1],
	                               TANDEM_TRACKER_AUTO, NULL),
	             0);
	return tandem;
}

Test(program, a_promoted_program_recovers_all_or_some)
{
	struct lab *lab = lab_new("auto", 300, 16);
	uint8_t *heap = tandem_memory_map(300 * LAB_PAGE);
	uint8_t *notes = tandem_memory_map(16 * LAB_PAGE);
	struct tandem_error error = {0};
	struct tandem *again;
	size_t bytes = 0;

	cr_assert(lab_protect(lab));
	lab_scribble(lab, 5, 100);
	cr_assert(lab_commit(lab, NULL) && lab_images_equal(lab));
	lab_close_program(lab);
	pretend_take_over(lab, LAB_PAIR);
	cr_expect_eq(tandem_region_size("heap", &bytes, NULL), 0);
	cr_expect_eq(bytes, 300 * LAB_PAGE);
	cr_expect_eq(tandem_region_size("none", &bytes, &error), TANDEM_E_USAGE);
	cr_expect_eq(tandem_region_size("../heap", &bytes, &error), TANDEM_E_USAGE);

	again = open_again(lab, heap, 300 * LAB_PAGE, notes);
	memset(heap, 0xee, 300 * LAB_PAGE);
	cr_assert_eq(tandem_region_recover(again, "heap", NULL), 0);
	cr_expect_arr_eq(heap, lab->regions[0], 300 * LAB_PAGE);
	cr_expect_eq(notes[0] | notes[16 * LAB_PAGE - 1], 0, "only what was named");
	cr_assert_eq(tandem_region_recover(again, NULL, NULL), 0);
	cr_expect_arr_eq(notes, lab->regions[1], 16 * LAB_PAGE);
	cr_expect_eq(tandem_region_recover(again, "none", &error), TANDEM_E_USAGE);
	tandem_close(again);

	again = open_again(lab, heap, 299 * LAB_PAGE, notes);
	cr_expect_eq(tandem_region_recover(again, NULL, &error), TANDEM_E_USAGE);
	cr_expect(strstr(error.detail, "1224704") && strstr(error.detail, "1228800"), "%s",
	          error.detail);
	setenv("TANDEM_PAIR", "another", 1);
	cr_expect_eq(tandem_region_recover(again, NULL, &error), TANDEM_E_USAGE);
	tandem_close(again);
	tandem_memory_unmap(heap, 300 * LAB_PAGE);
	tandem_memory_unmap(notes, 16 * LAB_PAGE);
	lab_free(lab);
}

static void write_state(struct lab *lab, const char *text)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", lab->images, LAB_PAIR);
	mkdir(lab->images, 0700);
	mkdir(path, 0700);
	strncat(path, "/state.blob", sizeof path - strlen(path) - 1);
	FILE *file = fopen(path, "w");
	cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

Test(program, the_state_is_read_whole_or_not_at_all)
{
	struct lab *lab = lab_new("auto", 16, 16);
	struct tandem_error error = {0};
	char state[16] = "untouched";
	size_t bytes = 99;

	cr_expect_eq(tandem_state_recover(state, sizeof state, &bytes, &error), TANDEM_E_USAGE);
	cr_expect_eq(tandem_region_size("heap", &bytes, &error), TANDEM_E_USAGE);
	pretend_take_over(lab, LAB_PAIR);
	cr_expect_eq(tandem_state_recover(state, sizeof state, &bytes, &error), TANDEM_E_USAGE,
	             "no file");
	write_state(lab, "iteration 12");
	cr_expect_eq(tandem_state_recover(state, 11, &bytes, &error), TANDEM_E_USAGE);
	cr_expect_str_eq(state, "untouched");
	cr_expect_eq(bytes, 99);
	cr_assert_eq(tandem_state_recover(state, 12, &bytes, &error), 0);
	cr_expect_eq(bytes, 12);
	cr_expect_eq(memcmp(state, "iteration 12", 12), 0);
	write_state(lab, "");
	cr_assert_eq(tandem_state_recover(state, 0, &bytes, &error), 0);
	cr_expect_eq(bytes, 0);
	lab_free(lab);
}
