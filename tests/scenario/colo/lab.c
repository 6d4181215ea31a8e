#include "lab.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/foreign.h>
#include <tandem/memory.h>
#include <tandem/random.h>

#define PATIENCE_NS (20 * TANDEM_NS_PER_S)
#define GUESTS_MAX  16u

static const char *const region_names[2] = {"heap", "notes"};

/* ---- the standby's door ---- */

static void hand_over(struct lab *lab, struct tandem_session *session,
                      const struct tandem_session_event *event)
{
	char pair[TANDEM_NAME_BYTES];

	pthread_mutex_lock(&lab->lock);
	if (lab->standby == NULL || event->type != TANDEM_SESSION_MESSAGE)
		tandem_session_free(session);
	else if (tandem_standby_hello_pair(event->message, event->message_bytes, pair) != NULL &&
	         strcmp(pair, LAB_PAIR) != 0)
		tandem_standby_refuse(session, "this node does not serve that pair");
	else /* bytes that are no HELLO too: the standby has to bear them */
		tandem_standby_offer(lab->standby, session, event->message, event->message_bytes);
	pthread_mutex_unlock(&lab->lock);
}

struct guests {
	unsigned count;
	struct tandem_session *sessions[GUESTS_MAX];
};

static void serve_guests(struct lab *lab, struct guests *guests)
{
	static _Thread_local struct tandem_session_event event;

	for (unsigned index = 0; index < guests->count; index++) {
		tandem_session_progress(guests->sessions[index]);
		if (!tandem_session_next_event(guests->sessions[index], &event) ||
		    event.type == TANDEM_SESSION_CHANNEL_UP)
			continue;
		hand_over(lab, guests->sessions[index], &event);
		guests->sessions[index--] = guests->sessions[--guests->count];
	}
}

static void let_in(struct lab *lab, struct guests *guests)
{
	struct tandem_session *session;
	int code;

	do {
		code = tandem_listener_accept(lab->listener, &session, NULL);
		if (code == 0 && guests->count < GUESTS_MAX)
			guests->sessions[guests->count++] = session;
		else if (code == 0)
			tandem_session_free(session);
	} while (code != TANDEM_E_AGAIN);
}

static void *greet(void *argument)
{
	struct lab *lab = argument;
	struct guests guests = {.count = 0};

	while (!atomic_load(&lab->is_ending)) {
		struct pollfd descriptors[2 + GUESTS_MAX] = {
		        {.fd = lab->greeter_wake, .events = POLLIN},
		        {.fd = tandem_listener_fd(lab->listener), .events = POLLIN}};

		for (unsigned index = 0; index < guests.count; index++)
			descriptors[2 + index] = (struct pollfd){
			        .fd = tandem_session_fd(guests.sessions[index]), .events = POLLIN};
		poll(descriptors, 2 + guests.count, 50);
		let_in(lab, &guests);
		serve_guests(lab, &guests);
	}
	while (guests.count > 0)
		tandem_session_free(guests.sessions[--guests.count]);
	return NULL;
}

static void open_door(struct lab *lab)
{
	struct tandem_transport_options options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;

	memcpy(options.rails[0].address, "127.0.0.1", sizeof "127.0.0.1");
	options.connect_timeout_ns = PATIENCE_NS;
	options.peer_timeout_ns = 5 * TANDEM_NS_PER_S;
	if (tandem_transport_open("tcp", "127.0.0.1", &lab->transport, NULL) < 0 ||
	    tandem_transport_listen(lab->transport, &options, &lab->listener, NULL) < 0)
		abort();
	lab->greeter_wake = eventfd(0, EFD_CLOEXEC);
	pthread_create(&lab->greeter, NULL, greet, lab);
}

static void close_door(struct lab *lab)
{
	uint64_t one = 1;

	atomic_store(&lab->is_ending, true);
	if (write(lab->greeter_wake, &one, sizeof one) < 0)
		perror("greeter");
	pthread_join(lab->greeter, NULL);
	close(lab->greeter_wake);
	tandem_listener_free(lab->listener);
	tandem_transport_free(lab->transport);
}

/* ---- the lab ---- */

