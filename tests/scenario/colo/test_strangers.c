#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/crc32c.h>
#include <tandem/random.h>

#include "core/wire.h"
#include "lab.h"

/* The good session goes on: it was never lost, and commits. */
static void expect_untouched(struct lab *lab, uint64_t seed)
{
	cr_expect(!controller_has(lab->primary_control, TANDEM_CONTROL_SESSION_LOST));
	lab_scribble(lab, seed, 20);
	cr_assert(lab_commit(lab, "good"));
	cr_assert(lab_images_equal(lab));
}

static void expect_refused(struct lab *lab, const struct tandem_wire_message *hello,
                           const char *reason)
{
	struct tandem_session *session = stranger_connect(lab, hello->channel_count);
	struct tandem_wire_message answer;

	cr_assert_not_null(session);
	cr_assert(stranger_say(session, hello));
	cr_assert(stranger_hear(session, &answer), "%s", reason);
	cr_expect_eq(answer.type, TANDEM_WIRE_REFUSED, "%s", reason);
	cr_expect(strstr(answer.reason, reason) != NULL, "'%s', not '%s'", answer.reason, reason);
	cr_expect(stranger_is_lost(session));
	tandem_session_free(session);
}

Test(strangers, a_wrong_hello_is_refused_and_the_good_session_goes_on)
{
	struct lab *lab = lab_new("auto", 64, 16);
	struct tandem_wire_message hello;

	cr_assert(lab_protect(lab) && lab_commit(lab, "x"));
	stranger_hello(lab, &hello)->generation--;
	expect_refused(lab, &hello, "generation has passed");
	stranger_hello(lab, &hello)->generation++;
	expect_refused(lab, &hello, "does not know that generation");
	memcpy(stranger_hello(lab, &hello)->pair, "other", sizeof "other");
	expect_refused(lab, &hello, "does not serve that pair");
	stranger_hello(lab, &hello)->primary_incarnation++;
	expect_refused(lab, &hello, "another incarnation");
	stranger_hello(lab, &hello)->primary_incarnation = 0;
	expect_refused(lab, &hello, "never 0");
	stranger_hello(lab, &hello)->regions.entries[1].page_count = 0;
	expect_refused(lab, &hello, "region table");
	stranger_hello(lab, &hello)->regions.entries[1].name[0] = '/';
	expect_refused(lab, &hello, "region table");
	memcpy(stranger_hello(lab, &hello)->regions.entries[1].name, "heap", sizeof "heap");
	expect_refused(lab, &hello, "region table");
	stranger_hello(lab, &hello)->regions.count = 0;
	expect_refused(lab, &hello, "region table");
	stranger_hello(lab, &hello)->state_bytes_max = UINT32_MAX;
	expect_refused(lab, &hello, "region table");
	expect_untouched(lab, 11);
	lab_free(lab);
}

Test(strangers, random_bytes_as_hello_do_no_harm)
{
	struct lab *lab = lab_new("auto", 64, 16);
	uint64_t seed = 4711;
	struct tandem_wire_message hello;
	uint8_t good[TANDEM_WIRE_BYTES_MAX];
	size_t good_bytes;

	cr_assert(lab_protect(lab) && lab_commit(lab, "x"));
	good_bytes = tandem_wire_encode(stranger_hello(lab, &hello), good);
	for (unsigned round = 0; round < 40; round++) {
		uint8_t bytes[TANDEM_WIRE_BYTES_MAX];
		struct tandem_session *session = stranger_connect(lab, 1);
		size_t length = 1 + tandem_random_next(&seed) % sizeof bytes;

		cr_assert_not_null(session);
		for (size_t index = 0; index < sizeof bytes; index++)
			bytes[index] = (uint8_t)tandem_random_next(&seed);
		if (round % 2 == 0) { /* a HELLO with one wrong byte, or cut short */
			memcpy(bytes, good, good_bytes);
			length = round % 4 == 0 ? good_bytes
			                        : 1 + tandem_random_next(&seed) % (good_bytes - 1);
			bytes[tandem_random_next(&seed) % length] ^= 0x10;
		}
		cr_assert_eq(tandem_session_send(session, bytes, length), 0);
		cr_expect(stranger_is_lost(session), "round %u", round);
		tandem_session_free(session);
	}
	expect_untouched(lab, 12);
	lab_free(lab);
}

/* The right primary, so the standby takes the session; then it says nonsense. */
static struct tandem_session *greeted(struct lab *lab, struct tandem_wire_message *ret_welcome)
{
	struct tandem_wire_message hello;
	struct tandem_session *session = stranger_connect(lab, 4);

	if (session == NULL || !stranger_say(session, stranger_hello(lab, &hello)) ||
	    !stranger_hear(session, ret_welcome) || ret_welcome->type != TANDEM_WIRE_WELCOME)
		return tandem_session_free(session);
	return session;
}

static bool knows_generation(const struct tandem_control_message *report, uint64_t generation)
{
	return report->generation == generation;
}

static void start_without_program(struct lab *lab)
{
	cr_assert(lab_start_standby(lab));
	lab->generation = 1;
	controller_stand_by(lab->standby_control, 1, 0);
	cr_assert(controller_wait_report(lab->standby_control, knows_generation, 1));
}

