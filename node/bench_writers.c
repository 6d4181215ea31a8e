#include "bench_writers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>

#include "bench_cluster.h"

#define NUMBER_BYTES  20
#define FILLING_BYTES (TANDEM_BENCH_VALUE_BYTES_MAX - 128) /* with LMDB's own, whole pages */

static int say(struct tandem_error *reterr_error, int code,
               const struct tandem_bench_writer *writer, const char *what)
{
	return tandem_error_set(reterr_error, code, "client",
	                        "writer %u, write %" PRIu64 " of %" PRIu64 " acknowledged: %s",
	                        writer->index, writer->sent, writer->acknowledged, what);
}

static void spell_key(const struct tandem_bench_writers *writers,
                      const struct tandem_bench_writer *writer, uint64_t number, char *key)
{
	snprintf(key, TANDEM_BENCH_KEY_BYTES, "writer-%u-%" PRIu64, writer->index,
	         number % writers->slots);
}

/* The number all over, so that no part of another write is taken for it. */
static void spell_value(const struct tandem_bench_writers *writers, uint64_t number, char *value)
{
	char digits[NUMBER_BYTES + 1];

	snprintf(digits, sizeof digits, "%0*" PRIu64, NUMBER_BYTES, number);
	for (size_t at = 0; at < writers->value_bytes; at++)
		value[at] = digits[at % NUMBER_BYTES];
}

static void write_to(const struct tandem_bench_writers *writers,
                     const struct tandem_bench_writer *writer, uint64_t number,
                     struct tandem_bench_kv *kv)
{
	char key[TANDEM_BENCH_KEY_BYTES], value[TANDEM_BENCH_VALUE_BYTES_MAX];

	spell_key(writers, writer, number, key);
	spell_value(writers, number, value);
	tandem_bench_kv_set(kv, key, value, writers->value_bytes);
}

static void read_from(const struct tandem_bench_writers *writers,
                      struct tandem_bench_writer *writer, struct tandem_bench_kv *kv)
{
	char key[TANDEM_BENCH_KEY_BYTES];

	writer->asked = writer->acknowledged;
	spell_key(writers, writer, writer->asked, key);
	tandem_bench_kv_get(kv, key);
}

static int check_acknowledged(const struct tandem_bench_writer *writer,
                              const struct tandem_bench_kv_reply *reply,
                              struct tandem_error *reterr_error)
{
	if (reply->kind == TANDEM_BENCH_KV_OK)
		return 0;
	if (reply->kind == TANDEM_BENCH_KV_ERROR)
		return tandem_error_set(reterr_error, TANDEM_E_PROTOCOL, "client",
		                        "the server refused a write: %.*s",
		                        (int)(reply->value_bytes < 160 ? reply->value_bytes : 160),
		                        reply->value);
	return say(reterr_error, TANDEM_E_PROTOCOL, writer, "a write was answered with a value");
}

static int check_value(const struct tandem_bench_writers *writers,
                       const struct tandem_bench_writer *writer,
                       const struct tandem_bench_kv_reply *reply, struct tandem_error *reterr_error)
{
	char value[TANDEM_BENCH_VALUE_BYTES_MAX];

	if (writer->asked == 0)
		return 0;
	spell_value(writers, writer->asked, value);
	if (reply->kind == TANDEM_BENCH_KV_VALUE && reply->value_bytes == writers->value_bytes &&
	    memcmp(reply->value, value, writers->value_bytes) == 0)
		return 0;
	return say(reterr_error, TANDEM_E_PROTOCOL, writer, "THE ACKNOWLEDGED WRITE IS LOST");
}

static int check_time(uint64_t deadline_ns, struct tandem_error *reterr_error)
{
	if (tandem_bench_is_ending())
		return tandem_error_set(reterr_error, TANDEM_E_AGAIN, "client",
		                        "ended by a signal");
	if (tandem_clock_now_ns() < deadline_ns)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_TIMEOUT, "client",
	                        "no reply within %" PRIu64 " s",
	                        TANDEM_BENCH_REPLY_NS / TANDEM_NS_PER_S);
}

void tandem_bench_writers_init(struct tandem_bench_writers *writers,
                               const struct tandem_bench_failover_options *options)
{
	memset(writers, 0, sizeof *writers);
	writers->value_bytes = options->value_bytes;
	writers->count = options->connections + 1;
	writers->slots = tandem_bench_writer_slots(options);
	for (unsigned i = 0; i < writers->count; i++) {
		writers->list[i].index = i;
		writers->list[i].kv.fd = -1;
	}
	for (unsigned i = 0; i < TANDEM_BENCH_SERVERS; i++)
		writers->tries[i].fd = -1;
}

void tandem_bench_writers_close(struct tandem_bench_writers *writers)
{
	for (unsigned i = 0; i < writers->count; i++)
		tandem_bench_kv_close(&writers->list[i].kv);
	for (unsigned i = 0; i < TANDEM_BENCH_SERVERS; i++)
		tandem_bench_kv_close(&writers->tries[i]);
}

