#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <tandem/clock.h>

#include "breaker.h"
#include "lab.h"

/* stress_colo_channels EPOCHS: a program that commits while its data channels end at any of the
 * engine's places, another thread looks at the statistics, and now and then the session is yanked.
 * For thread sanitizer. */
#define CHANNELS    4u
#define PATIENCE_NS (60 * TANDEM_NS_PER_S)

struct stress {
	struct lab *lab;
	_Atomic bool is_over;
};

static void *watch(void *argument)
{
	struct stress *stress = argument;
	uint64_t sum = 0;

	while (!atomic_load(&stress->is_over)) {
		for (unsigned channel = 0; channel < CHANNELS; channel++) {
			const struct tandem_channel_stats *stats =
			        &stress->lab->stats->channels[channel];

			sum += atomic_load(&stats->state) + atomic_load(&stats->bytes) +
			       atomic_load(&stats->lost_count);
		}
		poll(NULL, 0, 1);
	}
	printf("looked at %" PRIu64 "\n", sum % 10);
	return NULL;
}

static bool are_all_up(const struct lab *lab)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;

	for (unsigned channel = 0; channel < CHANNELS; channel++) {
		while (atomic_load(&lab->stats->channels[channel].state) != TANDEM_CHANNEL_UP) {
			if (tandem_clock_now_ns() > deadline_ns)
				return false;
			poll(NULL, 0, 5);
		}
	}
	return true;
}

static bool run_program(struct lab *lab, unsigned epochs)
{
	struct tandem_control_message yank = {.type = TANDEM_CONTROL_YANK};

	for (unsigned epoch = 0; epoch < epochs; epoch++) {
		lab_scribble(lab, epoch + 1, 60);
		if (epoch % 50 == 49)
			controller_send(epoch % 100 == 99 ? lab->primary_control
			                                  : lab->standby_control,
			                &yank);
		if (!lab_commit(lab, "stress")) {
			fprintf(stderr, "FAILED: a commit\n");
			return false;
		}
		if (epoch % 20 == 19 && !lab_images_equal(lab)) {
			fprintf(stderr, "FAILED: the image of epoch %u\n", epoch);
			return false;
		}
	}
	return true;
}

int main(int argument_count, char **arguments)
{
	unsigned epochs = argument_count > 1 ? (unsigned)strtoul(arguments[1], NULL, 10) : 200;
	struct stress stress = {.lab = lab_new("auto", 300, 16)};
	pthread_t watcher;
	bool is_good = lab_protect(stress.lab);

	if (!is_good)
		fprintf(stderr, "FAILED: the pair does not come up\n");
	pthread_create(&watcher, NULL, watch, &stress);
	breaker_storm(25);
	is_good = is_good && run_program(stress.lab, epochs);
	breaker_storm(0);
	if (is_good && !(lab_commit(stress.lab, "end") && lab_images_equal(stress.lab))) {
		fprintf(stderr, "FAILED: the image at the end\n");
		is_good = false;
	}
	if (is_good && !are_all_up(stress.lab)) {
		fprintf(stderr, "FAILED: a channel does not come back\n");
		is_good = false;
	}
	printf("%u channels were broken in %u epochs\n", breaker_count(), epochs);
	atomic_store(&stress.is_over, true);
	pthread_join(watcher, NULL);
	lab_free(stress.lab);
	return is_good && breaker_count() > 0 ? 0 : 1;
}
