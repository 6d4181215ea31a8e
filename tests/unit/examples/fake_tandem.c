#include "fake_tandem.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tandem/error.h>
#include <tandem/tandem.h>

struct tandem {
	pthread_mutex_t lock;
	int event;
	int commands;
	bool is_reading;
	pthread_t reader;
	uint64_t ticket;
	uint64_t released;
	uint64_t epoch;
	unsigned checkpoints;
	unsigned confirms;
	unsigned regions;
	size_t used_bytes;
	bool is_holding;
	bool is_busy;
	bool is_wanting;
	bool is_halted;
};

static struct tandem fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .event = -1, .commands = -1};

static void fake_wake(void)
{
	uint64_t one = 1;

	if (write(fake.event, &one, sizeof(one)) != sizeof(one))
		abort();
}

void fake_tandem_command(char letter)
{
	pthread_mutex_lock(&fake.lock);
	switch (letter) {
	case 'h':
		fake.is_holding = true;
		break;
	case 'r':
		fake.is_holding = false;
		fake.released = fake.ticket;
		break;
	case 'b':
		fake.is_busy = true;
		break;
	case 'i':
		fake.is_busy = false;
		break;
	case 'w':
		fake.is_wanting = true;
		break;
	case 'x':
		fake.is_halted = true;
		break;
	default:
		abort();
	}
	dprintf(STDERR_FILENO, "fake: %c checkpoints=%u confirms=%u regions=%u used=%zu\n", letter,
	        fake.checkpoints, fake.confirms, fake.regions, fake.used_bytes >> 20);
	fake_wake();
	pthread_mutex_unlock(&fake.lock);
}

static void *fake_read(void *context)
{
	char letter;

	while (read(fake.commands, &letter, 1) == 1 && letter != 'q')
		fake_tandem_command(letter);
	return context;
}

int tandem_open(const struct tandem_options *options, struct tandem **ret_tandem,
                struct tandem_error *reterr_error)
{
	const char *commands = getenv("FAKE_TANDEM_COMMANDS");

	if (getenv("FAKE_TANDEM_REFUSES"))
		return tandem_error_set(reterr_error, TANDEM_E_NOT_LEADER, "open",
		                        "node b leads pair %s since generation 7", options->pair);
	fake.event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	/* Read and write, so that it never sees an end. */
	fake.commands = commands ? open(commands, O_RDWR | O_CLOEXEC) : -1;
	if (fake.commands >= 0)
		fake.is_reading = pthread_create(&fake.reader, NULL, fake_read, NULL) == 0;
	*ret_tandem = &fake;
	return 0;
}

int tandem_region_add(struct tandem *tandem, const char *name, void *base, size_t length,
                      enum tandem_tracker tracker, struct tandem_error *reterr_error)
{
	(void)name;
	(void)tracker;
	(void)reterr_error;
	if ((uintptr_t)base % 4096 != 0 || length % 4096 != 0)
		return TANDEM_E_USAGE;
	tandem->regions++;
	return 0;
}

int tandem_region_use(struct tandem *tandem, const char *name, size_t used_bytes,
                      struct tandem_error *reterr_error)
{
	(void)name;
	(void)reterr_error;
	pthread_mutex_lock(&tandem->lock);
	tandem->used_bytes = used_bytes;
	pthread_mutex_unlock(&tandem->lock);
	return 0;
}

int tandem_start(struct tandem *tandem, struct tandem_error *reterr_error)
{
	(void)tandem;
	(void)reterr_error;
	return 0;
}

static int fake_ticket(struct tandem *tandem, unsigned *counter, uint64_t *ret_ticket)
{
	int result = 0;

	pthread_mutex_lock(&tandem->lock);
	if (tandem->is_halted) {
		result = TANDEM_E_NOT_LEADER;
	} else {
		(*counter)++;
		*ret_ticket = ++tandem->ticket;
		if (!tandem->is_holding)
			tandem->released = tandem->ticket;
	}
	pthread_mutex_unlock(&tandem->lock);
	return result;
}

int tandem_checkpoint(struct tandem *tandem, const void *state, size_t state_bytes,
                      uint64_t *ret_ticket, struct tandem_error *reterr_error)
{
	(void)state;
	(void)state_bytes;
	(void)reterr_error;
	tandem->epoch++;
	tandem->is_wanting = false;
	return fake_ticket(tandem, &tandem->checkpoints, ret_ticket);
}

int tandem_confirm(struct tandem *tandem, uint64_t *ret_ticket, struct tandem_error *reterr_error)
{
	(void)reterr_error;
	return fake_ticket(tandem, &tandem->confirms, ret_ticket);
}

void tandem_poll(struct tandem *tandem, struct tandem_news *ret_news)
{
	uint64_t count;

	pthread_mutex_lock(&tandem->lock);
	(void)!read(tandem->event, &count, sizeof(count));
	*ret_news = (struct tandem_news){.released_ticket = tandem->released,
	                                 .generation = 3,
	                                 .epoch_committed = tandem->epoch,
	                                 .is_pair = true,
	                                 .is_halted = tandem->is_halted,
	                                 .can_checkpoint = !tandem->is_busy,
	                                 .wants_checkpoint = tandem->is_wanting};
	pthread_mutex_unlock(&tandem->lock);
}

int tandem_event_fd(struct tandem *tandem)
{
	return tandem->event;
}

int tandem_wait_released(struct tandem *tandem, uint64_t ticket, uint64_t timeout_ns)
{
	(void)timeout_ns;
	return tandem->released >= ticket ? 0 : TANDEM_E_TIMEOUT;
}

void tandem_mark_dirty(struct tandem *tandem, const void *start, size_t length)
{
	(void)tandem;
	(void)start;
	(void)length;
}

void tandem_note_reply(struct tandem *tandem, bool is_sending)
{
	(void)tandem;
	(void)is_sending;
}

const char *tandem_region_tracker(const struct tandem *tandem, const char *name)
{
	(void)tandem;
	(void)name;
	return "mark";
}

bool tandem_recovery_read(struct tandem_recovery *ret_recovery)
{
	const char *image_directory = getenv("TANDEM_IMAGE_DIR");

	if (!image_directory)
		return false;
	*ret_recovery = (struct tandem_recovery){.pair = getenv("TANDEM_PAIR"),
	                                         .image_directory = image_directory,
	                                         .generation = 4,
	                                         .epoch = 9};
	return true;
}

struct tandem *tandem_close(struct tandem *tandem)
{
	if (!tandem)
		return NULL;
	if (tandem->is_reading) {
		if (write(tandem->commands, "q", 1) != 1)
			abort();
		pthread_join(tandem->reader, NULL);
	}
	if (tandem->commands >= 0)
		close(tandem->commands);
	close(tandem->event);
	tandem->is_reading = false;
	tandem->commands = -1;
	tandem->event = -1;
	return NULL;
}
