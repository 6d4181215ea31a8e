#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#include <tandem/clock.h>
#include <tandem/random.h>

#include "core/bitmap.h"
#include "shell/image.h"
#include "shell/inbox.h"
#include "shell/push.h"

/* The real push into the real inbox and image, over the in-memory provider and its faults. */

#define HEAP_PAGES  100u
#define NOTES_PAGES 5u
#define CHANNELS    3u

static const struct tandem_region_table regions = {
        .count = 2, .entries = {{"heap", HEAP_PAGES}, {"notes", NOTES_PAGES}}};

static struct tandem_fabric *fabric;
static struct tandem_transport *transport;
static struct tandem_listener *listener;
static struct tandem_session *primary, *secondary;
static struct tandem_push push;
static struct tandem_inbox inbox;
static struct tandem_image image;
static _Alignas(4096) uint8_t heap[HEAP_PAGES * 4096], notes[NOTES_PAGES * 4096];
static _Alignas(4096) uint8_t caches[2][HEAP_PAGES * 4096], images[2][HEAP_PAGES * 4096];

/* The other side moves while the push waits. */
static void keep_alive(void *argument)
{
	(void)argument;
	tandem_session_progress(secondary);
}

static void join(void)
{
	static struct tandem_session_event event;
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;

	memcpy(options.rails[0].address, "127.0.0.1", sizeof "127.0.0.1");
	options.port = tandem_listener_port(listener);
	options.channel_count = CHANNELS;
	options.write_depth = 16;
	cr_assert_eq(tandem_transport_connect(transport, &options, &primary, NULL), 0);
	while (tandem_listener_accept(listener, &secondary, NULL) != 0)
		tandem_session_progress(primary);
	cr_assert_eq(tandem_session_expose(secondary, TANDEM_SLOTS_MEMORY_ID, inbox.slots,
	                                   inbox.slots_bytes, NULL),
	             0);
	cr_assert_eq(tandem_session_expose(secondary, 0, caches[0], sizeof heap, NULL), 0);
	cr_assert_eq(tandem_session_expose(secondary, 1, caches[1], sizeof notes, NULL), 0);
	struct tandem_session *none;
	do {
		cr_assert_eq(tandem_listener_accept(listener, &none, NULL), TANDEM_E_AGAIN);
		tandem_session_progress(secondary);
		tandem_session_progress(primary);
	} while (tandem_session_exposed_bytes(primary, 1) == 0);
	cr_assert(tandem_session_next_event(primary, &event));
	cr_assert_eq(event.type, TANDEM_SESSION_UP);
	for (unsigned i = 0; i < CHANNELS; i++)
		cr_assert(tandem_session_next_event(secondary, &event) &&
		          event.type == TANDEM_SESSION_CHANNEL_UP);
	cr_assert_eq(tandem_push_begin(&push, primary, event.channel_mask, NULL), 0);
}

static void begin_staging(size_t staging_bytes)
{
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;

	memcpy(options.rails[0].address, "127.0.0.1", sizeof "127.0.0.1");
	fabric = tandem_fabric_new();
	cr_assert_eq(tandem_transport_open_memory(fabric, &transport), 0);
	cr_assert_eq(tandem_transport_listen(transport, &options, &listener, NULL), 0);
	cr_assert(tandem_layout_init(&push.layout, &regions, CHANNELS, 16, 256));
	push.bases[0] = heap;
	push.bases[1] = notes;
	push.stall_timeout_ns = 20 * TANDEM_NS_PER_S;
	push.keep_alive = keep_alive;
	push.staging_bytes = staging_bytes;
	cr_assert_eq(tandem_push_init(&push, NULL), 0);
	cr_assert_eq(tandem_inbox_init(&inbox, &push.layout, NULL), 0);
	image.layout = push.layout;
	for (unsigned region = 0; region < 2; region++) {
		image.caches[region] = caches[region];
		image.images[region] = images[region];
	}
	join();
}

static void begin(void)
{
	begin_staging(0);
}

static void begin_beside(void)
{
	push.pushes_beside = true;
	begin_staging(0);
}

