#include "shell/pulse.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <tandem/clock.h>
#include <tandem/memory.h>
#include <unistd.h>

#include "core/rhythm.h"
#include "shell/link_socket.h"

#define STACK_BYTES    ((size_t)256 << 10)
#define PREFAULT_BYTES ((size_t)64 << 10)
#define DATAGRAMS_MAX  64 /* of one socket before heartbeats are looked at again */
#define READY_MAX      16
#define NO_SOCKET      UINT32_MAX

/* Pairs with the same local address and port share one. */
struct ear {
	int fd;
	uint16_t port;
	char address[64];
};

struct path {
	uint32_t ear;
	struct sockaddr_storage peer;
	socklen_t peer_length;
};

/* Under the lock. */
struct mailbox {
	struct tandem_statement said; /* by the loop */
	uint64_t publication;         /* number of what was said last, 0: nothing yet */
	bool is_urgent;
	bool is_owed;                  /* a heartbeat was not sent, because the loop was silent */
	struct tandem_pulse_news news; /* by the thread */
	struct tandem_pulse_refused refused;
	struct tandem_histogram gaps_ns[TANDEM_CONTROLLER_LINKS_MAX];
};

struct voice {
	/* Set before the thread starts, then only read. */
	char name[TANDEM_NAME_BYTES];
	char peer_node[TANDEM_NAME_BYTES];
	uint8_t key[TANDEM_CONTROLLER_KEY_BYTES];
	size_t path_count;
	struct path paths[TANDEM_CONTROLLER_LINKS_MAX];
	/* The thread's. */
	struct tandem_rhythm rhythm;
	struct tandem_heartbeat_filter filter;
	uint64_t sequence;
	uint64_t heard_instance;
	uint64_t heard_ns[TANDEM_CONTROLLER_LINKS_MAX];
	struct mailbox mailbox;
};

struct tandem_pulse {
	/* Set before the thread starts, then only read. */
	char node[TANDEM_NAME_BYTES];
	uint64_t instance;
	int epoll_fd, timer_fd;
	int wake_fd; /* of the thread */
	int news_fd; /* of the loop */
	size_t ear_count;
	struct ear *ears;
	size_t voice_count;
	struct voice *voices;
	bool has_lock, is_started, is_real_time;
	int real_time_errno;
	pthread_t thread;
	atomic_bool is_ending;
	/* The thread's. */
	bool has_news;
	pthread_mutex_t lock;
	/* Under the lock. */
	bool is_told; /* news_fd was written and not read */
	uint64_t ran_ns;
	struct tandem_pulse_refused stray;
	struct tandem_histogram late_ns;
};

/* ---- the thread ---- */

/* An eventfd's counter does not overflow by ones, so this neither fails nor blocks. */
static void ring(int fd)
{
	uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof(one));
	(void)written;
}

static void silence(int fd)
{
	uint64_t count;
	ssize_t length = read(fd, &count, sizeof(count));
	(void)length;
}

static void send_to_all(struct tandem_pulse *pulse, struct voice *voice,
                        struct tandem_heartbeat *heartbeat)
{
	uint8_t bytes[TANDEM_HEARTBEAT_BYTES];
	heartbeat->instance = pulse->instance;
	heartbeat->echo_instance = voice->filter.instance;
	heartbeat->echo_sequence = voice->filter.statement_sequence;
	heartbeat->sequence = ++voice->sequence;
	memcpy(heartbeat->pair, voice->name, sizeof(heartbeat->pair));
	memcpy(heartbeat->node, pulse->node, sizeof(heartbeat->node));
	for (size_t i = 0; i < voice->path_count; i++) {
		const struct path *path = &voice->paths[i];
		heartbeat->link = (uint8_t)i;
		tandem_heartbeat_encode(heartbeat, voice->key, bytes);
		/* A heartbeat that cannot be sent is one that is missed: the peer's windows tell.
		 */
		ssize_t sent = sendto(pulse->ears[path->ear].fd, bytes, sizeof(bytes), 0,
		                      (const struct sockaddr *)&path->peer, path->peer_length);
		(void)sent;
	}
}

