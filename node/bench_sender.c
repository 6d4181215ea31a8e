#include "bench_sender.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include <tandem/clock.h>
#include <tandem/memory.h>
#include <tandem/random.h>

#include "bench_receiver.h"

#define BATCH      32 /* writes passed in one call */
#define PAGE_BYTES 4096

struct sender {
	struct tandem_bench_link *link;
	struct tandem_bench_load load;
	unsigned channel_count;
	uint8_t *region;
	uint8_t *trailers;
	uint64_t number;      /* last sealed */
	uint32_t write_bytes; /* of this epoch */
	uint64_t next;        /* of the load's list, not taken yet */
	uint64_t end;
	uint32_t used_mask; /* channels that took writes of this epoch */
};

static void fill(struct sender *sender, uint64_t seed)
{
	uint64_t *words = (uint64_t *)(void *)sender->region;

	for (uint64_t i = 0; i < sender->load.region_bytes / sizeof *words; i++)
		words[i] = tandem_random_next(&seed);
}

static int make_memory(struct sender *sender, bool has_huge_pages,
                       struct tandem_error *reterr_error)
{
	struct tandem_session *session = sender->link->session;
	const size_t bytes = sender->load.region_bytes;
	int code;

	sender->region = tandem_memory_map(bytes);
	sender->trailers = tandem_memory_map(TANDEM_BENCH_TRAILERS_SIZE);
	if (sender->region == NULL || sender->trailers == NULL)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "setup",
		                        "no memory for a region of %zu bytes", bytes);
	/* Advice: a kernel without transparent huge pages takes neither. */
	madvise(sender->region, bytes, has_huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	fill(sender, 1);
	code = tandem_session_register(session, sender->region, bytes, reterr_error);
	if (code == 0)
		code = tandem_session_register(session, sender->trailers,
		                               TANDEM_BENCH_TRAILERS_SIZE, reterr_error);
	return code;
}

static int agree(struct sender *sender, struct tandem_error *reterr_error)
{
	const struct tandem_bench_message setup = {.kind = TANDEM_BENCH_SETUP,
	                                           .load = sender->load,
	                                           .channel_count = sender->channel_count};
	struct tandem_bench_message ready;
	int code = tandem_bench_link_send(sender->link, &setup, reterr_error);

	if (code == 0)
		code = tandem_bench_link_expect(sender->link, TANDEM_BENCH_READY, &ready,
		                                reterr_error);
	if (code == 0 &&
	    tandem_session_exposed_bytes(sender->link->session, 0) != sender->load.region_bytes)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "setup",
		                        "%" PRIu64 " bytes exposed, %" PRIu64 " are needed",
		                        tandem_session_exposed_bytes(sender->link->session, 0),
		                        sender->load.region_bytes);
	return code;
}

/* ---- an epoch ---- */

/* Passes the next writes of the list to one channel. */
static int push_batch(struct sender *sender, unsigned channel, struct tandem_error *reterr_error)
{
	struct tandem_write writes[BATCH];
	const uint64_t left = sender->end - sender->next;
	const unsigned count = left < BATCH ? (unsigned)left : BATCH;
	unsigned taken = 0;
	int code;

	for (unsigned i = 0; i < count; i++) {
		const uint64_t offset = sender->load.offsets[sender->next + i];

		writes[i] = (struct tandem_write){.offset = offset,
		                                  .source = sender->region + offset,
		                                  .length = sender->write_bytes};
	}
	code = tandem_session_write(sender->link->session, channel, writes, count, &taken);
	if (code < 0)
		return tandem_error_set(reterr_error, code, "write", "on channel %u: %s", channel,
		                        tandem_error_text(code));
	sender->next += taken;
	if (taken > 0)
		sender->used_mask |= UINT32_C(1) << channel;
	return 0;
}

/* What one event while writes are pending may be: none, or the end. */
static int check_quiet(struct sender *sender, struct tandem_error *reterr_error)
{
	struct tandem_session_event *event = &sender->link->event;

	if (!tandem_session_next_event(sender->link->session, event))
		return 0;
	if (event->type == TANDEM_SESSION_LOST || event->type == TANDEM_SESSION_CHANNEL_LOST) {
		if (reterr_error != NULL)
			*reterr_error = event->error;
		return event->error.code < 0 ? event->error.code : TANDEM_E_PEER_LOST;
	}
	return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "push", "event %d out of turn",
	                        (int)event->type);
}

