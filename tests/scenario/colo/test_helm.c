#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>

#include <tandem/clock.h>

#include "lab.h"

/* A thread of the program that waits drives the engine: what others ask for meanwhile is done at
 * once, and one that is cancelled takes nothing with it. */

#define PATIENCE_NS (20 * TANDEM_NS_PER_S)
#define SOON_NS     (TANDEM_NS_PER_S / 2) /* unasked, the engine looks at the world each second */
#define LATE_MS     20

/* One that is not woken is late about every time, a busy machine makes few late. */
#define ROUNDS   10
#define LATE_MAX 2

int __real_ppoll(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
int __wrap_ppoll(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);

struct waiter {
	struct lab *lab;
	uint64_t ticket;
	pthread_t thread;
	sem_t begins_to_sleep, may_sleep;
	int code;
};

static _Thread_local struct waiter *late; /* its next sleep begins late */

/* The engine's own thread is there first. */
int __wrap_ppoll(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask)
{
	struct waiter *waiter = late;

	late = NULL;
	if (waiter != NULL) {
		sem_post(&waiter->begins_to_sleep);
		sem_wait(&waiter->may_sleep);
		poll(NULL, 0, LATE_MS);
	}
	return __real_ppoll(descriptors, count, timeout, mask);
}

static void *wait_released(void *argument)
{
	struct waiter *waiter = argument;

	waiter->code = tandem_wait_released(waiter->lab->program, waiter->ticket, UINT64_MAX);
	return NULL;
}

/* Another thread may have the helm just then. */
static void *drive(void *argument)
{
	struct waiter *waiter = argument;

	late = waiter;
	do {
		waiter->code =
		        tandem_wait_released(waiter->lab->program, waiter->ticket, 4 * SOON_NS);
	} while (waiter->code == TANDEM_E_TIMEOUT);
	return NULL;
}

/* Until it drives, for the ticket that comes next. */
static void start(struct waiter *waiter, struct lab *lab)
{
	struct tandem_news news;

	*waiter = (struct waiter){.lab = lab};
	sem_init(&waiter->begins_to_sleep, 0, 0);
	sem_init(&waiter->may_sleep, 0, 0);
	tandem_poll(lab->program, &news);
	waiter->ticket = news.released_ticket + 1;
	cr_assert_eq(pthread_create(&waiter->thread, NULL, drive, waiter), 0);
	sem_wait(&waiter->begins_to_sleep);
}

static void end(struct waiter *waiter)
{
	cr_assert_eq(pthread_join(waiter->thread, NULL), 0);
	cr_expect_eq(waiter->code, 0);
	sem_destroy(&waiter->begins_to_sleep);
	sem_destroy(&waiter->may_sleep);
}

/* Nothing but what is asked for makes the engine look at the world; who wants the helm waits
 * for it as long as it may. */
static struct lab *quiet_lab(void)
{
	struct lab *lab = lab_new("mark", 64, 16);

	lab->settings.ping_interval_ns = PATIENCE_NS;
	lab->settings.commit_timeout_ns = 3 * PATIENCE_NS;
	lab->settings.report_interval_ns = PATIENCE_NS;
	lab->settings.poll_ns = TANDEM_NS_PER_MS;
	controller_configure(lab->primary_control, &lab->settings);
	cr_assert(lab_protect(lab) && lab_commit(lab, NULL));
	return lab;
}

Test(helm, a_checkpoint_wakes_the_thread_that_drives, .timeout = 120)
{
	struct lab *lab = quiet_lab();
	struct waiter waiter;
	uint64_t ticket;
	unsigned late_count = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		start(&waiter, lab);
		uint64_t asked_ns = tandem_clock_now_ns();
		cr_assert_eq(tandem_checkpoint_begin(lab->program, NULL, 0, &ticket, NULL), 0);
		sem_post(&waiter.may_sleep);
		cr_assert_eq(tandem_checkpoint_wait(lab->program, PATIENCE_NS), 0);
		late_count += tandem_clock_now_ns() - asked_ns > SOON_NS;
		end(&waiter);
	}
	cr_expect_leq(late_count, LATE_MAX);
	lab_free(lab);
}

Test(helm, a_confirmation_wakes_the_thread_that_drives, .timeout = 120)
{
	struct lab *lab = quiet_lab();
	struct waiter waiter;
	uint64_t ticket;
	unsigned late_count = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		start(&waiter, lab);
		uint64_t asked_ns = tandem_clock_now_ns();
		cr_assert_eq(tandem_confirm(lab->program, &ticket, NULL), 0);
		sem_post(&waiter.may_sleep);
		end(&waiter);
		late_count += tandem_clock_now_ns() - asked_ns > SOON_NS;
	}
	cr_expect_leq(late_count, LATE_MAX);
	lab_free(lab);
}

Test(helm, a_thread_that_is_cancelled_leaves_nothing_locked, .timeout = 120)
{
	struct lab *lab = lab_new("mark", 64, 16);
	struct waiter waiter = {.lab = lab};
	void *result = NULL;

	cr_assert(lab_start_program(lab));
	cr_assert_eq(tandem_confirm(lab->program, &waiter.ticket, NULL), 0);
	waiter.ticket += 1000;
	cr_assert_eq(pthread_create(&waiter.thread, NULL, wait_released, &waiter), 0);
	pthread_cancel(waiter.thread);
	cr_assert_eq(pthread_join(waiter.thread, &result), 0);
	cr_assert_eq(result, PTHREAD_CANCELED);
	cr_assert(lab_start_standby(lab) && lab_copy(lab) && lab_pair(lab));
	cr_assert(lab_commit(lab, NULL) && lab_images_equal(lab));
	lab_free(lab);
}
