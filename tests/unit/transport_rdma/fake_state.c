#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

#include "fake.h"

#define LEFT_TURNS 20000 /* of a millisecond or more */

static uint64_t call_count;
static uint64_t fail_at;
static int fail_errno;
static int counts[FAKE_OBJECTS];
static char misuse[512];
static bool is_gone;

pthread_mutex_t fake_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

/* A device from the beginning, for programs that know nothing of the fake. */
__attribute__((constructor)) static void begin(void)
{
	fake_reset();
}

void fake_reset(void)
{
	pthread_mutex_lock(&fake_lock);
	call_count = 0;
	fail_at = 0;
	is_gone = false;
	misuse[0] = '\0';
	fake_reset_queue_pairs();
	fake_reset_verbs();
	fake_reset_cm();
	for (unsigned i = 0; i < FAKE_OBJECTS; i++)
		counts[i] = 0;
	pthread_mutex_unlock(&fake_lock);
}

void fake_fail_call(uint64_t number, int os_errno)
{
	fail_at = number == 0 ? 0 : call_count + number;
	fail_errno = os_errno;
}

uint64_t fake_call_count(void)
{
	return call_count;
}

bool fake_fails(void)
{
	bool fails;

	pthread_mutex_lock(&fake_lock);
	fails = ++call_count == fail_at || is_gone;
	if (fails)
		errno = is_gone ? EIO : fail_errno;
	pthread_mutex_unlock(&fake_lock);
	return fails;
}

void fake_remove_device(void)
{
	pthread_mutex_lock(&fake_lock);
	is_gone = true;
	fake_remove_ids();
	for (unsigned device = 0; device < FAKE_DEVICES; device++)
		fake_raise_on(device, IBV_EVENT_DEVICE_FATAL);
	pthread_mutex_unlock(&fake_lock);
}

bool fake_is_gone(void)
{
	return is_gone;
}

void fake_note(const char *format, ...)
{
	va_list arguments;

	/* The first one is what led to the others. */
	if (misuse[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(misuse, sizeof(misuse), format, arguments);
	va_end(arguments);
}

const char *fake_misuse(void)
{
	return misuse;
}

void fake_count(enum fake_object object, int change)
{
	counts[object] += change;
}

unsigned fake_count_of(enum fake_object object)
{
	return (unsigned)counts[object];
}

unsigned fake_live_count(void)
{
	unsigned sum = 0;

	pthread_mutex_lock(&fake_lock);
	for (unsigned i = 0; i < FAKE_OBJECTS; i++)
		sum += (unsigned)counts[i];
	pthread_mutex_unlock(&fake_lock);
	return sum;
}

unsigned fake_left_count(void)
{
	for (unsigned i = 0; i < LEFT_TURNS && fake_live_count() > 0; i++)
		poll(NULL, 0, 1);
	return fake_live_count();
}