/* Bounded by the session: what makes no progress is lost [T9]. */
static int wait_room(struct sender *sender, struct tandem_error *reterr_error)
{
	tandem_bench_link_wait(sender->link);
	return check_quiet(sender, reterr_error);
}

/* Each channel gets the next writes whenever it has room, so that a slow one holds nothing up. */
static int push(struct sender *sender, unsigned channel_count, struct tandem_error *reterr_error)
{
	int code = 0;

	while (code == 0 && sender->next < sender->end) {
		const uint64_t before = sender->next;

		for (unsigned i = 0; code == 0 && i < channel_count && sender->next < sender->end;
		     i++)
			code = push_batch(sender, i, reterr_error);
		if (code == 0 && sender->next == before)
			code = wait_room(sender, reterr_error);
	}
	return code;
}

static int seal_channel(struct sender *sender, unsigned channel, struct tandem_error *reterr_error)
{
	const struct tandem_bench_trailer trailer = {sender->number, sender->used_mask};
	const size_t offset = tandem_bench_trailer_offset(sender->number, channel);
	const struct tandem_write write = {.memory_id = 1,
	                                   .offset = offset,
	                                   .source = sender->trailers + offset,
	                                   .length = TANDEM_BENCH_TRAILER_BYTES};
	int code = TANDEM_E_AGAIN;

	tandem_bench_trailer_encode(&trailer, sender->trailers + offset);
	while (code == TANDEM_E_AGAIN) {
		code = tandem_session_notify(sender->link->session, channel, &write,
		                             (uint32_t)sender->number);
		if (code < 0 && code != TANDEM_E_AGAIN)
			return tandem_error_set(reterr_error, code, "notify", "on channel %u: %s",
			                        channel, tandem_error_text(code));
		if (code == TANDEM_E_AGAIN) {
			const int wait_code = wait_room(sender, reterr_error);

			if (wait_code < 0)
				return wait_code;
		}
	}
	return 0;
}

/* Writes `count` of the list from `first` on, seals and waits for the word of the peer. */
static int run_epoch(struct sender *sender, uint64_t first, uint64_t count, unsigned channel_count,
                     struct tandem_error *reterr_error)
{
	struct tandem_bench_message committed;
	int code;

	sender->number++;
	sender->next = first;
	sender->end = first + count;
	sender->used_mask = 0;
	code = push(sender, channel_count, reterr_error);
	for (unsigned i = 0; code == 0 && i < channel_count; i++) {
		if ((sender->used_mask >> i & 1) != 0)
			code = seal_channel(sender, i, reterr_error);
	}
	if (code == 0)
		code = tandem_bench_link_expect(sender->link, TANDEM_BENCH_COMMITTED, &committed,
		                                reterr_error);
	if (code == 0 && committed.number != sender->number)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "commit",
		                        "of %" PRIu64 " where %" PRIu64 " was due",
		                        committed.number, sender->number);
	return code;
}

/* ---- the plan ---- */

/* What a program's epoch carries it has just written: a line of the page is in the processor's
 * caches, and its place in the TLB. The contents stay: a write before may read them still [T8]. */
static void touch(struct sender *sender, uint64_t place)
{
	volatile uint8_t *byte = sender->region + sender->load.offsets[place];

	*byte = *byte;
}

static int run_commits(struct sender *sender, unsigned commits, struct tandem_histogram *latency_ns,
                       struct tandem_error *reterr_error)
{
	int code = 0;

	sender->write_bytes = PAGE_BYTES;
	for (unsigned i = 0; code == 0 && i < commits; i++) {
		const uint64_t place = i % sender->load.write_count;
		uint64_t start_ns;

		touch(sender, place);
		start_ns = tandem_clock_now_ns();
		code = run_epoch(sender, place, 1, 1, reterr_error);
		tandem_histogram_add(latency_ns, tandem_clock_now_ns() - start_ns);
	}
	sender->write_bytes = sender->load.write_bytes;
	return code;
}

