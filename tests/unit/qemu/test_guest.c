#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/qemu_guest.h>

#include "fake_qemu.h"

#define LOOK_NS  (500 * TANDEM_NS_PER_MS)
#define SHORT_NS (20 * TANDEM_NS_PER_MS)
#define LONG_NS  (10 * TANDEM_NS_PER_S)

/* A guest of a fake QEMU, and what it told last. */
struct bed {
	struct event_base *base;
	struct event *timer;
	struct fake_qemu qemu;
	struct tandem_qemu_guest *guest;
	char refusal[256];        /* to share its memory */
	unsigned loaded_count;    /* how often it was asked whether a restored one may run */
	bool is_refused;          /* it may not */
	unsigned again_count;     /* how often that cannot be said yet */
	unsigned unstarted_count; /* how often it was told that QEMU refuses to run it */
	bool has_ended;
	bool is_running;
	struct tandem_error error;
};

static int on_restore(void *context, struct tandem_error *reterr_error)
{
	(void)context;
	(void)reterr_error;
	return 0;
}

static int on_loaded(void *context, struct tandem_error *reterr_error)
{
	struct bed *bed = context;

	bed->loaded_count++;
	if (bed->loaded_count <= bed->again_count)
		return TANDEM_E_AGAIN;
	cr_assert_eq(fake_qemu_count(&bed->qemu, "cont"), 0, "it runs before that is asked");
	return bed->is_refused ? tandem_error_set(reterr_error, TANDEM_E_NOT_LEADER, "attach",
	                                          "another one leads")
	                       : 0;
}

static void on_unstarted(void *context, const struct tandem_error *error)
{
	struct bed *bed = context;

	bed->unstarted_count++;
	cr_assert_not_null(strstr(error->detail, "there is a blocker"), "%s", error->detail);
}

static int on_memory(void *context, const struct tandem_qemu_memory *memory, bool *ret_is_shared,
                     struct tandem_error *reterr_error)
{
	struct bed *bed = context;

	(void)reterr_error;
	snprintf(bed->refusal, sizeof(bed->refusal), "%s", memory->refusal);
	*ret_is_shared = false;
	return 0;
}

static void on_torn(void *context, uint64_t epoch)
{
	(void)context;
	(void)epoch;
}

static void on_end(void *context, bool is_running, const struct tandem_error *error)
{
	struct bed *bed = context;

	bed->has_ended = true;
	bed->is_running = is_running;
	bed->error = *error;
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	cr_assert_fail("nothing more happened for 30 s; orders: %s",
	               ((struct bed *)context)->qemu.orders);
}

static void begin(struct bed *bed, struct tandem_qemu_guest_options options)
{
	const struct tandem_qemu_guest_handler handler = {.on_restore = on_restore,
	                                                  .on_loaded = on_loaded,
	                                                  .on_unstarted = on_unstarted,
	                                                  .on_memory = on_memory,
	                                                  .on_torn = on_torn,
	                                                  .on_end = on_end,
	                                                  .context = bed};
	const struct timeval limit = {.tv_sec = 30};

	signal(SIGPIPE, SIG_IGN);
	bed->timer = evtimer_new(bed->base, on_time, bed);
	event_add(bed->timer, &limit);
	options.qmp_path = bed->qemu.qmp_path;
	options.stream_path = bed->qemu.stream_path;
	options.interval_ns = options.pause_timeout_ns = LONG_NS;
	options.state_bytes_max = 4096;
	cr_assert_eq(tandem_qemu_guest_open(bed->base, &options, &handler, &bed->guest, NULL), 0);
}

static void await_order(struct bed *bed, const char *order, unsigned count)
{
	while (fake_qemu_count(&bed->qemu, order) < count && !bed->has_ended)
		event_base_loop(bed->base, EVLOOP_ONCE);
	cr_assert_not(bed->has_ended, "ended: %s; orders: %s", bed->error.detail, bed->qemu.orders);
}

static void finish(struct bed *bed)
{
	tandem_qemu_guest_close(bed->guest);
	fake_qemu_close(&bed->qemu);
	event_free(bed->timer);
	event_base_free(bed->base);
}

