#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <tandem/clock.h>
#include <tandem/foreign.h>
#include <tandem/qemu_probe.h>
#include <unistd.h>

#include "../qemu/fake_qemu.h"
#include "../qemu/stream_text.h"
#include "qemu_gates.h"
#include "qemu_keeper.h"
#include "qemu_process.h"
#include "qemu_watch.h"

#define LONG_NS    (10 * TANDEM_NS_PER_S)
#define COMMAND_NS (2 * TANDEM_NS_PER_S)

/* ---- a Tandem that commits what it is given ---- */

struct tandem {
	int news_fd;
	int test_code; /* of a checkpoint that was begun */
	size_t state_bytes_max;
	uint64_t ticket;
	char needs[TANDEM_QEMU_IDENTITY_BYTES];
	bool is_pair;
	bool is_misfit;
	bool is_halted;
	enum tandem_leaving leaving;
};

int tandem_region_add(struct tandem *tandem, const char *name, void *base, size_t length,
                      enum tandem_tracker tracker, struct tandem_error *reterr_error)
{
	(void)tandem;
	(void)name;
	(void)base;
	(void)length;
	(void)tracker;
	(void)reterr_error;
	return 0;
}

int tandem_region_add_foreign(struct tandem *tandem, const char *name, void *base, size_t length,
                              const struct tandem_foreign *writer,
                              struct tandem_error *reterr_error)
{
	(void)writer;
	return tandem_region_add(tandem, name, base, length, TANDEM_TRACKER_PAGEMAP, reterr_error);
}

const char *tandem_region_tracker(const struct tandem *tandem, const char *name)
{
	(void)tandem;
	(void)name;
	return "mark";
}

int tandem_start(struct tandem *tandem, struct tandem_error *reterr_error)
{
	(void)tandem;
	(void)reterr_error;
	return 0;
}

int tandem_ticket(struct tandem *tandem, uint64_t *ret_ticket, struct tandem_error *reterr_error)
{
	(void)reterr_error;
	*ret_ticket = ++tandem->ticket;
	return 0;
}

int tandem_confirm(struct tandem *tandem, uint64_t *ret_ticket, struct tandem_error *reterr_error)
{
	return tandem_ticket(tandem, ret_ticket, reterr_error);
}

int tandem_checkpoint_begin(struct tandem *tandem, const void *state, size_t state_bytes,
                            uint64_t *ret_ticket, struct tandem_error *reterr_error)
{
	(void)state;
	if (state_bytes > tandem->state_bytes_max)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "begin", "too large");
	return tandem_ticket(tandem, ret_ticket, reterr_error);
}

int tandem_checkpoint_test(struct tandem *tandem)
{
	return tandem->test_code;
}

int tandem_checkpoint_wait(struct tandem *tandem, uint64_t timeout_ns)
{
	(void)timeout_ns;
	return tandem->test_code;
}

bool tandem_checkpoint_abort(struct tandem *tandem)
{
	(void)tandem;
	return true;
}

void tandem_poll(struct tandem *tandem, struct tandem_news *ret_news)
{
	*ret_news = (struct tandem_news){.released_ticket = tandem->ticket,
	                                 .is_pair = tandem->is_pair,
	                                 .is_halted = tandem->is_halted};
}

int tandem_event_fd(struct tandem *tandem)
{
	return tandem->news_fd;
}

void tandem_mark_dirty(struct tandem *tandem, const void *start, size_t length)
{
	(void)tandem;
	(void)start;
	(void)length;
}

enum tandem_leaving tandem_leaving(const struct tandem *tandem)
{
	return tandem->leaving;
}

int tandem_leave(struct tandem *tandem, struct tandem_error *reterr_error)
{
	(void)reterr_error;
	tandem->leaving = TANDEM_LEFT;
	return 0;
}

int tandem_require(struct tandem *tandem, const char *needs, struct tandem_error *reterr_error)
{
	(void)reterr_error;
	snprintf(tandem->needs, sizeof(tandem->needs), "%s", needs);
	return 0;
}

bool tandem_is_misfit(struct tandem *tandem, char *ret_reason, size_t reason_bytes)
{
	snprintf(ret_reason, reason_bytes, "another QEMU");
	return tandem->is_misfit;
}