static void speak(struct tandem_pulse *pulse, struct voice *voice, uint64_t now_ns)
{
	struct tandem_heartbeat heartbeat = {.sequence = 0};
	bool is_due = tandem_rhythm_is_due(&voice->rhythm, now_ns);
	uint64_t late_ns = is_due ? tandem_rhythm_advance(&voice->rhythm, now_ns) : 0;
	pthread_mutex_lock(&pulse->lock);
	bool is_wanted = is_due || voice->mailbox.is_urgent;
	bool is_sent =
	        is_wanted && tandem_rhythm_may_speak(&voice->rhythm, voice->mailbox.publication);
	heartbeat.statement = voice->mailbox.said;
	voice->mailbox.is_urgent = false;
	voice->mailbox.is_owed |= is_wanted && !is_sent;
	if (is_due)
		tandem_histogram_add(&pulse->late_ns, late_ns);
	pthread_mutex_unlock(&pulse->lock);
	if (is_sent)
		send_to_all(pulse, voice, &heartbeat);
}

static struct voice *find_voice(struct tandem_pulse *pulse, const char *name)
{
	for (size_t i = 0; i < pulse->voice_count; i++) {
		if (strcmp(pulse->voices[i].name, name) == 0)
			return &pulse->voices[i];
	}
	return NULL;
}

static bool find_path(const struct voice *voice, uint32_t ear,
                      const struct sockaddr_storage *source, size_t *ret_link)
{
	for (size_t i = 0; i < voice->path_count; i++) {
		if (voice->paths[i].ear == ear &&
		    tandem_link_address_is_same(&voice->paths[i].peer, source)) {
			*ret_link = i;
			return true;
		}
	}
	return false;
}

static void refuse(struct tandem_pulse *pulse, struct tandem_pulse_refused *refused,
                   enum tandem_pulse_refusal why)
{
	pthread_mutex_lock(&pulse->lock);
	refused->count++;
	refused->last = why;
	pthread_mutex_unlock(&pulse->lock);
}

/* Between two lives of the peer's controller lies no gap of the link. */
static uint64_t measure_gap(struct voice *voice, size_t link, uint64_t instance, uint64_t now_ns)
{
	if (instance != voice->heard_instance)
		memset(voice->heard_ns, 0, sizeof(voice->heard_ns));
	voice->heard_instance = instance;
	uint64_t before_ns = voice->heard_ns[link];
	voice->heard_ns[link] = now_ns;
	return before_ns != 0 ? now_ns - before_ns : 0;
}

static void hear(struct tandem_pulse *pulse, struct voice *voice, size_t link,
                 const struct tandem_heartbeat *heartbeat, uint64_t now_ns)
{
	struct tandem_pulse_news *news = &voice->mailbox.news;
	enum tandem_heartbeat_verdict verdict =
	        tandem_heartbeat_filter_judge(&voice->filter, heartbeat);
	if (verdict == TANDEM_HEARTBEAT_OLD)
		return;
	uint64_t gap_ns = measure_gap(voice, link, heartbeat->instance, now_ns);
	pulse->has_news = true;
	pthread_mutex_lock(&pulse->lock);
	news->heard_ns[link] = now_ns;
	if (news->since_ns == 0)
		news->since_ns = now_ns;
	if (gap_ns != 0)
		tandem_histogram_add(&voice->mailbox.gaps_ns[link], gap_ns);
	if (verdict == TANDEM_HEARTBEAT_NEWS) {
		news->has_statement = true;
		news->statement = tandem_heartbeat_filter_hear(&voice->filter, heartbeat);
	}
	pthread_mutex_unlock(&pulse->lock);
}