static void end(void)
{
	tandem_session_free(primary);
	tandem_session_free(secondary);
	tandem_push_done(&push);
	tandem_inbox_done(&inbox, false);
	tandem_listener_free(listener);
	tandem_transport_free(transport);
	tandem_fabric_free(fabric);
}

static void scribble(uint64_t *seed, unsigned stores)
{
	for (unsigned count = 0; count < stores; count++) {
		uint64_t random = tandem_random_next(seed);
		uint64_t page = random % (HEAP_PAGES + NOTES_PAGES);
		bool is_heap = page < HEAP_PAGES;
		uint8_t *memory = is_heap ? heap + page * 4096 : notes + (page - HEAP_PAGES) * 4096;

		memset(memory, (random >> 20) % 3 == 0 ? 0 : (int)(random >> 30), 4096);
		tandem_page_set_add(&push.to_push,
		                    is_heap ? page : push.layout.first_page[1] + page - HEAP_PAGES);
	}
}

static int push_all(bool *ret_is_blocked)
{
	bool is_done = false;
	int code = tandem_push_pages(&push, UINT64_MAX, &is_done, ret_is_blocked);

	cr_assert(code < 0 || is_done);
	return code;
}

/* What the standby does with the seals that arrive; true once all of the mask are here. */
static bool take_seals(void)
{
	static struct tandem_session_event event;
	struct tandem_trailer trailer = {.mask = UINT32_MAX};
	struct tandem_error error;

	tandem_session_progress(secondary);
	while (tandem_session_next_event(secondary, &event)) {
		if (event.type == TANDEM_SESSION_NOTIFIED)
			cr_assert_eq(tandem_inbox_take(&inbox, event.channel, event.immediate,
			                               &trailer, &error),
			             0, "%s", error.detail);
	}
	return inbox.sealing.mask == trailer.mask;
}

static void commit(void)
{
	while (!take_seals())
		tandem_session_progress(primary);
	tandem_inbox_commit(&inbox);
	tandem_push_commit(&push);
}

static void apply(void)
{
	const struct tandem_run *run;

	while ((run = tandem_inbox_next_run(&inbox)) != NULL)
		tandem_image_apply(&image, run);
	tandem_push_forget(&push);
}

static void commit_and_apply(void)
{
	commit();
	apply();
}

static void expect_equal(const char *when)
{
	cr_assert_eq(memcmp(images[0], heap, sizeof heap), 0, "%s: heap", when);
	cr_assert_eq(memcmp(images[1], notes, sizeof notes), 0, "%s: notes", when);
}

static void seal(uint64_t epoch)
{
	tandem_push_state(&push, epoch, &epoch, sizeof epoch);
	cr_assert_eq(tandem_push_settle(&push), 0);
	cr_assert_eq(tandem_push_seal(&push, epoch, epoch - 1, 1), 0);
}

Test(push, epochs_arrive_byte_for_byte)
{
	uint64_t seed = 1;
	bool is_blocked;

	begin();
	tandem_push_mark_all(&push, true);
	for (uint64_t epoch = 1; epoch < 60; epoch++) {
		scribble(&seed, (unsigned)(epoch * 3));
		cr_assert_eq(push_all(&is_blocked), 0);
		cr_assert(!is_blocked);
		cr_assert_eq(tandem_push_left(&push), 0);
		seal(epoch);
		commit_and_apply();
		expect_equal("after an epoch");
		cr_assert_eq(inbox.committed.state_bytes, sizeof epoch);
		cr_assert_eq(memcmp(inbox.committed.state, &epoch, sizeof epoch), 0);
	}
	end();
}

/* An epoch without a dirty page is sealed on one channel (3.2). */
Test(push, an_empty_epoch_has_one_seal)
{
	begin();
	cr_assert_eq(tandem_push_seal(&push, 1, 0, 1), 0);
	commit_and_apply();
	cr_expect_eq(inbox.committed.mask, 1);
	cr_expect_null(tandem_inbox_next_run(&inbox));
	end();
}