struct tandem *tandem_close(struct tandem *tandem)
{
	close(tandem->news_fd);
	return NULL;
}

void tandem_qemu_region_name(unsigned block, char ret_name[TANDEM_QEMU_REGION_BYTES])
{
	snprintf(ret_name, TANDEM_QEMU_REGION_BYTES, "ram%u", block);
}

/* ---- a guest that it keeps ---- */

struct bed {
	struct event_base *base;
	struct event *timer;
	struct fake_qemu qemu;
	struct tandem tandem;
	struct tandem_qemu_gates gates;
	struct tandem_qemu_watch watch;
	struct tandem_qemu_keeper keeper;
	unsigned hold_count;
	unsigned left_count;
};

static struct bed bed;

static int hold(void *argument, struct tandem_error *reterr_error)
{
	(void)argument;
	(void)reterr_error;
	bed.hold_count++;
	return 0;
}

static void on_left(void *argument)
{
	(void)argument;
	bed.left_count++;
}

static void on_late(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	(void)argument;
	cr_assert_fail("nothing more happened for 20 s; orders: %s", bed.qemu.orders);
}

static void on_stop(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	(void)argument;
	tandem_qemu_keeper_stop(&bed.keeper);
}

static void put_page(struct made *made, const char *name)
{
	put(made, 8, 8);
	put_name(made, name);
	put_pages(made, 1, 0xab);
}

static void put_first_epoch(struct made *made)
{
	put_header(made);
	put_configuration(made);
	put_start(made, false);
	put_part(made, 2);
	put_page(made, "ram");
	put_page(made, "vga");
	put_footer(made);
	put_first_devices(made);
}

static void begin(bool is_attached, size_t state_bytes_max)
{
	static struct made made;
	const struct timeval limit = {.tv_sec = 20};

	signal(SIGPIPE, SIG_IGN);
	put_first_epoch(&made);
	bed.base = event_base_new();
	bed.timer = evtimer_new(bed.base, on_late, NULL);
	event_add(bed.timer, &limit);
	fake_qemu_open(&bed.qemu, bed.base);
	bed.qemu.stream = made.bytes;
	bed.qemu.stream_bytes = made.length;
	bed.tandem = (struct tandem){.news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	                             .state_bytes_max = state_bytes_max};
	bed.keeper = (struct tandem_qemu_keeper){.base = bed.base,
	                                         .tandem = &bed.tandem,
	                                         .gates = &bed.gates,
	                                         .watch = &bed.watch,
	                                         .way = TANDEM_QEMU_STREAM,
	                                         .hold = is_attached ? hold : NULL,
	                                         .on_left = on_left};
	tandem_qemu_note_open(&bed.keeper.note, &bed.gates, bed.qemu.folder, "vm1");
}

static void open_keeper(void)
{
	const struct tandem_qemu_guest_options options = {.qmp_path = bed.qemu.qmp_path,
	                                                  .stream_path = bed.qemu.stream_path,
	                                                  .interval_ns = LONG_NS,
	                                                  .pause_timeout_ns = LONG_NS,
	                                                  .start_timeout_ns = LONG_NS,
	                                                  .command_timeout_ns = COMMAND_NS};

	cr_assert_eq(tandem_qemu_keeper_open(&bed.keeper, &options, NULL), 0);
}

/* The loop, in which a signal would stop it, until it is left. */
static void stop(void)
{
	const struct timeval now = {0};

	event_base_once(bed.base, -1, EV_TIMEOUT, on_stop, NULL, &now);
	event_base_dispatch(bed.base);
}

static void finish(void)
{
	tandem_qemu_keeper_close(&bed.keeper);
	fake_qemu_close(&bed.qemu);
	event_free(bed.timer);
	event_base_free(bed.base);
}

Test(qemu_keeper, what_qemu_refuses_is_told_to_who_asked)
{
	begin(true, 4096);
	bed.qemu.refused = "migrate-set-capabilities";
	open_keeper();
	event_base_dispatch(bed.base);
	cr_assert_not(tandem_qemu_keeper_lets_go(&bed.keeper), "it had no network before");
	cr_assert_eq(bed.keeper.code, TANDEM_E_REFUSED);
	cr_assert_eq(bed.hold_count, 0);
	finish();
}