/* What is cheap to see comes first: strangers must not cost much. */
static void take_datagram(struct tandem_pulse *pulse, uint32_t ear, const uint8_t *bytes,
                          size_t length, const struct sockaddr_storage *source)
{
	char name[TANDEM_NAME_BYTES];
	struct tandem_heartbeat heartbeat;
	size_t link = 0;
	struct voice *voice = NULL;
	uint64_t now_ns = tandem_clock_now_ns();
	if (tandem_heartbeat_peek(bytes, length, name))
		voice = find_voice(pulse, name);
	if (!voice) {
		refuse(pulse, &pulse->stray, TANDEM_PULSE_REFUSAL_NO_PAIR);
		return;
	}
	struct tandem_pulse_refused *refused = &voice->mailbox.refused;
	if (!find_path(voice, ear, source, &link)) {
		refuse(pulse, refused, TANDEM_PULSE_REFUSAL_ADDRESS);
		return;
	}
	int status = tandem_heartbeat_decode(bytes, length, voice->key, &heartbeat);
	if (status != 0)
		refuse(pulse, refused,
		       status == TANDEM_E_VERSION ? TANDEM_PULSE_REFUSAL_VERSION
		                                  : TANDEM_PULSE_REFUSAL_DAMAGED);
	else if (strcmp(heartbeat.node, voice->peer_node) != 0)
		refuse(pulse, refused, TANDEM_PULSE_REFUSAL_NODE);
	else
		hear(pulse, voice, link, &heartbeat, now_ns);
}

static void listen_to(struct tandem_pulse *pulse, uint32_t ear)
{
	for (unsigned i = 0; i < DATAGRAMS_MAX; i++) {
		uint8_t bytes[TANDEM_HEARTBEAT_BYTES + 1];
		struct sockaddr_storage source = {.ss_family = AF_UNSPEC};
		socklen_t source_length = sizeof(source);
		ssize_t length = recvfrom(pulse->ears[ear].fd, bytes, sizeof(bytes), 0,
		                          (struct sockaddr *)&source, &source_length);
		/* An earlier datagram that nobody received is reported here; it says nothing. */
		if (length < 0 && errno == ECONNREFUSED)
			continue;
		if (length < 0)
			return;
		take_datagram(pulse, ear, bytes, (size_t)length, &source);
	}
}

/* For how long nobody listened belongs to every pair. */
static void feel_gap(struct tandem_pulse *pulse, uint64_t now_ns)
{
	pthread_mutex_lock(&pulse->lock);
	uint64_t gap_ns = now_ns - pulse->ran_ns;
	pulse->ran_ns = now_ns;
	for (size_t i = 0; i < pulse->voice_count; i++) {
		struct tandem_pulse_news *news = &pulse->voices[i].mailbox.news;
		if (news->deaf_ns < gap_ns)
			news->deaf_ns = gap_ns;
	}
	pthread_mutex_unlock(&pulse->lock);
}

static void tell_loop(struct tandem_pulse *pulse)
{
	if (!pulse->has_news)
		return;
	pulse->has_news = false;
	pthread_mutex_lock(&pulse->lock);
	bool is_told = pulse->is_told;
	pulse->is_told = true;
	pthread_mutex_unlock(&pulse->lock);
	if (!is_told)
		ring(pulse->news_fd);
}

