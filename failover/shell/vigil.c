#include "shell/vigil.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <tandem/controller.h>
#include <tandem/life.h>
#include <tandem/memory.h>
#include <tandem/stats_page.h>
#include <unistd.h>

_Static_assert(TANDEM_CONTROLLER_PAIRS_MAX < TANDEM_LIFE_WAITS_MAX,
               "a word for each pair, and one");

struct place {
	const struct tandem_stats *page; /* NULL: nobody */
	uint64_t incarnation;
	uint32_t value;  /* of the word when it was read last */
	bool is_awaited; /* by the thread */
	bool is_over;    /* not told yet */
};

struct tandem_vigil {
	/* the loop's */
	struct event *event;
	tandem_vigil_fn on_end;
	void *context;
	pthread_t thread;
	bool has_thread;
	size_t place_count;
	/* under `lock` */
	pthread_mutex_t lock;
	bool is_ending;
	struct place places[TANDEM_CONTROLLER_PAIRS_MAX];
	/* both */
	_Atomic uint32_t change_count; /* a word that the thread waits for, too */
	int event_fd;
};

struct waits {
	unsigned count;
	const _Atomic uint32_t *words[TANDEM_CONTROLLER_PAIRS_MAX + 1];
	uint32_t values[TANDEM_CONTROLLER_PAIRS_MAX + 1];
};

static void add_wait(struct waits *waits, const _Atomic uint32_t *word, uint32_t value)
{
	waits->words[waits->count] = word;
	waits->values[waits->count++] = value;
}

/* False when the thread is to end. A page that is replaced behind this list is no harm: the count
 * of changes is on it, and the kernel looks at that again. */
static bool list_waits(struct tandem_vigil *vigil, struct waits *ret_waits)
{
	ret_waits->count = 0;
	pthread_mutex_lock(&vigil->lock);
	bool is_ending = vigil->is_ending;
	add_wait(ret_waits, &vigil->change_count, atomic_load(&vigil->change_count));
	for (size_t i = 0; i < vigil->place_count; i++) {
		const struct place *place = &vigil->places[i];
		if (place->is_awaited)
			add_wait(ret_waits, &place->page->life, place->value);
	}
	pthread_mutex_unlock(&vigil->lock);
	return !is_ending;
}

/* A program may say READY a moment before its thread has begun. What has another word afterwards is
 * not looked at again, so that no program keeps this thread busy. */
static bool look(struct place *place)
{
	uint32_t value = place->is_awaited ? atomic_load(&place->page->life) : place->value;
	if (value == place->value)
		return false;
	bool has_begun = place->value == 0 && tandem_life_read(value) == TANDEM_LIFE_LIVES;
	place->value = value;
	place->is_awaited = has_begun;
	place->is_over = tandem_life_read(value) == TANDEM_LIFE_OVER;
	return place->is_over;
}

static void look_at_all(struct tandem_vigil *vigil)
{
	uint64_t one = 1;
	bool has_news = false;
	pthread_mutex_lock(&vigil->lock);
	for (size_t i = 0; i < vigil->place_count; i++)
		has_news |= look(&vigil->places[i]);
	pthread_mutex_unlock(&vigil->lock);
	/* The counter cannot overflow, so this write does not fail or block. */
	ssize_t written = has_news ? write(vigil->event_fd, &one, sizeof(one)) : 0;
	(void)written;
}

static void *run(void *context)
{
	struct tandem_vigil *vigil = context;
	struct waits waits;
	while (list_waits(vigil, &waits)) {
		if (!tandem_life_wait(waits.words, waits.values, waits.count))
			return NULL;
		look_at_all(vigil);
	}
	return NULL;
}

static void on_news(evutil_socket_t fd, short what, void *context)
{
	struct tandem_vigil *vigil = context;
	uint64_t counter;
	(void)what;
	ssize_t length = read(fd, &counter, sizeof(counter));
	(void)length;
	for (size_t i = 0; i < vigil->place_count; i++) {
		pthread_mutex_lock(&vigil->lock);
		bool is_over = vigil->places[i].is_over;
		uint64_t incarnation = vigil->places[i].incarnation;
		vigil->places[i].is_over = false;
		pthread_mutex_unlock(&vigil->lock);
		if (is_over)
			vigil->on_end(vigil->context, i, incarnation);
	}
}

static void fill(struct place *place, const struct tandem_stats *page, uint64_t incarnation)
{
	*place = (struct place){.page = page, .incarnation = incarnation};
	place->value = atomic_load(&page->life);
	/* One that has ended meanwhile is told by its pidfd. */
	place->is_awaited = tandem_life_read(place->value) != TANDEM_LIFE_OVER;
}

static void tell_thread(struct tandem_vigil *vigil)
{
	atomic_fetch_add(&vigil->change_count, 1);
	tandem_life_wake(&vigil->change_count);
}

void tandem_vigil_watch(struct tandem_vigil *vigil, size_t index, const char *run_directory,
                        const char *pair, uint64_t incarnation)
{
	struct place *place = &vigil->places[index];
	const struct tandem_stats *page = NULL;
	if (tandem_stats_open(run_directory, pair, &page, NULL) != 0)
		return;
	if (page->incarnation != incarnation) {
		tandem_stats_close(page);
		return;
	}
	pthread_mutex_lock(&vigil->lock);
	const struct tandem_stats *replaced = place->page;
	fill(place, page, incarnation);
	pthread_mutex_unlock(&vigil->lock);
	tell_thread(vigil);
	tandem_stats_close(replaced);
}

static int start_thread(struct tandem_vigil *vigil, struct tandem_error *reterr_error)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int status = pthread_create(&vigil->thread, NULL, run, vigil);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, status,
		                              "pthread_create", "the watch over programs");
	vigil->has_thread = true;
	return 0;
}

int tandem_vigil_new(struct event_base *base, size_t place_count, tandem_vigil_fn on_end,
                     void *context, struct tandem_vigil **ret_vigil,
                     struct tandem_error *reterr_error)
{
	struct tandem_vigil *vigil = tandem_memory_alloc(sizeof(*vigil));
	if (!vigil)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "vigil", "no memory");
	pthread_mutex_init(&vigil->lock, NULL);
	vigil->place_count = place_count;
	vigil->on_end = on_end;
	vigil->context = context;
	vigil->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vigil->event_fd >= 0)
		vigil->event =
		        event_new(base, vigil->event_fd, EV_READ | EV_PERSIST, on_news, vigil);
	int status = vigil->event && event_add(vigil->event, NULL) == 0
	                     ? start_thread(vigil, reterr_error)
	                     : tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "vigil",
	                                        "no event for the ends of programs");
	if (status != 0) {
		tandem_vigil_free(vigil);
		return status;
	}
	*ret_vigil = vigil;
	return 0;
}

static void end_thread(struct tandem_vigil *vigil)
{
	pthread_mutex_lock(&vigil->lock);
	vigil->is_ending = true;
	pthread_mutex_unlock(&vigil->lock);
	tell_thread(vigil);
	pthread_join(vigil->thread, NULL);
}

void tandem_vigil_free(struct tandem_vigil *vigil)
{
	if (!vigil)
		return;
	if (vigil->has_thread)
		end_thread(vigil);
	if (vigil->event)
		event_free(vigil->event);
	if (vigil->event_fd >= 0)
		close(vigil->event_fd);
	for (size_t i = 0; i < vigil->place_count; i++)
		tandem_stats_close(vigil->places[i].page);
	pthread_mutex_destroy(&vigil->lock);
	tandem_memory_free(vigil);
}
