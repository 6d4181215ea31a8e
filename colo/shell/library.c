#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/random.h>

#include "engine_internal.h"
#include "library_internal.h"

#define RUN_DIRECTORY_DEFAULT "/run/tandem"

static bool is_forked(const struct tandem *tandem)
{
	return tandem->unforked != NULL ? *tandem->unforked == 0 : tandem->process != getpid();
}

int tandem_library_check(const struct tandem *tandem, struct tandem_error *reterr_error)
{
	if (is_forked(tandem))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "libtandem",
		                        "this is a forked child of the protected program; only the "
		                        "parent may use it");
	return 0;
}

/* A promoted program takes the incarnation that the take-over named; any other draws its own. */
static void choose_identity(struct tandem *tandem)
{
	struct tandem_recovery recovery;
	uint64_t incarnation = tandem_library_environment_number("TANDEM_INCARNATION");

	tandem->first_epoch = 1;
	tandem->incarnation = tandem_random_unique();
	if (incarnation != 0 && tandem_recovery_read(&recovery) &&
	    strcmp(recovery.pair, tandem->pair) == 0) {
		tandem->incarnation = incarnation;
		tandem->first_epoch = recovery.epoch + 1;
	}
}

/* A promoted program that has led is gone with its memory, whoever starts its command again (R5).
 */
static int check_first_life(const struct tandem *tandem, struct tandem_error *reterr_error)
{
	const bool has_led =
	        tandem_stats_has_led(tandem->run_directory, tandem->pair, tandem->incarnation);

	return has_led ? tandem_error_set(
	                         reterr_error, TANDEM_E_NOT_LEADER, "tandem_open",
	                         "the program that was promoted as %016llx has led and ended; its "
	                         "memory is no copy any more",
	                         (unsigned long long)tandem->incarnation)
	               : 0;
}

static int take_options(struct tandem *tandem, const struct tandem_options *options,
                        struct tandem_error *reterr_error)
{
	const char *pair = options->pair != NULL ? options->pair : getenv("TANDEM_PAIR");
	const char *directory =
	        options->run_directory != NULL ? options->run_directory : getenv("TANDEM_RUN_DIR");

	if (directory == NULL)
		directory = RUN_DIRECTORY_DEFAULT;
	if (pair == NULL || pair[0] == '\0' || strlen(pair) >= sizeof tandem->pair)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_open",
		                        "the pair's name must have 1 to %zu characters; it is '%s' "
		                        "(set options.pair or "
		                        "TANDEM_PAIR)",
		                        sizeof tandem->pair - 1, pair == NULL ? "" : pair);
	if (strlen(directory) >= sizeof tandem->run_directory)
		return tandem_error_set(
		        reterr_error, TANDEM_E_USAGE, "tandem_open",
		        "the run directory's name must have less than %zu characters: %s",
		        sizeof tandem->run_directory, directory);
	memcpy(tandem->pair, pair, strlen(pair) + 1);
	memcpy(tandem->run_directory, directory, strlen(directory) + 1);
	tandem->start_timeout_ns = options->start_timeout_ns;
	return 0;
}

static int attach(struct tandem *tandem, struct tandem_error *reterr_error)
{
	struct tandem_control_message welcome, message = {
	                                               .type = TANDEM_CONTROL_ATTACH,
	                                               .kind = TANDEM_CONTROL_KIND_PROGRAM,
	                                               .incarnation = tandem->incarnation,
	                                               .process_id = (uint32_t)getpid(),
	                                       };
	int code;

	memcpy(message.pair, tandem->pair, sizeof message.pair);
	code = tandem_control_link_open(tandem->run_directory, &message, tandem->start_timeout_ns,
	                                &tandem->engine.link, &welcome, reterr_error);
	if (code < 0)
		return code;
	tandem->engine.settings = welcome.settings;
	if (tandem_tracker_parse(welcome.settings.tracker, &tandem->tracker) < 0)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "tracker",
		                        "the controller names tracker '%s'; it must be auto, "
		                        "pagemap, mark or compare",
		                        welcome.settings.tracker);
	return 0;
}

/* A thread of the program that drives has the priority of the engine's own while that waits for the
 * helm. `lock` is held for moments, and handing it over in order would cost more than it is worth.
 */
