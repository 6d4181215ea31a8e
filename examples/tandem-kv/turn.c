#include "turn.h"

#include <string.h>

#include <tandem/memory.h>

#define TURN_ARGS_MAX      ((size_t)2 * TANDEM_KV_ARGS_MAX)
#define TURN_SCRATCH_BYTES ((size_t)256 << 10)
#define TURN_SWEEP_COUNT   16

struct turn_entry {
	struct tandem_kv_client *client;
	const struct tandem_kv_command *command;
	const struct tandem_kv_arg *args;
	size_t arg_count;
	size_t input_end; /* of the request in the client's input */
};

struct tandem_kv_turn {
	struct turn_entry *entries;
	size_t count;
	struct tandem_kv_args args;
	bool is_full;
	bool writes;

	/* While it runs. */
	struct tandem_kv_store *store;
	const struct tandem_kv_facts *facts;
	uint64_t now_ms;
	size_t output_bytes;
	size_t single_end; /* entries before this one run in a transaction each */

	/* For ever: where the search for expired records goes on. */
	uint64_t sweep_position;
};

struct tandem_kv_turn *tandem_kv_turn_new(void)
{
	struct tandem_kv_turn *turn = tandem_memory_alloc(sizeof(*turn));

	if (!turn)
		return NULL;
	turn->entries =
	        tandem_memory_alloc_array(TANDEM_KV_TURN_COMMANDS_MAX, sizeof(*turn->entries));
	turn->args.capacity = TURN_ARGS_MAX;
	turn->args.list = tandem_memory_alloc_array(TURN_ARGS_MAX, sizeof(*turn->args.list));
	turn->args.scratch_capacity = TURN_SCRATCH_BYTES;
	turn->args.scratch = tandem_memory_alloc(TURN_SCRATCH_BYTES);
	if (!turn->entries || !turn->args.list || !turn->args.scratch)
		return tandem_kv_turn_free(turn);
	return turn;
}

struct tandem_kv_turn *tandem_kv_turn_free(struct tandem_kv_turn *turn)
{
	if (!turn)
		return NULL;
	tandem_memory_free(turn->entries);
	tandem_memory_free(turn->args.list);
	tandem_memory_free(turn->args.scratch);
	tandem_memory_free(turn);
	return NULL;
}

static void turn_push(struct tandem_kv_turn *turn, struct tandem_kv_client *client,
                      const struct tandem_kv_command *command, size_t first_arg)
{
	struct turn_entry *entry = &turn->entries[turn->count++];

	entry->client = client;
	entry->command = command;
	entry->args = &turn->args.list[first_arg];
	entry->arg_count = turn->args.count - first_arg;
	entry->input_end = client->parsed_bytes;
	turn->writes = turn->writes || (command->flags & TANDEM_KV_COMMAND_WRITES);
}

/* The stream is lost: its last "request" is the parser's complaint. */
static void turn_push_protocol_error(struct tandem_kv_turn *turn, struct tandem_kv_client *client)
{
	size_t first_arg = turn->args.count;

	if (first_arg == turn->args.capacity) {
		turn->is_full = true;
		return;
	}
	turn->args.list[turn->args.count++] = (struct tandem_kv_arg){
	        .bytes = (const uint8_t *)client->resp.error, .length = strlen(client->resp.error)};
	turn_push(turn, client, &tandem_kv_command_protocol_error, first_arg);
}

/* False when the client has nothing more for this turn. */
static bool turn_take_one(struct tandem_kv_turn *turn, struct tandem_kv_client *client)
{
	size_t length = tandem_kv_buffer_length(&client->input);
	size_t first_arg = turn->args.count;
	size_t request_bytes = 0;

	if (turn->count == TANDEM_KV_TURN_COMMANDS_MAX) {
		turn->is_full = true;
		return false;
	}
	if (client->parsed_bytes == length) {
		client->needs_more = true;
		return false;
	}
	switch (tandem_kv_resp_next(&client->resp,
	                            tandem_kv_buffer_front(&client->input) + client->parsed_bytes,
	                            length - client->parsed_bytes, &turn->args, &request_bytes)) {
	case TANDEM_KV_RESP_MORE:
		client->needs_more = true;
		return false;
	case TANDEM_KV_RESP_FULL:
		turn->is_full = true;
		return false;
	case TANDEM_KV_RESP_ERROR:
		turn_push_protocol_error(turn, client);
		return false;
	case TANDEM_KV_RESP_REQUEST:
		break;
	}
	client->parsed_bytes += request_bytes;
	if (turn->args.count > first_arg)
		turn_push(turn, client,
		          tandem_kv_command_find(&turn->args.list[first_arg],
		                                 turn->args.count - first_arg),
		          first_arg);
	return true;
}