static void choose_settings(struct lab *lab, const char *tracker)
{
	lab->settings = TANDEM_CONTROL_SETTINGS_DEFAULT;
	snprintf(lab->settings.node, sizeof lab->settings.node, "one");
	snprintf(lab->settings.provider, sizeof lab->settings.provider, "tcp");
	snprintf(lab->settings.rails[0].local_address, sizeof lab->settings.rails[0].local_address,
	         "127.0.0.1");
	snprintf(lab->settings.rails[0].peer_address, sizeof lab->settings.rails[0].peer_address,
	         "127.0.0.1");
	lab->settings.peer_port = tandem_listener_port(lab->listener);
	lab->settings.state_bytes_max = LAB_STATE_BYTES;
	lab->settings.connect_timeout_ns = 5 * TANDEM_NS_PER_S;
	lab->settings.commit_timeout_ns = 5 * TANDEM_NS_PER_S;
	lab->settings.report_interval_ns = 5 * TANDEM_NS_PER_MS;
	lab->settings.reconnect_interval_ns = 10 * TANDEM_NS_PER_MS;
	snprintf(lab->settings.tracker, sizeof lab->settings.tracker, "%s", tracker);
}

static void map_region(struct lab *lab, unsigned region, size_t pages, bool is_shared)
{
	int fd = is_shared ? memfd_create("heap", MFD_CLOEXEC) : -1;

	lab->region_bytes[region] = pages * LAB_PAGE;
	if (is_shared && ftruncate(fd, (off_t)lab->region_bytes[region]) != 0)
		abort();
	lab->regions[region] = mmap(NULL, lab->region_bytes[region], PROT_READ | PROT_WRITE,
	                            is_shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	if (lab->regions[region] == MAP_FAILED)
		abort();
	if (fd >= 0)
		close(fd);
}

struct lab *lab_new(const char *tracker, size_t heap_pages, size_t notes_pages)
{
	struct lab *lab = tandem_memory_alloc(sizeof *lab);

	memcpy(lab->directory, "/tmp/tandem-lab-XXXXXX", sizeof "/tmp/tandem-lab-XXXXXX");
	if (mkdtemp(lab->directory) == NULL)
		abort();
	snprintf(lab->run_primary, sizeof lab->run_primary, "%s/primary", lab->directory);
	snprintf(lab->run_standby, sizeof lab->run_standby, "%s/standby", lab->directory);
	snprintf(lab->images, sizeof lab->images, "%s/images", lab->directory);
	mkdir(lab->run_primary, 0700);
	mkdir(lab->run_standby, 0700);
	pthread_mutex_init(&lab->lock, NULL);
	open_door(lab);
	choose_settings(lab, tracker);
	lab->primary_control = controller_new(lab->run_primary, &lab->settings);
	lab->standby_control = controller_new(lab->run_standby, &lab->settings);
	map_region(lab, 0, heap_pages, true);
	map_region(lab, 1, notes_pages, false);
	return lab;
}

static void remove_directory(const struct lab *lab)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", lab->directory);
	if (system(command) != 0)
		fprintf(stderr, "lab: %s\n", command);
}

struct lab *lab_free(struct lab *lab)
{
	lab_close_program(lab);
	lab_kill_standby(lab);
	close_door(lab);
	controller_free(lab->primary_control);
	controller_free(lab->standby_control);
	for (unsigned region = 0; region < 2; region++)
		munmap(lab->regions[region], lab->region_bytes[region]);
	pthread_mutex_destroy(&lab->lock);
	remove_directory(lab);
	tandem_memory_free(lab);
	return NULL;
}

/* ---- the program ---- */

bool lab_start_program(struct lab *lab)
{
	struct tandem_options options = {.pair = LAB_PAIR,
	                                 .run_directory = lab->run_primary,
	                                 .start_timeout_ns = PATIENCE_NS};
	struct tandem_error error = {0};
	int code = tandem_open(&options, &lab->program, &error);

	for (unsigned region = 0; code == 0 && region < 2; region++)
		code = tandem_region_add(lab->program, region_names[region], lab->regions[region],
		                         lab->region_bytes[region], TANDEM_TRACKER_AUTO, &error);
	if (code == 0 && lab->needs != NULL)
		code = tandem_require(lab->program, lab->needs, &error);
	if (code == 0) {
		controller_lead(lab->primary_control, ++lab->generation, false);
		code = tandem_start(lab->program, &error);
	}
	if (code == 0)
		code = tandem_stats_open(lab->run_primary, LAB_PAIR, &lab->stats, &error);
	if (code < 0)
		fprintf(stderr, "lab: the program does not start: %s\n", error.detail);
	return code == 0;
}

void lab_close_program(struct lab *lab)
{
	tandem_stats_close(lab->stats);
	lab->stats = NULL;
	lab->program = tandem_close(lab->program);
}

bool lab_wait_news(struct lab *lab, bool (*is_good)(const struct tandem_news *news, uint64_t value),
                   uint64_t value)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;
	struct tandem_news news;

	for (;;) {
		struct pollfd descriptor = {.fd = tandem_event_fd(lab->program), .events = POLLIN};

		tandem_poll(lab->program, &news);
		if (is_good(&news, value))
			return true;
		if (tandem_clock_now_ns() > deadline_ns)
			return false;
		poll(&descriptor, 1, 100);
	}
}

