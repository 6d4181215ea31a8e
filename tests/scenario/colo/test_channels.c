#include <criterion/criterion.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include <tandem/clock.h>

#include "breaker.h"
#include "lab.h"

/* A lost data channel is not a lost session, whenever it is lost. */
#define CHANNELS    4u
#define PATIENCE_NS (20 * TANDEM_NS_PER_S)

static unsigned up_count(const struct lab *lab)
{
	unsigned count = 0;

	for (unsigned channel = 0; channel < CHANNELS; channel++)
		count += atomic_load(&lab->stats->channels[channel].state) == TANDEM_CHANNEL_UP;
	return count;
}

static unsigned lost_count(const struct lab *lab)
{
	unsigned count = 0;

	for (unsigned channel = 0; channel < CHANNELS; channel++)
		count += atomic_load(&lab->stats->channels[channel].lost_count);
	return count;
}

/* They come back in the background, which shows in the statistics. */
static bool wait_all_up(const struct lab *lab, unsigned lost_min)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;

	while (up_count(lab) < CHANNELS || lost_count(lab) < lost_min) {
		if (tandem_clock_now_ns() > deadline_ns)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

static bool is_session_same(struct lab *lab)
{
	struct tandem_news news;

	tandem_poll(lab->program, &news);
	return !controller_has(lab->primary_control, TANDEM_CONTROL_SESSION_LOST) &&
	       !controller_has(lab->standby_control, TANDEM_CONTROL_SESSION_LOST) && news.is_pair &&
	       news.generation == lab->generation;
}

static void lose_at(const char *place, unsigned passage, uint32_t channel_mask)
{
	struct lab *lab = lab_new("auto", 2000, 16);

	cr_assert(lab_protect(lab) && lab_commit(lab, "before"));
	lab_scribble(lab, passage + channel_mask, 4000);
	breaker_arm(place, passage, channel_mask);
	cr_assert(lab_commit(lab, "during"), "%s, channels %x", place, channel_mask);
	cr_assert(lab_images_equal(lab), "%s, channels %x", place, channel_mask);
	lab_scribble(lab, passage, 50);
	cr_assert(lab_commit(lab, "after") && lab_images_equal(lab));
	cr_assert(breaker_has_struck(), "%s is not passed so often", place);
	cr_assert(wait_all_up(lab, 1), "%s: %u of %u channels are up", place, up_count(lab),
	          CHANNELS);
	lab_scribble(lab, passage + 7, 4000);
	cr_assert(lab_commit(lab, "with all") && lab_images_equal(lab));
	cr_expect(is_session_same(lab), "%s, channels %x", place, channel_mask);
	cr_expect(lab->stats->channels[__builtin_ctz(channel_mask)].first_error[0] != '\0');
	lab_free(lab);
}

Test(channels, one_that_ends_before_a_checkpoint)
{
	lose_at("run", 1, 1);
	lose_at("scan", 1, 4);
}

Test(channels, one_that_ends_in_the_push)
{
	lose_at("push", 1, 1);
	lose_at("push", 2, 2);
	lose_at("push", 3, 8);
}

Test(channels, one_that_ends_in_the_seal)
{
	lose_at("seal", 1, 1);
	lose_at("seal", 1, 8);
	lose_at("seal", 3, 2);
}

Test(channels, one_that_ends_when_the_epoch_is_sealed)
{
	lose_at("wait", 1, 1);
	lose_at("wait", 1, 4);
}

Test(channels, one_that_ends_when_the_epoch_is_committed)
{
	lose_at("apply", 1, 1);
	lose_at("apply", 1, 2);
}

Test(channels, all_but_one_at_once)
{
	lose_at("push", 2, 7);
	lose_at("wait", 1, 14);
}

Test(channels, one_that_ends_in_the_first_copy)
{
	struct lab *lab = lab_new("auto", 20000, 16);

	for (size_t page = 0; page < 20000; page++)
		lab->regions[0][page * LAB_PAGE] = (uint8_t)(page + 1);
	cr_assert(lab_start_program(lab) && lab_start_standby(lab));
	breaker_arm("push", 3, 2);
	cr_assert(lab_copy(lab) && lab_pair(lab));
	cr_assert(breaker_has_struck() && lab_images_equal(lab));
	cr_assert(wait_all_up(lab, 1));
	cr_assert(lab_commit(lab, "after"));
	cr_expect(is_session_same(lab));
	lab_free(lab);
}

static void fill(struct lab *lab, int value)
{
	memset(lab->regions[0], value, lab->region_bytes[0]);
}

static bool is_nothing_on_its_way(const struct lab *lab)
{
	unsigned count = 0;

	for (unsigned channel = 0; channel < CHANNELS; channel++)
		count += atomic_load(&lab->stats->channels[channel].inflight_count);
	return count == 0;
}

/* A standby that is held hears nothing: it must have heard of the generation, in which it is to
 * acknowledge [C19], before. */
static bool hold_at_next_epoch(struct lab *lab, const char *place)
{
	bool is_known = lab_commit(lab, "in the generation of PAIR");

	breaker_hold_next(place);
	return is_known;
}

/* [C17]: the program goes on when no write reads its memory any more, although the capture comes to
 * nothing. What it stores then and takes back, hashes do not show. */
Test(channels, a_capture_that_is_given_up_reads_no_later_memory)
{
	struct lab *lab = lab_new("compare", 24000, 16);
	uint64_t ticket;
	int code;

	cr_assert(lab_protect(lab));
	cr_assert(hold_at_next_epoch(lab, "standby_told")); /* with what it had applied before */
	fill(lab, 1);
	cr_assert(lab_commit(lab, "before"));
	fill(lab, 2);
	breaker_arm("push", 40, 2); /* when nothing more is taken */
	cr_assert_eq(tandem_checkpoint_begin(lab->program, NULL, 0, &ticket, NULL), 0);
	code = tandem_checkpoint_wait(lab->program, TANDEM_NS_PER_S);
	if (code == 0)
		fill(lab, 3);
	breaker_let_go();
	cr_assert_eq(tandem_checkpoint_wait(lab->program, PATIENCE_NS), 0);
	cr_assert(breaker_has_struck() && wait_all_up(lab, 1));
	while (!is_nothing_on_its_way(lab))
		poll(NULL, 0, 1);
	fill(lab, 2);
	cr_assert(lab_commit(lab, "after") && lab_images_equal(lab));
	cr_expect_eq(code, TANDEM_E_TIMEOUT, "the standby takes nothing: %d", code);
	lab_free(lab);
}

/* The used length is part of a checkpoint as the state is. */
Test(channels, the_used_length_of_a_checkpoint_stays_as_it_is)
{
	struct lab *lab = lab_new("auto", 64, 16);
	struct tandem_error error = {0};
	uint64_t ticket;

	cr_assert(lab_protect(lab));
	cr_assert(hold_at_next_epoch(lab, "standby_acknowledged"));
	fill(lab, 1);
	cr_assert(lab_commit(lab, "before"));
	fill(lab, 2);
	cr_assert_eq(tandem_checkpoint_begin(lab->program, NULL, 0, &ticket, NULL), 0);
	cr_expect_eq(tandem_checkpoint_wait(lab->program, 50 * TANDEM_NS_PER_MS), TANDEM_E_TIMEOUT);
	cr_expect_eq(tandem_region_use(lab->program, "heap", 0, &error), TANDEM_E_USAGE);
	breaker_let_go();
	cr_assert_eq(tandem_wait_released(lab->program, ticket, PATIENCE_NS), 0);
	cr_expect(lab_images_equal(lab));
	cr_assert_eq(tandem_checkpoint_wait(lab->program, PATIENCE_NS), 0);
	cr_expect_eq(tandem_region_use(lab->program, "heap", 0, NULL), 0);
	cr_assert(lab_commit(lab, "after"));
	fill(lab, 0);
	cr_expect(lab_images_equal(lab));
	lab_free(lab);
}

/* The last one is the session's, and the session comes back with the dirty map. */
Test(channels, the_last_one_is_the_sessions)
{
	struct lab *lab = lab_new("auto", 2000, 16);
	uint64_t before;

	cr_assert(lab_protect(lab));
	for (size_t page = 0; page < 2000; page++)
		lab->regions[0][page * LAB_PAGE] = (uint8_t)(page + 1);
	cr_assert(lab_commit(lab, "all") && lab_images_equal(lab));
	before = atomic_load(&lab->stats->pages_pushed);
	breaker_arm("wait", 1, 15);
	lab->regions[0][77 * LAB_PAGE]++;
	cr_assert(lab_commit(lab, "one") && lab_images_equal(lab));
	cr_assert(breaker_has_struck());
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_LOST, NULL));
	cr_expect_leq(atomic_load(&lab->stats->pages_pushed) - before, 64, "delta only");
	cr_assert(wait_all_up(lab, 0));
	lab_free(lab);
}