size_t tandem_kv_turn_take(struct tandem_kv_turn *turn, struct tandem_kv_client *client)
{
	size_t before = turn->count;

	client->parsed_bytes = 0;
	client->run_bytes = 0;
	client->is_deferred = false;
	client->needs_more = false;
	client->output_start = tandem_kv_buffer_length(&client->output);
	while (turn_take_one(turn, client))
		;
	/* Empty lines alone: nothing will run that could take them. */
	if (turn->count == before)
		tandem_kv_buffer_take(&client->input, client->parsed_bytes);
	return turn->count - before;
}

size_t tandem_kv_turn_count(const struct tandem_kv_turn *turn)
{
	return turn->count;
}

bool tandem_kv_turn_is_full(const struct tandem_kv_turn *turn)
{
	return turn->is_full;
}

/* A client that takes no replies, or a turn that produced very many, leaves the rest for later. */
static bool turn_must_defer(const struct tandem_kv_turn *turn,
                            const struct tandem_kv_client *client)
{
	return client->is_deferred || turn->output_bytes > TANDEM_KV_TURN_OUTPUT_MAX ||
	       tandem_kv_buffer_length(&client->output) - client->output_start >
	               TANDEM_KV_OUTPUT_PAUSE;
}

static void turn_reply_too_long(struct tandem_kv_client *client, size_t output_bytes)
{
	tandem_kv_buffer_cut(&client->output, output_bytes);
	tandem_kv_reply_errorf(&client->output, "ERR the reply is longer than %zu MiB",
	                       TANDEM_KV_OUTPUT_MAX >> 20);
	client->session.is_closing = true;
}

static int turn_run_entry(struct tandem_kv_turn *turn, const struct turn_entry *entry)
{
	struct tandem_kv_client *client = entry->client;
	size_t output_bytes = tandem_kv_buffer_length(&client->output);
	struct tandem_kv_call call = {.store = turn->store,
	                              .session = &client->session,
	                              .facts = turn->facts,
	                              .reply = &client->output,
	                              .args = entry->args,
	                              .arg_count = entry->arg_count,
	                              .now_ms = turn->now_ms};

	if (client->session.is_closing)
		return 0;
	if (turn_must_defer(turn, client)) {
		client->is_deferred = true;
		return 0;
	}
	int result = entry->command->run(&call);
	if (result != 0)
		return result;
	if (client->output.is_failed)
		turn_reply_too_long(client, output_bytes);
	turn->output_bytes += tandem_kv_buffer_length(&client->output) - output_bytes;
	client->run_bytes = entry->input_end;
	return 0;
}

/* Whether this entry is the first of its client between `first` and it; a client's entries follow
 * each other. */
static bool turn_is_clients_first(const struct tandem_kv_turn *turn, size_t first, size_t index)
{
	return index == first || turn->entries[index].client != turn->entries[index - 1].client;
}

static int turn_run_entries(struct tandem_kv_turn *turn, size_t first, size_t last)
{
	int result = 0;

	for (size_t i = first; i < last && result == 0; i++)
		result = turn_run_entry(turn, &turn->entries[i]);
	return result;
}

static void turn_mark(struct tandem_kv_turn *turn, size_t first, size_t last)
{
	for (size_t i = first; i < last; i++)
		if (turn_is_clients_first(turn, first, i))
			tandem_kv_client_mark(turn->entries[i].client);
}

static void turn_restore(struct tandem_kv_turn *turn, size_t first, size_t last,
                         size_t output_bytes)
{
	for (size_t i = first; i < last; i++)
		if (turn_is_clients_first(turn, first, i))
			tandem_kv_client_restore(turn->entries[i].client);
	turn->output_bytes = output_bytes;
}

static size_t turn_value_pages(size_t bytes, const struct tandem_kv_room *room)
{
	/* LMDB keeps values up to about half a page in the tree. */
	return bytes > room->page_bytes / 4 ? bytes / room->page_bytes + 2 : 0;
}

/* What a command may take, generously: its path in the tree once a key, and its long values. */
struct turn_need {
	size_t puts;
	size_t value_pages;
};

