#include "dead_man.h"

#include <errno.h>
#include <signal.h>

#include <tandem/clock.h>

int tandem_dead_man_open(struct tandem_dead_man *dead_man, struct tandem_error *reterr_error)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};

	*dead_man = (struct tandem_dead_man){.is_open = false};
	if (timer_create(CLOCK_BOOTTIME, &event, &dead_man->timer) != 0)
		return tandem_error_set_errno(
		        reterr_error, TANDEM_E_SYSTEM, errno, "timer_create",
		        "lease_ms is set, but the timer that ends this process "
		        "cannot be had");
	dead_man->is_open = true;
	return 0;
}

/* The timer runs from now: on no clock that can be set, and a thread that is stopped between the
 * two calls only ends the process later by what the end of the lease allows for. So the clock is
 * looked at again afterwards. */
bool tandem_dead_man_arm(struct tandem_dead_man *dead_man, uint64_t end_ns)
{
	uint64_t now_ns = tandem_clock_now_ns();
	struct itimerspec setting = {.it_value = {0}};

	if (!dead_man->is_open)
		return false;
	if (end_ns <= dead_man->end_ns || end_ns <= now_ns)
		return dead_man->end_ns > now_ns;
	do {
		now_ns = tandem_clock_now_ns();
		setting.it_value = tandem_clock_timespec(end_ns > now_ns ? end_ns - now_ns : 1);
		if (timer_settime(dead_man->timer, 0, &setting, NULL) != 0)
			return dead_man->end_ns > now_ns;
	} while (end_ns > now_ns && tandem_clock_now_ns() > now_ns + TANDEM_NS_PER_MS);
	dead_man->end_ns = end_ns;
	return true;
}

void tandem_dead_man_disarm(struct tandem_dead_man *dead_man)
{
	struct itimerspec setting = {.it_value = {0}};

	if (dead_man->is_open && timer_settime(dead_man->timer, 0, &setting, NULL) == 0)
		dead_man->end_ns = 0;
}

void tandem_dead_man_close(struct tandem_dead_man *dead_man)
{
	if (dead_man->is_open)
		timer_delete(dead_man->timer);
	*dead_man = (struct tandem_dead_man){.is_open = false};
}