Test(push, zero_pages_cost_no_data_and_a_fresh_copy_no_record)
{
	bool is_blocked;

	begin();
	memset(heap + 7 * 4096, 1, 4096);
	tandem_push_mark_all(&push, true);
	cr_assert_eq(push_all(&is_blocked), 0);
	cr_expect_eq(push.data_pages, 1);
	cr_expect_eq(push.zero_pages, 0);
	seal(1);
	commit_and_apply();
	memset(heap + 7 * 4096, 0, 4096);
	tandem_page_set_add(&push.to_push, 7);
	cr_assert_eq(push_all(&is_blocked), 0);
	cr_expect_eq(push.data_pages, 1);
	cr_expect_eq(push.zero_pages, 1);
	seal(2);
	commit_and_apply();
	expect_equal("a page that became zero");
	end();
}

/* A page that was pushed and became zero before the capture is recorded, fresh copy or not. */
Test(push, a_pushed_page_that_becomes_zero_is_recorded)
{
	bool is_blocked;

	begin();
	memset(heap, 1, 4096);
	tandem_push_mark_all(&push, true);
	cr_assert_eq(push_all(&is_blocked), 0);
	memset(heap, 0, 4096);
	tandem_page_set_add(&push.to_push, 0);
	cr_assert_eq(push_all(&is_blocked), 0);
	seal(1);
	commit_and_apply();
	expect_equal("zero again");
	end();
}

static void take_digests(void)
{
	uint8_t digests[TANDEM_DIGESTS_MAX * TANDEM_DIGEST_BYTES];
	uint32_t page_count = (uint32_t)push.layout.page_count;

	for (uint32_t page = 0; page < page_count; page++)
		tandem_image_digest(&image, page, 77, digests + page * TANDEM_DIGEST_BYTES);
	tandem_push_take_digests(&push, 77, 0, page_count, digests);
}

/* 4.15, [C29] */
Test(push, what_the_image_holds_already_does_not_travel)
{
	uint64_t seed = 4;
	bool is_blocked;

	begin();
	scribble(&seed, 300);
	memset(heap + 9 * 4096, 5, 4096);
	memcpy(images[0], heap, sizeof heap);
	memcpy(images[1], notes, sizeof notes);
	images[0][9 * 4096] ^= 1;          /* the image is of another life here ... */
	memset(heap + 20 * 4096, 0, 4096); /* ... and has a page that is zero by now */
	images[0][20 * 4096] = 1;
	tandem_push_mark_all(&push, false);
	take_digests();
	cr_assert_eq(push_all(&is_blocked), 0);
	cr_expect_eq(push.data_pages, 1);
	cr_expect_eq(push.zero_pages, 1);
	cr_expect_eq(push.equal_pages, HEAP_PAGES + NOTES_PAGES - 2);
	seal(1);
	commit_and_apply();
	expect_equal("after the resync");
	end();
}

/* A free page is zeros, whatever is still in its memory and in the image. */
Test(push, a_free_page_becomes_zeros_in_an_image_that_holds_its_old_content)
{
	static uint64_t free_pages[TANDEM_BITMAP_WORDS(HEAP_PAGES) + 1];
	bool is_blocked;

	begin();
	memset(heap + 9 * 4096, 5, 4096);
	memcpy(images[0], heap, sizeof heap);
	tandem_bitmap_set(free_pages, 9);
	tandem_bitmap_set(free_pages, 10);
	push.free_pages[0] = free_pages;
	tandem_push_mark_all(&push, false);
	take_digests();
	cr_assert_eq(push_all(&is_blocked), 0);
	cr_expect_eq(push.zero_pages, 1, "page 10 is zeros in the image");
	cr_expect_eq(push.data_pages, 0);
	seal(1);
	commit_and_apply();
	cr_expect_eq(images[0][9 * 4096], 0);
	push.free_pages[0] = NULL;
	end();
}

/* Pushed once, the page of the image is not what will be applied. */
Test(push, a_page_that_comes_back_to_the_images_content_travels)
{
	bool is_blocked;

	begin();
	tandem_push_mark_all(&push, false);
	take_digests();
	memset(heap, 1, 4096);
	cr_assert_eq(push_all(&is_blocked), 0);
	memset(heap, 0, 4096);
	tandem_page_set_add(&push.to_push, 0);
	cr_assert_eq(push_all(&is_blocked), 0);
	seal(1);
	commit_and_apply();
	expect_equal("as the image was");
	end();
}