static void turn_need_add(struct turn_need *need, const struct turn_entry *entry,
                          const struct tandem_kv_room *room)
{
	const struct tandem_kv_command *command = entry->command;
	size_t step = command->key_step > 0 ? (size_t)command->key_step : 1;

	if (!(command->flags & TANDEM_KV_COMMAND_WRITES))
		return;
	if (command->flags & TANDEM_KV_COMMAND_CLEARS)
		need->value_pages +=
		        (room->tree_pages + room->value_pages) * sizeof(size_t) / room->page_bytes +
		        room->depth;
	need->puts += command->key_last < 0 ? (entry->arg_count - 1 + step - 1) / step : 1;
	for (size_t i = 1; i < entry->arg_count; i++)
		need->value_pages += turn_value_pages(entry->args[i].length, room);
}

static size_t turn_need_pages(const struct turn_need *need, const struct tandem_kv_room *room)
{
	size_t by_path = need->puts * (room->depth + 2);
	size_t by_tree = room->tree_pages + need->puts * 2;
	/* Commit writes the list of freed pages, which may be all that were free already. */
	size_t list = 32 + 2 * room->freed_pages * sizeof(size_t) / room->page_bytes;

	return (by_path < by_tree ? by_path : by_tree) + need->value_pages + list;
}

/* How many entries from `first` on surely find room in one transaction, without the reserve. */
static size_t turn_fit(const struct tandem_kv_turn *turn, size_t first,
                       const struct tandem_kv_room *room)
{
	struct turn_need need = {0};
	size_t last = first;

	if (first < turn->single_end)
		return 0;
	while (last < turn->count) {
		turn_need_add(&need, &turn->entries[last], room);
		if (turn_need_pages(&need, room) + room->reserve > room->pages)
			break;
		last++;
	}
	return last - first;
}

/* Pages that a command would need beyond what there is, 0 when it may run. */
static size_t turn_missing_pages(const struct turn_entry *entry, const struct tandem_kv_room *room)
{
	struct turn_need need = {0};

	if (!(entry->command->flags & TANDEM_KV_COMMAND_GROWS))
		return 0;
	turn_need_add(&need, entry, room);
	size_t pages = turn_need_pages(&need, room) + room->reserve;
	return pages > room->pages ? pages - room->pages : 0;
}

/* The room for entry `index`; when that is what it takes, pages freed just now count, too. */
static int turn_find_room(struct tandem_kv_turn *turn, size_t index,
                          struct tandem_kv_room *ret_room)
{
	int result = tandem_kv_store_room(turn->store, ret_room);

	if (result != 0)
		return result;
	size_t missing = turn_missing_pages(&turn->entries[index], ret_room);
	if (missing == 0 || missing > ret_room->recent_pages)
		return 0;
	result = tandem_kv_store_age(turn->store);
	if (result != 0)
		return result == TANDEM_E_MEMORY ? 0 : result;
	return tandem_kv_store_room(turn->store, ret_room);
}

static int turn_run_refused(struct tandem_kv_call *call)
{
	tandem_kv_reply_errorf(call->reply,
	                       "OOM the map of %zu MiB is full: delete keys, or start with a "
	                       "larger --map-size",
	                       call->facts->map_bytes >> 20);
	return 0;
}

static const struct tandem_kv_command turn_refused = {.run = turn_run_refused};

/* Answers in the place of a command that found no room. */
static int turn_refuse(struct tandem_kv_turn *turn, size_t index)
{
	turn->entries[index].command = &turn_refused;
	return turn_run_entry(turn, &turn->entries[index]);
}

struct turn_sweep {
	struct tandem_kv_turn *turn;
	size_t count;
	size_t lengths[TURN_SWEEP_COUNT];
	uint8_t keys[TURN_SWEEP_COUNT][TANDEM_KV_KEY_MAX];
};

static void turn_sweep_visit(void *context, const void *key, size_t key_length,
                             const struct tandem_kv_record *record)
{
	struct turn_sweep *sweep = context;

	if (sweep->count == TURN_SWEEP_COUNT ||
	    !tandem_kv_record_is_expired(record, sweep->turn->now_ms))
		return;
	memcpy(sweep->keys[sweep->count], key, key_length);
	sweep->lengths[sweep->count++] = key_length;
}