Test(qemu_keeper, a_qemu_that_does_not_send_is_told_to_who_asked)
{
	begin(true, 4096);
	bed.qemu.stream_bytes = 0;
	open_keeper();
	event_base_dispatch(bed.base);
	cr_assert_eq(bed.keeper.code, TANDEM_E_TIMEOUT);
	finish();
}

Test(qemu_keeper, a_guest_without_a_first_epoch_is_let_go)
{
	begin(true, 16);
	bed.keeper.has_network = true;
	open_keeper();
	event_base_dispatch(bed.base);
	cr_assert_eq(bed.keeper.code, TANDEM_E_USAGE);
	cr_assert_eq(bed.hold_count, 1);
	cr_assert_eq(bed.left_count, 1);
	cr_assert(tandem_qemu_keeper_lets_go(&bed.keeper));
	stop();
	cr_assert_eq(fake_qemu_count(&bed.qemu, "yank"), 1);
	finish();
}

/* Tandem is not started yet, and rings for nobody. */
Test(qemu_keeper, a_guest_that_does_not_run_yet_ends_when_another_node_leads)
{
	begin(false, 4096);
	bed.qemu.status = "inmigrate";
	bed.tandem.is_halted = true;
	open_keeper();
	event_base_dispatch(bed.base);
	cr_assert_eq(bed.keeper.code, TANDEM_E_NOT_LEADER);
	cr_assert_eq(fake_qemu_count(&bed.qemu, "migrate"), 0);
	cr_assert_not(tandem_qemu_keeper_lets_go(&bed.keeper));
	finish();
}

Test(qemu_keeper, the_only_guest_runs_on_without_epochs)
{
	begin(false, 16);
	open_keeper();
	while (fake_qemu_count(&bed.qemu, "migrate") < 3) {
		event_base_loop(bed.base, EVLOOP_ONCE);
		cr_assert_not(event_base_got_break(bed.base), "left: %d", bed.keeper.code);
	}
	stop();
	finish();
}

Test(qemu_keeper, one_that_waits_to_begin_anew_stops_when_told)
{
	begin(false, 4096);
	bed.tandem.test_code = TANDEM_E_AGAIN;
	open_keeper();
	while (bed.keeper.epoch == 0)
		event_base_loop(bed.base, EVLOOP_ONCE);
	close(bed.qemu.fd);
	bed.qemu.fd = -1;
	while (!bed.keeper.is_over)
		event_base_loop(bed.base, EVLOOP_ONCE);
	stop();
	cr_assert_eq(bed.keeper.code, 0);
	finish();
}

/* [C35] */
Test(qemu_keeper, a_guest_that_the_other_node_could_not_go_on_with_is_let_go)
{
	begin(true, 4096);
	bed.tandem.is_misfit = true;
	open_keeper();
	event_base_dispatch(bed.base);
	cr_expect_eq(bed.keeper.code, 0);
	cr_expect_eq(bed.left_count, 1);
	cr_expect(bed.keeper.has_left);
	cr_expect(tandem_qemu_keeper_lets_go(&bed.keeper));
	cr_expect_str_eq(bed.tandem.needs, "QEMU 7.2.22, machine pc-8.2");
	finish();
}

Test(qemu_keeper, one_that_was_protected_stays_so)
{
	begin(true, 4096);
	bed.tandem.is_pair = true;
	open_keeper();
	while (!bed.keeper.has_kept)
		event_base_loop(bed.base, EVLOOP_ONCE);
	bed.tandem.is_pair = false;
	bed.tandem.is_misfit = true;
	eventfd_write(bed.tandem.news_fd, 1);
	for (unsigned i = 0; i < 3; i++)
		event_base_loop(bed.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	cr_expect_eq(bed.left_count, 0);
	cr_expect_eq(bed.tandem.leaving, TANDEM_STAYS);
	stop();
	cr_expect_not(tandem_qemu_keeper_lets_go(&bed.keeper), "another node may go on with it");
	finish();
}