static void begin_restored(struct bed *bed, bool is_shared, uint64_t start_timeout_ns)
{
	fake_qemu_open(&bed->qemu, bed->base);
	bed->qemu.status = "inmigrate";
	begin(bed, (struct tandem_qemu_guest_options){.start_timeout_ns = start_timeout_ns,
	                                              .command_timeout_ns = LONG_NS,
	                                              .incoming_uri = "fd:3",
	                                              .is_incoming_shared = is_shared});
}

Test(qemu_guest, a_long_restore_is_waited_for)
{
	struct bed bed = {.base = event_base_new()};

	begin_restored(&bed, true, LOOK_NS);
	await_order(&bed, "query-status", 3);
	bed.qemu.status = "paused";
	await_order(&bed, "cont", 1);
	bed.qemu.status = "running";
	await_order(&bed, "migrate", 1);
	cr_assert_eq(bed.loaded_count, 1);
	finish(&bed);
}

Test(qemu_guest, a_restored_one_runs_when_that_is_allowed)
{
	for (int is_shared = 0; is_shared <= 1; is_shared++) {
		struct bed bed = {.base = event_base_new()};

		begin_restored(&bed, is_shared, LONG_NS);
		await_order(&bed, "query-status", 1);
		cr_assert_eq(bed.loaded_count, 0);
		cr_assert_eq(fake_qemu_count(&bed.qemu, "migrate-incoming"), 1);
		cr_assert_eq(strstr(bed.qemu.capabilities, "x-ignore-shared") != NULL, is_shared);
		cr_assert_not_null(
		        strstr(bed.qemu.capabilities, "\"late-block-activate\",\"state\":true"),
		        "%s", bed.qemu.capabilities);
		bed.qemu.status = "paused";
		fake_qemu_tell(&bed.qemu, "MIGRATION");
		await_order(&bed, "cont", 1);
		cr_assert_eq(bed.loaded_count, 1);
		bed.qemu.status = "running";
		await_order(&bed, "migrate", 1);
		cr_assert_not_null(strstr(bed.qemu.capabilities, "\"events\",\"state\":false"),
		                   "%s", bed.qemu.capabilities);
		finish(&bed);
	}
}

Test(qemu_guest, a_restored_one_that_may_not_run_ends_at_once)
{
	struct bed bed = {.base = event_base_new(), .is_refused = true};

	begin_restored(&bed, false, LONG_NS);
	await_order(&bed, "query-status", 1);
	bed.qemu.status = "paused";
	fake_qemu_tell(&bed.qemu, "MIGRATION");
	while (!bed.has_ended)
		event_base_loop(bed.base, EVLOOP_ONCE);
	cr_assert_not(bed.is_running);
	cr_assert_eq(bed.error.code, TANDEM_E_NOT_LEADER, "%s", bed.error.detail);
	cr_assert_eq(fake_qemu_count(&bed.qemu, "cont"), 0);
	finish(&bed);
}

static void load_refused(struct bed *bed, uint64_t start_timeout_ns)
{
	begin_restored(bed, false, start_timeout_ns);
	await_order(bed, "query-status", 1);
	bed->qemu.status = "paused";
	bed->qemu.refused = "cont";
	fake_qemu_tell(&bed->qemu, "MIGRATION");
	await_order(bed, "cont", 2);
	cr_assert_eq(bed->unstarted_count, 1);
}

Test(qemu_guest, a_restored_one_that_qemu_refuses_to_run_is_told_to_again)
{
	struct bed bed = {.base = event_base_new(), .again_count = 2};

	load_refused(&bed, LONG_NS);
	bed.qemu.refused = NULL;
	await_order(&bed, "cont", 3);
	bed.qemu.status = "running";
	await_order(&bed, "migrate", 1);
	cr_assert_eq(bed.loaded_count, 3);
	cr_assert_eq(bed.unstarted_count, 1);
	finish(&bed);
}