void lab_scribble(struct lab *lab, uint64_t seed, unsigned stores)
{
	for (unsigned store = 0; store < stores; store++) {
		unsigned region = (unsigned)(tandem_random_next(&seed) % 2);
		uint64_t *words = (uint64_t *)(void *)lab->regions[region];
		uint64_t page = tandem_random_next(&seed) % (lab->region_bytes[region] / LAB_PAGE);
		uint64_t value = tandem_random_next(&seed);

		if (value % 5 == 0)
			memset(words + page * 512, 0, LAB_PAGE);
		else
			words[page * 512 + value % 512] = value;
	}
	tandem_mark_dirty(lab->program, lab->regions[0], lab->region_bytes[0]);
	tandem_mark_dirty(lab->program, lab->regions[1], lab->region_bytes[1]);
}

/* An epoch that a lost session aborted is asked for again. */
static int wait_ticket(struct lab *lab, uint64_t ticket)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS, later;
	struct tandem_news news;
	int code;

	while ((code = tandem_wait_released(lab->program, ticket, 20 * TANDEM_NS_PER_MS)) ==
	               TANDEM_E_TIMEOUT &&
	       tandem_clock_now_ns() < deadline_ns) {
		tandem_poll(lab->program, &news);
		if (news.wants_checkpoint)
			code = tandem_checkpoint(lab->program, NULL, 0, &later, NULL);
		if (code < 0 && code != TANDEM_E_TIMEOUT)
			break;
	}
	return code;
}

bool lab_commit(struct lab *lab, const char *state)
{
	struct tandem_error error = {0};
	uint64_t ticket;
	int code = tandem_checkpoint(lab->program, state, state == NULL ? 0 : strlen(state),
	                             &ticket, &error);

	if (code == 0)
		code = wait_ticket(lab, ticket);
	if (code < 0)
		fprintf(stderr, "lab: no commit: %s %s\n", tandem_error_text(code), error.detail);
	return code == 0;
}

/* ---- the standby ---- */

static int activate(void *argument, const struct tandem_activation *activation,
                    struct tandem_error *reterr_error)
{
	struct lab *lab = argument;

	(void)reterr_error;
	pthread_mutex_lock(&lab->lock);
	lab->is_activated = true;
	lab->activation_count++;
	lab->activation = *activation;
	snprintf(lab->activation_state_file, sizeof lab->activation_state_file, "%s",
	         activation->state_file);
	pthread_mutex_unlock(&lab->lock);
	return 0;
}

static int judge(void *argument, const char *needs, char *ret_reason, size_t reason_bytes)
{
	const struct lab *lab = argument;

	snprintf(ret_reason, reason_bytes, "something else seen, %s needed", needs);
	return atomic_load(&lab->misfit);
}

static void say(void *argument, bool is_error, const char *line)
{
	struct lab *lab = argument;

	if (getenv("LAB_TALKS") != NULL)
		fprintf(stderr, "standby: %s\n", line);
	if (!is_error)
		return;
	pthread_mutex_lock(&lab->lock);
	snprintf(lab->last_error_line, sizeof lab->last_error_line, "%s", line);
	pthread_mutex_unlock(&lab->lock);
	atomic_fetch_add(&lab->error_line_count, 1);
}

static void take_copy(void *argument, const char *image_directory, const void *state,
                      size_t state_bytes)
{
	struct lab *lab = argument;

	(void)state;
	if (image_directory[0] == '/' && state_bytes > 0)
		atomic_fetch_add(&lab->taken_count, 1);
}

static void drop_copy(void *argument)
{
	struct lab *lab = argument;

	atomic_fetch_add(&lab->dropped_count, 1);
}

bool lab_start_standby(struct lab *lab)
{
	struct tandem_standby_options options = {.pair = LAB_PAIR,
	                                         .run_directory = lab->run_standby,
	                                         .image_directory = lab->images,
	                                         .keeps_images = true,
	                                         .activate = activate,
	                                         .judge = judge,
	                                         .take_copy = take_copy,
	                                         .drop_copy = drop_copy,
	                                         .say = say,
	                                         .argument = lab};
	struct tandem_standby *standby;
	struct tandem_error error = {0};

	if (tandem_standby_new(&options, &standby, &error) < 0) {
		fprintf(stderr, "lab: the standby does not start: %s\n", error.detail);
		return false;
	}
	pthread_mutex_lock(&lab->lock);
	lab->standby = standby;
	pthread_mutex_unlock(&lab->lock);
	return controller_wait(lab->standby_control, TANDEM_CONTROL_ATTACH, NULL);
}

