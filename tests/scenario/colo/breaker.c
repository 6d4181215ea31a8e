#include "breaker.h"

#include <pthread.h>
#include <string.h>

#include <tandem/failpoint.h>
#include <tandem/random.h>
#include <tandem/transport.h>

/* Takes the place of base/shell/failpoint.c. */
int tandem_failpoint_armed = 1;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tandem_session *session; /* of the program; NULL while none */
static pthread_cond_t let_go = PTHREAD_COND_INITIALIZER;
static char armed_place[16];
static struct standby_place {
	const char *name;
	unsigned passage_count;
	unsigned held_passage; /* 0: none */
} standby_places[] = {
        {"standby_commit", 0, 0}, {"standby_acknowledged", 0, 0}, {"standby_told", 0, 0}};
static bool is_held;
static unsigned passages_left, storm_one_in, broken_count;
static uint32_t armed_mask;
static uint64_t randomness = 1;

int __real_tandem_transport_connect(struct tandem_transport *transport,
                                    const struct tandem_transport_options *options,
                                    struct tandem_session **ret_session,
                                    struct tandem_error *reterr_error);
int __wrap_tandem_transport_connect(struct tandem_transport *transport,
                                    const struct tandem_transport_options *options,
                                    struct tandem_session **ret_session,
                                    struct tandem_error *reterr_error);
struct tandem_session *__real_tandem_session_free(struct tandem_session *ended);
struct tandem_session *__wrap_tandem_session_free(struct tandem_session *ended);

int __wrap_tandem_transport_connect(struct tandem_transport *transport,
                                    const struct tandem_transport_options *options,
                                    struct tandem_session **ret_session,
                                    struct tandem_error *reterr_error)
{
	int code = __real_tandem_transport_connect(transport, options, ret_session, reterr_error);

	pthread_mutex_lock(&lock);
	session = code == 0 ? *ret_session : NULL;
	pthread_mutex_unlock(&lock);
	return code;
}

struct tandem_session *__wrap_tandem_session_free(struct tandem_session *ended)
{
	pthread_mutex_lock(&lock);
	if (ended == session)
		session = NULL;
	pthread_mutex_unlock(&lock);
	return __real_tandem_session_free(ended);
}

static void strike(uint32_t channel_mask)
{
	for (unsigned channel = 0; session != NULL && channel < TANDEM_CHANNELS_MAX; channel++) {
		if ((channel_mask & 1u << channel) == 0)
			continue;
		tandem_session_break_channel(session, channel);
		broken_count++;
	}
}

void tandem_failpoint_load(void)
{
}

static struct standby_place *find_place(const char *name)
{
	for (size_t i = 0; i < sizeof standby_places / sizeof standby_places[0]; i++)
		if (strcmp(standby_places[i].name, name) == 0)
			return &standby_places[i];
	return NULL;
}

/* Under the lock. */
static void pass_standby(const char *name)
{
	struct standby_place *place = find_place(name);

	if (place == NULL || ++place->passage_count != place->held_passage)
		return;
	for (is_held = true; is_held;)
		pthread_cond_wait(&let_go, &lock);
}

/* The session is the program's: only who drives its engine may touch it, not the standby's thread,
 * whose places have other names. */
bool tandem_failpoint_pass(const char *name)
{
	bool is_standby = strncmp(name, "standby", 7) == 0;

	pthread_mutex_lock(&lock);
	if (is_standby) {
		pass_standby(name);
		pthread_mutex_unlock(&lock);
		return false;
	}
	if (passages_left > 0 && strcmp(name, armed_place) == 0 && --passages_left == 0)
		strike(armed_mask);
	if (storm_one_in > 0 && tandem_random_next(&randomness) % storm_one_in == 0)
		strike(1u << tandem_random_next(&randomness) % 4);
	pthread_mutex_unlock(&lock);
	return false;
}

void breaker_arm(const char *place, unsigned passage, uint32_t channel_mask)
{
	pthread_mutex_lock(&lock);
	memcpy(armed_place, place, strlen(place) + 1);
	passages_left = passage;
	armed_mask = channel_mask;
	pthread_mutex_unlock(&lock);
}

void breaker_hold_next(const char *place)
{
	pthread_mutex_lock(&lock);
	find_place(place)->held_passage = find_place("standby_commit")->passage_count + 1;
	pthread_mutex_unlock(&lock);
}

void breaker_let_go(void)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < sizeof standby_places / sizeof standby_places[0]; i++)
		standby_places[i].held_passage = 0;
	is_held = false;
	pthread_cond_broadcast(&let_go);
	pthread_mutex_unlock(&lock);
}

bool breaker_has_struck(void)
{
	bool has_struck;

	pthread_mutex_lock(&lock);
	has_struck = passages_left == 0;
	pthread_mutex_unlock(&lock);
	return has_struck;
}

void breaker_storm(unsigned one_in)
{
	pthread_mutex_lock(&lock);
	storm_one_in = one_in;
	pthread_mutex_unlock(&lock);
}

unsigned breaker_count(void)
{
	unsigned count;

	pthread_mutex_lock(&lock);
	count = broken_count;
	pthread_mutex_unlock(&lock);
	return count;
}