uint64_t tandem_bench_writers_acknowledged(const struct tandem_bench_writers *writers)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < writers->count; i++)
		count += writers->list[i].acknowledged;
	return count;
}

/* ---- all of them ---- */

static void wait_for_any(const struct tandem_bench_writers *writers, uint64_t until_ns)
{
	struct pollfd descriptors[TANDEM_BENCH_WRITERS_MAX];
	const uint64_t now_ns = tandem_clock_now_ns();
	const uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	const struct timespec wait = tandem_clock_timespec(wait_ns);

	for (unsigned i = 0; i < writers->count; i++)
		descriptors[i] = tandem_bench_kv_pollfd(&writers->list[i].kv);
	ppoll(descriptors, writers->count, &wait, NULL);
}

static int take_back(struct tandem_bench_writers *writers, struct tandem_bench_writer *writer,
                     struct tandem_error *reterr_error)
{
	const bool is_open = tandem_bench_kv_move(&writer->kv);
	struct tandem_bench_kv_reply reply;

	if (tandem_bench_kv_next(&writer->kv, &reply))
		return check_value(writers, writer, &reply, reterr_error);
	return is_open ? 0
	               : say(reterr_error, TANDEM_E_PEER_LOST, writer, "the connection has ended");
}

static unsigned waiting_count(const struct tandem_bench_writers *writers)
{
	unsigned count = 0;

	for (unsigned i = 0; i < writers->count; i++)
		count += writers->list[i].kv.waiting_count;
	return count;
}

int tandem_bench_writers_join(struct tandem_bench_writers *writers,
                              const struct sockaddr_in *server, struct tandem_error *reterr_error)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_BENCH_REPLY_NS;
	int code = 0;

	tandem_bench_writers_close(writers);
	for (unsigned i = 0; i < writers->count; i++) {
		struct tandem_bench_writer *writer = &writers->list[i];

		if (!tandem_bench_kv_connect(&writer->kv, server))
			return say(reterr_error, TANDEM_E_PEER_LOST, writer,
			           "the server is not there");
		read_from(writers, writer, &writer->kv);
	}
	while (code == 0 && waiting_count(writers) > 0) {
		wait_for_any(writers, deadline_ns);
		for (unsigned i = 0; code == 0 && i < writers->count; i++)
			code = take_back(writers, &writers->list[i], reterr_error);
		if (code == 0)
			code = check_time(deadline_ns, reterr_error);
	}
	return code;
}

static int take_acknowledgement(struct tandem_bench_writer *writer,
                                struct tandem_error *reterr_error)
{
	struct tandem_bench_kv_reply reply;
	int code;

	if (!tandem_bench_kv_next(&writer->kv, &reply))
		return 0;
	code = check_acknowledged(writer, &reply, reterr_error);
	if (code == 0)
		writer->acknowledged = writer->sent;
	return code;
}

static int go_on(struct tandem_bench_writers *writers, struct tandem_bench_writer *writer,
                 struct tandem_error *reterr_error)
{
	bool is_open = tandem_bench_kv_move(&writer->kv);
	const int code = take_acknowledgement(writer, reterr_error);

	if (code == 0 && is_open && writer->kv.waiting_count == 0) {
		write_to(writers, writer, ++writer->sent, &writer->kv);
		is_open = tandem_bench_kv_move(&writer->kv);
	}
	if (code < 0 || is_open)
		return code;
	return say(reterr_error, TANDEM_E_PEER_LOST, writer, "the connection has ended");
}

int tandem_bench_writers_write(struct tandem_bench_writers *writers, uint64_t until_ns,
                               struct tandem_error *reterr_error)
{
	int code = 0;

	while (code == 0 && tandem_clock_now_ns() < until_ns) {
		for (unsigned i = 0; code == 0 && i < writers->count; i++)
			code = go_on(writers, &writers->list[i], reterr_error);
		if (code == 0)
			code = check_time(UINT64_MAX, reterr_error);
		if (code == 0)
			wait_for_any(writers, until_ns);
	}
	return code;
}

/* ---- the filling ---- */

static void write_filling(struct tandem_bench_writer *writer, uint64_t number)
{
	static char value[FILLING_BYTES];
	char key[TANDEM_BENCH_KEY_BYTES];

	memset(value, 'f', sizeof value);
	snprintf(key, sizeof key, "filling-%" PRIu64, number);
	tandem_bench_kv_set(&writer->kv, key, value, sizeof value);
}

static int fill_on(struct tandem_bench_writer *writer, uint64_t *number, uint64_t count,
                   struct tandem_error *reterr_error)
{
	bool is_open = tandem_bench_kv_move(&writer->kv);
	struct tandem_bench_kv_reply reply;
	int code = 0;

