#include "qemu_keeper.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <tandem/bytes.h>
#include <tandem/clock.h>
#include <tandem/log.h>
#include <tandem/memory.h>
#include <tandem/qemu_probe.h>
#include <tandem/qemu_restore.h>

#include "qemu_gates.h"
#include "qemu_process.h"
#include "qemu_watch.h"

#define BLOB_BYTES_MAX ((size_t)64 << 20) /* the largest that a configuration allows */
#define WAIT_S_MAX     32                 /* a power of two */

bool tandem_qemu_keeper_lets_go(const struct tandem_qemu_keeper *keeper)
{
	return keeper->code != TANDEM_E_NOT_LEADER &&
	       (keeper->has_left || (keeper->hold && keeper->has_network));
}

static void leave(struct tandem_qemu_keeper *keeper, int code)
{
	keeper->code = code;
	if (!tandem_qemu_keeper_lets_go(keeper))
		tandem_qemu_gates_shut(keeper->gates);
	event_base_loopbreak(keeper->base);
}

static void look(struct tandem_qemu_keeper *keeper);

/* A RAM block that is not shared: only we write to the region, and say so. */
static int add_sent(struct tandem_qemu_keeper *keeper, unsigned block, const char *name,
                    struct tandem_error *reterr_error)
{
	const struct tandem_qemu_block *from = &keeper->stream->blocks[block];

	keeper->blocks[block] = tandem_memory_map((size_t)from->size_bytes);
	if (!keeper->blocks[block])
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "protect",
		                        "no memory for the %llu MiB of %.60s",
		                        (unsigned long long)(from->size_bytes >> 20), from->name);
	return tandem_region_add(keeper->tandem, name, keeper->blocks[block],
	                         (size_t)from->size_bytes, TANDEM_TRACKER_MARK, reterr_error);
}

static int add_region(struct tandem_qemu_keeper *keeper, unsigned block,
                      struct tandem_error *reterr_error)
{
	const struct tandem_qemu_block *from = &keeper->stream->blocks[block];
	const unsigned part = tandem_qemu_shared_find(&keeper->shared, from);
	char name[TANDEM_QEMU_REGION_BYTES];

	keeper->sizes_bytes[block] = from->size_bytes;
	tandem_qemu_region_name(block, name);
	if (part == keeper->shared.count)
		return add_sent(keeper, block, name, reterr_error);
	keeper->shared_blocks |= UINT64_C(1) << block;
	const int code =
	        tandem_qemu_shared_add(&keeper->shared, part, keeper->tandem, name, reterr_error);
	if (code == 0)
		tandem_log(TANDEM_LOG_INFO, "%s of the guest is shared with QEMU: %s", from->name,
		           tandem_region_tracker(keeper->tandem, name));
	return code;
}

static void on_stood(void *context, uint64_t stood_ns)
{
	struct tandem_qemu_keeper *keeper = context;

	tandem_qemu_note_stood(&keeper->note, stood_ns);
}

static void on_gap(void *context, const char *text)
{
	struct tandem_qemu_keeper *keeper = context;

	tandem_qemu_note_gap(&keeper->note, text);
	tandem_log(TANDEM_LOG_WARNING, "not copied: %s", text);
}

static int on_memory(void *context, const struct tandem_qemu_memory *memory, bool *ret_is_shared,
                     struct tandem_error *reterr_error)
{
	struct tandem_qemu_keeper *keeper = context;
	struct tandem_error why = {.code = 0};

	*ret_is_shared = keeper->shared_blocks != 0;
	if (keeper->is_started) /* regions stay what they are */
		return 0;
	if (memory->refusal[0] != 0)
		tandem_error_set(&why, TANDEM_E_UNSUPPORTED, "share", "%s", memory->refusal);
	else
		(void)tandem_qemu_shared_open(&keeper->shared, keeper->process, memory, keeper->way,
		                              &why);
	*ret_is_shared = keeper->shared.count > 0;
	keeper->note.way = *ret_is_shared ? "shared" : "stream";
	if (*ret_is_shared)
		return 0;
	snprintf(keeper->note.why, sizeof(keeper->note.why), "%s", why.detail);
	if (keeper->way == TANDEM_QEMU_SHARED)
		return tandem_error_set(reterr_error, why.code, "--memory shared", "%s",
		                        why.detail);
	tandem_log(TANDEM_LOG_INFO, "the guest's memory is sent by QEMU, not shared: %s",
	           why.detail);
	return 0;
}

