#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory.h"
#include "shell/arbiter.h"

static char directory[DIRECTORY_BYTES];
static struct event_base *base;
static struct tandem_arbiter *arbiter;
static struct tandem_arbiter_answer last;
static unsigned answer_count, wanted_count;

static void on_answer(void *context, const struct tandem_arbiter_answer *answer)
{
	cr_assert(context == &last);
	last = *answer;
	if (++answer_count == wanted_count)
		event_base_loopbreak(base);
}

static void begin(void)
{
	struct tandem_controller_pair pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
	directory_make(directory);
	memcpy(pair.name, "kv", 3);
	snprintf(pair.arbiter_path, sizeof(pair.arbiter_path), "%s/shared", directory);
	base = event_base_new();
	cr_assert(tandem_arbiter_new(base, &pair, directory, on_answer, &last, &arbiter, NULL) ==
	          0);
}

static void end(void)
{
	tandem_arbiter_free(arbiter);
	event_base_free(base);
	directory_remove(directory);
}

TestSuite(arbiter, .init = begin, .fini = end);

static void wait_for(unsigned count)
{
	struct timeval deadline = {.tv_sec = 20};
	wanted_count = count;
	event_base_loopexit(base, &deadline);
	event_base_dispatch(base);
	cr_assert(answer_count == count, "the arbiter did not answer");
}

static struct tandem_record make_record(uint64_t generation, uint64_t decision)
{
	return (struct tandem_record){.generation = generation,
	                              .owner_incarnation = 1,
	                              .decision = decision,
	                              .pair = "kv",
	                              .owner = "a"};
}

Test(arbiter, answers_in_the_order_asked_with_the_number_of_the_question)
{
	struct tandem_record nothing = {.generation = 0}, first = make_record(1, 10);
	struct tandem_record second = make_record(1, 20);
	tandem_arbiter_read(arbiter, 1);
	wait_for(1);
	cr_expect(last.type == TANDEM_EVENT_RECORD);
	cr_expect(last.record.generation == 0);
	tandem_arbiter_cas(arbiter, 2, &nothing, &first, false);
	wait_for(2);
	cr_expect(last.type == TANDEM_EVENT_CAS_WON);
	cr_expect(last.request == 2);
	tandem_arbiter_cas(arbiter, 3, &nothing, &second, false);
	tandem_arbiter_read(arbiter, 4);
	wait_for(4);
	cr_expect(last.type == TANDEM_EVENT_RECORD);
	cr_expect(last.request == 4);
	cr_expect(last.record.decision == 10);
}

Test(arbiter, a_lost_cas_brings_the_record_that_is_there)
{
	struct tandem_record nothing = {.generation = 0}, first = make_record(1, 10);
	struct tandem_record second = make_record(1, 20);
	tandem_arbiter_read(arbiter, 1);
	tandem_arbiter_cas(arbiter, 2, &nothing, &first, false);
	tandem_arbiter_cas(arbiter, 3, &nothing, &second, false);
	wait_for(3);
	cr_expect(last.type == TANDEM_EVENT_CAS_LOST);
	cr_expect(last.record.decision == 10);
}

Test(arbiter, what_the_storage_refuses_is_a_failure_with_its_cause)
{
	char path[128];
	FILE *file;
	snprintf(path, sizeof(path), "%s/shared", directory);
	file = fopen(path, "w");
	fclose(file);
	tandem_arbiter_read(arbiter, 1);
	wait_for(1);
	cr_expect(last.type == TANDEM_EVENT_READ_FAILED);
	cr_expect(strstr(last.error.detail, "/shared") != NULL, "%s", last.error.detail);
}

Test(arbiter, adopts_before_it_reads)
{
	struct tandem_record record = make_record(9, 90);
	tandem_arbiter_read(arbiter, 1);
	tandem_arbiter_adopt(arbiter, &record);
	tandem_arbiter_read(arbiter, 2);
	wait_for(2);
	cr_expect(last.record.generation == 9);
}

/* Storage that is not mounted looks like a register that was never written. */
Test(arbiter, a_register_that_went_back_is_not_believed)
{
	struct tandem_record nothing = {.generation = 0}, first = make_record(1, 10);
	char path[160];
	tandem_arbiter_cas(arbiter, 1, &nothing, &first, false);
	tandem_arbiter_read(arbiter, 2);
	wait_for(2);
	cr_expect(last.record.generation == 1);
	snprintf(path, sizeof(path), "%s/shared/kv/gen-%020d", directory, 1);
	cr_assert(unlink(path) == 0);
	tandem_arbiter_read(arbiter, 3);
	wait_for(3);
	cr_expect(last.type == TANDEM_EVENT_READ_FAILED);
	tandem_arbiter_cas(arbiter, 4, &nothing, &first, false);
	wait_for(4);
	cr_expect(last.type == TANDEM_EVENT_CAS_FAILED);
}