/* The image changes with every epoch that is sealed. */
Test(push, digests_count_until_the_next_seal_or_copy)
{
	bool is_blocked;

	begin();
	tandem_push_mark_all(&push, false);
	take_digests();
	memset(heap, 1, 4096);
	cr_assert_eq(push_all(&is_blocked), 0);
	seal(1);
	commit_and_apply();
	memset(heap, 0, 4096);
	tandem_page_set_add(&push.to_push, 0);
	cr_assert_eq(push_all(&is_blocked), 0);
	seal(2);
	commit_and_apply();
	expect_equal("as the image was at first");
	take_digests();
	tandem_push_mark_all(&push, false);
	cr_expect_eq(push.digest_count, 0);
	take_digests();
	tandem_push_merge(&push);
	cr_expect_eq(push.digest_count, 0);
	end();
}

/* 4.4: pages of an epoch that is not applied wait, others do not. */
Test(push, pages_of_an_unapplied_epoch_wait)
{
	bool is_blocked;

	begin();
	memset(heap, 1, 2 * 4096);
	tandem_page_set_add(&push.to_push, 0);
	tandem_page_set_add(&push.to_push, 1);
	cr_assert_eq(push_all(&is_blocked), 0);
	seal(1);
	heap[0] = 2;
	heap[5 * 4096] = 3;
	tandem_page_set_add(&push.to_push, 0);
	tandem_page_set_add(&push.to_push, 5);
	cr_assert_eq(push_all(&is_blocked), 0);
	cr_expect(is_blocked);
	cr_expect(tandem_page_set_has(&push.to_push, 0) && !tandem_page_set_has(&push.to_push, 5));
	commit_and_apply();
	cr_expect_eq(images[0][0], 1, "the image is epoch 1");
	cr_expect_eq(images[0][5 * 4096], 0);
	cr_assert_eq(push_all(&is_blocked), 0);
	cr_expect(!is_blocked);
	seal(2);
	commit_and_apply();
	expect_equal("epoch 2");
	end();
}

/* Until all that may be is posted; false when some has to wait. */
static bool drain(uint64_t pages_max)
{
	bool is_done = false, is_blocked = false;

	while (!is_done)
		cr_assert_eq(tandem_push_staged(&push, pages_max, &is_done, &is_blocked), 0);
	return !is_blocked;
}

/* What is sealed is what was captured, whatever the program has written since. */
Test(push, staged_epochs_arrive_as_they_were_captured)
{
	static uint8_t heap_then[sizeof heap], notes_then[sizeof notes];
	uint64_t seed = 5;
	unsigned short_count = 0;
	bool is_blocked;

	begin_staging(sizeof heap / 4);
	tandem_push_mark_all(&push, true);
	for (uint64_t epoch = 1; epoch < 60; epoch++) {
		scribble(&seed, (unsigned)epoch);
		memcpy(heap_then, heap, sizeof heap);
		memcpy(notes_then, notes, sizeof notes);
		cr_assert_eq(tandem_push_settle(&push), 0);
		if (!tandem_push_stage(&push)) {
			cr_assert_gt(tandem_push_left(&push), 0);
			short_count++;
			cr_assert_eq(push_all(&is_blocked), 0);
		}
		cr_assert_eq(tandem_push_settle(&push), 0);
		scribble(&seed, 30);
		cr_assert(drain(20));
		seal(epoch);
		commit_and_apply();
		cr_assert_eq(memcmp(images[0], heap_then, sizeof heap), 0, "%llu",
		             (unsigned long long)epoch);
		cr_assert_eq(memcmp(images[1], notes_then, sizeof notes), 0);
	}
	cr_expect(short_count > 0 && short_count < 60, "%u", short_count);
	end();
}

