#include "standby_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/memory.h>
#include <tandem/random.h>

#define ATTACH_TIMEOUT_NS      (2 * TANDEM_NS_PER_S)
#define ATTACH_INTERVAL_MS     200
#define REPORT_INTERVAL_MIN_NS TANDEM_NS_PER_MS

void tandem_standby_say(struct tandem_standby *standby, bool is_error, const char *format, ...)
        TANDEM_PRINTF(3, 4);
void tandem_standby_say(struct tandem_standby *standby, bool is_error, const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	standby->options.say(standby->options.argument, is_error, line);
}

static void wake(struct tandem_standby *standby)
{
	uint64_t one = 1;
	ssize_t written = write(standby->wake_fd, &one, sizeof one);

	(void)written; /* a full eventfd is awake already */
}

void tandem_standby_report(struct tandem_standby *standby, struct tandem_control_message *message)
{
	if (message->generation == 0)
		message->generation = standby->core.generation;
	message->epoch = standby->core.committed;
	message->peer_incarnation = atomic_load(&standby->session_incarnation);
	tandem_control_link_send(standby->link, message);
}

void tandem_standby_report_failure(struct tandem_standby *standby, enum tandem_control_type order,
                                   const struct tandem_error *error)
{
	struct tandem_control_message message = {
	        .type = TANDEM_CONTROL_FAILED, .answers = order, .status = error->code};

	memcpy(message.text, error->detail, sizeof message.text - 1);
	tandem_standby_say(standby, true, "pair %s: %s failed: %s", standby->pair,
	                   tandem_control_type_name(order), error->detail);
	tandem_standby_report(standby, &message);
}

void tandem_standby_publish(struct tandem_standby *standby)
{
	const struct tandem_secondary *core = &standby->core;
	const bool has_copy = core->copy_incarnation != 0 && !core->is_void &&
	                      standby->activated_incarnation == 0;

	atomic_store_explicit(&standby->committed, core->committed, memory_order_release);
	atomic_store_explicit(&standby->generation, core->generation, memory_order_release);
	atomic_store_explicit(&standby->has_copy, has_copy, memory_order_release);
}

/* ---- the controller's orders ---- */

/* [L15] What it starts says itself how it fares. */
static void do_protect(struct tandem_standby *standby)
{
	struct tandem_error error;

	if (!standby->options.protect)
		tandem_standby_say(standby, true, "pair %s: there is nothing to protect here",
		                   standby->pair);
	else if (standby->options.protect(standby->options.argument, &error) < 0)
		tandem_standby_say(standby, true, "pair %s: %s", standby->pair, error.detail);
}

static void on_order(void *argument, const struct tandem_control_message *message)
{
	struct tandem_standby *standby = argument;

	pthread_mutex_lock(&standby->lock);
	standby->mail.has_any = true;
	if (message->type == TANDEM_CONTROL_STAND_BY) {
		standby->mail.has_stand_by = true;
		standby->mail.keeps_old |= message->keeps_old;
		standby->mail.generation = message->generation;
		standby->mail.owner = message->peer_incarnation;
	} else if (message->type == TANDEM_CONTROL_FENCE) {
		standby->mail.has_fence = true;
		standby->mail.fence_generation = message->generation;
	} else if (message->type == TANDEM_CONTROL_ACTIVATE) {
		standby->mail.has_activate = true;
		standby->mail.activate = *message;
	} else if (message->type == TANDEM_CONTROL_YANK && standby->yankable != NULL) {
		tandem_session_yank(standby->yankable);
	}
	pthread_mutex_unlock(&standby->lock);
	wake(standby);
	if (message->type == TANDEM_CONTROL_PROTECT)
		do_protect(standby);
}

