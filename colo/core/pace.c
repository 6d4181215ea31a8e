#include "pace.h"

#include <string.h>

#define PS_PER_NS UINT64_C(1000)

/* Fewer pages tell of the overhead and not of the rate. */
#define SAMPLE_PAGES 32u
#define FEW_PAGES    256u
#define SAMPLE_NS    UINT64_C(100000)
/* What is expected must leave this part of the budget for what is not. */
#define MARGIN_PART 4u
/* A program that writes too much is held in pieces after this part of the wait. */
#define PATIENCE_PART 4u

/* AUTO: below the first, pushing in the pause costs less than a copy more; the ratios are between
 * what a page takes pushed and copied, in tenths. */
#define STAGE_FROM_NS  UINT64_C(100000)
#define STOP_BELOW_NS  UINT64_C(50000)
#define STAGE_TENTHS   13u
#define STOP_TENTHS    11u
#define COPY_PAGE_PS   UINT64_C(600000) /* until it was measured */
#define RATE_LIMIT_NS  (UINT64_C(1) << 50)
#define PAGES_IN_BLIND 64u

void tandem_pace_init(struct tandem_pace *pace, const struct tandem_pace_options *options)
{
	memset(pace, 0, sizeof *pace);
	pace->options = *options;
	pace->is_staging = options->capture != TANDEM_CAPTURE_STOP;
	pace->is_fitting = true;
	pace->patience_ns = options->wait_max_ns / PATIENCE_PART;
}

/* Follows what is worse at once, and what is better slowly: budgets are for the worst. But one
 * pause that something else made long must not keep all others away. */
static void follow_high(uint64_t *value, uint64_t sample)
{
	if (*value == 0)
		*value = sample;
	else if (sample > *value)
		*value += (sample < 2 * *value ? sample - *value : *value) / 2;
	else
		*value -= (*value - sample) / 16;
}

static void follow_low(uint64_t *value, uint64_t sample)
{
	if (*value == 0 || sample < *value)
		*value = sample;
	else
		*value += (sample - *value) / 16;
}

static void follow(uint64_t *value, uint64_t sample)
{
	if (*value == 0)
		*value = sample;
	else
		*value = (7 * *value + sample) / 8;
}

/* A program that had to be held is likely to write as much in the next epoch; one that had not gets
 * its patience back by halves. */
static void learn_patience(struct tandem_pace *pace)
{
	uint64_t longest_ns = pace->options.wait_max_ns / PATIENCE_PART;

	pace->patience_ns = pace->has_held ? 0 : (pace->patience_ns + longest_ns + 1) / 2;
	pace->has_held = false;
}

void tandem_pace_open(struct tandem_pace *pace, uint64_t now_ns, uint64_t captured_ns)
{
	learn_patience(pace);
	pace->opened_ns = now_ns;
	pace->scanned_ns = captured_ns;
	pace->left_pages = 0;
	pace->is_standing = false;
	pace->held_ns = 0;
	tandem_pace_look(pace, now_ns, 0);
}

/* How long the program has run since what it wrote is known. */
static uint64_t running_ns(const struct tandem_pace *pace, uint64_t now_ns)
{
	uint64_t until_ns = pace->held_ns != 0 && pace->held_ns < now_ns ? pace->held_ns : now_ns;

	return until_ns > pace->scanned_ns ? until_ns - pace->scanned_ns : 0;
}

void tandem_pace_hold(struct tandem_pace *pace, uint64_t now_ns)
{
	pace->held_ns = now_ns;
}

void tandem_pace_let_go(struct tandem_pace *pace, uint64_t now_ns)
{
	if (pace->held_ns != 0)
		pace->scanned_ns = now_ns - running_ns(pace, now_ns);
	pace->held_ns = 0;
}

/* A program that was held for a part of the time writes as before when it is not; too short a time
 * tells nothing. */
static void follow_writing(struct tandem_pace *pace, uint64_t pages, uint64_t span_ns)
{
	double sample, part;

	if (span_ns < SAMPLE_NS)
		return;
	sample = (double)pages / (double)span_ns;
	part = sample > pace->written_per_ns ? 0.5 : 1.0 / 32;
	if (pace->written_per_ns <= 0)
		part = 1;
	pace->written_per_ns += (sample - pace->written_per_ns) * part;
}

void tandem_pace_note_scan(struct tandem_pace *pace, uint64_t now_ns, uint64_t elapsed_ns,
                           uint64_t left_pages)
{
	uint64_t began_ns = now_ns - elapsed_ns;
	uint64_t found_pages = left_pages > pace->left_pages ? left_pages - pace->left_pages : 0;

	follow_writing(pace, found_pages, running_ns(pace, began_ns));
	pace->scanned_ns = began_ns;
	/* Pages that are found are protected again, which is not part of it. */
	if (found_pages < FEW_PAGES || elapsed_ns < pace->scan_ns || pace->scan_ns == 0)
		follow_low(&pace->scan_ns, elapsed_ns);
	tandem_pace_look(pace, now_ns, left_pages);
}

void tandem_pace_stand(struct tandem_pace *pace)
{
	pace->is_standing = true;
	tandem_pace_look(pace, pace->scanned_ns, pace->left_pages);
}