/* 4.4: they are staged first, so that no pause waits for APPLIED. */
Test(push, staging_has_room_for_pages_that_must_wait)
{
	bool is_blocked;

	begin_staging(2 * 4096);
	memset(heap, 1, 4096);
	memset(heap + 50 * 4096, 1, 4096);
	tandem_page_set_add(&push.to_push, 50);
	cr_assert_eq(push_all(&is_blocked), 0);
	seal(1);
	commit();
	memset(heap, 2, sizeof heap);
	tandem_page_set_add_range(&push.to_push, 0, 3);
	tandem_page_set_add(&push.to_push, 50);
	cr_expect(!tandem_push_stage(&push));
	cr_expect_eq(tandem_push_left(&push), 2);
	cr_expect(!tandem_page_set_has(&push.to_push, 0) &&
	          !tandem_page_set_has(&push.to_push, 50));
	cr_assert_eq(push_all(&is_blocked), 0);
	cr_expect(!is_blocked);
	cr_expect(!drain(100));
	apply();
	cr_expect_eq(images[0][50 * 4096], 1, "the image is epoch 1");
	cr_expect(drain(100));
	seal(2);
	commit_and_apply();
	cr_expect_eq(memcmp(images[0], heap, 3 * 4096), 0);
	cr_expect_eq(images[0][50 * 4096], 2);
	end();
}

/* Slots side by side, and places of two regions that would be side by side in one. */
Test(push, neighbours_in_staging_memory_are_not_merged_over_regions)
{
	begin_staging(sizeof heap);
	memset(heap, 1, 4096);
	memset(notes + 4096, 2, 4096);
	tandem_page_set_add(&push.to_push, 0);
	tandem_page_set_add(&push.to_push, push.layout.first_page[1] + 1);
	cr_assert(tandem_push_stage(&push));
	cr_assert(drain(100));
	seal(1);
	commit_and_apply();
	expect_equal("each in its own");
	end();
}

Test(push, what_is_given_up_is_pushed_from_live_memory)
{
	bool is_blocked;

	begin_staging(sizeof heap);
	memset(heap, 1, sizeof heap);
	tandem_push_mark_all(&push, false);
	cr_assert(tandem_push_stage(&push));
	cr_expect_eq(tandem_push_left(&push), 0);
	tandem_push_unstage(&push);
	cr_expect_eq(tandem_push_left(&push), HEAP_PAGES + NOTES_PAGES);
	memset(heap, 3, 4096);
	cr_assert_eq(push_all(&is_blocked), 0);
	cr_expect(drain(100));
	seal(1);
	commit_and_apply();
	expect_equal("pushed after all");
	cr_assert(tandem_push_stage(&push), "nothing");
	tandem_page_set_add(&push.to_push, 4);
	cr_assert(tandem_push_stage(&push));
	tandem_push_merge(&push);
	cr_expect(tandem_page_set_has(&push.to_push, 4), "a lost session forgets nothing");
	end();
}

/* No part of it is taken on the data path, nor more than there is to stage. */
Test(push, staging_memory_is_cut_to_the_regions)
{
	begin_staging(UINT64_C(1) << 40);
	cr_expect_eq(push.stage.bytes, (HEAP_PAGES + NOTES_PAGES) * 4096);
	end();
}

Test(push, a_slice_is_bounded_and_goes_on_where_it_ended)
{
	bool is_done = false, is_blocked;
	unsigned slices = 0;

	begin();
	memset(heap, 5, sizeof heap);
	tandem_push_mark_all(&push, true);
	while (!is_done) {
		uint64_t before = push.data_pages;

		cr_assert_eq(tandem_push_pages(&push, 40, &is_done, &is_blocked), 0);
		cr_assert_leq(push.data_pages - before, 40);
		cr_assert_lt(++slices, 20);
	}
	cr_expect_geq(slices, 3);
	cr_expect_eq(tandem_push_left(&push), 0);
	seal(1);
	commit_and_apply();
	expect_equal("all slices");
	end();
}

/* Pages behind the place where a slice was cut short, on stripes that a channel carries already and
 * on others, are not forgotten when it goes on. */