/* [L16] It is looked whether what was said of this node still holds: a hand-over may come next. */
static void report_fit(struct tandem_standby *standby, struct tandem_control_message *message)
{
	char needs[TANDEM_NEEDS_BYTES], reason[TANDEM_REASON_BYTES];

	pthread_mutex_lock(&standby->lock);
	message->status = standby->misfit[0] != '\0' ? TANDEM_E_UNSUPPORTED : 0;
	memcpy(message->text, standby->misfit, sizeof standby->misfit);
	memcpy(needs, standby->needs, sizeof needs);
	pthread_mutex_unlock(&standby->lock);
	if (message->status == 0 && message->has_copy &&
	    tandem_standby_compare(standby, needs, reason, sizeof reason) < 0) {
		message->status = TANDEM_E_AGAIN;
		snprintf(message->text, sizeof message->text, "%s", reason);
	}
}

static void on_report(void *argument, struct tandem_control_message *message)
{
	struct tandem_standby *standby = argument;

	message->peer_incarnation = atomic_load(&standby->session_incarnation);
	message->has_session = message->peer_incarnation != 0;
	message->has_copy = atomic_load(&standby->has_copy);
	message->epoch = atomic_load(&standby->committed);
	message->generation = atomic_load(&standby->generation);
	message->heard_age_ns = tandem_clock_now_ns() - atomic_load(&standby->heard_ns);
	report_fit(standby, message);
	if (message->has_session)
		tandem_beats_report(&standby->beats, tandem_clock_now_ns(), message);
}

static void on_attached(void *argument)
{
	struct tandem_standby *standby = argument;
	struct tandem_control_message message = {.type = TANDEM_CONTROL_SESSION_UP};

	message.peer_incarnation = atomic_load(&standby->session_incarnation);
	message.generation = atomic_load(&standby->generation);
	message.epoch = atomic_load(&standby->committed);
	if (message.peer_incarnation != 0)
		tandem_control_link_send(standby->link, &message);
}

void tandem_standby_report_fenced(struct tandem_standby *standby)
{
	struct tandem_control_message message = {.type = TANDEM_CONTROL_FENCED,
	                                         .generation = standby->fenced_generation,
	                                         .drain_ns = standby->drain_ns};

	message.lease_left_ns =
	        tandem_lease_left_ns(standby->lease_ns, standby->granted_ns, tandem_clock_now_ns());
	tandem_standby_report(standby, &message);
}

/* [L5] [C34] [C35] A FENCE is answered when nothing is missing any more that a program needs here.
 */
void tandem_standby_answer_fence(struct tandem_standby *standby)
{
	char reason[TANDEM_REASON_BYTES];
	struct tandem_error error;
	int code;

	if (standby->room.owes_fenced)
		return;
	code = tandem_standby_judge(standby, reason, sizeof reason);
	standby->awaits_fit = code < 0;
	if (code == 0) {
		tandem_standby_report_fenced(standby);
	} else if (code == TANDEM_E_AGAIN) {
		tandem_standby_say(standby, false, "pair %s: FENCE is not answered yet: %s",
		                   standby->pair, reason);
	} else {
		tandem_error_set(&error, code, "fence", "nothing goes on here yet: %s", reason);
		tandem_standby_report_failure(standby, TANDEM_CONTROL_FENCE, &error);
	}
}

/* [L5] */
static void do_fence(struct tandem_standby *standby, uint64_t generation)
{
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_FENCE};
	struct tandem_error error;

	/* A session that was lost before is drained already. */
	standby->drain_ns = 0;
	TANDEM_FAILPOINT("standby_fence");
	standby->fenced_generation = generation;
	standby->activate_awaits_fit = false;
	tandem_standby_step(standby, &event);
	tandem_standby_end_session(standby, "fenced by order of the controller");
	tandem_standby_finish_apply(standby);
	TANDEM_FAILPOINT("standby_fenced");
	if (tandem_secondary_is_promotable(&standby->core)) {
		standby->room.is_out = false;
		standby->room.owes_fenced = standby->image.missing_pages > 0;
		tandem_standby_answer_fence(standby);
		return;
	}
	tandem_error_set(&error, TANDEM_E_FENCE, "fence", "%s",
	                 standby->core.is_void ? "the copy is void"
	                                       : "this node holds no committed copy");
	tandem_standby_report_failure(standby, TANDEM_CONTROL_FENCE, &error);
}