void tandem_pace_note_push(struct tandem_pace *pace, uint64_t pages, uint64_t elapsed_ns)
{
	if (pages >= SAMPLE_PAGES && elapsed_ns < RATE_LIMIT_NS)
		follow(&pace->push_page_ps, elapsed_ns * PS_PER_NS / pages);
}

/* Of every pause, however little it captures. */
static uint64_t base_ns(const struct tandem_pace *pace)
{
	return pace->small_ns > pace->scan_ns ? pace->small_ns : pace->scan_ns;
}

void tandem_pace_note_pause(struct tandem_pace *pace, const struct tandem_pace_pause *pause)
{
	uint64_t *page_ps = pause->is_staged ? &pace->stage_page_ps : &pace->push_page_ps;

	if (pause->rest_ns + pause->pages_ns >= RATE_LIMIT_NS)
		return;
	follow_high(&pace->small_ns, pause->rest_ns);
	if (pause->pages >= FEW_PAGES)
		follow_high(page_ps, pause->pages_ns * PS_PER_NS / pause->pages);
}

static uint64_t page_ps(const struct tandem_pace *pace)
{
	uint64_t stage_ps = pace->stage_page_ps != 0 ? pace->stage_page_ps : COPY_PAGE_PS;

	return pace->is_staging ? stage_ps : pace->push_page_ps;
}

uint64_t tandem_pace_pages_max(const struct tandem_pace *pace)
{
	uint64_t margin_ns = pace->options.budget_ns / MARGIN_PART;
	uint64_t budget_ns = pace->options.budget_ns - margin_ns, base = base_ns(pace);
	uint64_t room_ns = base < budget_ns ? budget_ns - base : 0;

	if (pace->options.budget_ns == 0 || page_ps(pace) == 0)
		return UINT64_MAX;
	/* Where finding pages takes all of it, to wait for fewer of them gains next to nothing. */
	if (room_ns < margin_ns)
		room_ns = margin_ns;
	return room_ns * PS_PER_NS / page_ps(pace);
}

static uint64_t expected_pages(const struct tandem_pace *pace, uint64_t now_ns)
{
	if (pace->is_standing)
		return pace->left_pages;
	return pace->left_pages +
	       (uint64_t)(pace->written_per_ns * (double)running_ns(pace, now_ns));
}

bool tandem_pace_is_hopeless(const struct tandem_pace *pace)
{
	return pace->options.budget_ns != 0 && base_ns(pace) >= pace->options.budget_ns;
}

bool tandem_pace_fits(const struct tandem_pace *pace, uint64_t now_ns)
{
	return expected_pages(pace, now_ns) <= tandem_pace_pages_max(pace);
}

bool tandem_pace_is_overdue(const struct tandem_pace *pace, uint64_t now_ns)
{
	return pace->options.budget_ns != 0 &&
	       now_ns >= pace->opened_ns + pace->options.wait_max_ns;
}

void tandem_pace_look(struct tandem_pace *pace, uint64_t now_ns, uint64_t left_pages)
{
	pace->left_pages = left_pages;
	pace->is_fitting = tandem_pace_fits(pace, now_ns);
}

uint64_t tandem_pace_misfit_ns(const struct tandem_pace *pace, uint64_t now_ns)
{
	uint64_t pages_max = tandem_pace_pages_max(pace);
	uint64_t pages = expected_pages(pace, now_ns);
	double room_ns;

	if (pages_max == UINT64_MAX || pace->is_standing || pace->written_per_ns <= 0)
		return UINT64_MAX;
	if (pages_max <= pages)
		return now_ns;
	room_ns = (double)(pages_max - pages) / pace->written_per_ns;
	return room_ns < (double)RATE_LIMIT_NS ? now_ns + (uint64_t)room_ns : UINT64_MAX;
}

uint64_t tandem_pace_hold_ns(struct tandem_pace *pace, uint64_t now_ns)
{
	if (tandem_pace_fits(pace, now_ns) || now_ns - pace->opened_ns < pace->patience_ns)
		return 0;
	pace->has_held = true;
	return pace->options.budget_ns - pace->options.budget_ns / MARGIN_PART;
}

/* AUTO, with a distance between the two ways so that the choice does not flicker. */
static bool choose(const struct tandem_pace *pace, uint64_t left_pages)
{
	uint64_t copy_ps = pace->stage_page_ps != 0 ? pace->stage_page_ps : COPY_PAGE_PS;
	uint64_t push_ns = pace->push_page_ps * left_pages / PS_PER_NS;
	unsigned tenths = pace->is_staging ? STOP_TENTHS : STAGE_TENTHS;

	if (pace->push_page_ps == 0)
		return true;
	if (push_ns < (pace->is_staging ? STOP_BELOW_NS : STAGE_FROM_NS))
		return false;
	return 10 * pace->push_page_ps >= tenths * copy_ps;
}

bool tandem_pace_stages(struct tandem_pace *pace, uint64_t left_pages)
{
	if (pace->options.capture == TANDEM_CAPTURE_AUTO)
		pace->is_staging = choose(pace, left_pages);
	return pace->is_staging;
}

uint64_t tandem_pace_pages_in(const struct tandem_pace *pace, uint64_t span_ns)
{
	return pace->push_page_ps == 0 ? PAGES_IN_BLIND : span_ns * PS_PER_NS / pace->push_page_ps;
}