/* It is the only one there is. */
Test(qemu_guest, a_restored_one_that_qemu_refuses_to_run_is_not_given_up)
{
	struct bed bed = {.base = event_base_new()};

	load_refused(&bed, LOOK_NS);
	const uint64_t until_ns = tandem_clock_now_ns() + 3 * LOOK_NS;
	const unsigned count = fake_qemu_count(&bed.qemu, "cont");
	while (tandem_clock_now_ns() < until_ns || fake_qemu_count(&bed.qemu, "cont") < count + 3)
		event_base_loop(bed.base, EVLOOP_ONCE);
	cr_assert_not(bed.has_ended, "%s", bed.error.detail);
	cr_assert_eq(bed.unstarted_count, 1);
	finish(&bed);
}

Test(qemu_guest, one_that_qemu_refuses_to_run_is_stopped_at_once)
{
	struct bed bed = {.base = event_base_new()};

	load_refused(&bed, LONG_NS);
	tandem_qemu_guest_stop(bed.guest);
	while (!bed.has_ended)
		event_base_loop(bed.base, EVLOOP_ONCE);
	cr_assert_not(bed.is_running);
	cr_assert_eq(bed.error.code, TANDEM_E_AGAIN, "%s", bed.error.detail);
	finish(&bed);
}

Test(qemu_guest, one_that_is_being_restored_is_stopped_at_once)
{
	struct bed bed = {.base = event_base_new()};

	begin_restored(&bed, false, LONG_NS);
	await_order(&bed, "query-status", 1);
	tandem_qemu_guest_stop(bed.guest);
	cr_assert(bed.has_ended);
	cr_assert_not(bed.is_running);
	cr_assert_eq(bed.error.code, TANDEM_E_AGAIN, "%s", bed.error.detail);
	finish(&bed);
}

Test(qemu_guest, a_stopped_one_is_waited_for_where_that_is_wanted)
{
	struct bed bed = {.base = event_base_new()};

	fake_qemu_open(&bed.qemu, bed.base);
	bed.qemu.status = "paused";
	begin(&bed, (struct tandem_qemu_guest_options){.start_timeout_ns = LOOK_NS,
	                                               .command_timeout_ns = LONG_NS,
	                                               .awaits_guest = true});
	await_order(&bed, "query-status", 2);
	bed.qemu.status = "running";
	await_order(&bed, "migrate", 1);
	finish(&bed);
}

Test(qemu_guest, whether_it_runs_has_to_be_known)
{
	struct bed bed = {.base = event_base_new()};

	fake_qemu_open(&bed.qemu, bed.base);
	bed.qemu.status = "inmigrate";
	begin(&bed, (struct tandem_qemu_guest_options){.start_timeout_ns = LONG_NS,
	                                               .command_timeout_ns = SHORT_NS});
	await_order(&bed, "query-status", 1);
	tandem_qemu_guest_stop(bed.guest);
	while (!bed.has_ended)
		event_base_loop(bed.base, EVLOOP_ONCE);
	cr_assert_not(bed.is_running);
	cr_assert_eq(bed.error.code, TANDEM_E_TIMEOUT, "%s", bed.error.detail);
	finish(&bed);
}

/* KVM writes such a guest's state past the page table that is asked. */
Test(qemu_guest, one_that_can_have_guests_does_not_share_its_memory)
{
	for (unsigned has_guests = 0; has_guests < 2; has_guests++) {
		struct bed bed = {.base = event_base_new(), .refusal = "not asked"};

		fake_qemu_open(&bed.qemu, bed.base);
		bed.qemu.has_guests = has_guests == 1;
		begin(&bed, (struct tandem_qemu_guest_options){.start_timeout_ns = LONG_NS,
		                                               .command_timeout_ns = LONG_NS,
		                                               .looks_at_memory = true});
		await_order(&bed, "migrate", 1);
		cr_assert_eq(strstr(bed.refusal, "guests of their own") != NULL, has_guests == 1,
		             "%s", bed.refusal);
		finish(&bed);
	}
}