/* [C35] What the node has may have changed since FENCED. */
static bool keep_activate(struct tandem_standby *standby,
                          const struct tandem_control_message *order)
{
	char reason[TANDEM_REASON_BYTES];
	const int code = tandem_standby_judge(standby, reason, sizeof reason);

	standby->activate_awaits_fit = code < 0;
	if (code == 0)
		return false;
	if (order != &standby->activate)
		standby->activate = *order;
	tandem_standby_say(standby, code != TANDEM_E_AGAIN,
	                   "pair %s: ACTIVATE is not carried out yet: %s", standby->pair, reason);
	return true;
}

/* [L6] */
void tandem_standby_activate(struct tandem_standby *standby,
                             const struct tandem_control_message *order)
{
	char state_file[192];
	struct tandem_activation activation = {
	        .pair = standby->pair,
	        .generation = order->generation,
	        .epoch = standby->core.committed,
	        .incarnation = order->incarnation,
	        .image_directory = standby->image.directory,
	        .state_file = state_file,
	};
	struct tandem_error error;
	int code = 0;

	snprintf(state_file, sizeof state_file, "%s/%s", standby->image.directory,
	         TANDEM_STATE_FILE);
	/* A controller that was restarted asks again. */
	if (standby->activated_incarnation != 0 &&
	    standby->activated_incarnation == order->incarnation)
		return;
	if (!tandem_secondary_is_promotable(&standby->core) || standby->room.owes_fenced ||
	    standby->awaits_fit || standby->activated_incarnation != 0 ||
	    order->epoch != standby->core.committed)
		code = tandem_error_set(
		        &error, TANDEM_E_USAGE, "activate",
		        "this standby is not fenced at epoch %llu, or was activated before",
		        (unsigned long long)order->epoch);
	if (code == 0 && keep_activate(standby, order))
		return;
	if (code == 0 && TANDEM_FAILPOINT_FIRES("standby_state"))
		code = tandem_error_set(&error, TANDEM_E_SYSTEM, "state file",
		                        "the failpoint leaves no room");
	if (code == 0)
		code = tandem_image_write_state(&standby->image, standby->state,
		                                standby->state_bytes, &error);
	if (code == 0) {
		standby->activated_incarnation = order->incarnation;
		tandem_standby_set_needs(standby, "");
		tandem_standby_publish(standby);
		TANDEM_FAILPOINT("standby_activate");
		code = standby->options.activate(standby->options.argument, &activation, &error);
		/* Nobody writes there any more, so the program need not wait for its end. It has
		 * the files now. */
		standby->is_copy_taken = false;
		tandem_image_done(&standby->image, false);
	}
	if (code < 0)
		tandem_standby_report_failure(standby, TANDEM_CONTROL_ACTIVATE, &error);
}

/* ---- the thread ---- */

static bool attach(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	struct tandem_control_callbacks callbacks = {.on_message = on_order,
	                                             .on_report = on_report,
	                                             .on_attached = on_attached,
	                                             .argument = standby};
	struct tandem_control_message welcome, message = {
	                                               .type = TANDEM_CONTROL_ATTACH,
	                                               .kind = TANDEM_CONTROL_KIND_STANDBY,
	                                               .incarnation = standby->core.incarnation,
	                                               .process_id = (uint32_t)getpid(),
	                                       };

	memcpy(message.pair, standby->pair, sizeof message.pair);
	if (tandem_control_link_open(standby->run_directory, &message, ATTACH_TIMEOUT_NS,
	                             &standby->link, &welcome, reterr_error) < 0)
		return false;
	standby->lease_ns = welcome.settings.lease_ns;
	if (welcome.settings.report_interval_ns < REPORT_INTERVAL_MIN_NS)
		welcome.settings.report_interval_ns = REPORT_INTERVAL_MIN_NS;
	standby->beat_interval_ns = welcome.settings.report_interval_ns;
	return tandem_control_link_start(standby->link, &callbacks,
	                                 welcome.settings.report_interval_ns, reterr_error) == 0;
}