	if (tandem_bench_kv_next(&writer->kv, &reply))
		code = check_acknowledged(writer, &reply, reterr_error);
	if (code == 0 && is_open && writer->kv.waiting_count == 0 && *number < count) {
		write_filling(writer, (*number)++);
		is_open = tandem_bench_kv_move(&writer->kv);
	}
	if (code < 0 || is_open)
		return code;
	return say(reterr_error, TANDEM_E_PEER_LOST, writer, "the connection has ended");
}

int tandem_bench_writers_fill(struct tandem_bench_writers *writers, uint64_t bytes,
                              struct tandem_error *reterr_error)
{
	const uint64_t count =
	        (bytes + TANDEM_BENCH_VALUE_BYTES_MAX - 1) / TANDEM_BENCH_VALUE_BYTES_MAX;
	uint64_t number = 0;
	int code = 0;

	while (code == 0 && (number < count || waiting_count(writers) > 0)) {
		for (unsigned i = 0; code == 0 && i < writers->count; i++)
			code = fill_on(&writers->list[i], &number, count, reterr_error);
		if (code == 0)
			code = check_time(UINT64_MAX, reterr_error);
		if (code == 0)
			wait_for_any(writers, tandem_clock_now_ns() + TANDEM_NS_PER_S);
	}
	return code;
}

/* ---- after the fault ---- */

/* What was received until now was acknowledged. */
static int hang_up(struct tandem_bench_writers *writers, struct tandem_error *reterr_error)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < writers->count; i++) {
		struct tandem_bench_writer *writer = &writers->list[i];

		(void)tandem_bench_kv_move(&writer->kv);
		code = take_acknowledgement(writer, reterr_error);
		tandem_bench_kv_close(&writer->kv);
	}
	return code;
}

static void knock(struct tandem_bench_writers *writers, struct tandem_bench_kv *kv,
                  const struct sockaddr_in *server)
{
	struct tandem_bench_writer *writer = &writers->list[0];

	if (kv->fd >= 0 || !tandem_bench_kv_connect(kv, server))
		return;
	read_from(writers, writer, kv);
	write_to(writers, writer, writer->sent + 1, kv);
}

/* *ret_is_answered: both requests of the try have their replies. */
static int hear(struct tandem_bench_writers *writers, struct tandem_bench_kv *kv,
                bool *ret_is_answered, struct tandem_error *reterr_error)
{
	struct tandem_bench_writer *writer = &writers->list[0];
	const bool is_open = tandem_bench_kv_move(kv);
	struct tandem_bench_kv_reply reply;
	int code = 0;

	while (code == 0 && tandem_bench_kv_next(kv, &reply)) {
		*ret_is_answered = kv->waiting_count == 0;
		code = *ret_is_answered ? check_acknowledged(writer, &reply, reterr_error)
		                        : check_value(writers, writer, &reply, reterr_error);
	}
	if (!is_open && !*ret_is_answered)
		tandem_bench_kv_close(kv);
	return code;
}

static void wait_for_try(const struct tandem_bench_writers *writers, uint64_t until_ns)
{
	const uint64_t now_ns = tandem_clock_now_ns();
	const struct timespec wait = {.tv_nsec = until_ns > now_ns ? (long)(until_ns - now_ns) : 0};
	struct pollfd descriptors[TANDEM_BENCH_SERVERS];

	for (unsigned i = 0; i < TANDEM_BENCH_SERVERS; i++)
		descriptors[i] = tandem_bench_kv_pollfd(&writers->tries[i]);
	ppoll(descriptors, TANDEM_BENCH_SERVERS, &wait, NULL);
}

static int try_once(struct tandem_bench_writers *writers, bool *ret_is_answered,
                    struct tandem_error *reterr_error)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && !*ret_is_answered && i < TANDEM_BENCH_SERVERS; i++)
		code = hear(writers, &writers->tries[i], ret_is_answered, reterr_error);
	return code;
}

int tandem_bench_writers_try(struct tandem_bench_writers *writers,
                             const struct sockaddr_in *servers, uint64_t *ret_reply_ns,
                             struct tandem_error *reterr_error)
{
	const uint64_t deadline_ns = tandem_clock_now_ns() + TANDEM_BENCH_REPLY_NS;
	uint64_t next_ns = tandem_clock_now_ns();
	bool is_answered = false;
	int code = hang_up(writers, reterr_error);

	while (code == 0 && !is_answered) {
		if (tandem_clock_now_ns() >= next_ns) {
			next_ns = tandem_clock_now_ns() + TANDEM_BENCH_RETRY_NS;
			for (unsigned i = 0; i < TANDEM_BENCH_SERVERS; i++)
				knock(writers, &writers->tries[i], &servers[i]);
		}
		code = try_once(writers, &is_answered, reterr_error);
		if (code == 0 && !is_answered) {
			code = check_time(deadline_ns, reterr_error);
			wait_for_try(writers, next_ns);
		}
	}
	*ret_reply_ns = tandem_clock_now_ns();
	if (code == 0)
		writers->list[0].acknowledged = ++writers->list[0].sent;
	return code;
}