void lab_kill_standby(struct lab *lab)
{
	struct tandem_standby *standby;

	pthread_mutex_lock(&lab->lock);
	standby = lab->standby;
	lab->standby = NULL;
	pthread_mutex_unlock(&lab->lock);
	tandem_standby_free(standby);
}

void lab_order(struct lab *lab, enum tandem_control_type type, uint64_t epoch)
{
	struct tandem_control_message message = {.type = type,
	                                         .kind = TANDEM_CONTROL_KIND_STANDBY,
	                                         .generation = 3,
	                                         .epoch = epoch,
	                                         .incarnation = 0xabcd};

	controller_send(lab->standby_control, &message);
}

/* ---- stories that others begin with ---- */

static bool wants_checkpoint(const struct tandem_news *news, uint64_t value)
{
	(void)value;
	return news->wants_checkpoint;
}

bool lab_copy(struct lab *lab)
{
	struct tandem_control_message message;
	uint64_t ticket;

	controller_stand_by(lab->standby_control, lab->generation,
	                    controller_incarnation(lab->primary_control));
	if (!controller_wait(lab->primary_control, TANDEM_CONTROL_SESSION_UP, NULL) ||
	    !lab_wait_news(lab, wants_checkpoint, 0))
		return false;
	if (tandem_checkpoint(lab->program, "copy", 4, &ticket, NULL) < 0)
		return false;
	return controller_wait(lab->primary_control, TANDEM_CONTROL_COPIED, &message) &&
	       message.peer_incarnation == controller_incarnation(lab->standby_control) &&
	       message.generation == lab->generation;
}

static bool is_pair_of(const struct tandem_news *news, uint64_t generation)
{
	return news->is_pair && news->generation == generation;
}

bool lab_pair(struct lab *lab)
{
	lab->generation++;
	controller_lead(lab->primary_control, lab->generation, true);
	controller_stand_by(lab->standby_control, lab->generation,
	                    controller_incarnation(lab->primary_control));
	return lab_wait_news(lab, is_pair_of, lab->generation);
}

bool lab_protect(struct lab *lab)
{
	return lab_start_program(lab) && lab_start_standby(lab) && lab_copy(lab) && lab_pair(lab);
}

/* ---- looking ---- */

bool lab_wait_line(struct lab *lab, const char *text)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;
	bool is_there = false;

	while (!is_there && tandem_clock_now_ns() < deadline_ns) {
		pthread_mutex_lock(&lab->lock);
		is_there = strstr(lab->last_error_line, text) != NULL;
		pthread_mutex_unlock(&lab->lock);
		poll(NULL, 0, 1);
	}
	return is_there;
}

bool lab_wait_activated(struct lab *lab)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;
	bool is_activated = false;

	while (!is_activated && tandem_clock_now_ns() < deadline_ns) {
		pthread_mutex_lock(&lab->lock);
		is_activated = lab->is_activated;
		pthread_mutex_unlock(&lab->lock);
		poll(NULL, 0, 1);
	}
	return is_activated;
}

static bool image_equals(const struct lab *lab, unsigned region)
{
	char path[256];
	void *image;
	bool is_equal;
	int fd;

	snprintf(path, sizeof path, "%s/%s/%s", lab->images, LAB_PAIR, region_names[region]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	image = mmap(NULL, lab->region_bytes[region], PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	is_equal = image != MAP_FAILED &&
	           memcmp(image, lab->regions[region], lab->region_bytes[region]) == 0;
	if (image != MAP_FAILED)
		munmap(image, lab->region_bytes[region]);
	return is_equal;
}

bool lab_images_equal(struct lab *lab)
{
	uint64_t deadline_ns = tandem_clock_now_ns() + PATIENCE_NS;

	while (!image_equals(lab, 0) || !image_equals(lab, 1)) {
		if (tandem_clock_now_ns() > deadline_ns)
			return false;
		poll(NULL, 0, 1); /* an apply is under way */
	}
	return true;
}

bool lab_state_is(struct lab *lab, const char *text)
{
	char found[LAB_STATE_BYTES + 1] = "";
	FILE *file = fopen(lab->activation_state_file, "rb");
	size_t length;

	if (file == NULL)
		return false;
	length = fread(found, 1, sizeof found - 1, file);
	fclose(file);
	if (length != strlen(text) || memcmp(found, text, length) != 0)
		fprintf(stderr, "lab: the state is '%s', not '%s'\n", found, text);
	return length == strlen(text) && memcmp(found, text, length) == 0;
}