static void init_locks(struct tandem_engine *engine)
{
	pthread_mutexattr_t lends;
	pthread_condattr_t clock;

	pthread_mutexattr_init(&lends);
	pthread_mutexattr_setprotocol(&lends, PTHREAD_PRIO_INHERIT);
	if (pthread_mutex_init(&engine->helm, &lends) != 0) /* not every kernel can */
		pthread_mutex_init(&engine->helm, NULL);
	pthread_mutexattr_destroy(&lends);
	sem_init(&engine->helm_left, 0, 0); /* it cannot fail */
	pthread_mutex_init(&engine->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&engine->changed, &clock);
	pthread_condattr_destroy(&clock);
}

static int init_engine(struct tandem *tandem, struct tandem_error *reterr_error)
{
	struct tandem_engine *engine = &tandem->engine;
	struct epoll_event wakes = {.events = EPOLLIN};

	init_locks(engine);
	engine->is_program_free = true;
	engine->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	engine->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	engine->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	if (engine->wake_fd < 0 || engine->news_fd < 0 || engine->watch_fd < 0 ||
	    epoll_ctl(engine->watch_fd, EPOLL_CTL_ADD, engine->wake_fd, &wakes) != 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "eventfd",
		                              "tandem_open");
	return 0;
}

static void mark_process(struct tandem *tandem)
{
	const size_t bytes = TANDEM_PAGE_BYTES;
	uint8_t *memory = tandem_memory_map(bytes);

	tandem->process = getpid();
	if (memory != NULL && madvise(memory, bytes, MADV_WIPEONFORK) == 0) {
		*memory = 1;
		tandem->unforked = memory;
	} else {
		tandem_memory_unmap(memory, bytes);
	}
}

int tandem_open(const struct tandem_options *options, struct tandem **ret_tandem,
                struct tandem_error *reterr_error)
{
	struct tandem *tandem = tandem_memory_alloc(sizeof *tandem);
	int code;

	if (tandem == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "tandem_open", "no memory");
	mark_process(tandem);
	code = init_engine(tandem, reterr_error);
	if (code == 0)
		code = take_options(tandem, options, reterr_error);
	if (code == 0) {
		choose_identity(tandem);
		code = check_first_life(tandem, reterr_error);
	}
	if (code == 0)
		code = attach(tandem, reterr_error);
	if (code < 0) {
		tandem_close(tandem);
		return code;
	}
	*ret_tandem = tandem;
	return 0;
}

static bool is_name_good(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length < TANDEM_NAME_BYTES &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

unsigned tandem_library_region(const struct tandem *tandem, const char *name)
{
	unsigned region = 0;

	while (region < tandem->regions.count &&
	       strcmp(tandem->regions.entries[region].name, name) != 0)
		region++;
	return region;
}

static int check_region(const struct tandem *tandem, const char *name, const void *base,
                        size_t length, struct tandem_error *reterr_error)
{
	if (tandem->is_started)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_region_add",
		                        "regions are fixed after start");
	if (tandem->regions.count == TANDEM_REGIONS_MAX)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_region_add",
		                        "more than %u regions", TANDEM_REGIONS_MAX);
	if (!is_name_good(name))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_region_add",
		                        "region name '%s' must be 1 to 31 of a-z 0-9 _ -", name);
	if (length == 0 || (uintptr_t)base % TANDEM_PAGE_BYTES != 0 ||
	    length % TANDEM_PAGE_BYTES != 0)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_region_add",
		                        "region %s: base %p and length %zu must be multiples of %u",
		                        name, base, length, TANDEM_PAGE_BYTES);
	if (length / TANDEM_PAGE_BYTES > TANDEM_REGION_PAGES_MAX)
		return tandem_error_set(
		        reterr_error, TANDEM_E_USAGE, "tandem_region_add",
		        "region %s: length %zu is more than the possible %llu GiB", name, length,
		        (unsigned long long)TANDEM_REGION_PAGES_MAX * TANDEM_PAGE_BYTES >> 30);
	if (tandem_library_region(tandem, name) < tandem->regions.count)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_region_add",
		                        "region %s exists already", name);
	return 0;
}

/* Takes the tracker that was made, or the error of making it. */
static int add(struct tandem *tandem, const char *name, void *base, size_t length, int code,
               struct tandem_error *reterr_error)
{
	struct tandem_engine *engine = &tandem->engine;
	unsigned region = tandem->regions.count;

