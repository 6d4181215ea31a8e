#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab.h"

/* stress_colo_pair ROUNDS: a program that commits, marks, polls and confirms from several threads
 * while sessions are yanked from both sides and controllers hang up. For thread sanitizer. */

struct stress {
	struct lab *lab;
	unsigned rounds;
	_Atomic bool is_over;
	_Atomic bool has_failed;
};

static void fail(struct stress *stress, const char *what)
{
	fprintf(stderr, "FAILED: %s\n", what);
	atomic_store(&stress->has_failed, true);
	atomic_store(&stress->is_over, true);
}

static void *mark(void *argument)
{
	struct stress *stress = argument;
	struct lab *lab = stress->lab;

	for (size_t at = 0; !atomic_load(&stress->is_over); at = (at + 5) % 60) {
		tandem_mark_dirty(lab->program, lab->regions[0] + at * LAB_PAGE, 3 * LAB_PAGE);
		poll(NULL, 0, 1);
	}
	return NULL;
}

static void *watch(void *argument)
{
	struct stress *stress = argument;
	uint64_t released = 0;

	while (!atomic_load(&stress->is_over)) {
		struct tandem_news news;
		int code;

		tandem_poll(stress->lab->program, &news);
		if (news.released_ticket < released)
			fail(stress, "a ticket was called back");
		released = news.released_ticket;
		code = tandem_wait_released(stress->lab->program, released + 1, 1000000);
		if (code < 0 && code != TANDEM_E_TIMEOUT)
			fail(stress, "waiting for a ticket");
	}
	return NULL;
}

static void hang_up(struct lab *lab, unsigned round)
{
	controller_hang_up(round % 2 == 0 ? lab->primary_control : lab->standby_control);
}

static void *disturb(void *argument)
{
	struct stress *stress = argument;
	struct lab *lab = stress->lab;
	struct tandem_control_message yank = {.type = TANDEM_CONTROL_YANK};

	for (unsigned round = 0; round < stress->rounds && !atomic_load(&stress->is_over);
	     round++) {
		poll(NULL, 0, (int)(round % 7));
		if (round % 5 == 4)
			hang_up(lab, round / 5);
		else if (round % 5 == 2)
			controller_lead(lab->primary_control, lab->generation, true);
		else
			controller_send(round % 2 == 0 ? lab->primary_control
			                               : lab->standby_control,
			                &yank);
	}
	atomic_store(&stress->is_over, true);
	return NULL;
}

static void run_program(struct stress *stress)
{
	uint64_t epochs = 0, ticket;

	while (!atomic_load(&stress->is_over)) {
		lab_scribble(stress->lab, epochs + 1, 20);
		if (!lab_commit(stress->lab, "stress"))
			fail(stress, "a commit");
		if (tandem_confirm(stress->lab->program, &ticket, NULL) < 0)
			fail(stress, "a confirm");
		epochs++;
	}
	printf("%" PRIu64 " epochs\n", epochs);
}

int main(int argument_count, char **arguments)
{
	void *(*const threads[])(void *) = {mark, watch, disturb};
	struct stress stress = {
	        .rounds = argument_count > 1 ? (unsigned)strtoul(arguments[1], NULL, 10) : 100};
	pthread_t handles[3];

	stress.lab = lab_new("auto", 64, 16);
	if (!lab_protect(stress.lab))
		fail(&stress, "the pair does not come up");
	for (unsigned thread = 0; thread < 3; thread++)
		pthread_create(&handles[thread], NULL, threads[thread], &stress);
	run_program(&stress);
	for (unsigned thread = 0; thread < 3; thread++)
		pthread_join(handles[thread], NULL);
	if (!atomic_load(&stress.has_failed) &&
	    (!lab_commit(stress.lab, "end") || !lab_images_equal(stress.lab)))
		fail(&stress, "the image is not the program's memory at the end");
	lab_free(stress.lab);
	return atomic_load(&stress.has_failed) ? 1 : 0;
}