static void arm_timer(struct tandem_pulse *pulse, uint64_t now_ns)
{
	uint64_t wake_ns = UINT64_MAX;
	for (size_t i = 0; i < pulse->voice_count; i++) {
		uint64_t at_ns = tandem_rhythm_wake_ns(&pulse->voices[i].rhythm, now_ns);
		wake_ns = at_ns < wake_ns ? at_ns : wake_ns;
	}
	struct itimerspec at = {.it_value = tandem_clock_timespec(wake_ns)};
	timerfd_settime(pulse->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void turn(struct tandem_pulse *pulse)
{
	struct epoll_event ready[READY_MAX];
	int count = epoll_wait(pulse->epoll_fd, ready, READY_MAX, -1);
	uint64_t now_ns = tandem_clock_now_ns();
	feel_gap(pulse, now_ns);
	silence(pulse->wake_fd);
	for (size_t i = 0; i < pulse->voice_count; i++)
		speak(pulse, &pulse->voices[i], now_ns);
	for (int i = 0; i < count; i++) {
		if (ready[i].data.u32 != NO_SOCKET)
			listen_to(pulse, ready[i].data.u32);
	}
	arm_timer(pulse, now_ns);
	tell_loop(pulse);
}

/* What the stack will need is there before the first heartbeat. */
static void prefault_stack(void)
{
	volatile uint8_t room[PREFAULT_BYTES];
	for (size_t i = 0; i < sizeof(room); i += 1024)
		room[i] = 0;
}

static void *run(void *context)
{
	struct tandem_pulse *pulse = context;
	prefault_stack();
	while (!atomic_load(&pulse->is_ending))
		turn(pulse);
	return NULL;
}

/* ---- set-up ---- */

static int add_to_epoll(struct tandem_pulse *pulse, int fd, uint32_t ear)
{
	struct epoll_event wanted = {.events = EPOLLIN, .data = {.u32 = ear}};
	return epoll_ctl(pulse->epoll_fd, EPOLL_CTL_ADD, fd, &wanted);
}

static int open_path(struct tandem_pulse *pulse, struct path *path,
                     const struct tandem_controller_link *link, struct tandem_error *reterr_error)
{
	path->peer_length = tandem_link_address(link->peer_address, link->peer_port, &path->peer);
	for (path->ear = 0; path->ear < pulse->ear_count; path->ear++) {
		const struct ear *ear = &pulse->ears[path->ear];
		if (ear->port == link->local_port && strcmp(ear->address, link->local_address) == 0)
			return 0;
	}
	struct ear *ear = &pulse->ears[path->ear];
	int status = tandem_link_socket_open(link->local_address, link->local_port, &ear->fd,
	                                     reterr_error);
	if (status != 0)
		return status;
	pulse->ear_count++;
	ear->port = link->local_port;
	memcpy(ear->address, link->local_address, sizeof(ear->address));
	if (add_to_epoll(pulse, ear->fd, path->ear) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "epoll_ctl",
		                              "heartbeat link %s", link->local_address);
	return 0;
}

static int open_voice(struct tandem_pulse *pulse, struct voice *voice,
                      const struct tandem_controller_pair *pair, struct tandem_error *reterr_error)
{
	memcpy(voice->name, pair->name, sizeof(voice->name));
	memcpy(voice->peer_node, pair->peer_node, sizeof(voice->peer_node));
	memcpy(voice->key, pair->key, sizeof(voice->key));
	voice->filter.local_instance = pulse->instance;
	voice->path_count = pair->link_count;
	tandem_rhythm_init(&voice->rhythm, pair->heartbeat_interval_ns, pair->heartbeat_miss_count,
	                   tandem_clock_now_ns());
	for (size_t i = 0; i < pair->link_count; i++) {
		int status = open_path(pulse, &voice->paths[i], &pair->links[i], reterr_error);
		if (status != 0)
			return status;
	}
	return 0;
}

/* A thread of low priority that holds the lock is not left waiting for others meanwhile. */
static int open_lock(struct tandem_pulse *pulse)
{
	pthread_mutexattr_t attributes;
	int status = pthread_mutexattr_init(&attributes);
	if (status != 0)
		return status;
	status = pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	if (status == 0)
		status = pthread_mutex_init(&pulse->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	pulse->has_lock = status == 0;
	return status;
}

static int open_descriptors(struct tandem_pulse *pulse, struct tandem_error *reterr_error)
{
	pulse->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	pulse->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	pulse->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pulse->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pulse->epoll_fd < 0 || pulse->timer_fd < 0 || pulse->wake_fd < 0 ||
	    pulse->news_fd < 0 || add_to_epoll(pulse, pulse->timer_fd, NO_SOCKET) != 0 ||
	    add_to_epoll(pulse, pulse->wake_fd, NO_SOCKET) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open",
		                              "descriptors of the heartbeat thread");
	int status = open_lock(pulse);
	if (status != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, status,
		                              "pthread_mutex_init",
		                              "the heartbeat thread needs priority inheritance");
	return 0;
}

static int open_all(struct tandem_pulse *pulse, const struct tandem_controller_options *options,
                    struct tandem_error *reterr_error)
{
	size_t count = options->pair_count;
	pulse->voices = tandem_memory_alloc_array(count, sizeof(*pulse->voices));
	pulse->ears = tandem_memory_alloc_array(count * TANDEM_CONTROLLER_LINKS_MAX,
	                                        sizeof(*pulse->ears));
	if (!pulse->voices || !pulse->ears)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "heartbeats", "no memory");
	pulse->voice_count = count;
	int status = open_descriptors(pulse, reterr_error);
	for (size_t i = 0; i < count && status == 0; i++)
		status = open_voice(pulse, &pulse->voices[i], &options->pairs[i], reterr_error);
	return status;
}

int tandem_pulse_new(const struct tandem_controller_options *options, uint64_t instance,
                     struct tandem_pulse **ret_pulse, struct tandem_error *reterr_error)
{
	struct tandem_pulse *pulse = tandem_memory_alloc(sizeof(*pulse));
	if (!pulse)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "heartbeats", "no memory");
	pulse->epoll_fd = pulse->timer_fd = pulse->wake_fd = pulse->news_fd = -1;
	pulse->instance = instance;
	memcpy(pulse->node, options->node, sizeof(pulse->node));
	int status = open_all(pulse, options, reterr_error);
	if (status != 0) {
		tandem_pulse_free(pulse);
		return status;
	}
	*ret_pulse = pulse;
	return 0;
}