static int run_epochs(struct sender *sender, unsigned epochs, struct tandem_bench_figures *figures,
                      struct tandem_error *reterr_error)
{
	const uint64_t cpu_ns = tandem_bench_cpu_ns();
	const uint64_t start_ns = tandem_clock_now_ns();
	uint64_t epoch_ns = start_ns;
	int code = 0;

	for (unsigned i = 0; code == 0 && i < epochs; i++) {
		uint64_t now_ns;

		code = run_epoch(sender, 0, sender->load.write_count, sender->channel_count,
		                 reterr_error);
		now_ns = tandem_clock_now_ns();
		tandem_histogram_add(&figures->epoch_ns, now_ns - epoch_ns);
		epoch_ns = now_ns;
	}
	figures->elapsed_ns = epoch_ns - start_ns;
	figures->sender_cpu_ns = tandem_bench_cpu_ns() - cpu_ns;
	figures->bytes = sender->load.bytes * epochs;
	return code;
}

static int exchange(struct sender *sender, enum tandem_bench_message_kind question,
                    enum tandem_bench_message_kind kind, struct tandem_bench_message *ret_answer,
                    struct tandem_error *reterr_error)
{
	const struct tandem_bench_message message = {.kind = question};
	int code = tandem_bench_link_send(sender->link, &message, reterr_error);

	if (code == 0)
		code = tandem_bench_link_expect(sender->link, kind, ret_answer, reterr_error);
	return code;
}

/* [T8] A source may change when its write is complete. */
static int wait_idle(struct sender *sender, struct tandem_error *reterr_error)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < sender->channel_count; i++) {
		while (code == 0 && tandem_session_inflight_count(sender->link->session, i) > 0)
			code = wait_room(sender, reterr_error);
	}
	return code;
}

/* New contents after the warm-up: what is compared at the end came with the epochs that counted. */
static int run_plan(struct sender *sender, const struct tandem_bench_plan *plan,
                    struct tandem_bench_figures *figures, struct tandem_error *reterr_error)
{
	struct tandem_bench_message answer;
	uint32_t crc32c;
	int code =
	        run_epoch(sender, 0, sender->load.write_count, sender->channel_count, reterr_error);

	if (code == 0)
		code = run_commits(sender, plan->commits, &figures->commit_ns, reterr_error);
	if (code == 0)
		code = wait_idle(sender, reterr_error);
	if (code < 0)
		return code;
	fill(sender, 2);
	crc32c = tandem_bench_load_crc32c(&sender->load, sender->region);
	code = exchange(sender, TANDEM_BENCH_START, TANDEM_BENCH_READY, &answer, reterr_error);
	if (code == 0)
		code = run_epochs(sender, plan->epochs, figures, reterr_error);
	if (code == 0)
		code = exchange(sender, TANDEM_BENCH_FINISH, TANDEM_BENCH_RESULT, &answer,
		                reterr_error);
	if (code < 0)
		return code;
	figures->receiver_cpu_ns = answer.cpu_ns;
	if (answer.crc32c != crc32c)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "compare",
		                        "the receiver's bytes have checksum %08x, ours %08x",
		                        answer.crc32c, crc32c);
	return 0;
}

int tandem_bench_sender_run(struct tandem_bench_link *link, const struct tandem_bench_plan *plan,
                            struct tandem_bench_figures *ret_figures,
                            struct tandem_error *reterr_error)
{
	struct sender sender = {.link = link,
	                        .load = plan->load,
	                        .channel_count = plan->channel_count,
	                        .write_bytes = plan->load.write_bytes};
	int code = tandem_bench_load_make(&sender.load, reterr_error);

	if (code == 0)
		code = agree(&sender, reterr_error);
	if (code == 0)
		code = make_memory(&sender, plan->has_huge_pages, reterr_error);
	if (code == 0)
		code = run_plan(&sender, plan, ret_figures, reterr_error);
	/* Sources are borrowed until the session is gone. */
	link->session = tandem_session_free(link->session);
	tandem_bench_load_clear(&sender.load);
	if (sender.region != NULL)
		tandem_memory_unmap(sender.region, sender.load.region_bytes);
	if (sender.trailers != NULL)
		tandem_memory_unmap(sender.trailers, TANDEM_BENCH_TRAILERS_SIZE);
	return code;
}