	if (code == 0 && engine->settings.verify_every != 0)
		code = tandem_tracker_keep_account(engine->trackers[region], reterr_error);
	if (code < 0) {
		engine->trackers[region] = tandem_tracker_free(engine->trackers[region]);
		return tandem_error_wrap(reterr_error, code, "region %s", name);
	}
	memcpy(tandem->regions.entries[region].name, name, strlen(name) + 1);
	tandem->regions.entries[region].page_count = length / TANDEM_PAGE_BYTES;
	engine->push.bases[region] = base;
	engine->push.free_pages[region] = tandem_tracker_free_pages(engine->trackers[region]);
	tandem->regions.count++;
	return 0;
}

int tandem_region_add(struct tandem *tandem, const char *name, void *base, size_t length,
                      enum tandem_tracker tracker, struct tandem_error *reterr_error)
{
	struct tandem_engine *engine = &tandem->engine;
	int code = tandem_library_check(tandem, reterr_error);

	if (code == 0)
		code = check_region(tandem, name, base, length, reterr_error);
	if (code < 0)
		return code;
	code = tandem_tracker_new(tracker == TANDEM_TRACKER_AUTO ? tandem->tracker : tracker, base,
	                          length, &engine->trackers[tandem->regions.count], reterr_error);
	return add(tandem, name, base, length, code, reterr_error);
}

int tandem_region_add_foreign(struct tandem *tandem, const char *name, void *base, size_t length,
                              const struct tandem_foreign *writer,
                              struct tandem_error *reterr_error)
{
	struct tandem_engine *engine = &tandem->engine;
	int code = tandem_library_check(tandem, reterr_error);

	if (code == 0)
		code = check_region(tandem, name, base, length, reterr_error);
	if (code < 0) {
		close(writer->userfault_fd);
		close(writer->pagemap_fd);
		return code;
	}
	code = tandem_tracker_new_foreign(base, length, writer,
	                                  &engine->trackers[tandem->regions.count], reterr_error);
	return add(tandem, name, base, length, code, reterr_error);
}

int tandem_require(struct tandem *tandem, const char *needs, struct tandem_error *reterr_error)
{
	if (tandem->is_started || strlen(needs) >= sizeof tandem->needs)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_require",
		                        tandem->is_started ? "started already"
		                                           : "more than %zu characters",
		                        sizeof tandem->needs - 1);
	memcpy(tandem->needs, needs, strlen(needs) + 1);
	return 0;
}

bool tandem_is_misfit(struct tandem *tandem, char *ret_reason, size_t reason_bytes)
{
	struct tandem_engine *engine = &tandem->engine;

	pthread_mutex_lock(&engine->lock);
	const bool is_misfit = engine->misfit[0] != '\0';
	if (is_misfit)
		snprintf(ret_reason, reason_bytes, "%s", engine->misfit);
	pthread_mutex_unlock(&engine->lock);
	return is_misfit;
}

const char *tandem_region_tracker(const struct tandem *tandem, const char *name)
{
	unsigned region = tandem_library_region(tandem, name);

	return region < tandem->regions.count ? tandem_tracker_text(tandem->engine.trackers[region])
	                                      : NULL;
}

static bool is_checkpoint_under_way(struct tandem_engine *engine)
{
	bool is_free;

	pthread_mutex_lock(&engine->lock);
	is_free = engine->is_program_free;
	pthread_mutex_unlock(&engine->lock);
	return !is_free;
}

/* The engine looks at the length when it takes a page, and at the marks before: whichever length it
 * saw, the pages between the two are looked at again. */
int tandem_region_use(struct tandem *tandem, const char *name, size_t used_bytes,
                      struct tandem_error *reterr_error)
{
	struct tandem_engine *engine = &tandem->engine;
	unsigned region = tandem_library_region(tandem, name);
	uint64_t page_count, unused, before;
	int code = tandem_library_check(tandem, reterr_error);

	if (code < 0)
		return code;
	if (region == tandem->regions.count)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_region_use",
		                        "there is no region '%s'", name);
	if (is_checkpoint_under_way(engine))
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_region_use",
		                        "a checkpoint is under way, and the length is part of it: "
		                        "wait for it with tandem_checkpoint_wait()");
	page_count = tandem->regions.entries[region].page_count;
	if (used_bytes > page_count * TANDEM_PAGE_BYTES)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_region_use",
		                        "region %s has %llu bytes, and %zu are to be used", name,
		                        (unsigned long long)page_count * TANDEM_PAGE_BYTES,
		                        used_bytes);
	unused = page_count - (used_bytes + TANDEM_PAGE_BYTES - 1) / TANDEM_PAGE_BYTES;
	before = atomic_exchange(&engine->push.unused_pages[region], unused);
	tandem_tracker_use(engine->trackers[region], page_count - unused);
	if (unused != before)
		tandem_tracker_mark(
		        engine->trackers[region],
		        (page_count - (unused > before ? unused : before)) * TANDEM_PAGE_BYTES,
		        (unused > before ? unused - before : before - unused) * TANDEM_PAGE_BYTES);
	return 0;
}