/* A fresh life: a new incarnation that holds nothing. */
static void begin_life(struct tandem_standby *standby)
{
	struct tandem_error error;
	bool has_told = false, has_mail = false;
	struct pollfd descriptor = {.fd = standby->wake_fd, .events = POLLIN};
	uint64_t count;

	tandem_secondary_init(&standby->core, standby->pair, tandem_random_unique());
	standby->activated_incarnation = 0;
	standby->granted_ns = 0;
	standby->fenced_generation = 0;
	standby->awaits_fit = standby->activate_awaits_fit = false;
	tandem_standby_set_needs(standby, "");
	memset(&standby->room, 0, sizeof standby->room);
	tandem_standby_publish(standby);
	while (!atomic_load(&standby->is_ending)) {
		if (attach(standby, &error))
			break;
		standby->link = tandem_control_link_free(standby->link);
		if (!has_told)
			tandem_standby_say(standby, false,
			                   "pair %s: waiting for the controller: %s", standby->pair,
			                   error.detail);
		has_told = true;
		/* Mail waits until the controller is there; taken off, its bell does not keep this
		 * loop from resting. */
		if (poll(&descriptor, 1, ATTACH_INTERVAL_MS) > 0)
			has_mail = read(standby->wake_fd, &count, sizeof count) > 0 || has_mail;
	}
	if (has_mail)
		wake(standby);
	if (standby->link != NULL)
		tandem_standby_say(standby, false, "pair %s: standing by, incarnation %016llx",
		                   standby->pair, (unsigned long long)standby->core.incarnation);
}

static void end_life(struct tandem_standby *standby)
{
	struct tandem_standby_mail mail;
	bool keeps_images;

	tandem_standby_end_session(standby, "this life of the standby ends");
	standby->link = tandem_control_link_free(standby->link);
	pthread_mutex_lock(&standby->lock);
	mail = standby->mail;
	memset(&standby->mail, 0, sizeof standby->mail);
	pthread_mutex_unlock(&standby->lock);
	tandem_session_free(mail.offered);
	standby->leaving = tandem_session_free(standby->leaving);
	keeps_images = standby->activated_incarnation != 0 ||
	               (standby->core.copy_incarnation != 0 && standby->options.keeps_images);
	tandem_standby_drop_image(standby, !keeps_images);
	if (standby->has_inbox)
		tandem_inbox_done(&standby->inbox, false);
	standby->has_inbox = false;
	tandem_memory_free(standby->state);
	standby->state = NULL;
	standby->state_bytes = 0;
}

/* [L11] A take-over that came to nothing has fenced it, and another node leads. */
static bool must_renew(const struct tandem_standby *standby, const struct tandem_standby_mail *mail)
{
	return mail->has_renew || (mail->has_stand_by && standby->core.is_fenced &&
	                           standby->activated_incarnation == 0 &&
	                           mail->generation >= standby->fenced_generation);
}

/* False when it failed: then this node takes no copy, for that would throw away what is to be kept.
 */
static bool keep_old(struct tandem_standby *standby, uint64_t generation)
{
	char kept[TANDEM_IMAGE_KEPT_BYTES];
	struct tandem_error error;

	if (tandem_image_keep(&standby->image, generation, kept, &error) < 0) {
		tandem_standby_report_failure(standby, TANDEM_CONTROL_STAND_BY, &error);
		return false;
	}
	if (kept[0] != '\0')
		tandem_standby_say(standby, false,
		                   "pair %s: what this node led is kept in %s until it is removed",
		                   standby->pair, kept);
	return true;
}

/* Without a copy where there is none: it is asked for between the seal and its answer. */
static bool take_mail(struct tandem_standby *standby, struct tandem_standby_mail *ret_mail)
{
	bool has_any;

	pthread_mutex_lock(&standby->lock);
	has_any = standby->mail.has_any;
	if (has_any) {
		*ret_mail = standby->mail;
		memset(&standby->mail, 0, sizeof standby->mail);
	}
	pthread_mutex_unlock(&standby->lock);
	return has_any;
}