static bool is_same(const struct tandem_qemu_keeper *keeper)
{
	for (unsigned i = 0; i < TANDEM_QEMU_BLOCKS_MAX; i++) {
		const uint64_t size_bytes = i < keeper->stream->at.block_count
		                                    ? keeper->stream->blocks[i].size_bytes
		                                    : 0;

		if (size_bytes != keeper->sizes_bytes[i])
			return false;
	}
	return true;
}

/* What the other node's QEMU is compared with. */
static int require_qemu(struct tandem_qemu_keeper *keeper, struct tandem_error *reterr_error)
{
	char machine[TANDEM_QEMU_NAME_BYTES] = "unknown", needs[TANDEM_QEMU_IDENTITY_BYTES];

	(void)tandem_qemu_opening_machine(keeper->opening, keeper->opening_bytes, machine);
	tandem_qemu_identity(tandem_qemu_guest_version(keeper->guest), machine, needs);
	return tandem_require(keeper->tandem, needs, reterr_error);
}

static int on_blocks(void *context, const struct tandem_qemu_stream *stream, const uint8_t *opening,
                     size_t opening_bytes, struct tandem_error *reterr_error)
{
	struct tandem_qemu_keeper *keeper = context;
	int status = 0;

	tandem_qemu_note_unstarted(&keeper->note, "");
	keeper->stream = stream;
	keeper->opening = opening;
	keeper->opening_bytes = opening_bytes;
	if (keeper->is_started)
		return is_same(keeper)
		               ? 0
		               : tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "protect",
		                                  "the guest has other RAM blocks than before");
	for (unsigned i = 0; status == 0 && i < stream->at.block_count; i++)
		status = add_region(keeper, i, reterr_error);
	if (status == 0)
		status = require_qemu(keeper, reterr_error);
	if (status == 0)
		status = tandem_start(keeper->tandem, reterr_error);
	if (status == 0)
		status = tandem_confirm(keeper->tandem, &keeper->lead_ticket, reterr_error);
	keeper->is_started = status == 0;
	return status;
}

/* Where a page that QEMU sends has to be; NULL: nowhere, because it is in QEMU's own memory, which
 * is not to be sent. */
static uint8_t *place(struct tandem_qemu_keeper *keeper, unsigned block, uint64_t offset_bytes)
{
	keeper->sent_blocks |= UINT64_C(1) << block;
	return keeper->blocks[block] ? keeper->blocks[block] + offset_bytes : NULL;
}

static void on_page(void *context, unsigned block, uint64_t offset_bytes, const uint8_t *bytes)
{
	struct tandem_qemu_keeper *keeper = context;
	uint8_t *page = place(keeper, block, offset_bytes);

	if (!page)
		return;
	memcpy(page, bytes, TANDEM_QEMU_PAGE_BYTES);
	tandem_mark_dirty(keeper->tandem, page, TANDEM_QEMU_PAGE_BYTES);
}

static void on_fill(void *context, unsigned block, uint64_t offset_bytes, uint8_t value)
{
	struct tandem_qemu_keeper *keeper = context;
	uint8_t *page = place(keeper, block, offset_bytes);

	if (!page)
		return;
	memset(page, value, TANDEM_QEMU_PAGE_BYTES);
	tandem_mark_dirty(keeper->tandem, page, TANDEM_QEMU_PAGE_BYTES);
}

static size_t write_blob(struct tandem_qemu_keeper *keeper, const uint8_t *state,
                         size_t state_bytes)
{
	struct tandem_writer writer = tandem_writer_over(keeper->blob, BLOB_BYTES_MAX);

	tandem_write_u32(&writer, (uint32_t)keeper->opening_bytes);
	tandem_write_u64(&writer, keeper->shared_blocks);
	tandem_write_bytes(&writer, keeper->opening, keeper->opening_bytes);
	tandem_write_bytes(&writer, state, state_bytes);
	return writer.failed ? 0 : writer.length;
}

/* Every block came either by the stream or by our own mapping, and none by both. QEMU sends at
 * least one page of each that it sends before the first epoch. */