/* ---- leaving ---- */

/* It only ever goes on, whoever says what first. */
static void move_on(struct tandem *tandem, enum tandem_leaving to)
{
	enum tandem_leaving from = atomic_load(&tandem->leaving);

	while (from < to && !atomic_compare_exchange_weak(&tandem->leaving, &from, to))
		;
	tandem_engine_ring(&tandem->engine);
}

int tandem_leave(struct tandem *tandem, struct tandem_error *reterr_error)
{
	int code = tandem_library_check(tandem, reterr_error);

	if (code < 0)
		return code;
	if (!tandem->is_started)
		return tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_leave",
		                        "not started");
	if (atomic_load(&tandem->engine.is_halted))
		return tandem_error_set(reterr_error, TANDEM_E_NOT_LEADER, "tandem_leave",
		                        "another node leads");
	move_on(tandem, TANDEM_LEAVES);
	return 0;
}

enum tandem_leaving tandem_leaving(const struct tandem *tandem)
{
	return atomic_load(&tandem->leaving);
}

/* ---- the controller's orders, on the link's thread ---- */

static void on_order(void *argument, const struct tandem_control_message *message)
{
	struct tandem *tandem = argument;

	if (message->type == TANDEM_CONTROL_LEAD) {
		/* Before anything can leave. */
		atomic_store(&tandem->engine.stats->generation, message->generation);
		atomic_store(&tandem->is_leading, true);
		tandem_engine_lead(&tandem->engine, message);
	} else if (message->type == TANDEM_CONTROL_HALT) {
		pthread_mutex_lock(&tandem->engine.lock);
		memcpy(tandem->halt_reason, message->text, sizeof message->text);
		pthread_mutex_unlock(&tandem->engine.lock);
		tandem_engine_halt(&tandem->engine);
	} else if (message->type == TANDEM_CONTROL_WELCOME) {
		tandem_engine_take_key(&tandem->engine, &message->settings);
	} else if (message->type == TANDEM_CONTROL_QUIESCE) {
		tandem_engine_quiesce(&tandem->engine);
	} else if (message->type == TANDEM_CONTROL_YANK) {
		tandem_engine_yank(&tandem->engine);
	} else if (message->type == TANDEM_CONTROL_LEAVE) {
		move_on(tandem, TANDEM_ASKED_TO_LEAVE);
	} else if (message->type == TANDEM_CONTROL_RELEASE) {
		tandem_engine_release(&tandem->engine);
		move_on(tandem, TANDEM_LEFT);
	}
}

void tandem_library_look(struct tandem *tandem)
{
	if (!tandem->is_started)
		tandem_control_link_look(tandem->engine.link, on_order, tandem);
}

static void on_report(void *argument, struct tandem_control_message *report)
{
	struct tandem *tandem = argument;

	tandem_engine_report(&tandem->engine, report);
	report->leaves = atomic_load(&tandem->leaving) == TANDEM_LEAVES; /* [L14] */
}

/* [L2] */
static void say_ready(struct tandem *tandem)
{
	struct tandem_control_message ready = {.type = TANDEM_CONTROL_READY};

	tandem_control_link_send(tandem->engine.link, &ready);
}

static void on_attached(void *argument)
{
	struct tandem *tandem = argument;

	say_ready(tandem);
	tandem_engine_repeat(&tandem->engine);
}

/* ---- start ---- */