static void read_mail(struct tandem_standby *standby)
{
	static _Thread_local struct tandem_standby_mail mail;
	struct tandem_secondary_event event = {.type = TANDEM_SECONDARY_ON_STAND_BY};

	if (!take_mail(standby, &mail))
		return;
	if (mail.has_stand_by && (!mail.keeps_old || keep_old(standby, mail.generation))) {
		event.generation = mail.generation;
		event.incarnation = mail.owner;
		tandem_standby_step(standby, &event);
	}
	if (mail.has_fence)
		do_fence(standby, mail.fence_generation);
	if (mail.has_review)
		tandem_standby_judge_again(standby);
	if (mail.has_activate)
		tandem_standby_activate(standby, &mail.activate);
	if (mail.offered != NULL)
		tandem_standby_greet(standby, mail.offered, mail.hello, mail.hello_bytes);
	if (must_renew(standby, &mail)) {
		end_life(standby);
		begin_life(standby);
	}
}

static uint64_t earlier(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

static int wait_ms(const struct tandem_standby *standby)
{
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t deadline_ns = now_ns + TANDEM_NS_PER_S;

	if (tandem_standby_has_to_apply(standby))
		return 0;
	if (standby->session != NULL)
		deadline_ns =
		        earlier(deadline_ns, earlier(tandem_session_deadline_ns(standby->session),
		                                     tandem_beats_deadline_ns(&standby->beats)));
	if (standby->leaving != NULL)
		deadline_ns = earlier(deadline_ns, standby->leaving_until_ns);
	deadline_ns = earlier(deadline_ns, tandem_standby_room_at_ns(standby));
	return deadline_ns <= now_ns ? 0 : (int)((deadline_ns - now_ns) / TANDEM_NS_PER_MS) + 1;
}

static void wait_for_work(struct tandem_standby *standby)
{
	struct pollfd descriptors[] = {{.fd = standby->wake_fd, .events = POLLIN},
	                               {.fd = -1, .events = POLLIN},
	                               {.fd = -1, .events = POLLIN}};
	uint64_t count;

	if (standby->session != NULL)
		descriptors[1].fd = tandem_session_fd(standby->session);
	if (standby->leaving != NULL)
		descriptors[2].fd = tandem_session_fd(standby->leaving);
	poll(descriptors, 3, wait_ms(standby));
	if (descriptors[0].revents != 0 && read(standby->wake_fd, &count, sizeof count) < 0)
		return; /* nothing was written in between */
}

static void *run_standby(void *argument)
{
	struct tandem_standby *standby = argument;
	bool has_news = false;

	begin_life(standby);
	while (!atomic_load(&standby->is_ending)) {
		/* What follows soon is found without sleeping: the session asks for it a while. */
		if (!has_news)
			wait_for_work(standby);
		has_news = tandem_standby_read_session(standby);
		tandem_standby_see_off(standby);
		read_mail(standby);
		if (tandem_standby_has_to_apply(standby))
			tandem_standby_apply_slice(standby);
		else
			tandem_standby_turn_room(standby, has_news);
		tandem_beats_turn(&standby->beats, standby->session);
	}
	end_life(standby);
	return NULL;
}

static int start(struct tandem_standby *standby, struct tandem_error *reterr_error)
{
	sigset_t all, before;
	int failure;

	standby->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (standby->wake_fd < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "eventfd",
		                              "standby");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failure = pthread_create(&standby->thread, NULL, run_standby, standby);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failure != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, failure,
		                              "pthread_create", "standby");
	standby->has_thread = true;
	return 0;
}

int tandem_standby_new(const struct tandem_standby_options *options,
                       struct tandem_standby **ret_standby, struct tandem_error *reterr_error)
{
	struct tandem_standby *standby = tandem_memory_alloc(sizeof *standby);
	int code;