Test(strangers, nonsense_after_welcome_ends_the_session_only)
{
	struct lab *lab = lab_new("auto", 64, 16);
	struct tandem_wire_message message;
	uint64_t seed = 99;

	start_without_program(lab);
	for (unsigned round = 0; round < 8; round++) {
		struct tandem_session *session;
		uint8_t bytes[300];

		session = greeted(lab, &message);
		cr_assert_not_null(session, "round %u", round);
		cr_expect(message.is_fresh);
		for (size_t index = 0; index < sizeof bytes; index++)
			bytes[index] = (uint8_t)tandem_random_next(&seed);
		if (round % 2 == 0)
			cr_assert_eq(tandem_session_send(session, bytes, sizeof bytes), 0);
		else
			cr_assert(stranger_say(session, stranger_hello(lab, &message)));
		cr_expect(stranger_is_lost(session), "round %u", round);
		tandem_session_free(session);
	}
	lab_free(lab);
}

struct seal_story {
	struct tandem_session *session;
	uint8_t *slots;
	struct tandem_layout layout;
};

static void prepare_seal(struct lab *lab, struct seal_story *story,
                         struct tandem_wire_message *message)
{
	story->session = greeted(lab, message);
	cr_assert_not_null(story->session);
	stranger_hello(lab, message);
	cr_assert(tandem_layout_init(&story->layout, &message->regions, message->channel_count,
	                             message->stripe_pages, message->state_bytes_max));
	story->slots = calloc(1, tandem_layout_slots_bytes(&story->layout));
	cr_assert_eq(tandem_session_register(story->session, story->slots,
	                                     tandem_layout_slots_bytes(&story->layout), NULL),
	             0);
}

static void post_slot(struct seal_story *story, unsigned channel, uint64_t offset, uint32_t length,
                      bool is_notify, uint32_t immediate)
{
	struct tandem_write write = {.memory_id = TANDEM_SLOTS_MEMORY_ID,
	                             .offset = offset,
	                             .source = story->slots + offset,
	                             .length = length};
	unsigned taken = 0;

	if (is_notify)
		cr_assert_eq(tandem_session_notify(story->session, channel, &write, immediate), 0);
	else
		cr_assert_eq(tandem_session_write(story->session, channel, &write, 1, &taken), 0);
}

/* What a trailer may get wrong; each must end the session and change nothing. */
enum wrong {
	RANDOM,
	VERSION,
	GENERATION,
	EPOCH,
	BASE,
	MASK,
	CHANNEL,
	RUNS,
	RUN_OUTSIDE,
	STATE,
	WRONGS
};

static void spoil(struct seal_story *story, enum wrong wrong, struct tandem_trailer *trailer,
                  struct tandem_run *run)
{
	trailer->generation += wrong == GENERATION;
	trailer->epoch -= wrong == EPOCH;
	trailer->base += wrong == BASE;
	trailer->mask = wrong == MASK ? 0xff : trailer->mask;
	trailer->channel += wrong == CHANNEL;
	trailer->run_count = wrong == RUNS ? UINT32_MAX : trailer->run_count;
	trailer->state_bytes = wrong == STATE ? UINT32_MAX : 0;
	run->first_page = wrong == RUN_OUTSIDE ? story->layout.page_count : 0;
}

static void seal_wrongly(struct lab *lab, enum wrong wrong)
{
	struct seal_story story;
	struct tandem_wire_message message;
	struct tandem_trailer trailer = {
	        .generation = 1, .epoch = 1, .mask = 1, .run_count = 1, .data_pages = 1};
	struct tandem_run run = {.page_count = 1, .kind = TANDEM_RUN_DATA};
	uint64_t at, runs_at;

	prepare_seal(lab, &story, &message);
	at = tandem_layout_trailer_offset(&story.layout, 1, 0);
	runs_at = tandem_layout_runs_offset(&story.layout, 1, 0);
	spoil(&story, wrong, &trailer, &run);
	tandem_run_encode(&run, story.slots + runs_at);
	trailer.run_crc = tandem_crc32c(0, story.slots + runs_at, TANDEM_RUN_BYTES);
	tandem_trailer_encode(&trailer, story.slots + at);
	if (wrong == RANDOM)
		story.slots[at + 40] ^= 1;
	if (wrong == VERSION)
		story.slots[at + 4] ^= 1;
	post_slot(&story, 0, runs_at, TANDEM_RUN_BYTES, false, 0);
	post_slot(&story, 0, at, TANDEM_TRAILER_BYTES, true, 1);
	cr_expect(stranger_is_lost(story.session), "wrong %d", wrong);
	tandem_session_free(story.session);
	free(story.slots);
}

Test(strangers, a_wrong_seal_is_never_applied)
{
	struct lab *lab = lab_new("auto", 64, 16);

	start_without_program(lab);
	for (unsigned wrong = 0; wrong < WRONGS; wrong++)
		seal_wrongly(lab, (enum wrong)wrong);
	/* The regions of this lab are zeros, and so must the images be. */
	cr_expect(lab_images_equal(lab));
	lab_free(lab);
}
