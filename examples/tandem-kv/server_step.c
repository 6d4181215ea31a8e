#include <event2/listener.h>

#include <tandem/clock.h>
#include <tandem/failpoint.h>
#include <tandem/log.h>

#include "server_internal.h"

#define STEP_TURN_BYTES       ((size_t)1 << 20)
#define STEP_CONNECTION_BYTES ((size_t)256 << 10)

static struct tandem_kv_connections *step_queue(struct tandem_kv_server *server,
                                                const struct tandem_kv_connection *connection)
{
	if (connection->is_run)
		return &server->run;
	return connection->ticket != 0 ? &server->held : &server->ready;
}

static void step_drop(struct tandem_kv_server *server, struct tandem_kv_connection *connection)
{
	if (connection->is_queued)
		TAILQ_REMOVE(step_queue(server, connection), connection, queue);
	TAILQ_REMOVE(&server->all, connection, all);
	tandem_kv_connection_free(connection);
	if (server->facts.clients-- == server->facts.clients_max && !server->is_stopping)
		evconnlistener_enable(server->listener);
}

void tandem_kv_server_settle(struct tandem_kv_server *server,
                             struct tandem_kv_connection *connection)
{
	if (tandem_kv_connection_is_over(connection)) {
		step_drop(server, connection);
		return;
	}
	if (connection->is_queued || !tandem_kv_connection_has_work(connection))
		return;
	TAILQ_INSERT_TAIL(&server->ready, connection, queue);
	connection->is_queued = true;
}

void tandem_kv_server_drop_stalled(struct tandem_kv_server *server, uint64_t now_ns)
{
	struct tandem_kv_connection *connection = TAILQ_FIRST(&server->all);

	while (connection) {
		struct tandem_kv_connection *next = TAILQ_NEXT(connection, all);

		if (connection->released_bytes > 0 &&
		    now_ns - connection->progress_ns > server->options->stall_timeout_ns) {
			tandem_log(TANDEM_LOG_WARNING, "client %s takes no replies, closed",
			           connection->client.session.peer);
			step_drop(server, connection);
		}
		connection = next;
	}
}

/* Reads and takes what one client has. */
static void step_collect_one(struct tandem_kv_server *server,
                             struct tandem_kv_connection *connection, size_t *budget_bytes)
{
	struct tandem_kv_client *client = &connection->client;
	size_t limit =
	        *budget_bytes < STEP_CONNECTION_BYTES ? *budget_bytes : STEP_CONNECTION_BYTES;

	if (client->needs_more)
		*budget_bytes -= tandem_kv_connection_read(connection, limit);
	if (connection->is_lost)
		return;
	if (tandem_kv_turn_take(server->turn, client) == 0 && connection->is_ended &&
	    client->needs_more)
		client->session.is_closing = true;
}

static void step_collect(struct tandem_kv_server *server)
{
	struct tandem_kv_connections again = TAILQ_HEAD_INITIALIZER(again);
	size_t budget_bytes = STEP_TURN_BYTES;

	while (!TAILQ_EMPTY(&server->ready) && budget_bytes > 0 &&
	       !tandem_kv_turn_is_full(server->turn)) {
		struct tandem_kv_connection *connection = TAILQ_FIRST(&server->ready);
		size_t before = tandem_kv_turn_count(server->turn);

		TAILQ_REMOVE(&server->ready, connection, queue);
		step_collect_one(server, connection, &budget_bytes);
		if (tandem_kv_turn_count(server->turn) > before) {
			connection->is_queued = false;
		} else if (!tandem_kv_connection_is_over(connection) &&
		           tandem_kv_connection_has_work(connection)) {
			TAILQ_INSERT_TAIL(&again, connection, queue);
		} else {
			connection->is_queued = false;
			tandem_kv_server_settle(server, connection);
		}
	}
	TAILQ_CONCAT(&server->ready, &again, queue);
}

/* After the turn: what the client was answered waits for a ticket. */
static void step_hold(void *context, struct tandem_kv_client *client)
{
	struct tandem_kv_server *server = context;
	struct tandem_kv_connection *connection = (struct tandem_kv_connection *)client;

	connection->is_run = true;
	TAILQ_INSERT_TAIL(&server->run, connection, queue);
	connection->is_queued = true;
}

static void step_fail(struct tandem_kv_server *server, int result, const char *detail)
{
	if (result == TANDEM_E_NOT_LEADER) {
		tandem_log(TANDEM_LOG_ERROR, "halted, another node leads: %s", detail);
		server->exit = TANDEM_KV_EXIT_HALTED;
		return;
	}
	tandem_log(TANDEM_LOG_ERROR, "cannot go on: %s", detail);
	server->exit = TANDEM_KV_EXIT_FAILED;
}