static int create_thread(struct tandem_pulse *pulse, bool is_real_time)
{
	struct sched_param parameters = {.sched_priority = TANDEM_PULSE_PRIORITY};
	pthread_attr_t attributes;
	int status = pthread_attr_init(&attributes);
	if (status != 0)
		return status;
	status = pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (status == 0 && is_real_time) {
		pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
		pthread_attr_setschedpolicy(&attributes, SCHED_RR);
		pthread_attr_setschedparam(&attributes, &parameters);
	}
	if (status == 0)
		status = pthread_create(&pulse->thread, &attributes, run, pulse);
	pthread_attr_destroy(&attributes);
	return status;
}

static bool is_real_time(pthread_t thread)
{
	struct sched_param parameters;
	int policy = SCHED_OTHER;
	return pthread_getschedparam(thread, &policy, &parameters) == 0 &&
	       (policy == SCHED_RR || policy == SCHED_FIFO);
}

int tandem_pulse_start(struct tandem_pulse *pulse, struct tandem_error *reterr_error)
{
	sigset_t all, before;
	uint64_t now_ns = tandem_clock_now_ns();
	pulse->ran_ns = now_ns;
	arm_timer(pulse, now_ns);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int refusal = create_thread(pulse, true);
	int status = refusal == 0 ? 0 : create_thread(pulse, false);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, status,
		                              "pthread_create", "the heartbeat thread");
	pulse->is_started = true;
	/* The unit file may have given the whole process a priority that is below ours. */
	pulse->is_real_time = is_real_time(pulse->thread);
	pulse->real_time_errno = pulse->is_real_time ? 0 : refusal;
	return 0;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void tandem_pulse_free(struct tandem_pulse *pulse)
{
	if (!pulse)
		return;
	if (pulse->is_started) {
		atomic_store(&pulse->is_ending, true);
		ring(pulse->wake_fd);
		pthread_join(pulse->thread, NULL);
	}
	for (size_t i = 0; i < pulse->ear_count; i++)
		close(pulse->ears[i].fd);
	close_if_open(pulse->epoll_fd);
	close_if_open(pulse->timer_fd);
	close_if_open(pulse->wake_fd);
	close_if_open(pulse->news_fd);
	if (pulse->has_lock)
		pthread_mutex_destroy(&pulse->lock);
	tandem_memory_free(pulse->ears);
	tandem_memory_free(pulse->voices);
	tandem_memory_free(pulse);
}

