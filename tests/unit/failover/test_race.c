#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "directory.h"
#include "shell/register.h"

/* Two processes want every generation. None has two winners, and one without a winner was
 * replaced before its writer looked. */
#define GENERATIONS 1000
#define PROCESSES   2

struct shared {
	uint64_t wins[PROCESSES][GENERATIONS + 2]; /* decision */
	bool was_overtaken[PROCESSES][GENERATIONS + 2];
	atomic_uint there_count;
};

static void race(const char *directory, unsigned who, struct shared *shared)
{
	struct tandem_record last = {.generation = 0};
	struct tandem_error error;
	/* Nobody runs through before the other is there. */
	atomic_fetch_add(&shared->there_count, 1);
	while (atomic_load(&shared->there_count) < PROCESSES)
		sched_yield();
	while (last.generation < GENERATIONS) {
		struct tandem_record current;
		struct tandem_record desired = {.generation = last.generation + 1,
		                                .owner_incarnation = who + 1,
		                                .decision = (last.generation + 1) * PROCESSES + who,
		                                .pair = "kv",
		                                .owner = "a"};
		enum tandem_register_outcome outcome =
		        tandem_register_cas(directory, &last, &desired, &current, &error);
		if (outcome == TANDEM_REGISTER_WON) {
			shared->wins[who][desired.generation] = desired.decision;
			last = desired;
		} else if (outcome == TANDEM_REGISTER_LOST) {
			/* Written, perhaps, and replaced before it was looked at. */
			shared->was_overtaken[who][desired.generation] =
			        current.generation > desired.generation;
			last = current;
		}
		/* Not written or in doubt: the next round asks the same again. */
	}
}

static void check_generation(const struct shared *shared, unsigned generation,
                             unsigned share[PROCESSES])
{
	unsigned count = 0;
	bool was_overtaken = false;
	for (unsigned who = 0; who < PROCESSES; who++) {
		bool has_won = shared->wins[who][generation] != 0;
		was_overtaken |= shared->was_overtaken[who][generation];
		count += has_won;
		share[who] += has_won;
	}
	cr_expect(count == 1 || (count == 0 && was_overtaken), "generation %u has %u winners",
	          generation, count);
}

Test(race, every_generation_has_exactly_one_winner)
{
	char directory[DIRECTORY_BYTES];
	struct tandem_record last;
	unsigned share[PROCESSES] = {0};
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	directory_make(directory);
	for (unsigned who = 0; who < PROCESSES; who++) {
		if (fork() == 0) {
			race(directory, who, shared);
			_exit(0);
		}
	}
	for (unsigned who = 0; who < PROCESSES; who++) {
		int status = -1;
		wait(&status);
		cr_assert(status == 0);
	}
	for (unsigned generation = 1; generation <= GENERATIONS; generation++)
		check_generation(shared, generation, share);
	cr_assert(tandem_register_read(directory, "kv", &last, NULL) == 0);
	cr_expect(last.generation >= GENERATIONS);
	cr_expect(share[0] + share[1] > GENERATIONS * 9 / 10);
	cr_expect(share[0] > 0 && share[1] > 0, "no race took place: %u to %u", share[0], share[1]);
	munmap(shared, sizeof(*shared));
	directory_remove(directory);
}