static int check_blocks(const struct tandem_qemu_keeper *keeper, struct tandem_error *reterr_error)
{
	for (unsigned i = 0; i < keeper->stream->at.block_count; i++) {
		const uint64_t bit = UINT64_C(1) << i;

		if (((keeper->sent_blocks ^ keeper->shared_blocks) & bit) == 0)
			return tandem_error_set(
			        reterr_error, TANDEM_E_UNSUPPORTED, "share",
			        "QEMU %s %.60s, which is%s shared: use --memory stream",
			        (keeper->sent_blocks & bit) != 0 ? "sends" : "does not send",
			        keeper->stream->blocks[i].name,
			        (keeper->shared_blocks & bit) != 0 ? "" : " not");
	}
	return tandem_qemu_shared_check(&keeper->shared, keeper->process, reterr_error);
}

/* What was not seen once is missing in every later epoch, too. */
static int check_memory(struct tandem_qemu_keeper *keeper, struct tandem_error *reterr_error)
{
	if (keeper->unseen.code == 0)
		(void)check_blocks(keeper, &keeper->unseen);
	if (keeper->unseen.code != 0)
		*reterr_error = keeper->unseen;
	return keeper->unseen.code;
}

static int begin(struct tandem_qemu_keeper *keeper, size_t blob_bytes,
                 struct tandem_error *reterr_error)
{
	int code = check_memory(keeper, reterr_error);

	if (code == 0 && keeper->hold)
		code = tandem_qemu_gates_check(keeper->gates, reterr_error);
	if (code == 0 && keeper->hold)
		code = keeper->hold(keeper->hold_argument, reterr_error);
	if (code != 0)
		return code;
	code = tandem_checkpoint_begin(keeper->tandem, keeper->blob, blob_bytes, &keeper->ticket,
	                               reterr_error);
	if (code == 0)
		keeper->hold = NULL;
	else if (keeper->hold) /* nobody has an epoch of it */
		keeper->on_left(keeper->hold_argument);
	return code;
}

/* The only guest there is, or one that another node may go on with: this node's is the newer one
 * all the same, and nothing but another leader ends it. */
static bool has_to_live(const struct tandem_qemu_keeper *keeper)
{
	return keeper->is_started && !keeper->hold;
}

/* No epoch can be made of the guest, which runs on. */
static void refuse(struct tandem_qemu_keeper *keeper, const struct tandem_error *error)
{
	tandem_qemu_watch_free(keeper->watch);
	if (has_to_live(keeper) && error->code != TANDEM_E_NOT_LEADER) {
		tandem_qemu_guest_fail(keeper->guest, error);
		return;
	}
	tandem_log(TANDEM_LOG_ERROR, "no checkpoint: %s", error->detail);
	leave(keeper, error->code);
}

/* What the guest does from now on has a later ticket. */
static void capture(struct tandem_qemu_keeper *keeper)
{
	keeper->is_captured = true;
	tandem_qemu_guest_captured(keeper->guest, keeper->epoch);
}

static void on_epoch(void *context, uint64_t epoch, const uint8_t *state, size_t state_bytes)
{
	struct tandem_qemu_keeper *keeper = context;
	const size_t blob_bytes = write_blob(keeper, state, state_bytes);
	struct tandem_error error;

	if (!tandem_qemu_watch_hold(keeper->watch))
		return; /* the guest runs, and its stream has ended */
	int code = tandem_qemu_gates_mark(keeper->gates, &error);
	if (code == 0 && !tandem_qemu_guest_is_held(keeper->guest)) {
		tandem_qemu_watch_free(keeper->watch);
		return; /* so it does by somebody else's order, and some of it is of later */
	}
	if (code == 0)
		code = begin(keeper, blob_bytes, &error);
	if (code != 0) {
		refuse(keeper, &error);
		return;
	}
	tandem_qemu_gates_promise(keeper->gates, keeper->ticket);
	keeper->epoch = epoch;
	keeper->is_captured = false;
	if (keeper->shared_blocks == 0) { /* all of it is in our own memory */
		tandem_qemu_watch_free(keeper->watch);
		capture(keeper);
	}
	look(keeper);
}

/* What came of it stays in the regions, and no checkpoint reads them any more. */
static void on_torn(void *context, uint64_t epoch)
{
	(void)context;
	(void)epoch;
}