/* ---- the loop ---- */

void tandem_pulse_publish(struct tandem_pulse *pulse, size_t pair,
                          const struct tandem_statement *statement, bool is_urgent)
{
	struct mailbox *mailbox = &pulse->voices[pair].mailbox;
	pthread_mutex_lock(&pulse->lock);
	is_urgent |= mailbox->is_owed;
	mailbox->said = *statement;
	mailbox->publication++;
	mailbox->is_urgent |= is_urgent;
	mailbox->is_owed = false;
	pthread_mutex_unlock(&pulse->lock);
	if (is_urgent)
		ring(pulse->wake_fd);
}

int tandem_pulse_fd(const struct tandem_pulse *pulse)
{
	return pulse->news_fd;
}

void tandem_pulse_rest(struct tandem_pulse *pulse)
{
	silence(pulse->news_fd);
	pthread_mutex_lock(&pulse->lock);
	pulse->is_told = false;
	pthread_mutex_unlock(&pulse->lock);
}

void tandem_pulse_take(struct tandem_pulse *pulse, size_t pair, struct tandem_pulse_news *ret_news)
{
	struct tandem_pulse_news *news = &pulse->voices[pair].mailbox.news;
	pthread_mutex_lock(&pulse->lock);
	/* Nobody listens now, either, when the thread does not get to run. */
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t since_ns = now_ns > pulse->ran_ns ? now_ns - pulse->ran_ns : 0;
	*ret_news = *news;
	if (ret_news->deaf_ns < since_ns)
		ret_news->deaf_ns = since_ns;
	memset(news->heard_ns, 0, sizeof(news->heard_ns));
	news->has_statement = false;
	news->since_ns = 0;
	news->deaf_ns = 0;
	pthread_mutex_unlock(&pulse->lock);
}

struct tandem_pulse_refused tandem_pulse_refused(struct tandem_pulse *pulse, size_t pair)
{
	const struct tandem_pulse_refused *refused =
	        pair < pulse->voice_count ? &pulse->voices[pair].mailbox.refused : &pulse->stray;
	pthread_mutex_lock(&pulse->lock);
	struct tandem_pulse_refused copy = *refused;
	pthread_mutex_unlock(&pulse->lock);
	return copy;
}

const char *tandem_pulse_refusal_text(enum tandem_pulse_refusal refusal)
{
	static const char *const texts[] = {
#define X(name, text) [TANDEM_PULSE_REFUSAL_##name] = (text),
	        TANDEM_PULSE_REFUSAL_TABLE(X)
#undef X
	};
	return texts[refusal];
}

static void copy_histogram(struct tandem_pulse *pulse, const struct tandem_histogram *from,
                           struct tandem_histogram *ret_to)
{
	pthread_mutex_lock(&pulse->lock);
	memcpy(ret_to, from, sizeof(*ret_to));
	pthread_mutex_unlock(&pulse->lock);
}

void tandem_pulse_gaps(struct tandem_pulse *pulse, size_t pair, size_t link,
                       struct tandem_histogram *ret_gaps_ns)
{
	copy_histogram(pulse, &pulse->voices[pair].mailbox.gaps_ns[link], ret_gaps_ns);
}

void tandem_pulse_lateness(struct tandem_pulse *pulse, struct tandem_histogram *ret_late_ns)
{
	copy_histogram(pulse, &pulse->late_ns, ret_late_ns);
}

bool tandem_pulse_is_real_time(const struct tandem_pulse *pulse)
{
	return pulse->is_real_time;
}

int tandem_pulse_real_time_errno(const struct tandem_pulse *pulse)
{
	return pulse->real_time_errno;
}