Test(push, a_slice_that_goes_on_finds_what_came_behind_it)
{
	bool is_done = false, is_blocked;

	begin();
	memset(heap, 5, sizeof heap);
	tandem_page_set_add_range(&push.to_push, 32, HEAP_PAGES - 32);
	cr_assert_eq(tandem_push_pages(&push, 40, &is_done, &is_blocked), 0);
	cr_assert(!is_done);
	memset(heap, 6, sizeof heap);
	tandem_page_set_add_range(&push.to_push, 0, 40);
	for (unsigned slices = 0; !is_done; slices++) {
		cr_assert_lt(slices, 20);
		cr_assert_eq(tandem_push_pages(&push, 40, &is_done, &is_blocked), 0);
	}
	cr_expect_eq(tandem_push_left(&push), 0);
	memset(heap + 40 * 4096, 5, sizeof heap - 40 * 4096);
	seal(1);
	commit_and_apply();
	cr_expect(memcmp(images[0], heap, 40 * 4096) == 0);
	end();
}

static bool is_hurried(void *argument)
{
	(void)argument;
	return true;
}

Test(push, a_push_beside_the_program_ends_early_when_it_is_asked_to)
{
	bool is_done;

	begin_beside();
	memset(heap, 5, sizeof heap);
	tandem_push_mark_all(&push, true);
	push.is_hurried = is_hurried;
	cr_assert_eq(tandem_push_beside(&push, UINT64_MAX, 0, &is_done), 0);
	cr_expect(!is_done && push.data_pages == 0);
	push.is_hurried = NULL;
	cr_assert_eq(tandem_push_beside(&push, UINT64_MAX, 0, &is_done), 0);
	cr_expect(is_done);
	seal(1);
	commit_and_apply();
	expect_equal("after all");
	end();
}

static void rejoin(void)
{
	static struct tandem_session_event event;

	tandem_push_merge(&push);
	primary = tandem_session_free(primary);
	cr_assert_eq(tandem_session_fence(secondary, tandem_clock_now_ns() + TANDEM_NS_PER_S, NULL),
	             0);
	while (tandem_session_next_event(secondary, &event))
		continue;
	secondary = tandem_session_free(secondary);
	tandem_inbox_forget(&inbox);
	join();
}

/* The session is lost after any number of operations of the epoch: the image stays the last
 * committed epoch, and the next session brings all that is missing. */
Test(push, a_loss_after_any_operation_is_made_good)
{
	uint64_t seed = 9, epoch = 1;
	bool is_blocked;

	begin();
	tandem_push_mark_all(&push, true);
	cr_assert_eq(push_all(&is_blocked), 0);
	seal(epoch++);
	commit_and_apply();
	for (uint64_t landed = 0; landed < 40; landed++) {
		static uint8_t before[sizeof heap];

		memcpy(before, images[0], sizeof before);
		scribble(&seed, 8);
		tandem_fabric_limit(fabric, landed);
		push.stall_timeout_ns = TANDEM_NS_PER_MS;
		tandem_push_state(&push, epoch, &epoch, sizeof epoch);
		if (push_all(&is_blocked) == 0 && tandem_push_seal(&push, epoch, epoch - 1, 1) == 0)
			take_seals();
		epoch++;
		tandem_fabric_drop(fabric);
		tandem_fabric_limit(fabric, UINT64_MAX);
		cr_assert_eq(memcmp(before, images[0], sizeof before), 0);
		push.stall_timeout_ns = 20 * TANDEM_NS_PER_S;
		rejoin();
		cr_assert_eq(push_all(&is_blocked), 0);
		seal(epoch++);
		commit_and_apply();
		expect_equal("after the loss");
	}
	end();
}

Test(push, a_push_without_progress_gives_up)
{
	bool is_done, is_blocked;
	uint64_t start_ns = tandem_clock_now_ns();

	begin();
	memset(heap, 5, sizeof heap);
	tandem_push_mark_all(&push, true);
	tandem_fabric_cut(fabric, true);
	push.stall_timeout_ns = 50 * TANDEM_NS_PER_MS;
	int code = tandem_push_pages(&push, UINT64_MAX, &is_done, &is_blocked);
	if (code == 0)
		code = tandem_push_settle(&push);
	cr_expect_eq(code, TANDEM_E_TIMEOUT);
	cr_expect_lt(tandem_clock_now_ns() - start_ns, 20 * TANDEM_NS_PER_S);
	tandem_fabric_cut(fabric, false);
	end();
}