	if (standby == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "standby", "no memory");
	pthread_mutex_init(&standby->lock, NULL);
	standby->options = *options;
	standby->wake_fd = -1;
	snprintf(standby->pair, sizeof standby->pair, "%s", options->pair);
	snprintf(standby->run_directory, sizeof standby->run_directory, "%s",
	         options->run_directory);
	snprintf(standby->image_directory, sizeof standby->image_directory, "%s",
	         options->image_directory);
	code = tandem_image_init(&standby->image, standby->image_directory, standby->pair,
	                         reterr_error);
	standby->image.takes_over = options->keeps_images;
	if (code == 0)
		code = start(standby, reterr_error);
	if (code < 0) {
		tandem_standby_free(standby);
		return code;
	}
	*ret_standby = standby;
	return 0;
}

/* ---- from other threads ---- */

const char *tandem_standby_hello_pair(const void *message, size_t message_bytes, char *text)
{
	struct tandem_wire_message hello;

	if (tandem_wire_decode(message, message_bytes, &hello) < 0 ||
	    hello.type != TANDEM_WIRE_HELLO)
		return NULL;
	memcpy(text, hello.pair, sizeof hello.pair);
	return text;
}

void tandem_standby_offer(struct tandem_standby *standby, struct tandem_session *session,
                          const void *hello, size_t hello_bytes)
{
	struct tandem_session *replaced;

	if (hello_bytes > sizeof standby->mail.hello) {
		tandem_session_free(session);
		return;
	}
	pthread_mutex_lock(&standby->lock);
	replaced = standby->mail.offered;
	standby->mail.has_any = true;
	standby->mail.offered = session;
	standby->mail.hello_bytes = hello_bytes;
	memcpy(standby->mail.hello, hello, hello_bytes);
	pthread_mutex_unlock(&standby->lock);
	tandem_session_free(replaced);
	wake(standby);
}

void tandem_standby_tell_stranger(struct tandem_session *session, const char *reason)
{
	/* One that cannot be told is on its way out by itself. */
	(void)tandem_standby_tell_refused(session, 0, TANDEM_E_REFUSED, reason);
}

void tandem_standby_refuse(struct tandem_session *session, const char *reason)
{
	static _Thread_local struct tandem_session_event event;
	uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_STANDBY_FAREWELL_NS;
	bool is_lost = false;

	tandem_standby_tell_stranger(session, reason);
	while (!is_lost && tandem_clock_now_ns() < deadline_ns) {
		struct pollfd descriptor = {.fd = tandem_session_fd(session), .events = POLLIN};

		poll(&descriptor, 1, 5);
		tandem_session_progress(session);
		while (tandem_session_next_event(session, &event))
			is_lost = is_lost || event.type == TANDEM_SESSION_LOST;
	}
	tandem_session_free(session);
}

void tandem_standby_renew(struct tandem_standby *standby)
{
	pthread_mutex_lock(&standby->lock);
	standby->mail.has_any = true;
	standby->mail.has_renew = true;
	pthread_mutex_unlock(&standby->lock);
	wake(standby);
}

bool tandem_standby_has_session(const struct tandem_standby *standby)
{
	return atomic_load(&standby->session_incarnation) != 0;
}

void tandem_standby_review(struct tandem_standby *standby)
{
	pthread_mutex_lock(&standby->lock);
	standby->mail.has_any = true;
	standby->mail.has_review = true;
	pthread_mutex_unlock(&standby->lock);
	wake(standby);
}

struct tandem_standby *tandem_standby_free(struct tandem_standby *standby)
{
	if (standby == NULL)
		return NULL;
	atomic_store(&standby->is_ending, true);
	if (standby->has_thread) {
		wake(standby);
		pthread_join(standby->thread, NULL);
	}
	if (standby->wake_fd >= 0)
		close(standby->wake_fd);
	pthread_mutex_destroy(&standby->lock);
	tandem_memory_free(standby);
	return NULL;
}