static int open_transport(struct tandem *tandem, struct tandem_error *reterr_error)
{
	struct tandem_engine *engine = &tandem->engine;
	const struct tandem_control_settings *settings = &engine->settings;
	struct tandem_transport_options *options = &engine->transport_options;
	int code = tandem_transport_open(settings->provider, settings->rails[0].local_address,
	                                 &engine->transport, reterr_error);

	if (code < 0)
		return code;
	*options = TANDEM_TRANSPORT_OPTIONS_DEFAULT;
	options->rail_count = settings->rail_count;
	for (unsigned i = 0; i < settings->rail_count; i++) {
		memcpy(options->rails[i].address, settings->rails[i].peer_address,
		       sizeof options->rails[i].address);
		memcpy(options->rails[i].source_address, settings->rails[i].local_address,
		       sizeof options->rails[i].source_address);
	}
	options->port = settings->peer_port;
	options->channel_count = settings->channel_count;
	options->write_depth = settings->write_depth;
	options->connect_timeout_ns = settings->connect_timeout_ns;
	/* A path that lets nothing through is lost as a channel before the wait for COMMITTED ends
	 * the session [C9]. */
	options->peer_timeout_ns = settings->commit_timeout_ns / 2;
	options->poll_ns = settings->poll_ns;
	options->keys[0] = settings->key;
	options->key_count = settings->has_key;
	return tandem_transport_options_validate(&engine->transport_options, reterr_error);
}

static int open_stats(struct tandem *tandem, struct tandem_error *reterr_error)
{
	struct tandem_engine *engine = &tandem->engine;
	const struct tandem_transport_capabilities *capabilities;
	int code = tandem_stats_create(tandem->run_directory, tandem->pair, &engine->stats,
	                               reterr_error);

	if (code < 0)
		return code;
	capabilities = tandem_transport_capabilities(engine->transport);
	engine->stats->incarnation = tandem->incarnation;
	engine->stats->process_id = (uint32_t)getpid();
	engine->stats->channel_count = engine->settings.channel_count;
	snprintf(engine->stats->transport, sizeof engine->stats->transport, "%s",
	         capabilities->name);
	snprintf(engine->stats->transport_detail, sizeof engine->stats->transport_detail, "%s",
	         capabilities->detail);
	snprintf(engine->stats->tracker, sizeof engine->stats->tracker, "%s",
	         tandem_tracker_name(tandem_tracker_kind(engine->trackers[0])));
	return 0;
}

struct timespec tandem_library_deadline(uint64_t timeout_ns)
{
	uint64_t now_ns = tandem_clock_now_ns();
	uint64_t at_ns = timeout_ns < UINT64_MAX - now_ns ? now_ns + timeout_ns : UINT64_MAX;

	return tandem_clock_timespec(at_ns);
}

static bool leads_or_never_will(struct tandem *tandem)
{
	struct tandem_engine *engine = &tandem->engine;

	return atomic_load(&engine->is_halted) ||
	       (atomic_load(&tandem->is_leading) && engine->core.generation != 0);
}

/* The engine wakes it for a new generation and for a HALT. */
static int wait_lead(struct tandem *tandem, struct tandem_error *reterr_error)
{
	struct tandem_engine *engine = &tandem->engine;
	const struct timespec deadline = tandem_library_deadline(tandem->start_timeout_ns);
	int code = 0, waited = 0;

	pthread_mutex_lock(&engine->lock);
	while (!leads_or_never_will(tandem) && waited == 0)
		waited = tandem_engine_await_change(engine, &deadline);
	if (atomic_load(&engine->is_halted))
		code = tandem_error_set(reterr_error, TANDEM_E_NOT_LEADER, "tandem_start", "%s",
		                        tandem->halt_reason);
	else if (!leads_or_never_will(tandem))
		code = tandem_error_set(
		        reterr_error, TANDEM_E_TIMEOUT, "tandem_start",
		        "the controller has not let this program lead within %llu ms; `tandemctl "
		        "status` says what it waits for",
		        (unsigned long long)(tandem->start_timeout_ns / TANDEM_NS_PER_MS));
	pthread_mutex_unlock(&engine->lock);
	return code;
}