static bool sets(const struct bed *bed, const char *capability, bool is_on)
{
	char words[128];

	snprintf(words, sizeof(words), "{\"capability\":\"%s\",\"state\":%s}", capability,
	         is_on ? "true" : "false");
	return strstr(bed->qemu.capabilities, words) != NULL;
}

/* Nobody would take the connections of multifd, and QEMU would wait for ever. */
Test(qemu_guest, a_way_to_migrate_that_is_not_read_is_off_for_as_long_as_it_is_protected)
{
	static const char *const ways[] = {"multifd", "xbzrle", "switchover-ack"};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct bed bed = {.base = event_base_new()};

		fake_qemu_open(&bed.qemu, bed.base);
		bed.qemu.on = ways[i];
		begin(&bed, (struct tandem_qemu_guest_options){.start_timeout_ns = LONG_NS,
		                                               .command_timeout_ns = LONG_NS});
		await_order(&bed, "migrate", 1);
		cr_assert(sets(&bed, "x-colo", true), "%s", bed.qemu.capabilities);
		cr_assert(sets(&bed, ways[i], false), "%s", bed.qemu.capabilities);
		tandem_qemu_guest_stop(bed.guest);
		while (!bed.has_ended)
			event_base_loop(bed.base, EVLOOP_ONCE);
		cr_assert(bed.is_running);
		cr_assert(sets(&bed, "x-colo", false), "%s", bed.qemu.capabilities);
		cr_assert(sets(&bed, ways[i], true), "%s", bed.qemu.capabilities);
		finish(&bed);
	}
}

/* QEMU 11.1 puts a migration away by the settings that it has then, and dies of multifd. */
Test(qemu_guest, its_ways_to_migrate_come_back_when_qemu_has_put_its_migration_away)
{
	struct bed bed = {.base = event_base_new()};

	fake_qemu_open(&bed.qemu, bed.base);
	bed.qemu.on = "multifd";
	bed.qemu.puts_away = true;
	begin(&bed, (struct tandem_qemu_guest_options){.start_timeout_ns = LONG_NS,
	                                               .command_timeout_ns = LONG_NS});
	await_order(&bed, "migrate", 1);
	tandem_qemu_guest_stop(bed.guest);
	await_order(&bed, "query-yank", 3);
	cr_assert(sets(&bed, "multifd", false), "%s", bed.qemu.capabilities);
	bed.qemu.puts_away = false;
	while (!bed.has_ended)
		event_base_loop(bed.base, EVLOOP_ONCE);
	cr_assert(bed.is_running);
	cr_assert(sets(&bed, "multifd", true), "%s", bed.qemu.capabilities);
	finish(&bed);
}

Test(qemu_guest, a_migration_that_is_never_put_away_keeps_its_settings_and_not_the_guest)
{
	struct bed bed = {.base = event_base_new()};

	fake_qemu_open(&bed.qemu, bed.base);
	bed.qemu.on = "multifd";
	bed.qemu.puts_away = true;
	begin(&bed, (struct tandem_qemu_guest_options){.start_timeout_ns = LONG_NS,
	                                               .command_timeout_ns = LOOK_NS});
	await_order(&bed, "migrate", 1);
	tandem_qemu_guest_stop(bed.guest);
	while (!bed.has_ended)
		event_base_loop(bed.base, EVLOOP_ONCE);
	cr_assert(bed.is_running);
	cr_assert(sets(&bed, "multifd", false), "%s", bed.qemu.capabilities);
	finish(&bed);
}

Test(qemu_guest, what_tells_its_operator_of_migrations_stays_as_it_is)
{
	struct bed bed = {.base = event_base_new()};

	fake_qemu_open(&bed.qemu, bed.base);
	bed.qemu.on = "events";
	begin(&bed, (struct tandem_qemu_guest_options){.start_timeout_ns = LONG_NS,
	                                               .command_timeout_ns = LONG_NS});
	await_order(&bed, "migrate", 1);
	cr_assert(strstr(bed.qemu.capabilities, "events") == NULL, "%s", bed.qemu.capabilities);
	finish(&bed);
}
