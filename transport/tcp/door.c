#include "tcp/door.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <tandem/memory.h>
#include <tandem/transport.h>

#include "tcp/socket.h"

struct tandem_tcp_door {
	/* Constant. */
	uint64_t session_id;
	struct tandem_secrets secrets;
	int wake_fd;
	pthread_mutex_t lock;
	/* Under the lock. */
	unsigned reference_count;
	bool is_shut;
	struct tandem_tcp_knock waiting[TANDEM_CHANNELS_MAX]; /* fd -1: nobody */
};

int tandem_tcp_door_new(uint64_t session_id, const struct tandem_secrets *secrets,
                        struct tandem_tcp_door **ret_door, struct tandem_error *reterr_error)
{
	struct tandem_tcp_door *door = tandem_memory_alloc(sizeof(*door));
	if (!door)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "session",
		                        "no memory for %zu bytes", sizeof(*door));
	door->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (door->wake_fd < 0) {
		tandem_memory_free(door);
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "eventfd",
		                              "the door of a session");
	}
	pthread_mutex_init(&door->lock, NULL);
	door->session_id = session_id;
	door->secrets = *secrets;
	door->reference_count = 1;
	for (unsigned i = 0; i < TANDEM_CHANNELS_MAX; i++)
		door->waiting[i].fd = -1;
	*ret_door = door;
	return 0;
}

struct tandem_tcp_door *tandem_tcp_door_ref(struct tandem_tcp_door *door)
{
	pthread_mutex_lock(&door->lock);
	door->reference_count++;
	pthread_mutex_unlock(&door->lock);
	return door;
}

static void free_door(struct tandem_tcp_door *door)
{
	for (unsigned i = 0; i < TANDEM_CHANNELS_MAX; i++)
		tandem_tcp_socket_close(&door->waiting[i].fd);
	tandem_tcp_socket_close(&door->wake_fd);
	pthread_mutex_destroy(&door->lock);
	tandem_memory_free(door);
}

struct tandem_tcp_door *tandem_tcp_door_unref(struct tandem_tcp_door *door)
{
	if (!door)
		return NULL;
	pthread_mutex_lock(&door->lock);
	bool is_last = --door->reference_count == 0;
	pthread_mutex_unlock(&door->lock);
	if (is_last)
		free_door(door);
	return NULL;
}

uint64_t tandem_tcp_door_session_id(const struct tandem_tcp_door *door)
{
	return door->session_id;
}

int tandem_tcp_door_fd(const struct tandem_tcp_door *door)
{
	return door->wake_fd;
}

void tandem_tcp_door_quiet(struct tandem_tcp_door *door)
{
	eventfd_t value;
	/* Fails when nobody has knocked; that is as well. */
	eventfd_read(door->wake_fd, &value);
}

static bool is_token_right(const struct tandem_tcp_door *door, const struct tandem_hello *hello)
{
	uint8_t token[TANDEM_TOKEN_BYTES];
	tandem_channel_token(&door->secrets, hello->channel, hello->attempt, false, token);
	return tandem_mac_equal(token, hello->token, sizeof(token));
}

/* Under the lock. Who saw a hello pass and says it again is later than its owner. */
static enum tandem_verdict take_place(struct tandem_tcp_door *door,
                                      const struct tandem_tcp_knock *knock)
{
	struct tandem_tcp_knock *place = &door->waiting[knock->hello.channel];
	if (door->is_shut)
		return TANDEM_VERDICT_SESSION;
	if (place->fd >= 0 && knock->hello.attempt <= place->hello.attempt)
		return TANDEM_VERDICT_ATTEMPT;
	tandem_tcp_socket_close(&place->fd);
	*place = *knock;
	return TANDEM_VERDICT_JOINED;
}

enum tandem_verdict tandem_tcp_door_knock(struct tandem_tcp_door *door,
                                          const struct tandem_tcp_knock *knock)
{
	if (!is_token_right(door, &knock->hello))
		return TANDEM_VERDICT_TOKEN;
	pthread_mutex_lock(&door->lock);
	enum tandem_verdict verdict = take_place(door, knock);
	pthread_mutex_unlock(&door->lock);
	if (verdict == TANDEM_VERDICT_JOINED)
		eventfd_write(door->wake_fd, 1);
	return verdict;
}

bool tandem_tcp_door_take(struct tandem_tcp_door *door, unsigned channel,
                          struct tandem_tcp_knock *ret_knock)
{
	struct tandem_tcp_knock *place = &door->waiting[channel];
	pthread_mutex_lock(&door->lock);
	bool is_there = place->fd >= 0;
	if (is_there) {
		*ret_knock = *place;
		place->fd = -1;
	}
	pthread_mutex_unlock(&door->lock);
	return is_there;
}

void tandem_tcp_door_shut(struct tandem_tcp_door *door)
{
	pthread_mutex_lock(&door->lock);
	door->is_shut = true;
	for (unsigned i = 0; i < TANDEM_CHANNELS_MAX; i++)
		tandem_tcp_socket_close(&door->waiting[i].fd);
	pthread_mutex_unlock(&door->lock);
}

bool tandem_tcp_door_is_shut(struct tandem_tcp_door *door)
{
	pthread_mutex_lock(&door->lock);
	bool is_shut = door->is_shut;
	pthread_mutex_unlock(&door->lock);
	return is_shut;
}