static int on_restore(void *context, struct tandem_error *reterr_error)
{
	struct tandem_qemu_keeper *keeper = context;

	return keeper->on_restore(keeper->argument, reterr_error);
}

/* The guest writes to shared memory again as soon as this returns: a checkpoint that reads it is
 * taken back. One that is sealed may be committed, and has to have read all of it; its deadlines
 * are the pair's. */
static void on_release(void *context)
{
	struct tandem_qemu_keeper *keeper = context;

	if (keeper->epoch == 0 || keeper->is_captured || tandem_checkpoint_abort(keeper->tandem))
		return;
	while (tandem_checkpoint_wait(keeper->tandem, TANDEM_NS_PER_S) == TANDEM_E_TIMEOUT)
		continue;
}

/* What may be otherwise the next time: a peer that stalled, a migration that failed. */
static bool is_passing(int code)
{
	return tandem_error_class(code) == TANDEM_CLASS_PEER;
}

/* Who waits for a first copy is told why there is none. */
static bool is_final(const struct tandem_qemu_keeper *keeper, int code)
{
	if (has_to_live(keeper))
		return false;
	return !is_passing(code) || (keeper->hold && !keeper->is_started);
}

/* One that kept no epoch is tried again ever later. Not at once in any case: this is called from
 * within the guest that has ended. */
static void begin_later(struct tandem_qemu_keeper *keeper)
{
	const struct timeval wait = {.tv_sec = keeper->wait_s};

	keeper->begins_anew = true;
	keeper->wait_s = keeper->wait_s == 0           ? 1
	                 : keeper->wait_s < WAIT_S_MAX ? 2 * keeper->wait_s
	                                               : WAIT_S_MAX;
	event_add(keeper->again, &wait);
}

/* The guest runs on and no epoch keeps what it does: until one is committed again it is behind. */
static void be_behind(struct tandem_qemu_keeper *keeper)
{
	uint64_t ticket;

	if (keeper->is_started && tandem_ticket(keeper->tandem, &ticket, NULL) != 0)
		return; /* halted, which look() sees */
}

static void on_end(void *context, bool is_running, const struct tandem_error *error)
{
	struct tandem_qemu_keeper *keeper = context;

	tandem_log(error->code == 0 ? TANDEM_LOG_INFO : TANDEM_LOG_ERROR, "%s; the guest %s",
	           error->detail, is_running ? "runs on" : "is not known to run");
	keeper->epoch = 0;
	keeper->is_over = true;
	tandem_qemu_note_write(&keeper->note, false);
	if (keeper->is_stopping || !is_running || is_final(keeper, error->code)) {
		leave(keeper, error->code);
		return;
	}
	be_behind(keeper);
	begin_later(keeper);
}

static void on_news(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	look(context);
}

static int listen_to_tandem(struct tandem_qemu_keeper *keeper, struct tandem_error *reterr_error)
{
	keeper->news = event_new(keeper->base, tandem_event_fd(keeper->tandem),
	                         EV_READ | EV_PERSIST, on_news, keeper);
	if (!keeper->news || event_add(keeper->news, NULL) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "protect", "no memory");
	return 0;
}

/* A program that has attached gets no second try, so it does as late as it can. */
static int on_loaded(void *context, struct tandem_error *reterr_error)
{
	struct tandem_qemu_keeper *keeper = context;
	const int code = keeper->attach(keeper->argument, reterr_error);

	return code == 0 ? listen_to_tandem(keeper, reterr_error) : code;
}

static void on_unstarted(void *context, const struct tandem_error *error)
{
	struct tandem_qemu_keeper *keeper = context;

	tandem_log(TANDEM_LOG_ERROR,
	           "QEMU does not run the guest yet, and is told to again and again: %s",
	           error->detail);
	tandem_qemu_note_unstarted(&keeper->note, error->detail);
}

static int open_guest(struct tandem_qemu_keeper *keeper, struct tandem_error *reterr_error)
{
	const struct tandem_qemu_guest_handler handler = {
	        .on_gap = on_gap,
	        .on_stood = on_stood,
	        .on_memory = on_memory,
	        .on_restore = on_restore,
	        .on_loaded = on_loaded,
	        .on_unstarted = on_unstarted,
	        .on_blocks = on_blocks,
	        .on_page = on_page,
	        .on_fill = on_fill,
	        .on_epoch = on_epoch,
	        .on_torn = on_torn,
	        .on_release = on_release,
	        .on_end = on_end,
	        .context = keeper,
	};

	return tandem_qemu_guest_open(keeper->base, &keeper->options, &handler, &keeper->guest,
	                              reterr_error);
}