static int turn_sweep_find(struct tandem_kv_turn *turn, struct turn_sweep *sweep)
{
	int result = tandem_kv_store_begin_read(turn->store);

	if (result == 0)
		result = tandem_kv_store_scan(turn->store, turn->sweep_position, TURN_SWEEP_COUNT,
		                              turn_sweep_visit, sweep, &turn->sweep_position);
	tandem_kv_store_end(turn->store);
	return result;
}

/* Deletes the expired ones among the next few records, so that they do not stay for ever. */
static int turn_sweep(struct tandem_kv_turn *turn)
{
	struct turn_sweep sweep;

	sweep.turn = turn;
	sweep.count = 0;
	int result = turn_sweep_find(turn, &sweep);
	if (result != 0 || sweep.count == 0)
		return result;
	result = tandem_kv_store_begin_write(turn->store);
	for (size_t i = 0; i < sweep.count && result == 0; i++)
		result = tandem_kv_store_delete(turn->store, sweep.keys[i], sweep.lengths[i]);
	if (result == 0)
		result = tandem_kv_store_commit(turn->store);
	tandem_kv_store_end(turn->store);
	/* No room even for that: it is tried again a round later. */
	return result == TANDEM_E_MEMORY ? 0 : result;
}

static int turn_transact(struct tandem_kv_turn *turn, size_t first, size_t last)
{
	int result = tandem_kv_store_begin_write(turn->store);

	if (result == 0)
		result = turn_run_entries(turn, first, last);
	if (result == 0)
		return tandem_kv_store_commit(turn->store);
	tandem_kv_store_end(turn->store);
	return result;
}

/* One transaction from entry *first on; advances it behind what is done. */
static int turn_run_some(struct tandem_kv_turn *turn, size_t *first)
{
	struct tandem_kv_room room;
	size_t output_bytes = turn->output_bytes;
	int result = turn_find_room(turn, *first, &room);

	if (result != 0)
		return result;
	size_t count = turn_fit(turn, *first, &room);
	if (count == 0 && turn_missing_pages(&turn->entries[*first], &room) > 0)
		return turn_refuse(turn, (*first)++);
	size_t last = *first + (count > 0 ? count : 1);
	turn_mark(turn, *first, last);
	result = turn_transact(turn, *first, last);
	if (result != TANDEM_E_MEMORY) {
		*first = last;
		return result;
	}
	/* Nothing of it happened: one by one, so that only the commands that are too large are
	 * refused. */
	turn_restore(turn, *first, last, output_bytes);
	if (last - *first == 1)
		return turn_refuse(turn, (*first)++);
	turn->single_end = last;
	return 0;
}

static int turn_run_reads(struct tandem_kv_turn *turn)
{
	int result = tandem_kv_store_begin_read(turn->store);

	if (result == 0)
		result = turn_run_entries(turn, 0, turn->count);
	tandem_kv_store_end(turn->store);
	return result;
}

int tandem_kv_turn_run(struct tandem_kv_turn *turn, struct tandem_kv_store *store,
                       const struct tandem_kv_facts *facts, uint64_t now_ms, bool *ret_has_written)
{
	size_t next = 0;
	int result = 0;

	turn->store = store;
	turn->facts = facts;
	turn->now_ms = now_ms;
	turn->output_bytes = 0;
	turn->single_end = 0;
	if (turn->writes) {
		result = turn_sweep(turn);
		while (next < turn->count && result == 0)
			result = turn_run_some(turn, &next);
	} else if (turn->count > 0) {
		result = turn_run_reads(turn);
	}
	if (result == 0)
		*ret_has_written = turn->writes;
	return result;
}

static void turn_take_input(struct tandem_kv_client *client)
{
	if (!client->is_deferred) {
		tandem_kv_buffer_take(&client->input, client->parsed_bytes);
		return;
	}
	/* The scanner stands behind requests that were not run. */
	tandem_kv_buffer_take(&client->input, client->run_bytes);
	memset(&client->resp, 0, sizeof(client->resp));
	client->needs_more = false;
}

void tandem_kv_turn_end(struct tandem_kv_turn *turn, tandem_kv_turn_visit visit, void *context)
{
	size_t count = turn->count;

	turn->count = 0;
	turn->args.count = 0;
	turn->args.scratch_used = 0;
	turn->is_full = false;
	turn->writes = false;
	for (size_t i = 0; i < count; i++)
		if (turn_is_clients_first(turn, 0, i)) {
			turn_take_input(turn->entries[i].client);
			visit(context, turn->entries[i].client);
		}
}