/* The socket of a data channel, as the kernel sees it: one that has carried much. */
static int find_data_socket(const struct lab *lab)
{
	for (int fd = 3; fd < 1024; fd++) {
		struct sockaddr_in peer;
		struct tcp_info info;
		socklen_t length = sizeof peer, info_bytes = sizeof info;

		if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0 &&
		    peer.sin_family == AF_INET && ntohs(peer.sin_port) == lab->settings.peer_port &&
		    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_bytes) == 0 &&
		    info.tcpi_bytes_acked > 1000000)
			return fd;
	}
	return -1;
}

/* Not by our own hand: from the network's side. */
Test(channels, a_connection_that_the_network_cuts)
{
	struct lab *lab = lab_new("auto", 4000, 16);

	cr_assert(lab_protect(lab));
	for (size_t page = 0; page < 4000; page++)
		lab->regions[0][page * LAB_PAGE] = (uint8_t)(page + 1);
	cr_assert(lab_commit(lab, "much"));
	for (unsigned round = 0; round < 5; round++) {
		int fd = find_data_socket(lab);

		cr_assert_geq(fd, 0, "round %u", round);
		cr_assert_eq(shutdown(fd, SHUT_RDWR), 0);
		for (size_t page = 0; page < 4000; page++)
			lab->regions[0][page * LAB_PAGE]++;
		cr_assert(lab_commit(lab, "on") && lab_images_equal(lab), "round %u", round);
		cr_assert(wait_all_up(lab, round + 1), "round %u", round);
	}
	cr_expect(is_session_same(lab));
	lab_free(lab);
}

/* One line each, through the controller. */
Test(channels, a_loss_and_a_return_are_told)
{
	struct lab *lab = lab_new("auto", 64, 16);
	struct tandem_control_message message;

	cr_assert(lab_protect(lab));
	breaker_arm("wait", 1, 4);
	lab_scribble(lab, 1, 50);
	cr_assert(lab_commit(lab, "x") && wait_all_up(lab, 1));
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_REPORT, &message));
	cr_expect(strstr(message.text, "data channel 2 lost: ") != NULL, "'%s'", message.text);
	cr_expect(strstr(message.text, "; 3 of 4 are up") != NULL, "'%s'", message.text);
	cr_assert(controller_wait(lab->primary_control, TANDEM_CONTROL_REPORT, &message));
	cr_expect_str_eq(message.text, "data channel 2 joined again; 4 of 4 are up");
	lab_free(lab);
}