/* Runs what the clients sent. Also while an epoch is on its way: what it answers belongs to the
 * next one. */
static void step_turn(struct tandem_kv_server *server)
{
	bool has_written = false;
	size_t count;

	step_collect(server);
	count = tandem_kv_turn_count(server->turn);
	if (count == 0)
		return;
	if (tandem_kv_turn_run(server->turn, server->store, &server->facts,
	                       tandem_clock_wall_ns() / TANDEM_NS_PER_MS, &has_written) != 0) {
		step_fail(server, TANDEM_E_SYSTEM, tandem_kv_store_error(server->store));
		return;
	}
	server->has_written = server->has_written || has_written;
	tandem_kv_turn_end(server->turn, step_hold, server);
	server->facts.turns_total++;
	server->facts.commands_total += count;
}

static void step_give_ticket(struct tandem_kv_server *server, uint64_t ticket)
{
	struct tandem_kv_connection *connection;

	TAILQ_FOREACH(connection, &server->run, queue)
	{
		connection->is_run = false;
		connection->ticket = ticket;
	}
	TAILQ_CONCAT(&server->held, &server->run, queue);
}

/* Replies to reads alone need no epoch. What was read may be on its way still: tickets are released
 * in order, so the confirmation waits for it. */
static void step_checkpoint(struct tandem_kv_server *server)
{
	struct tandem_error error = {0};
	uint64_t ticket = 0;
	int result;

	if (server->has_written || server->facts.news.wants_checkpoint)
		result = tandem_kv_gate_checkpoint(
		        server->gate, tandem_kv_store_used_bytes(server->store), &ticket, &error);
	else
		result = tandem_kv_gate_confirm(server->gate, &ticket, &error);
	if (result != 0) {
		step_fail(server, result, error.detail);
		return;
	}
	server->has_written = false;
	step_give_ticket(server, ticket);
}

static void step_release(struct tandem_kv_server *server)
{
	uint64_t released = server->facts.news.released_ticket;
	struct tandem_kv_connection *connection = TAILQ_FIRST(&server->held);
	uint64_t now_ns;

	if (!connection || connection->ticket > released)
		return;
	now_ns = tandem_clock_now_ns();
	tandem_kv_gate_note_reply(server->gate, true);
	TANDEM_FAILPOINT("reply");
	while (connection && connection->ticket <= released) {
		TAILQ_REMOVE(&server->held, connection, queue);
		connection->is_queued = false;
		tandem_kv_connection_release(connection, now_ns);
		tandem_kv_connection_send(connection, now_ns);
		tandem_kv_server_settle(server, connection);
		connection = TAILQ_FIRST(&server->held);
	}
	tandem_kv_gate_note_reply(server->gate, false);
}

static void step_poll(struct tandem_kv_server *server)
{
	tandem_kv_gate_poll(server->gate, &server->facts.news);
	if (server->facts.news.is_halted)
		step_fail(server, TANDEM_E_NOT_LEADER, "every connection is closed");
	else
		step_release(server);
}

/* Stopping ends when every reply has left. */
static bool step_is_drained(const struct tandem_kv_server *server)
{
	const struct tandem_kv_connection *connection;

	TAILQ_FOREACH(connection, &server->all, all)
	if (tandem_kv_buffer_length(&connection->client.output) > 0)
		return false;
	return true;
}

static bool step_may_checkpoint(const struct tandem_kv_server *server)
{
	const struct tandem_news *news = &server->facts.news;

	if (!news->can_checkpoint)
		return false;
	return news->wants_checkpoint || !TAILQ_EMPTY(&server->run);
}

void tandem_kv_server_step(struct tandem_kv_server *server)
{
	step_poll(server);
	if (server->exit < 0 && tandem_kv_server_is_busy(server))
		step_turn(server);
	if (server->exit < 0)
		step_poll(server);
	if (server->exit < 0 && step_may_checkpoint(server)) {
		step_checkpoint(server);
		if (server->exit < 0)
			step_poll(server);
	}
	if (server->exit < 0 && server->is_stopping && step_is_drained(server))
		server->exit = TANDEM_KV_EXIT_OK;
}

bool tandem_kv_server_is_busy(const struct tandem_kv_server *server)
{
	return !server->is_stopping && !TAILQ_EMPTY(&server->ready);
}