static int start_engine(struct tandem *tandem, struct tandem_error *reterr_error)
{
	struct tandem_engine *engine = &tandem->engine;
	const struct tandem_control_settings *settings = &engine->settings;
	struct tandem_primary_options options = {
	        .incarnation = tandem->incarnation,
	        .channel_count = settings->channel_count,
	        .state_bytes_max = settings->state_bytes_max,
	        .connect_timeout_ns = settings->connect_timeout_ns,
	        .commit_timeout_ns = settings->commit_timeout_ns,
	        .ping_interval_ns = settings->ping_interval_ns,
	        .lease_ns = settings->lease_ns,
	        .stripe_pages = settings->merge_bytes_max / TANDEM_PAGE_BYTES,
	        .reconnect_interval_ns = settings->reconnect_interval_ns,
	        .reconnect_interval_max_ns = settings->reconnect_interval_max_ns,
	        .random = tandem_random_unique(),
	        .first_epoch = tandem->first_epoch,
	};

	memcpy(options.pair, tandem->pair, sizeof options.pair);
	memcpy(options.needs, tandem->needs, sizeof options.needs);
	if (!tandem_layout_init(&engine->push.layout, &tandem->regions, settings->channel_count,
	                        settings->merge_bytes_max / TANDEM_PAGE_BYTES,
	                        settings->state_bytes_max))
		return tandem_error_set(
		        reterr_error, TANDEM_E_USAGE, "tandem_start",
		        "no region was added, or the settings are out of their limits");
	return tandem_engine_start(engine, &options, reterr_error);
}

int tandem_start(struct tandem *tandem, struct tandem_error *reterr_error)
{
	struct tandem_control_callbacks callbacks = {.on_message = on_order,
	                                             .on_report = on_report,
	                                             .on_attached = on_attached,
	                                             .argument = tandem};
	int code = tandem_library_check(tandem, reterr_error);

	if (code == 0 && (tandem->is_started || tandem->regions.count == 0))
		code = tandem_error_set(reterr_error, TANDEM_E_USAGE, "tandem_start", "%s",
		                        tandem->is_started ? "started already"
		                                           : "no region was added");
	if (code == 0)
		code = open_transport(tandem, reterr_error);
	if (code == 0)
		code = open_stats(tandem, reterr_error);
	if (code == 0)
		code = start_engine(tandem, reterr_error);
	if (code < 0)
		return code;
	/* [L12] */
	callbacks.life = &tandem->engine.stats->life;
	tandem->is_started = true;
	code = tandem_control_link_start(tandem->engine.link, &callbacks,
	                                 tandem->engine.settings.report_interval_ns, reterr_error);
	if (code < 0)
		return code;
	say_ready(tandem);
	return wait_lead(tandem, reterr_error);
}

/* Calls `mark_part` for what of the range lies in each region. */
static void mark(struct tandem *tandem, const void *start, size_t length,
                 void (*mark_part)(struct tandem_region_tracker *tracker, size_t offset,
                                   size_t length))
{
	struct tandem_engine *engine = &tandem->engine;
	uintptr_t from = (uintptr_t)start;
	uintptr_t to = length < UINTPTR_MAX - from ? from + length : UINTPTR_MAX;

	for (unsigned region = 0; region < tandem->regions.count; region++) {
		uintptr_t base = (uintptr_t)engine->push.bases[region];
		uintptr_t end =
		        base + tandem->regions.entries[region].page_count * TANDEM_PAGE_BYTES;
		uintptr_t first = from > base ? from : base, last = to < end ? to : end;

		if (first < last)
			mark_part(engine->trackers[region], first - base, last - first);
	}
}

void tandem_mark_dirty(struct tandem *tandem, const void *start, size_t length)
{
	mark(tandem, start, length, tandem_tracker_mark);
}

void tandem_mark_free(struct tandem *tandem, void *start, size_t length)
{
	/* A child's call would reach the memory of its parent. */
	if (tandem_library_check(tandem, NULL) == 0)
		mark(tandem, start, length, tandem_tracker_mark_free);
}

struct tandem *tandem_close(struct tandem *tandem)
{
	struct tandem_engine *engine;

	if (tandem == NULL || is_forked(tandem))
		return NULL;
	engine = &tandem->engine;
	if (tandem->is_started)
		tandem_engine_stop(engine);
	tandem_control_link_free(engine->link);
	tandem_transport_free(engine->transport);
	tandem_stats_close(engine->stats);
	for (unsigned region = 0; region < tandem->regions.count; region++)
		tandem_tracker_free(engine->trackers[region]);
	if (engine->watch_fd > 0)
		close(engine->watch_fd);
	if (engine->wake_fd > 0)
		close(engine->wake_fd);
	if (engine->news_fd > 0)
		close(engine->news_fd);
	pthread_cond_destroy(&engine->changed);
	pthread_mutex_destroy(&engine->helm);
	sem_destroy(&engine->helm_left);
	pthread_mutex_destroy(&engine->lock);
	tandem_memory_unmap((void *)(uintptr_t)tandem->unforked, TANDEM_PAGE_BYTES);
	tandem_memory_free(tandem);
	return NULL;
}