/* The last checkpoint was committed, or nobody has it, or another one is to be made. */
static bool is_decided(const struct tandem_qemu_keeper *keeper, const struct tandem_news *news)
{
	return news->released_ticket >= keeper->ticket || news->wants_checkpoint;
}

/* Pages come into the regions at once, so no checkpoint may read them any more. While the last one
 * is in doubt the guest is not held again for one that would have to wait behind it. */
static void begin_anew(struct tandem_qemu_keeper *keeper, const struct tandem_news *news)
{
	struct tandem_error error;

	if (event_pending(keeper->again, EV_TIMEOUT, NULL) ||
	    (keeper->is_started &&
	     (tandem_checkpoint_test(keeper->tandem) != 0 || !is_decided(keeper, news))))
		return;
	keeper->begins_anew = false;
	tandem_qemu_watch_renew(keeper->watch);
	keeper->is_over = false;
	keeper->sent_blocks = 0;
	keeper->options.incoming_uri = NULL;
	keeper->options.awaits_guest = has_to_live(keeper);
	tandem_qemu_guest_close(keeper->guest);
	keeper->guest = NULL;
	tandem_log(TANDEM_LOG_WARNING, "the guest is not protected until it was copied anew");
	if (open_guest(keeper, &error) == 0)
		return;
	tandem_log(TANDEM_LOG_ERROR, "%s", error.detail);
	keeper->is_over = true;
	if (has_to_live(keeper))
		begin_later(keeper);
	else
		leave(keeper, error.code);
}

/* Before the first checkpoint nobody else can know the guest, so whoever leads leads alone, and
 * what was sent is not taken back by a take-over. */
static void open_gates(struct tandem_qemu_keeper *keeper, uint64_t released_ticket)
{
	tandem_qemu_gates_release(keeper->gates, released_ticket);
	if (keeper->ticket == 0 && keeper->lead_ticket != 0 &&
	    released_ticket >= keeper->lead_ticket)
		tandem_qemu_gates_let(keeper->gates);
}

/* True: it has left, and what is under way does not matter any more. */
static bool follow_leaving(struct tandem_qemu_keeper *keeper)
{
	const enum tandem_leaving leaving = tandem_leaving(keeper->tandem);

	if (leaving == TANDEM_ASKED_TO_LEAVE)
		tandem_qemu_keeper_leave(keeper);
	if (leaving != TANDEM_LEFT)
		return false;
	if (!keeper->has_left) {
		keeper->has_left = true;
		keeper->on_left(keeper->hold_argument);
		tandem_log(TANDEM_LOG_INFO, "left: the guest goes on unprotected");
		tandem_qemu_gates_leave(keeper->gates);
		tandem_qemu_keeper_stop(keeper);
	}
	return true;
}

/* Who waits for a first copy is told why there will be none, and the guest is let go. */
static void look_at_misfit(struct tandem_qemu_keeper *keeper, const struct tandem_news *news)
{
	char reason[160];

	keeper->awaits_copy = keeper->awaits_copy && !news->is_pair;
	if (!keeper->awaits_copy || !tandem_is_misfit(keeper->tandem, reason, sizeof(reason)))
		return;
	keeper->awaits_copy = false;
	tandem_log(TANDEM_LOG_ERROR,
	           "the other node could not go on with the guest, so it is not protected: %s",
	           reason);
	tandem_qemu_keeper_leave(keeper);
}

/* Pages may come again. */
static void keep(struct tandem_qemu_keeper *keeper)
{
	const uint64_t epoch = keeper->epoch;

	keeper->epoch = 0;
	if (!keeper->has_kept)
		tandem_log(TANDEM_LOG_INFO, "the guest's first epoch is kept");
	keeper->has_kept = true;
	keeper->wait_s = 0;
	tandem_qemu_guest_kept(keeper->guest, epoch);
}

static void look_at_epoch(struct tandem_qemu_keeper *keeper, const struct tandem_news *news)
{
	if (tandem_checkpoint_test(keeper->tandem) != 0) /* it reads the regions */
		return;
	if (!keeper->is_captured)
		capture(keeper);
	if (is_decided(keeper, news))
		keep(keeper);
}

/* True: the loop is left. */
static bool follow_halt(struct tandem_qemu_keeper *keeper, const struct tandem_news *news)
{
	if (!news->is_halted)
		return false;
	tandem_log(TANDEM_LOG_ERROR, "another node leads: the guest is ended");
	leave(keeper, TANDEM_E_NOT_LEADER);
	return true;
}

static void look(struct tandem_qemu_keeper *keeper)
{
	struct tandem_news news;

	tandem_poll(keeper->tandem, &news);
	if (keeper->is_started && tandem_checkpoint_test(keeper->tandem) == 0)
		tandem_qemu_watch_free(keeper->watch);
	if (follow_halt(keeper, &news))
		return;
	open_gates(keeper, news.released_ticket);
	look_at_misfit(keeper, &news);
	if (follow_leaving(keeper))
		return;
	if (keeper->begins_anew) {
		begin_anew(keeper, &news);
		return;
	}
	if (keeper->epoch != 0)
		look_at_epoch(keeper, &news);
	if (keeper->epoch == 0 && news.wants_checkpoint)
		tandem_qemu_guest_hurry(keeper->guest);
}

/* Nothing of Tandem rings before it is started, and the guest may wait for its disks meanwhile. */
static void on_renewal(evutil_socket_t fd, short what, void *context)
{
	struct tandem_qemu_keeper *keeper = context;
	struct tandem_news news;

	(void)fd;
	(void)what;
	tandem_qemu_note_renew(&keeper->note);
	if (!keeper->tandem || keeper->is_started)
		return;
	tandem_poll(keeper->tandem, &news);
	(void)follow_halt(keeper, &news);
}

int tandem_qemu_keeper_open(struct tandem_qemu_keeper *keeper,
                            const struct tandem_qemu_guest_options *options,
                            struct tandem_error *reterr_error)
{
	const struct timeval second = {.tv_sec = 1};

	keeper->options = *options;
	keeper->awaits_copy = keeper->hold != NULL;
	if (keeper->way == TANDEM_QEMU_STREAM)
		keeper->note.way = "stream";
	keeper->options.looks_at_memory = keeper->way != TANDEM_QEMU_STREAM;
	keeper->options.state_bytes_max =
	        BLOB_BYTES_MAX - TANDEM_QEMU_OPENING_BYTES - TANDEM_QEMU_BLOB_HEAD_BYTES;
	keeper->blob = tandem_memory_map(BLOB_BYTES_MAX);
	keeper->again = evtimer_new(keeper->base, on_news, keeper);
	keeper->renewal = event_new(keeper->base, -1, EV_PERSIST, on_renewal, keeper);
	if (!keeper->blob || !keeper->again || !keeper->renewal ||
	    event_add(keeper->renewal, &second) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "protect", "no memory");
	const int code = keeper->tandem ? listen_to_tandem(keeper, reterr_error) : 0;
	return code == 0 ? open_guest(keeper, reterr_error) : code;
}

void tandem_qemu_keeper_leave(struct tandem_qemu_keeper *keeper)
{
	struct tandem_error error;

	if (tandem_leave(keeper->tandem, &error) != 0)
		tandem_log(TANDEM_LOG_ERROR, "cannot leave: %s", error.detail);
}

void tandem_qemu_keeper_stop(struct tandem_qemu_keeper *keeper)
{
	keeper->is_stopping = true;
	if (keeper->is_over) /* it waits to begin anew */
		leave(keeper, 0);
	else
		tandem_qemu_guest_stop(keeper->guest);
}

void tandem_qemu_keeper_close(struct tandem_qemu_keeper *keeper)
{
	tandem_qemu_guest_close(keeper->guest);
	tandem_qemu_note_close(&keeper->note);
	if (keeper->news)
		event_free(keeper->news);
	if (keeper->again)
		event_free(keeper->again);
	if (keeper->renewal)
		event_free(keeper->renewal);
	keeper->tandem = tandem_close(keeper->tandem);
	tandem_qemu_shared_close(&keeper->shared);
}
